"""Keras layers: they own the weights, and call the three steps."""

from kattn.layers.attention import Attention
from kattn.layers.attention_pooling import AttentionPooling
from kattn.layers.hierarchical import Hierarchical

__all__ = ["Attention", "AttentionPooling", "Hierarchical"]
