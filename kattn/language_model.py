"""A language model that teaches a recurrent backbone to read, without labels.

Dai, Le: Semi-supervised Sequence Learning. NeurIPS 2015. Both directions, each with a
prediction of its own: Peters, Neumann, Iyyer, Gardner, Clark, Lee, Zettlemoyer: Deep
Contextualized Word Representations. NAACL 2018.
"""

import sys
from itertools import islice

import keras
import numpy as np
from keras import ops

from kattn.devices import on_cpu
from kattn.models import packed, packed_recurrence

_PIECE = 100  # words that are read at a time
_DRAWN = 512  # words that a right one is compared with
_BATCH = 64
_CHUNK = 1000  # texts at a time


class LanguageModel(keras.Model):
    """Each word from those before it, and from those after it.

    The forward states `h` and the backward states `g` of a recurrence over the words'
    vectors `E` give `logits(t + 1) = E U h_t + b` and `logits(t - 1) = E V g_t + b`;
    the loss is the mean of both cross-entropies. In training it is a sampled one: the
    right word among 512 that are drawn with `P(id) = log(1 + 1 / (id + 1)) /
    log(1 + vocabulary)`, as frequent words have the lower ids; `log(512 P)` is taken
    off each logit, so that the best logits are those of a softmax over all words.

    Args:
        token_embedding: A built `keras.layers.Embedding`, `E`; id 0 is padding.
        recurrent: A built `keras.layers.Bidirectional` of sequences.
        dropout: Fraction of the entries of word vectors dropped in training.
        **kwargs: `name`.

    Call arguments:
        token_ids: Integers `(B, T)`.
        training: Whether this is training.

    Returns:
        The loss, a scalar.

    Reference:
        Dai and Le 2015, arXiv:1511.01432, section 2.1; Peters et al. 2018,
        arXiv:1802.05365, section 3.1; the sampled loss: Jean et al. 2015,
        arXiv:1412.2007.
    """

    def __init__(self, token_embedding, recurrent, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        self.recurrent = recurrent
        self.word_dropout = keras.layers.Dropout(dropout)
        width = token_embedding.output_dim
        self.maps = [keras.layers.Dense(width, name=x) for x in ("next", "former")]
        self.biases = self.add_weight(
            shape=(token_embedding.input_dim,), initializer="zeros", name="biases"
        )
        self.draws = keras.random.SeedGenerator()

    def build(self, input_shape):
        """Build the two maps."""
        for layer in self.maps:
            layer.build((None, self.recurrent.forward_layer.units))

    def call(self, token_ids, training=None):
        """The loss; see the class."""
        mask = token_ids != 0  # (B, T)
        words = self.word_dropout(self.token_embedding(token_ids), training=training)
        before, after = self._read(words, mask, training)  # (B, T, units) each
        nearby = (
            (before[:, :-1], token_ids[:, 1:]),  # (B, T - 1, units), (B, T - 1)
            (after[:, 1:], token_ids[:, :-1]),
        )
        both = mask[:, 1:] & mask[:, :-1]
        live = ops.cast(both, "float32")
        total = 0.0
        for layer, (states, target) in zip(self.maps, nearby, strict=True):
            losses = self._cross_entropies(
                layer(states), target, training
            )  # (B, T - 1)
            total += ops.sum(losses * live)
        return total / ops.maximum(2 * ops.sum(live), 1)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        """What `call` gave."""
        return y_pred

    def _read(self, words, mask, training):
        """The states after each word, and those after it from the end."""
        readers = self.recurrent.forward_layer, self.recurrent.backward_layer
        if training and on_cpu():
            live = packed.Live.of(mask)
            cells = (reader.cell for reader in readers)
            states = packed_recurrence.read(live.packed(words), live, *cells)
            return ops.split(live.padded(states), 2, axis=-1)
        before, after = (
            reader(words, mask=mask, training=training) for reader in readers
        )
        return _states(before), ops.flip(_states(after), axis=1)

    def _cross_entropies(self, states, target, training):
        """Cross-entropies `(B, T - 1)` of states `(B, T - 1, D)`."""
        table = self.token_embedding.embeddings  # (V, D)
        if not training:
            logits = ops.matmul(states, ops.transpose(table)) + self.biases
            return keras.losses.sparse_categorical_crossentropy(
                target, logits, from_logits=True
            )

        drawn = self._draw()  # (N,)
        right = ops.sum(states * ops.take(table, target, axis=0), axis=-1)
        right += ops.take(self.biases, target) - self._expected(target)
        others = ops.matmul(states, ops.transpose(ops.take(table, drawn, axis=0)))
        others += ops.take(self.biases, drawn) - self._expected(drawn)
        others = ops.where(ops.expand_dims(target, -1) == drawn, -1e9, others)
        return ops.logaddexp(right, ops.logsumexp(others, axis=-1)) - right

    def _draw(self):
        """Ids, the lower the more often, `(N,)`."""
        size = self.token_embedding.input_dim
        drawn = keras.random.uniform((_DRAWN,), seed=self.draws)
        drawn = ops.cast(ops.exp(drawn * np.log(1 + size)), "int32") - 1
        return ops.clip(drawn, 0, size - 1)

    def _expected(self, ids):
        """The logarithm of how often an id is drawn."""
        share = ops.log1p(1 / (ops.cast(ids, "float32") + 1))
        return ops.log(_DRAWN * share / np.log(1 + self.token_embedding.input_dim))


def _states(found):
    """The states of a recurrence that may give its last ones beside them."""
    return found[0] if isinstance(found, list | tuple) else found


def pieces(texts, tokenizer, length=_PIECE):
    """Texts as ids, one after the other, cut where a piece is full.

    A text ends with its last piece, so that no words are neighbours that were not.

    Args:
        texts: An iterable of strings, read once.
        tokenizer: A `kattn.text.WordTokenizer`.
        length: Words of a piece, T.

    Returns:
        int32 `(N, T)`, 0 at padding. Pieces of a single word, which have no
        neighbours, are left out.

    Example:
        >>> tokenizer = kattn.text.WordTokenizer(["a", "good", "film"])
        >>> pieces(["a good film a", "good"], tokenizer, length=3)
        array([[2, 3, 4]], dtype=int32)
    """
    made, remaining = [], iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        ids = tokenizer.tokenize(chunk)  # (B, T) ragged
        for row in np.split(ids.values.numpy(), ids.row_splits.numpy()[1:-1]):
            made += [row[i : i + length] for i in range(0, len(row) - 1, length)]
    padded = np.zeros((len(made), length), "int32")
    for row, piece in zip(padded, made, strict=True):
        row[: len(piece)] = piece
    return padded


def teach(backbone, tokenizer, texts, epochs=2, backup=None) -> list[float]:
    """Teach a backbone's word vectors and its recurrence over words to read.

    By Adam, whose rate falls from 2e-3 along a cosine.

    Args:
        backbone: A backbone with a `word_recurrence`; its layers are trained in place.
        tokenizer: Its tokenizer.
        texts: Strings, without labels.
        epochs: How often all texts are read.
        backup: Folder to keep the last epoch in: a try that was stopped goes on there.

    Returns:
        The losses of the epochs: of the right word among 512 drawn ones.
    """
    read = pieces(texts, tokenizer)
    model = LanguageModel(backbone.token_embedding, backbone.word_recurrence)
    model.build(read.shape)
    steps = epochs * -(-len(read) // _BATCH)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), jit_compile=False)
    callbacks = []
    if backup is not None:
        callbacks.append(keras.callbacks.BackupAndRestore(str(backup)))
    history = model.fit(
        read,
        batch_size=_BATCH,
        epochs=epochs,
        callbacks=callbacks,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    return history.history["loss"]
