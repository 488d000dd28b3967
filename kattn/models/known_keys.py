"""A layer that knows certain things, n-grams say, by keys of 32 bits."""

import keras
import numpy as np
from keras import ops

# By the golden ratio: up to 40,000 words, no two pairs of them have the same key.
FACTOR = -1640531535
NONE = 2**31 - 1  # the key of nothing


class KnownKeys(keras.layers.Layer):
    """A list of known keys, in ascending order, and where in it others stand.

    A subclass makes the keys, and says what it knows of each. In `build` it calls this
    class's first.

    Args:
        num_ngrams: At most so many keys are known, N.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Raises:
        ValueError: If `num_ngrams` is no positive integer.
    """

    def __init__(self, num_ngrams, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(num_ngrams, int) or num_ngrams < 1:
            raise ValueError(
                f"num_ngrams is a positive integer. Received: num_ngrams={num_ngrams!r}"
            )
        self.num_ngrams = num_ngrams

    def build(self, input_shape=None):
        """Make the list of known keys, none yet."""
        self.keys = self.add_weight(
            shape=(self.num_ngrams,),
            initializer=keras.initializers.Constant(NONE),
            dtype="int32",
            trainable=False,
            name="keys",
        )

    @property
    def adapted(self):
        """Whether anything is known yet."""
        return self.built and bool(ops.any(self.keys != NONE))

    def know(self, keys):
        """Know these keys from now on, at most N different ones in ascending order."""
        every = np.full(self.num_ngrams, NONE, "int32")
        every[: len(keys)] = keys
        self.keys.assign(every)

    def places(self, keys):
        """Where among the known keys others stand.

        Args:
            keys: Integers, `NONE` for nothing.

        Returns:
            The places, integers of the same shape from 0 to N - 1, and whether the key
            that is there is this one.
        """
        place = ops.searchsorted(self.keys, ops.reshape(keys, (-1,)))
        place = ops.reshape(ops.minimum(place, self.num_ngrams - 1), ops.shape(keys))
        return place, (ops.take(self.keys, place) == keys) & (keys != NONE)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_ngrams": self.num_ngrams}
