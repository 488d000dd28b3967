"""Text models: one file a family, on KerasHub's base classes."""

from kattn.models.abcnn import (
    ABCNNBackbone,
    ABCNNTextPairClassifier,
    ABCNNTextPairClassifierPreprocessor,
    ABCNNTokenizer,
)
from kattn.models.apcnn import (
    APCNNBackbone,
    APCNNTextClassifier,
    APCNNTextClassifierPreprocessor,
    APCNNTokenizer,
)
from kattn.models.attention_encoder import (
    AttentionEncoderBackbone,
    AttentionEncoderTextClassifier,
    AttentionEncoderTextClassifierPreprocessor,
    AttentionEncoderTokenizer,
)
from kattn.models.attention_seq2seq import AttentionSeq2Seq
from kattn.models.attention_seq2seq_backbone import AttentionSeq2SeqBackbone
from kattn.models.attention_seq2seq_preprocessor import (
    TARGET_TOKENS,
    AttentionSeq2SeqPreprocessor,
)
from kattn.models.best_matches import BestMatches
from kattn.models.bilstm_attention import (
    BiLSTMAttentionBackbone,
    BiLSTMAttentionTextClassifier,
    BiLSTMAttentionTextClassifierPreprocessor,
    BiLSTMAttentionTokenizer,
)
from kattn.models.generation import Hypothesis
from kattn.models.hierarchical_attention import (
    HierarchicalAttentionBackbone,
    HierarchicalAttentionTextClassifier,
    HierarchicalAttentionTextClassifierPreprocessor,
    HierarchicalAttentionTokenizer,
)
from kattn.models.ngram_embedding import NgramEmbedding
from kattn.models.ngram_logits import NgramLogits
from kattn.models.opinion import MeanOpinion
from kattn.models.own_words import OwnWords
from kattn.models.pair_features import PairFeatures
from kattn.models.pair_ngram_logits import PairNgramLogits
from kattn.models.reader import (
    ReaderBackbone,
    ReaderTextPairClassifier,
    ReaderTextPairClassifierPreprocessor,
    ReaderTokenizer,
)
from kattn.models.text_classifier import Prediction, TextClassifier
from kattn.models.text_pair_classifier import TextPairClassifier
from kattn.models.token_crossentropy import TokenCrossentropy

__all__ = [
    "ABCNNBackbone",
    "ABCNNTextPairClassifier",
    "ABCNNTextPairClassifierPreprocessor",
    "ABCNNTokenizer",
    "APCNNBackbone",
    "APCNNTextClassifier",
    "APCNNTextClassifierPreprocessor",
    "APCNNTokenizer",
    "AttentionEncoderBackbone",
    "AttentionEncoderTextClassifier",
    "AttentionEncoderTextClassifierPreprocessor",
    "AttentionEncoderTokenizer",
    "AttentionSeq2Seq",
    "AttentionSeq2SeqBackbone",
    "AttentionSeq2SeqPreprocessor",
    "BiLSTMAttentionBackbone",
    "BiLSTMAttentionTextClassifier",
    "BiLSTMAttentionTextClassifierPreprocessor",
    "BiLSTMAttentionTokenizer",
    "BestMatches",
    "HierarchicalAttentionBackbone",
    "HierarchicalAttentionTextClassifier",
    "HierarchicalAttentionTextClassifierPreprocessor",
    "HierarchicalAttentionTokenizer",
    "Hypothesis",
    "MeanOpinion",
    "NgramEmbedding",
    "NgramLogits",
    "OwnWords",
    "PairFeatures",
    "PairNgramLogits",
    "Prediction",
    "ReaderBackbone",
    "ReaderTextPairClassifier",
    "ReaderTextPairClassifierPreprocessor",
    "ReaderTokenizer",
    "TARGET_TOKENS",
    "TextClassifier",
    "TextPairClassifier",
    "TokenCrossentropy",
]
