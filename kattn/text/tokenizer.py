"""The word tokenizer: strings to word ids."""

import os
from pathlib import Path

import keras
import keras_hub

from kattn.text.libraries import tensorflow
from kattn.text.strings import as_strings
from kattn.text.word_list import PAD, SPECIAL_TOKENS, UNK, WordList, read_word_list
from kattn.text.words import split_words

_ASSET = "vocabulary.txt"


@keras.saving.register_keras_serializable(package="kattn")
class WordTokenizer(keras_hub.tokenizers.Tokenizer):
    """Words and their ids.

    `split_words` says what a word is. Id 0 is `"[PAD]"`, id 1 is `"[UNK]"`, which
    stands for every word that is not in the vocabulary, and the words follow from 2. A
    vocabulary may be given with or without the two: where it begins with `"[PAD]"`,
    `"[UNK]"`, as `get_vocabulary()` returns it, they are taken as they are, and
    otherwise put in front. No text gives id 0 or the word `"[PAD]"`, for brackets are
    words of their own.

    Everything runs in TensorFlow's graph: eagerly, in `tf.data`'s `map` and in an
    exported model. The vocabulary is an asset, a text file with one word a line; it
    travels in presets and `.keras` files and never in the config.

    Args:
        vocabulary: A list of words, the path of a text file of one word a line in
            UTF-8, or `None` where `set_vocabulary` or `load_assets` comes later.
        case_fold: Whether upper and lower case are one. The words of the vocabulary are
            taken as they are: with `case_fold`, one with a capital is never found.
        **kwargs: For `keras.layers.Layer`. `dtype` is `"int32"` unless given.

    Raises:
        ValueError: If a word of the vocabulary is blank, is there twice or holds a line
            break, or if `dtype` is not one of integers.

    Example:
        >>> tokenizer = WordTokenizer(["a", "good", "movie"])
        >>> tokenizer.tokenize(["A good, good movie", ""]).to_list()
        [[2, 3, 1, 3, 4], []]
        >>> tokenizer.detokenize([2, 3, 4, 0]).numpy()
        b'a good movie'
    """

    pad_token = PAD
    unk_token = UNK
    pad_token_id = 0
    unk_token_id = 1

    def __init__(self, vocabulary=None, case_fold=True, **kwargs):
        kwargs.setdefault("dtype", "int32")
        super().__init__(**kwargs)
        if not keras.backend.is_int_dtype(self.compute_dtype):
            raise ValueError(
                "The dtype of a tokenizer must be one of integers. "
                f"Received: dtype={self.compute_dtype!r}"
            )
        self.case_fold = bool(case_fold)
        self.file_assets = [_ASSET]
        self.set_vocabulary(vocabulary)
        self.built = True  # or Keras will not quantize a model that has one

    # === Strings and ids ===

    def words(self, texts):
        """Split texts into words, by the rules of `split_words`.

        Args:
            texts: A string, a list nested to any depth, a string tensor or a
                `tf.RaggedTensor` of strings.

        Returns:
            A `tf.RaggedTensor` of strings with one more axis than `texts`; a string
            tensor `(T,)` for a single text.

        Raises:
            ValueError: If `texts` does not hold strings.

        Example:
            >>> WordTokenizer().words(["Good!"]).to_list()
            [[b'good', b'!']]
        """
        return split_words(texts, self.case_fold)

    def ids(self, words):
        """Look up the ids of words.

        Args:
            words: A string tensor, `tf.RaggedTensor` or list of words of any rank. The
                empty string is padding.

        Returns:
            Their ids in the same form.

        Raises:
            ValueError: If there is no vocabulary yet.

        Example:
            >>> WordTokenizer(["good"]).ids(["good", "bad", ""]).numpy().tolist()
            [2, 1, 0]
        """
        table = self._lookup_table()
        tf = tensorflow()
        ids = tf.ragged.map_flat_values(table.lookup, as_strings(words))
        return tf.cast(ids, self.compute_dtype)

    def tokenize(self, inputs):
        """Turn texts into the ids of their words.

        Args:
            inputs: Texts as for `words`.

        Returns:
            A `tf.RaggedTensor` of ids with one more axis than `inputs`; a tensor `(T,)`
            for a single text. Calling the tokenizer does the same and, outside a graph,
            hands back lists, as all of KerasHub's tokenizers do.

        Raises:
            ValueError: If there is no vocabulary yet, or if `inputs` does not hold
                strings.

        Example:
            >>> WordTokenizer(["good"]).tokenize("Good film").numpy().tolist()
            [2, 1]
        """
        return self.ids(self.words(inputs))

    def detokenize(self, inputs):
        """Join the words of ids, leaving padding out.

        Args:
            inputs: Ids: a list, an array, a tensor or a `tf.RaggedTensor` with at least
                one axis.

        Returns:
            A string tensor or `tf.RaggedTensor` with one axis less.

        Raises:
            ValueError: If there is no vocabulary yet.
            tf.errors.InvalidArgumentError: If the vocabulary has no such id.

        Example:
            >>> WordTokenizer(["good"]).detokenize([[2, 1], [2, 0]]).numpy().tolist()
            [b'good [UNK]', b'good']
        """
        tokens = self.get_vocabulary()
        tf = tensorflow()
        ids = inputs
        if isinstance(ids, list | tuple):
            ids = tf.ragged.constant(ids, tf.int32)
        elif keras.ops.is_tensor(ids) and not tf.is_tensor(ids):
            ids = keras.ops.convert_to_numpy(ids)
        ids = tf.cast(ids, tf.int32)  # (..., T)
        ids = tf.ragged.boolean_mask(ids, ids != self.pad_token_id)
        return self.join(tf.gather(tf.constant(tokens), ids))

    def join(self, words):
        """Join words by spaces.

        Args:
            words: A string tensor or `tf.RaggedTensor` of words.

        Returns:
            Strings with one axis less.

        Example:
            >>> WordTokenizer().join(["good", "film"]).numpy()
            b'good film'
        """
        return tensorflow().strings.reduce_join(words, axis=-1, separator=" ")

    # === Vocabulary ===

    def set_vocabulary(self, vocabulary):
        """Take a vocabulary.

        Args:
            vocabulary: A list of words, the path of a text file, or `None`, as for the
                class.

        Raises:
            ValueError: If a word is blank, is there twice or holds a line break.
            FileNotFoundError: If there is no such file.

        Example:
            >>> tokenizer = WordTokenizer()
            >>> tokenizer.set_vocabulary(["good"])
            >>> tokenizer.vocabulary_size()
            3
        """
        self._table = None  # made when first used: only then TensorFlow is needed
        self._vocabulary = None
        if vocabulary is None:
            return
        if isinstance(vocabulary, str | os.PathLike):
            vocabulary = read_word_list(vocabulary)
        self._vocabulary = WordList(vocabulary)

    def get_vocabulary(self):
        """List all tokens in the order of their ids, the special ones first.

        Returns:
            A new list of strings.

        Raises:
            ValueError: If there is no vocabulary yet.

        Example:
            >>> WordTokenizer(["good"]).get_vocabulary()
            ['[PAD]', '[UNK]', 'good']
        """
        self._check_vocabulary()
        return list(self._vocabulary.tokens)

    def vocabulary_size(self):
        """Count the ids, the special ones among them.

        Returns:
            An integer.

        Raises:
            ValueError: If there is no vocabulary yet.

        Example:
            >>> WordTokenizer(["good"]).vocabulary_size()
            3
        """
        self._check_vocabulary()
        return len(self._vocabulary)

    def id_to_token(self, id):
        """Name the token of an id.

        Args:
            id: An integer.

        Returns:
            A string.

        Raises:
            ValueError: If there is no such id, or no vocabulary yet.

        Example:
            >>> WordTokenizer(["good"]).id_to_token(2)
            'good'
        """
        self._check_vocabulary()
        if not 0 <= id < len(self._vocabulary):
            raise ValueError(
                f"An id must be in [0, {len(self._vocabulary) - 1}]. Received: id={id}"
            )
        return self._vocabulary.tokens[id]

    def token_to_id(self, token):
        """Find the id of a token of the vocabulary.

        Args:
            token: A string.

        Returns:
            An integer.

        Raises:
            ValueError: If the vocabulary does not hold it, or if there is none yet.

        Example:
            >>> WordTokenizer(["good"]).token_to_id("good")
            2
        """
        self._check_vocabulary()
        if token not in self._vocabulary.ids:
            raise ValueError(f"The vocabulary does not hold {token!r}.")
        return self._vocabulary.ids[token]

    @property
    def special_tokens(self):
        """The tokens that are not words, in the order of their ids."""
        return list(SPECIAL_TOKENS)

    @property
    def special_token_ids(self):
        """The ids of `special_tokens`."""
        return [self.pad_token_id, self.unk_token_id]

    # === Config and assets ===

    def get_config(self):
        """The init arguments, but for the vocabulary, which is an asset.

        Returns:
            A dictionary.

        Example:
            >>> config = WordTokenizer(["good"], case_fold=False).get_config()
            >>> config["vocabulary"], config["case_fold"]
            (None, False)
        """
        return {
            **super().get_config(),
            "vocabulary": None,
            "case_fold": self.case_fold,
        }

    @classmethod
    def from_config(cls, config):
        """Make the tokenizer that a config describes, without its vocabulary.

        Args:
            config: What `get_config` returned.

        Returns:
            A `WordTokenizer`.

        Raises:
            ValueError: If the config names a file as the vocabulary. A saved model of
                unknown origin shall not read files of this machine.

        Example:
            >>> config = WordTokenizer(["good"], case_fold=False).get_config()
            >>> WordTokenizer.from_config(config).case_fold
            False
        """
        if isinstance(config.get("vocabulary"), str | os.PathLike):
            raise ValueError(
                "The config of a WordTokenizer must not name a vocabulary file. "
                f"Received: vocabulary={config['vocabulary']!r}. Load it with "
                "`set_vocabulary` instead."
            )
        return super().from_config(config)

    def save_assets(self, dir_path):
        """Write the vocabulary, one token a line.

        Args:
            dir_path: An existing folder, which gets a file `vocabulary.txt`.

        Raises:
            ValueError: If there is no vocabulary yet.
        """
        lines = "".join(f"{token}\n" for token in self.get_vocabulary())
        # In bytes: every platform shall write the same file.
        Path(dir_path, _ASSET).write_bytes(lines.encode("utf-8"))

    def load_assets(self, dir_path):
        """Read the vocabulary that `save_assets` wrote.

        Args:
            dir_path: The folder that holds `vocabulary.txt`.

        Raises:
            FileNotFoundError: If the folder holds no such file.
            ValueError: If the file is no vocabulary.
        """
        self.set_vocabulary(Path(dir_path, _ASSET))

    def _check_vocabulary(self):
        if self._vocabulary is None:
            raise ValueError(
                "This WordTokenizer has no vocabulary yet. Give it one with "
                "`WordTokenizer(vocabulary)`, `set_vocabulary(vocabulary)` or "
                "`load_assets(folder)`."
            )

    def _lookup_table(self):
        self._check_vocabulary()
        if self._table is None:
            tf = tensorflow()
            # Outside any graph under construction, so that the table outlives it.
            with tf.init_scope(), tf.device("cpu"):
                keys = tf.constant([*self._vocabulary.tokens, ""])
                ids = tf.constant([*range(len(self._vocabulary)), 0], tf.int32)
                pairs = tf.lookup.KeyValueTensorInitializer(keys, ids)
                self._table = tf.lookup.StaticHashTable(pairs, self.unk_token_id)
        return self._table
