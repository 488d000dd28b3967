"""What all of kattn's text classifiers share: strings in, labels out."""

import collections

import keras
import keras_hub
import numpy as np

from kattn.models.adapted import Adapted
from kattn.models.adversarial import Adversarial
from kattn.models.examples import count, split
from kattn.models.explained import Explained
from kattn.models.lean_task import LeanTask
from kattn.models.portable import portable
from kattn.models.presets import Presets
from kattn.models.text_batches import TextBatches, is_dataset
from kattn.text.batches import training_batches
from kattn.text.shares import share
from kattn.text.streams import Stream

Prediction = collections.namedtuple("Prediction", ["label", "probability"])
Prediction.__doc__ = """A label and its probability, as `classify` returns them."""


class TextClassifier(
    Adapted,
    Adversarial,
    Explained,
    TextBatches,
    LeanTask,
    Presets,
    keras_hub.models.TextClassifier,
):
    """Base class of kattn's classifiers of single texts.

    A subclass sets `backbone_cls` and `preprocessor_cls`, the latter a
    `kattn.models.preprocessors.Preprocessor`.

    Args:
        backbone: A backbone whose output is one vector a text, `(B, D)`.
        num_classes: Number of classes; that of `class_names` if `None`.
        preprocessor: Turns strings into the backbone's inputs; `None` to do it oneself.
        class_names: The labels as strings, in the order of their numbers.
        dropout: Fraction of the text's vector dropped in training.
        ngrams: How many words and runs of words speak for themselves: the logits are
            the mean of theirs, see `kattn.models.NgramLogits` and, for pairs,
            `kattn.models.PairNgramLogits`, and the network's.
        ngram_order: The most words of a run.
        **kwargs: As for `keras_hub.models.Task`: `name`, `compile`.
    """

    def __init__(
        self,
        backbone,
        num_classes=None,
        preprocessor=None,
        class_names=None,
        dropout=0.0,
        ngrams=0,
        ngram_order=3,
        **kwargs,
    ):
        if num_classes is None and class_names is None:
            raise ValueError(
                "A classifier needs `num_classes` or `class_names`. Received neither."
            )
        num_classes = len(class_names) if num_classes is None else num_classes
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        # Logits and loss in float32, whatever the backbone's precision.
        self.output_dropout = keras.layers.Dropout(dropout, dtype="float32")
        self.output_dense = keras.layers.Dense(
            num_classes, dtype="float32", name="logits"
        )
        self._give_ngrams_a_say(ngrams, num_classes, ngram_order)
        # === Functional model ===
        inputs = backbone.input
        outputs = self._logits(backbone(inputs), inputs)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        # === Config ===
        self.num_classes = num_classes
        self.class_names = class_names
        self.dropout = dropout
        self.ngrams = ngrams
        self.ngram_order = ngram_order

    def _logits(self, vector, inputs):
        """Of a text's vector `(B, D)`, and of its n-grams where they count."""
        logits = self.output_dense(self.output_dropout(vector))  # (B, C)
        if self.ngram_logits is None:
            return logits
        return self.mean_opinion(logits, self._said_by_ngrams(inputs))

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "class_names": self.class_names,
            "dropout": self.dropout,
            "ngrams": self.ngrams,
            "ngram_order": self.ngram_order,
        }

    @property
    def class_names(self):
        """The labels as strings, in the order of their numbers, or `None`."""
        return None if self._class_names is None else list(self._class_names)

    @class_names.setter
    def class_names(self, names):
        if names is not None:
            names = tuple(str(name) for name in names)
            if len(set(names)) != len(names) or len(names) != self.num_classes:
                raise ValueError(
                    f"`class_names` are {self.num_classes} different names, one for "
                    f"each class. Received: {list(names)}"
                )
        self._class_names = names

    @classmethod
    def from_preset(cls, preset, *args, **kwargs):
        """Load a preset; see `kattn.models.presets.Presets.from_preset`.

        With `num_classes=` the head is new and the preset's class names are dropped.
        """
        if "class_names" in kwargs and kwargs["class_names"] is not None:
            kwargs.setdefault("num_classes", len(kwargs["class_names"]))
        elif "num_classes" in kwargs:
            kwargs["class_names"] = None
        return super().from_preset(preset, *args, **kwargs)

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        metrics="auto",
        adversarial=0.0,
        **kwargs,
    ):
        """Configure the training, as `keras.Model.compile` does.

        `optimizer="auto"` is `Adam(1e-3)`, for these models are trained from scratch;
        `loss="auto"` and `metrics="auto"` are the sparse categorical cross-entropy and
        accuracy. With `adversarial=0.02` each text is read a second time, its word
        vectors moved by that fraction of their length to where it is misread most:
        Miyato et al. 2017, arXiv:1605.07725. A step takes twice as long.
        """
        self.adversarial = adversarial
        if optimizer == "auto":
            optimizer = keras.optimizers.Adam(1e-3)
        if isinstance(metrics, str) and metrics == "auto":
            metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    # === Training and inference on strings ===

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        sample_weight=None,
        validation_data=None,
        validation_split=0.0,
        seed=0,
        **kwargs,
    ):
        """Train, as `keras.Model.fit` does, on strings.

        Lists and arrays of texts are tokenized once, shuffled anew in each epoch from
        `(seed, epoch)`, and batched with texts of similar length. A `tf.data.Dataset`
        of batches is taken as it comes; the splits of a corpus that was loaded with
        `streaming=True` are read again in each epoch and shuffled on the way.

        Args:
            x: Texts: a list or array of strings, a dataset of batches of
                `(texts, labels)`, or a `kattn.text.Stream`.
            y: Labels: integers, or strings, which are looked up in `class_names`. If
                there are none yet, the sorted labels become the class names.
            batch_size: Texts a batch, 32 if `None`.
            sample_weight: A weight for each text, or `None`.
            validation_data: `(texts, labels)`, a dataset, a stream, or `None`.
            validation_split: Fraction of the texts to validate on where there is no
                `validation_data`. They are drawn by the seed, not taken from the end:
                texts often come sorted by label.
            seed: Seed of the shuffle.
            **kwargs: As for `keras.Model.fit`: `epochs`, `callbacks`, `class_weight`...

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: If texts and labels differ in number, there is no text, or a
                label is not one of the classes.
            TypeError: If a text is not a string.
        """
        if self._tokenizes(x):
            x = self._checked(x)
        if validation_split and validation_data is None and self._tokenizes(x):
            x, y, sample_weight, validation_data = split(
                x, y, sample_weight, validation_split, seed
            )
        if isinstance(validation_data, Stream):
            validation_data = self._streamed(validation_data, batch_size)
        elif validation_data is not None and not is_dataset(validation_data):
            texts, labels, *rest = validation_data
            if self._tokenizes(texts):
                texts = self._checked(texts)
                validation_data = self._examined(
                    texts, batch_size, self._labels(texts, labels), *rest
                )
        elif validation_data is not None:
            validation_data = self._preprocessed(validation_data)
        if not self._tokenizes(x) and not isinstance(x, Stream):
            if is_dataset(x):
                # Keras would warn that it does not shuffle a dataset.
                kwargs["shuffle"] = False
                self._prepare(None, None)
                x = self._preprocessed(x)
            return keras.Model.fit(
                self,
                x,
                y,
                batch_size=batch_size,
                sample_weight=sample_weight,
                validation_data=validation_data,
                validation_split=validation_split,
                **kwargs,
            )
        # A step that makes no variables is traced once, not twice.
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        order = {
            "batch_size": batch_size or 32,
            "seed": seed,
            "first_epoch": kwargs.get("initial_epoch", 0),
        }
        if isinstance(x, Stream):
            self._prepare(None, None)
            batches, steps = x.training_batches(self.preprocessor, **order)
        else:
            ids, labels = self._ids(x), self._labels(x, y)
            self._prepare(ids, labels)
            batches, steps = training_batches(
                ids, labels, self.preprocessor.pad, weights=sample_weight, **order
            )
        size = order["batch_size"]
        batches, steps = share(batches, count(x), size, endless=True)
        return keras.Model.fit(
            self,
            batches,
            validation_data=validation_data,
            shuffle=False,
            **{"steps_per_epoch": steps, **kwargs},
        )

    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs):
        """Loss and metrics, as `keras.Model.evaluate` gives them, on strings."""
        if self._tokenizes(x):
            x = self._checked(x)
            x = self._examined(x, batch_size, self._labels(x, y), sample_weight)
            return keras.Model.evaluate(self, x, **kwargs)
        if isinstance(x, Stream):
            batches = self._streamed(x, batch_size)
            return keras.Model.evaluate(self, batches, **kwargs)
        if is_dataset(x) and not kwargs.get("_use_cached_eval_dataset"):
            x = self._preprocessed(x)
        return keras.Model.evaluate(
            self, x, y, batch_size=batch_size, sample_weight=sample_weight, **kwargs
        )

    def predict(self, x, batch_size=None, **kwargs):
        """Logits `(B, num_classes)` of texts, as `keras.Model.predict` gives them."""
        if self._tokenizes(x):
            x = self._checked(x)
            if 0 < count(x) <= (batch_size or 32) and kwargs.keys() <= {"verbose"}:
                # A pipeline takes longer to make than one batch to read.
                return keras.Model.predict_on_batch(self, self._batch(x))
            return keras.Model.predict(self, self._ordered(x, batch_size), **kwargs)
        if is_dataset(x):
            x = self._preprocessed(x)
        return keras.Model.predict(self, x, batch_size=batch_size, **kwargs)

    def predict_proba(self, x, batch_size=None, **kwargs):
        """Probabilities `(B, num_classes)` of texts: the softmax of `predict`."""
        logits = self.predict(x, batch_size=batch_size, **kwargs).astype("float64")
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return (powers / powers.sum(axis=-1, keepdims=True)).astype("float32")

    def classify(self, texts, batch_size=None):
        """The likeliest label of each text, and its probability.

        Args:
            texts: A list or array of strings.
            batch_size: Texts a batch, 32 if `None`.

        Returns:
            A list of `Prediction(label, probability)`; the label is the class's name,
            or its number as a string where there are no class names.
        """
        probabilities = self.predict_proba(texts, batch_size=batch_size, verbose=0)
        labels = self.labels
        return [
            Prediction(labels[row.argmax()], float(row.max())) for row in probabilities
        ]

    @property
    def labels(self):
        """What the classes are called: their names, or numbers where they have none."""
        return self.class_names or [str(i) for i in range(self.num_classes)]

    def attention_model(self, **options):
        """The same layers and weights, with the attention as outputs.

        Args:
            **options: Those of `backbone.attention_model`.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `logits`
            `(B, num_classes)`, and the weights under the names that
            `backbone.attention_model()` gives them.
        """
        attention = self.backbone.attention_model(**options)
        weights = dict(attention.output)
        vector = weights.pop("vector")  # (B, D)
        logits = self._logits(vector, attention.input)
        return keras.Model(attention.input, {"logits": logits, **weights})

    def export(self, filepath, *args, **kwargs):
        """Export the model of token ids, as `keras.Model.export` does, uncompiled.

        `kattn.export` makes a SavedModel that takes strings.
        """
        with portable(self):
            return super().export(filepath, *args, **kwargs)
