"""The model families, by the names that recipes use."""

import dataclasses

from kattn.models import hierarchical_attention as han
from kattn.models.text_classifier import TextClassifier
from kattn.names import unknown


@dataclasses.dataclass(frozen=True)
class Family:
    """The classes of a family, and which options of a recipe go to which of them.

    Args:
        classifier: The task class; it names the backbone and the preprocessor.
        tokenizer: The tokenizer class.
        backbone_options: Names of the backbone's arguments a recipe may set.
        preprocessor_options: Names of the preprocessor's arguments a recipe may set.
    """

    classifier: type[TextClassifier]
    tokenizer: type
    backbone_options: tuple[str, ...]
    preprocessor_options: tuple[str, ...]


FAMILIES = {
    "han": Family(
        han.HierarchicalAttentionTextClassifier,
        han.HierarchicalAttentionTokenizer,
        ("embedding_dim", "units", "attention_units", "dropout"),
        ("max_sentences", "max_words"),
    ),
}


def family(name: str) -> Family:
    """The family of that name; a `ValueError` offers the nearest one."""
    if name not in FAMILIES:
        raise unknown("model", name, FAMILIES)
    return FAMILIES[name]
