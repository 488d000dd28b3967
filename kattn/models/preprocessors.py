"""Strings to a model's inputs: what the preprocessors of all families share."""

import keras
import keras_hub

from kattn.models.presets import Presets
from kattn.text import head_and_tail, pad_to_bucket
from kattn.text.libraries import tensorflow


class Preprocessor(Presets, keras_hub.models.TextClassifierPreprocessor):
    """Base class: strings to words, words to ids, ids to padded inputs.

    A subclass sets `backbone_cls` and `tokenizer_cls`, and says how texts become
    `words` and how ids are padded (`pad`). A batch is whatever `batch` makes of what a
    user gives: a string tensor `(B,)`, or several of them in a tuple, one for each of
    `fields`. Words and ids have the same structure, in ragged tensors.

    Args:
        tokenizer: A tokenizer of the class `tokenizer_cls`.
        **kwargs: `name` and `dtype`.

    Call arguments:
        x: A batch of texts, or one of them.
        y: Labels, passed through.
        sample_weight: Weights, passed through.

    Returns:
        A dictionary of the model's inputs; with `y`, a tuple of it and what is passed
        through.
    """

    #: What the strings of an example are called.
    fields = ("text",)
    #: How many ragged axes the words of a batch have.
    levels = 1

    def __init__(self, tokenizer, **kwargs):
        # KerasHub packs flat sequences of one length: there is no use for the two here.
        kwargs.pop("sequence_length", None)
        kwargs.pop("truncate", None)
        super().__init__(tokenizer, **kwargs)

    def build(self, input_shape):
        """Nothing to build."""
        self.built = True

    def batch(self, x):
        """What a user gives, as a string tensor, or as a tuple of them."""
        return tensorflow().convert_to_tensor(x, "string")

    def words(self, texts):
        """The words that the model reads, ragged strings."""
        raise NotImplementedError

    def ids(self, texts):
        """Their ids, ragged integers of the same structure."""
        return self.look_up(self.words(texts))

    def look_up(self, words):
        """The ids of words, whatever their structure."""
        if isinstance(words, tuple):
            return tuple(self.tokenizer.ids(part) for part in words)
        return self.tokenizer.ids(words)

    def pad(self, ids):
        """Ragged ids as the model's inputs."""
        raise NotImplementedError

    def call(self, x, y=None, sample_weight=None):
        """Preprocess; see the class."""
        tf = tensorflow()
        with tf.device("cpu"):
            texts = self.batch(x)
            first = texts[0] if isinstance(texts, tuple) else texts
            flat = tf.nest.map_structure(lambda part: tf.reshape(part, [-1]), texts)
            inputs = self.pad(self.ids(flat))
            if first.shape.rank == 0:
                inputs = {name: value[0] for name, value in inputs.items()}
        return keras.utils.pack_x_y_sample_weight(inputs, y, sample_weight)

    def get_config(self):
        """The constructor's arguments."""
        config = super().get_config()
        del config["sequence_length"], config["truncate"]
        return config


class SequencePreprocessor(Preprocessor):
    """Strings to one sequence of word ids each.

    Of texts longer than `max_words` the head and the tail are kept. Ids are padded, on
    the right, to one of few lengths.

    Args:
        tokenizer: A tokenizer of the class `tokenizer_cls`.
        max_words: The most words of a text.
        **kwargs: `name` and `dtype`.

    Call arguments:
        x: A string or strings `(B,)`: a list, an array or a tensor.
        y: Labels, passed through.
        sample_weight: Weights, passed through.

    Returns:
        A dictionary of `token_ids`, int32 `(B, T)`, and `padding_mask`, booleans of the
        same shape; with `y`, a tuple of it and what is passed through.
    """

    def __init__(self, tokenizer, max_words=512, **kwargs):
        super().__init__(tokenizer, **kwargs)
        self.max_words = max_words

    def words(self, texts):
        """The words that the model reads, `(B, T)` ragged strings."""
        return head_and_tail(self.tokenizer.words(texts), self.max_words)

    def pad(self, ids):
        """Ragged ids `(B, T)` as the model's inputs."""
        token_ids = pad_to_bucket(ids, buckets(self.max_words))
        padding_mask = token_ids != self.tokenizer.pad_token_id
        return {"token_ids": token_ids, "padding_mask": padding_mask}

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "max_words": self.max_words}


class PairPreprocessor(SequencePreprocessor):
    """Pairs of strings to two sequences of word ids each.

    Of texts longer than `max_words` the head and the tail are kept. Ids are padded, on
    the right, premises and hypotheses each to one of few lengths.

    Args:
        tokenizer: A tokenizer of the class `tokenizer_cls`.
        max_words: The most words of a text.
        **kwargs: `name` and `dtype`.

    Call arguments:
        x: A tuple `(premises, hypotheses)`, or a dictionary of these under `premise`
            and `hypothesis`; each a string or strings `(B,)`.
        y: Labels, passed through.
        sample_weight: Weights, passed through.

    Returns:
        A dictionary of `premise_token_ids` and `hypothesis_token_ids`, int32 `(B, Tp)`
        and `(B, Th)`, and of `premise_padding_mask` and `hypothesis_padding_mask`,
        booleans of the same shapes; with `y`, a tuple of it and what is passed through.
    """

    fields = ("premise", "hypothesis")

    def __init__(self, tokenizer, max_words=64, **kwargs):
        super().__init__(tokenizer, max_words, **kwargs)

    def __call__(self, x, *args, **kwargs):
        """Preprocess; see the class."""
        # By keyword, for KerasHub takes a tuple of two for examples and their labels.
        if not args and isinstance(x, tuple) and isinstance(x[0], tuple | dict):
            x, *args = x
        names = ("y", "sample_weight")
        return super().__call__(x=x, **dict(zip(names, args, strict=False)), **kwargs)

    def batch(self, x):
        """Premises and hypotheses, as two string tensors."""
        return tuple(map(super().batch, pair(x)))

    def words(self, texts):
        """The words that the model reads: a tuple of two, `(B, T)` ragged strings."""
        return tuple(map(super().words, texts))

    def pad(self, ids):
        """A tuple of two ragged ids `(B, T)` as the model's inputs."""
        return {
            f"{field}_{name}": value
            for field, part in zip(self.fields, ids, strict=True)
            for name, value in super(PairPreprocessor, self).pad(part).items()
        }


def pair(x):
    """Premises and hypotheses of what a user gives for both.

    Args:
        x: A tuple `(premises, hypotheses)`, or a dictionary of these under `premise`
            and `hypothesis`.

    Returns:
        The two of them in a tuple.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(x, dict) and set(x) == set(PairPreprocessor.fields):
        return tuple(x[field] for field in PairPreprocessor.fields)
    if isinstance(x, tuple) and len(x) == 2:
        return x
    received = f"a {type(x).__name__}"
    if isinstance(x, dict):
        received += f" with the keys {sorted(x)}"
    elif isinstance(x, tuple | list):
        received += f" of {len(x)}"
    raise ValueError(
        "Pairs of texts come as a tuple of two lists, (premises, hypotheses), or as "
        f'{{"premise": premises, "hypothesis": hypotheses}}. Received: {received}'
    )


def pair_inputs():
    """The inputs of a model of pairs: the ids of both texts, then the masks of both."""
    kinds = (("token_ids", "int32"), ("padding_mask", "bool"))
    return {
        f"{field}_{kind}": keras.Input((None,), dtype=dtype, name=f"{field}_{kind}")
        for kind, dtype in kinds
        for field in PairPreprocessor.fields
    }


def buckets(maximum):
    """Lengths up to `maximum`, each at most half as long again as the one before."""
    steps = [n for k in range(2, 20) for n in (2**k, 3 * 2 ** (k - 1))]
    return (*(n for n in steps if n < maximum), maximum)
