"""What words and runs of words say by themselves, beside what a model reads in them."""

import keras

from kattn.models.weighed_keys import WeighedKeys, different_ngrams, sorted_ngrams


@keras.saving.register_keras_serializable(package="kattn")
class NgramLogits(WeighedKeys):
    """`b + sum_g w_g`, over the different known n-grams g of a text.

    An n-gram is up to `order` live words that stand side by side, within a sentence
    where there are sentences. `adapt` finds the weights by naive Bayes and logistic
    regression, see `kattn.models.weighed_keys.WeighedKeys`; they are not learned with
    a network.

    Args:
        num_ngrams: At most so many are known.
        num_classes: Number of classes, C.
        order: The most words of an n-gram.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        token_ids: Integers `(B, ..., T)`.
        mask: Boolean of the same shape.

    Returns:
        The logits `(B, C)`; zeros before `adapt`.

    Example:
        >>> layer = NgramLogits(num_ngrams=8, num_classes=2)
        >>> layer.adapt([[[5, 3]], [[5, 4]]] * 9, [0, 1] * 9)
        >>> ids = np.array([[5, 3, 0], [4, 0, 0]])
        >>> np.argmax(layer(ids, mask=ids > 0), axis=-1).tolist()
        [0, 1]

    Reference:
        Wang and Manning 2012, section 2.
    """

    def __init__(self, num_ngrams, num_classes, order=3, **kwargs):
        super().__init__(num_ngrams, num_classes, order, **kwargs)

    def adapt(self, texts, labels):
        """Find the weights.

        Args:
            texts: Texts as lists of sentences, lists of word ids; a text without
                sentences is one.
            labels: Integers `(B,)`.
        """
        self.weigh([different_ngrams(text, self.order) for text in texts], labels)

    def call(self, token_ids, mask):
        """Look up and add; see the class."""
        return self.added_up(sorted_ngrams(token_ids, mask, self.order))

    def compute_output_spec(self, token_ids, mask):
        """What `call` returns."""
        shape = (token_ids.shape[0], self.num_classes)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)
