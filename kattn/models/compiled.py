"""A function of a model's weights, compiled by whatever the backend compiles with."""

import keras

from kattn.text.libraries import tensorflow


def compiled(function, model, chance=()):
    """Compile a function that reads a model's weights and changes none.

    Args:
        function: A function of tensors, or structures of them, to tensors.
        model: The `keras.Model` whose weights it reads.
        chance: Other variables, which it reads and changes: the states of seeds.

    Returns:
        A function of the same arguments. It reads the weights that there are when it
        is called.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _graph(function)
    if backend != "jax":
        return function
    import jax

    @jax.jit
    def stateless(values, *arguments):
        pairs = zip([*model.variables, *chance], values, strict=True)
        with keras.StatelessScope(state_mapping=pairs) as scope:
            outputs = function(*arguments)
        after = [scope.get_current_value(variable) for variable in chance]
        return outputs, after

    def call(*arguments):
        values = [variable.value for variable in (*model.variables, *chance)]
        outputs, after = stateless(values, *arguments)
        for variable, value in zip(chance, after, strict=True):
            variable.assign(value)
        return outputs

    return call


def _graph(function):
    """The function as one graph of TensorFlow, for tensors of all sizes.

    Left alone, TensorFlow would trace it for the first call's sizes, and once more for
    all when others come.
    """
    tf = tensorflow()
    made = []

    def call(*arguments):
        if not made:
            free = tf.nest.map_structure(
                lambda x: tf.TensorSpec([None] * len(x.shape), x.dtype), arguments
            )
            made.append(tf.function(function, input_signature=free, autograph=False))
        return made[0](*arguments)

    return call
