"""ABCNN: two texts through one convolution, each attended to as the other matches it.

Yin, Schütze, Xiang, Zhou: ABCNN: Attention-Based Convolutional Neural Network for
Modeling Sentence Pairs. TACL 4 (2016) 259-272.
"""

import keras
import keras_hub
from keras import ops

from kattn import scores
from kattn.models.best_matches import BestMatches
from kattn.models.equal_lengths import AsLong, EqualLengths
from kattn.models.layouts import Layouts
from kattn.models.own_words import OwnWords
from kattn.models.pair_convolution import PairConvolution
from kattn.models.pair_dropout import PairDropout
from kattn.models.pair_features import PairFeatures
from kattn.models.pooling import LivePooling
from kattn.models.preprocessors import PairPreprocessor, pair_inputs
from kattn.models.presets import Presets
from kattn.models.similarities import Similarities
from kattn.models.text_pair_classifier import TextPairClassifier
from kattn.models.word_embedding import word_embedding
from kattn.parts import like, of_policy
from kattn.text import WordTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class ABCNNBackbone(Layouts, Presets, keras_hub.models.Backbone):
    """Two texts through levels of convolution, and how similar they are at each.

    Each level is a `PairConvolution`: both texts go through one wide convolution, and
    attention weighs them, before it, after it, or both, by how well each position
    matches the other text. At every level, the words themselves included, each text is
    summed to a vector; the cosine and `1 / (1 + |x - y|)` of the two vectors are the
    features on which a `kattn.models.ABCNNTextPairClassifier` puts a logistic
    regression.

    What the paper leaves open is decided as in the author's own code: the sums over the
    match matrix are divided by their total, and weigh the sum over the whole text as
    well. In the paper the word vectors are given and stay as they are; here they are
    trained unless `token_embedding.trainable = False`.

    Inputs are `premise_token_ids` and `hypothesis_token_ids`, integers `(B, Tp)` and
    `(B, Th)`, and `premise_padding_mask` and `hypothesis_padding_mask`, booleans,
    `False` for padding, which takes part in nothing. The output is `(B, F)`, the
    features of all levels; or `(B, hidden_dim)`.

    Args:
        vocabulary_size: Number of token ids.
        embedding_dim: Width of a word vector.
        variant: `"bcnn"`, without attention; `"abcnn1"`, attention before each
            convolution; `"abcnn2"`, after it; `"abcnn3"`, both.
        num_layers: Number of levels above the words.
        filters: Width of the columns that a convolution makes.
        kernel_size: How many words the window of a convolution has.
        match: How two positions are compared: the paper's `"proximity"`, or another
            score of `kattn.scores`, say the learned `"bilinear"`, through a sigmoid.
        feature_map: What attention before the convolution puts beside each position:
            `"places"`, the paper's sum of learned vectors of the other text's places;
            or `"attention"`, the sum of the other text's own vectors, of any length.
        max_length: How many places of a text there are vectors for; words past them
            are matched by none.
        join_vectors: Whether the features also have `|x - y|` and `x * y` of the
            vectors of every level.
        pair_features: Whether they also have the numbers of
            `kattn.models.PairFeatures`: overlap, lengths, negation.
        best_matches: Whether they also have those of `kattn.models.BestMatches`: how
            well the words of each text are matched by single words of the other.
        own_words: Whether the words that only one of the texts has make a level too,
            beside that of all words. The author's program for sick reads the pair a
            second time without the words that both have.
        hidden_dim: Width of a layer `relu(W f + b)` between the features f and the
            logistic regression, which then need not be linear in them; none if `None`,
            as in the paper.
        dropout: Fraction of the features of word vectors dropped in training, the same
            in all words of both texts.
        dtype: Precision policy of the layers.
        **kwargs: `name` and `trainable`.

    Example:
        >>> backbone = kattn.models.ABCNNBackbone(vocabulary_size=100)
        >>> ids = np.ones((2, 5), "int32")
        >>> inputs = {"premise_token_ids": ids, "premise_padding_mask": ids > 0}
        >>> inputs |= {"hypothesis_token_ids": ids, "hypothesis_padding_mask": ids > 0}
        >>> backbone(inputs).shape
        TensorShape([2, 6])

    Reference:
        Yin et al. 2016, arXiv:1512.05193; the author's code:
        github.com/yinwenpeng/Answer_Selection.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=100,
        variant="abcnn3",
        num_layers=2,
        filters=50,
        kernel_size=3,
        match="proximity",
        feature_map="places",
        max_length=64,
        join_vectors=False,
        pair_features=False,
        best_matches=False,
        own_words=False,
        hidden_dim=None,
        dropout=0.0,
        dtype=None,
        **kwargs,
    ):
        # === Layers ===
        self.token_embedding = word_embedding(vocabulary_size, embedding_dim, dtype)
        match = of_policy(scores.get(match), keras.dtype_policies.get(dtype))
        self.word_dropout = PairDropout(dropout, dtype=dtype, name="word_dropout")
        self.word_pooling = LivePooling("mean", dtype=dtype, name="word_pooling")
        self.levels = [
            PairConvolution(
                filters,
                kernel_size,
                variant,
                like(match),
                feature_map,
                max_length,
                dtype=dtype,
                name=f"level_{i}",
            )
            for i in range(num_layers)
        ]
        self.similarities = Similarities(dtype=dtype, name="similarities")
        self.pair_features_layer = None
        if pair_features:
            self.pair_features_layer = PairFeatures(
                vocabulary_size, dtype=dtype, name="pair_features"
            )
        self.best_matches_layer = None
        if best_matches:
            self.best_matches_layer = BestMatches(dtype=dtype, name="best_matches")
        self.hidden_dense = None
        if hidden_dim is not None:
            self.hidden_dense = keras.layers.Dense(
                hidden_dim, "relu", dtype=dtype, name="hidden"
            )
        # === Functional model ===
        inputs = pair_inputs()
        ids, masks = list(inputs.values())[:2], list(inputs.values())[2:]
        equal_lengths = EqualLengths(dtype=dtype, name="equal_lengths")
        padded, live = equal_lengths(*ids), equal_lengths(*masks)  # 2 of (B, T)
        words = self.word_dropout(*map(self.token_embedding, padded))  # 2 of (B, T, D)
        texts, mask = ops.concatenate(words, axis=0), ops.concatenate(live, axis=0)
        vectors = [self.word_pooling(texts, mask=mask)]  # (2 B, D)
        if own_words:
            own = OwnWords(dtype=dtype, name="own_words")(
                *padded, premise_mask=live[0], hypothesis_mask=live[1]
            )
            own = ops.concatenate(own, axis=0)  # (2 B, T)
            vectors.append(self.word_pooling(texts, mask=own))
        seen = []
        for level in self.levels:
            texts, vector, *seen = level(
                texts, mask=mask, return_attention_scores=variant != "bcnn"
            )
            vectors.append(vector)  # (2 B, filters)
        features = [self.similarities(x) for x in vectors]  # (B, 2)
        if join_vectors:
            for vector in vectors:
                left, right = ops.split(vector, 2)
                features += [ops.abs(left - right), left * right]
        if pair_features:
            counted = self.pair_features_layer(
                *ids, premise_mask=masks[0], hypothesis_mask=masks[1]
            )
            features.append(counted)  # (B, 15)
        if best_matches:
            features.append(
                self.best_matches_layer(
                    *words,
                    *padded,
                    premise_mask=live[0],
                    hypothesis_mask=live[1],
                )
            )  # (B, 8)
        vector = ops.concatenate(features, axis=-1)  # (B, F)
        if hidden_dim is not None:
            vector = self.hidden_dense(vector)  # (B, hidden_dim)
        super().__init__(
            inputs=inputs,
            outputs=vector,
            dtype=dtype,
            **kwargs,
        )
        names = [f"{field}_word_weights" for field in PairPreprocessor.fields]
        self._attention = {}
        if seen:
            shares, matrix = seen  # (2 B, T), (B, T, T)
            for name, part, own in zip(names, ops.split(shares, 2), ids, strict=True):
                self._attention[name] = AsLong(dtype=dtype)(part, own)
            matrix = AsLong(dtype=dtype)(matrix, ids[0])  # (B, Tp, T)
            matrix = AsLong(dtype=dtype)(ops.swapaxes(matrix, 1, 2), ids[1])
            self._attention["match"] = ops.swapaxes(matrix, 1, 2)  # (B, Tp, Th)
        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.variant = variant
        self.num_layers = num_layers
        self.filters = filters
        self.kernel_size = kernel_size
        self.match = match
        self.feature_map = feature_map
        self.max_length = max_length
        self.join_vectors = join_vectors
        self.pair_features = pair_features
        self.best_matches = best_matches
        self.own_words = own_words
        self.hidden_dim = hidden_dim
        self.dropout = dropout

    def attention_model(self):
        """The same layers and weights, with the attention as outputs.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `vector`, the
            features; and, but for `"bcnn"`, `premise_word_weights` `(B, Tp)` and
            `hypothesis_word_weights` `(B, Th)`, how much each word counts at the
            highest level, which sum to 1; and `match` `(B, Tp, Th)`, how well each word
            of the premise matches each of the hypothesis there.
        """
        return keras.Model(self.input, {"vector": self.output, **self._attention})

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "variant": self.variant,
            "num_layers": self.num_layers,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "match": scores.serialize(self.match),
            "feature_map": self.feature_map,
            "max_length": self.max_length,
            "join_vectors": self.join_vectors,
            "pair_features": self.pair_features,
            "best_matches": self.best_matches,
            "own_words": self.own_words,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="kattn")
class ABCNNTokenizer(Presets, WordTokenizer):
    """The word tokenizer of ABCNN; see `kattn.text.WordTokenizer`."""

    backbone_cls = ABCNNBackbone


@keras.saving.register_keras_serializable(package="kattn")
class ABCNNTextPairClassifierPreprocessor(PairPreprocessor):
    """Pairs of strings to two sequences of word ids each; see `PairPreprocessor`."""

    backbone_cls = ABCNNBackbone
    tokenizer_cls = ABCNNTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class ABCNNTextPairClassifier(TextPairClassifier):
    """Pairs of texts to labels by attention-based convolution.

    Args:
        backbone: An `ABCNNBackbone`.
        num_classes: Number of classes; that of `class_names` if `None`.
        preprocessor: An `ABCNNTextPairClassifierPreprocessor`, or `None`.
        class_names: The labels as strings, in the order of their numbers.
        dropout: Fraction of the features dropped in training.
        ngrams: How many n-grams of both texts speak for themselves, see
            `PairNgramLogits`; 0: none.
        ngram_order: The most words of an n-gram.
        **kwargs: `name` and `compile`.

    Example:
        >>> from kattn import models
        >>> tokenizer = models.ABCNNTokenizer(["a", "dog", "cat", "runs"])
        >>> classifier = models.ABCNNTextPairClassifier(
        ...     models.ABCNNBackbone(tokenizer.vocabulary_size()),
        ...     preprocessor=models.ABCNNTextPairClassifierPreprocessor(tokenizer),
        ...     class_names=["no", "yes"],
        ... )
        >>> premises, hypotheses = ["A dog runs.", "A cat."], ["A cat runs.", "A cat."]
        >>> len(classifier.classify((premises, hypotheses)))
        2

    Reference:
        Yin et al. 2016, arXiv:1512.05193.
    """

    backbone_cls = ABCNNBackbone
    preprocessor_cls = ABCNNTextPairClassifierPreprocessor
