"""Text models: one file a family, on KerasHub's base classes."""

from kattn.models.hierarchical_attention import (
    HierarchicalAttentionBackbone,
    HierarchicalAttentionTextClassifier,
    HierarchicalAttentionTextClassifierPreprocessor,
    HierarchicalAttentionTokenizer,
)
from kattn.models.text_classifier import Prediction, TextClassifier

__all__ = [
    "HierarchicalAttentionBackbone",
    "HierarchicalAttentionTextClassifier",
    "HierarchicalAttentionTextClassifierPreprocessor",
    "HierarchicalAttentionTokenizer",
    "Prediction",
    "TextClassifier",
]
