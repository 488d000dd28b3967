"""A task that is saved without its optimizer, and compiled again as it was."""

import contextlib

import keras


class LeanTask:
    """Mixin before a KerasHub task that has a `compile` of its own."""

    def compile_from_config(self, config):
        """Compile as a saved model was, which Keras leaves to who has own `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def quantize(self, mode=None, config=None, filters=None, **kwargs):
        """Keep weights in fewer bits, as `keras.Model.quantize` does.

        Where no `filters` say what is to be kept so, it is the vectors of tokens: they
        are what these models have most of, and what a preset can hold so.
        """
        embedding = keras.layers.Embedding
        filters = filters or (lambda layer: isinstance(layer, embedding))
        super().quantize(mode, config=config, filters=filters, **kwargs)

    def save_task_weights(self, filepath):
        """Save the weights that are not the backbone's, without the optimizer's."""
        with self._without_optimizer():
            super().save_task_weights(filepath)

    def load_task_weights(self, filepath):
        """Load the weights that are not the backbone's."""
        with self._without_optimizer():
            super().load_task_weights(filepath)

    @contextlib.contextmanager
    def _without_optimizer(self):
        """Its state is most of the bytes of a preset, and of no use to its users."""
        optimizer = self.optimizer
        self.optimizer = None
        try:
            yield
        finally:
            self.optimizer = optimizer
