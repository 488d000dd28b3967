"""A function of a model's weights, compiled by whatever the backend compiles with."""

import keras

from kattn.text.libraries import tensorflow


def compiled(function, model):
    """Compile a function that reads a model's weights and changes none.

    Args:
        function: A function of tensors, or structures of them, to tensors.
        model: The `keras.Model` whose weights it reads.

    Returns:
        A function of the same arguments. It is traced anew for each of their shapes,
        and reads the weights that there are when it is called.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return tensorflow().function(function, autograph=False, reduce_retracing=True)
    if backend != "jax":
        return function
    import jax

    @jax.jit
    def stateless(values, *arguments):
        pairs = zip(model.variables, values, strict=True)
        with keras.StatelessScope(state_mapping=pairs):
            return function(*arguments)

    return lambda *arguments: stateless(
        [variable.value for variable in model.variables], *arguments
    )
