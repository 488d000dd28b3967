"""The table of word vectors that every backbone begins with."""

import keras

NAME = "token_embedding"


def word_embedding(vocabulary_size, width, dtype):
    """An embedding that can be kept in 8 bits, saved, loaded and saved again.

    Args:
        vocabulary_size: Number of token ids.
        width: Width of a word vector.
        dtype: A precision policy, its name, a map of policies, or `None`.

    Returns:
        A `keras.layers.Embedding`.
    """
    dtype = own_policy(dtype, NAME)
    return keras.layers.Embedding(vocabulary_size, width, dtype=dtype, name=NAME)


def own_policy(dtype, name):
    """The precision of one layer.

    Of a model that was quantized, `dtype` is a map of layers to policies. An embedding
    that holds the whole map finds its own policy when it loads and not when it saves
    (Keras 3.15), so it is given its own.

    Args:
        dtype: A precision policy, its name, a map of policies, or `None`.
        name: The layer's name.

    Returns:
        What such a layer's `dtype` is to be.
    """
    if isinstance(dtype, keras.dtype_policies.DTypePolicyMap):
        return dtype[name]
    return dtype
