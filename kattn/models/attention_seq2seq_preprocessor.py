"""Pairs of strings to what an encoder reads and a decoder is taught to write."""

import keras
import keras_hub

from kattn.models.attention_seq2seq_backbone import AttentionSeq2SeqBackbone
from kattn.models.preprocessors import buckets
from kattn.models.presets import Presets
from kattn.text import WordTokenizer, pad_to_bucket
from kattn.text.libraries import tensorflow
from kattn.text.strings import as_strings

START = "[START]"
END = "[END]"
#: What the vocabulary of a target begins with, before its words.
TARGET_TOKENS = (START, END)
#: The tokenizer of the target lies in files of its own.
_TARGET_FILE = "target_tokenizer.json"


@keras.saving.register_keras_serializable(package="kattn")
class AttentionSeq2SeqPreprocessor(Presets, keras_hub.models.Seq2SeqLMPreprocessor):
    """Sources and targets to token ids, each by a tokenizer of its own.

    The decoder is fed `"[START]"` and the target's tokens, and is to write these tokens
    and `"[END]"`: the vocabulary of `target_tokenizer` holds both. Ids are padded, on
    the right, to one of few lengths.

    Args:
        tokenizer: Tokenizer of the source, `kattn.text.WordTokenizer` or
            `kattn.text.CharacterTokenizer`.
        target_tokenizer: Tokenizer of the target, likewise.
        encoder_sequence_length: The most tokens of a source.
        decoder_sequence_length: The most tokens of a target.
        **kwargs: `name` and `dtype`.

    Call arguments:
        x: A dictionary of `encoder_text` and `decoder_text`, strings or lists of them.

    Returns:
        `(x, y, sample_weight)`: a dictionary of the model's inputs, the ids to be
        written, `(B, T)`, and a mask of the same shape that leaves padding out.

    Raises:
        tf.errors.InvalidArgumentError: If a text has more tokens than may be.

    Example:
        >>> from kattn.models import AttentionSeq2SeqPreprocessor
        >>> from kattn.text import CharacterTokenizer
        >>> preprocessor = AttentionSeq2SeqPreprocessor(
        ...     CharacterTokenizer(list("cat")),
        ...     WordTokenizer(["[START]", "[END]", "K", "AE", "T"], case_fold=False),
        ... )
        >>> x, y, _ = preprocessor({"encoder_text": "cat", "decoder_text": "K AE T"})
        >>> np.asarray(x["decoder_token_ids"]), np.asarray(y)
        (array([2, 4, 5, 6], dtype=int32), array([4, 5, 6, 3], dtype=int32))
    """

    backbone_cls = AttentionSeq2SeqBackbone
    tokenizer_cls = WordTokenizer

    def __init__(
        self,
        tokenizer,
        target_tokenizer,
        encoder_sequence_length=128,
        decoder_sequence_length=128,
        **kwargs,
    ):
        super().__init__(
            tokenizer, encoder_sequence_length, decoder_sequence_length, **kwargs
        )
        target_tokenizer.config_file = _TARGET_FILE
        self.target_tokenizer = target_tokenizer

    @property
    def start_id(self):
        """The id of what the decoder is fed first."""
        return self.target_tokenizer.token_to_id(START)

    @property
    def end_id(self):
        """The id of what ends a target."""
        return self.target_tokenizer.token_to_id(END)

    def build(self, input_shape):
        """Nothing to build."""
        self.built = True

    def source_ids(self, texts):
        """The ids of sources `(B,)`, ragged `(B, Ts)`."""
        return self.tokenizer.tokenize(texts)

    def target_ids(self, texts):
        """The ids of targets `(B,)` with their end, ragged `(B, Tt)`."""
        tf = tensorflow()
        ids = self.target_tokenizer.tokenize(texts)
        ends = tf.fill([ids.nrows(), 1], tf.cast(self.end_id, ids.dtype))
        return tf.concat([ids, ends], axis=1)

    def pad_sources(self, ids, buckets=buckets):
        """Ragged ids `(B, Ts)` as the encoder's inputs.

        Args:
            ids: The ids.
            buckets: A function of the longest length to those that are padded to.
        """
        ids = pad_to_bucket(ids, buckets(self.encoder_sequence_length))
        mask = ids != self.tokenizer.pad_token_id
        return {"encoder_token_ids": ids, "encoder_padding_mask": mask}

    def pad(self, ids):
        """Ragged ids of sources and of targets with their ends, as `call` gives them.

        Args:
            ids: A tuple of what `source_ids` and `target_ids` made.

        Returns:
            `(x, y, sample_weight)`; see the class.
        """
        tf = tensorflow()
        sources, targets = ids
        # TensorFlow compiles no length of this model, so there it is padded to any.
        any_length = keras.backend.backend() == "tensorflow"
        lengths = _every if any_length else buckets
        # One more for the end.
        y = pad_to_bucket(targets, lengths(self.decoder_sequence_length + 1))
        mask = y != self.target_tokenizer.pad_token_id
        starts = tf.fill([tf.shape(y)[0], 1], tf.cast(self.start_id, y.dtype))
        fed = tf.concat([starts, y[:, :-1]], axis=1)
        x = {
            **self.pad_sources(sources, lengths),
            "decoder_token_ids": tf.where(mask, fed, tf.zeros_like(fed)),
            "decoder_padding_mask": mask,
        }
        return x, y, mask

    def call(self, x, y=None, sample_weight=None):
        """Preprocess; see the class."""
        tf = tensorflow()
        with tf.device("cpu"):
            sources, targets = (
                as_strings(x[f"{side}_text"]) for side in ("encoder", "decoder")
            )
            packed = self.pad(
                (
                    self.source_ids(tf.reshape(sources, [-1])),
                    self.target_ids(tf.reshape(targets, [-1])),
                )
            )
            if sources.shape.rank == 0:
                packed = tf.nest.map_structure(lambda value: value[0], packed)
        return keras.utils.pack_x_y_sample_weight(*packed)

    def generate_preprocess(self, x):
        """Sources alone, as the encoder's inputs."""
        with tensorflow().device("cpu"):
            return self.pad_sources(self.source_ids(as_strings(x)))

    def generate_postprocess(self, ids):
        """Ids that were written, as strings."""
        tf = tensorflow()
        with tf.device("cpu"):
            ids = tf.cast(ids, tf.int32)
            for special in (self.start_id, self.end_id):
                ids = tf.where(ids == special, tf.zeros_like(ids), ids)
            return self.target_tokenizer.detokenize(ids)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "target_tokenizer": keras.layers.serialize(self.target_tokenizer),
            "encoder_sequence_length": self.encoder_sequence_length,
            "decoder_sequence_length": self.decoder_sequence_length,
        }

    @classmethod
    def from_config(cls, config):
        """The preprocessor that `get_config` described."""
        target = keras.layers.deserialize(config["target_tokenizer"])
        return super().from_config({**config, "target_tokenizer": target})


def _every(longest):
    return tuple(range(1, longest + 1))
