"""What a classifier says of a text, what it looked at, and whether that mattered."""

import dataclasses
import math
from pathlib import Path

from kattn import attention_page, attention_plot
from kattn.files import replacing


@dataclasses.dataclass(frozen=True)
class Token:
    """A word that the model read, where it stands in the user's text.

    Attributes:
        text: The user's own spelling, `text[start:end]`.
        start: Where it begins, in characters.
        end: Where the text goes on after it.
        weight: The attention it got. The weights of a sentence's tokens sum to 1.
    """

    text: str
    start: int
    end: int
    weight: float


@dataclasses.dataclass(frozen=True)
class Sentence:
    """Tokens that the model weighed against each other.

    Attributes:
        weight: The attention that the sentence got. Those of a text sum to 1; a model
            that does not weigh sentences has one, of weight 1.
        tokens: A list of `Token`.
    """

    weight: float
    tokens: list[Token]

    @property
    def shares(self):
        """`sqrt(p_s) p_w`, the weight of each of its tokens in the whole text."""
        return [math.sqrt(self.weight) * token.weight for token in self.tokens]


@dataclasses.dataclass(frozen=True)
class Erasure:
    """Whether what got attention mattered: the text read without it.

    Attributes:
        count: How many tokens were taken out.
        drop: By how much the probability of the label falls without the tokens that
            got most attention.
        random_drop: By how much it falls without as many others, drawn at random, on
            average. Attention that tells why has a `drop` that is far greater.
    """

    count: int
    drop: float
    random_drop: float


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What a classifier says of a text, or a pair, and what it looked at.

    In a notebook it shows itself.

    Attributes:
        label: The likeliest class's name, or its number as a string.
        probability: Its probability.
        probabilities: Those of all classes, by name.
        texts: The strings as they were given, under `text`, or `premise` and
            `hypothesis`.
        sentences: A list of `Sentence` for each of them: what the model read. Of a pair
            whose one text alone is weighed the other's weights are 0.
        weights: Other attention that the model gives, as arrays without padding: of
            pairs the match matrix `match` `(Tp, Th)` or the `alignment` `(Th, Tp)`; of
            an encoder `block_0_weights` `(H, T, T)` and so on, and their `rollout`
            `(T, T)`; `hop_weights` `(hops, T)`; `width_weights` `(widths, T)`.
        erasure: An `Erasure`; `None` if it was not asked for, or there is no word.
        opinions: Of a classifier whose n-grams speak for themselves, the probability
            that its `network` alone gives the label, whose attention this is, and that
            its `ngrams` alone give it.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    texts: dict[str, str]
    sentences: dict[str, list[Sentence]]
    weights: dict
    erasure: Erasure | None = None
    opinions: dict[str, float] = dataclasses.field(default_factory=dict)

    def tokens(self, field=None):
        """All tokens of a text, each with the weight it has in the whole.

        That is `sqrt(p_s) p_w` of the weights of its sentence and of the word in it, by
        which words of lesser sentences stay in view (Yang et al. 2016, section 3.6).

        Args:
            field: `premise` or `hypothesis` of a pair; the only text if `None`.

        Returns:
            A list of `Token`.

        Raises:
            ValueError: If there is no such text, or two to choose from.
        """
        if field is None and len(self.texts) == 1:
            (field,) = self.texts
        if field not in self.texts:
            raise ValueError(
                f"The tokens are of one of {list(self.texts)}. Received: {field!r}"
            )
        return [
            dataclasses.replace(token, weight=share)
            for sentence in self.sentences[field]
            for token, share in zip(sentence.tokens, sentence.shares, strict=True)
        ]

    def to_html(self, path):
        """Write a page of this explanation; see `Explanations.to_html`."""
        return Explanations([self]).to_html(path)

    def plot(self, weights=None):
        """Draw it with Matplotlib.

        Args:
            weights: A name in `weights`, whose matrix is drawn, of several heads one
                beside the other. If `None`: of a pair its match matrix or alignment
                where it has one; else the words of each text in a strip, shaded by
                their weights.

        Returns:
            A `matplotlib.figure.Figure`.

        Raises:
            ValueError: If there are no such weights.
        """
        return attention_plot.plot(self, weights)

    def _repr_html_(self):
        return Explanations([self])._repr_html_()


class Explanations(list):
    """A list with an `Explanation` for each text. In a notebook it shows itself."""

    def to_html(self, path, labels=None, title="Attention"):
        """Write a page that shows the texts with their words shaded by attention.

        A word's shade is its weight as `Explanation.tokens` gives it, rescaled in each
        text, whose strongest word has the full colour. The page is one file that needs
        neither scripts nor a network.

        Args:
            path: The file to write; a former one is replaced.
            labels: The true labels, by name or by number, or `None`.
            title: The page's heading.

        Returns:
            The `pathlib.Path` of the file.

        Raises:
            ValueError: If texts and labels differ in number, or if a label is not one
                of the classes.
        """
        path = Path(path)
        if labels is not None:
            labels = list(labels)
            if len(labels) != len(self):
                raise ValueError(
                    f"There is one label for each of the {len(self)} texts. "
                    f"Received: {len(labels)} labels"
                )
            pairs = zip(labels, self, strict=True)
            labels = [_label(label, list(one.probabilities)) for label, one in pairs]
        text = attention_page.page(self, labels, title)
        with replacing(path) as temporary:
            # The words of a text may hold halves of surrogates, which are no UTF-8.
            temporary.write_text(text, encoding="utf-8", errors="replace")
        return path

    def _repr_html_(self):
        return attention_page.fragment(self)


def _label(label, names):
    """A label by its class's name."""
    number = getattr(label, "__index__", None)
    if number is not None and 0 <= number() < len(names):
        return names[number()]
    if label not in names:
        raise ValueError(
            f"Labels are integers from 0 to {len(names) - 1}, or among {names}. "
            f"Received: {label!r}"
        )
    return str(label)
