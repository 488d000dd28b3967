"""The model families, by the names that recipes use."""

import dataclasses
import inspect

from kattn.models import (
    abcnn,
    apcnn,
    attention_encoder,
    bilstm_attention,
    hierarchical_attention,
    reader,
)
from kattn.models.text_classifier import TextClassifier
from kattn.models.text_pair_classifier import TextPairClassifier
from kattn.names import unknown


@dataclasses.dataclass(frozen=True)
class Family:
    """The classes of a family, and what a recipe starts from.

    Args:
        classifier: The task class; it names the backbone and the preprocessor.
        defaults: Keys of a recipe that this family has other defaults for.
        title: What a model of it is called in a sentence.
        paper: Who described it.
    """

    classifier: type[TextClassifier]
    defaults: dict
    title: str
    paper: str

    @property
    def pairs(self) -> bool:
        """Whether an example is a pair of texts."""
        return issubclass(self.classifier, TextPairClassifier)

    @property
    def tokenizer(self) -> type:
        """The tokenizer class."""
        return self.classifier.preprocessor_cls.tokenizer_cls

    def backbone_options(self) -> list[str]:
        """Names of the backbone's arguments, but for the size of the vocabulary."""
        return _arguments(self.classifier.backbone_cls)

    def preprocessor_options(self) -> list[str]:
        """Names of the preprocessor's arguments, but for the tokenizer."""
        return _arguments(self.classifier.preprocessor_cls)

    def options(self) -> list[str]:
        """Names of both's arguments."""
        return [*self.backbone_options(), *self.preprocessor_options()]


def _arguments(cls):
    names = list(inspect.signature(cls.__init__).parameters)
    return [name for name in names[2:] if name not in ("dtype", "kwargs")]


FAMILIES = {
    "abcnn": Family(
        abcnn.ABCNNTextPairClassifier,
        {"dropout": 0.0, "epochs": 30, "patience": 5, "min_count": 1},
        "An attention-based convolutional network for pairs of texts",
        "Yin et al. 2016",
    ),
    "apcnn": Family(
        apcnn.APCNNTextClassifier,
        {"dropout": 0.5, "epochs": 20, "patience": 4, "min_count": 1, "max_words": 256},
        "A convolutional network with attention pooling",
        "Er et al. 2016",
    ),
    "attention_encoder": Family(
        attention_encoder.AttentionEncoderTextClassifier,
        {"dropout": 0.2, "learning_rate": 1e-3, "max_words": 512},
        "An encoder of attention alone",
        "Vaswani et al. 2017",
    ),
    "bilstm_attention": Family(
        bilstm_attention.BiLSTMAttentionTextClassifier,
        {"dropout": 0.3, "max_words": 512},
        "A BiLSTM with attention pooling",
        "Zhou et al. 2016",
    ),
    "han": Family(
        hierarchical_attention.HierarchicalAttentionTextClassifier,
        {
            "embedding_dim": 100,
            "units": 50,
            "attention_units": 100,
            "max_sentences": 32,
            "max_words": 32,
        },
        "A Hierarchical Attention Network",
        "Yang et al. 2016",
    ),
    "reader": Family(
        reader.ReaderTextPairClassifier,
        {"dropout": 0.2, "epochs": 20, "patience": 4, "min_count": 1},
        "A reader: one text read with the other in mind",
        "Hermann et al. 2015",
    ),
}


def family(name: str) -> Family:
    """The family of that name; a `ValueError` offers the nearest one."""
    if name not in FAMILIES:
        raise unknown("model", name, FAMILIES)
    return FAMILIES[name]
