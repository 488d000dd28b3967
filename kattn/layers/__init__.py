"""Keras layers: they own the weights, and call the three steps."""

from kattn.layers.attention import Attention
from kattn.layers.attention_cell import AttentionCell
from kattn.layers.attention_feature_map import AttentionFeatureMap
from kattn.layers.attention_pooling import AttentionPooling
from kattn.layers.attention_rnn import AttentionRNN
from kattn.layers.attentive_window_pooling import AttentiveWindowPooling
from kattn.layers.bahdanau_cell import BahdanauCell
from kattn.layers.hierarchical import Hierarchical
from kattn.layers.luong_cell import LuongCell
from kattn.layers.match_matrix import MatchMatrix
from kattn.layers.multi_head_attention import MultiHeadAttention

__all__ = [
    "Attention",
    "AttentionCell",
    "AttentionFeatureMap",
    "AttentionPooling",
    "AttentionRNN",
    "AttentiveWindowPooling",
    "BahdanauCell",
    "Hierarchical",
    "LuongCell",
    "MatchMatrix",
    "MultiHeadAttention",
]
