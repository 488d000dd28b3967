"""The character tokenizer: strings to the ids of their characters."""

import keras

from kattn.text.characters import join_characters, split_characters
from kattn.text.tokenizer import WordTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class CharacterTokenizer(WordTokenizer):
    """Characters and their ids: a `WordTokenizer` whose words are characters.

    `split_characters` says what a character is.

    Args:
        vocabulary: As for `WordTokenizer`.
        case_fold: Likewise.
        **kwargs: Likewise.

    Example:
        >>> tokenizer = CharacterTokenizer(["a", "b"])
        >>> tokenizer.tokenize(["Abc"]).to_list()
        [[2, 3, 1]]
        >>> tokenizer.detokenize([2, 3, 0]).numpy()
        b'ab'
    """

    def words(self, texts):
        """Split texts into characters, by the rules of `split_characters`.

        Args:
            texts: As for `WordTokenizer.words`.

        Returns:
            Likewise.
        """
        return split_characters(texts, self.case_fold)

    def join(self, words):
        """Join characters, without spaces between them."""
        return join_characters(words)
