"""A recipe's corpus, tokenizers and model, for models that write."""

import dataclasses

import keras
import numpy as np

from kattn import datasets
from kattn.models import (
    TARGET_TOKENS,
    AttentionSeq2Seq,
    AttentionSeq2SeqBackbone,
    AttentionSeq2SeqPreprocessor,
    TokenCrossentropy,
)
from kattn.seq2seq_recipe import Seq2SeqRecipe
from kattn.text import (
    CharacterTokenizer,
    WordTokenizer,
    count_vocabulary,
    split_characters,
    split_words,
)

_TOKENIZERS = {
    "character": (CharacterTokenizer, split_characters),
    "word": (WordTokenizer, split_words),
}


def corpus_of(chosen: Seq2SeqRecipe) -> datasets.ParallelCorpus:
    """The corpus of a recipe, with at most `limit` sources of each split."""
    corpus = datasets.load_parallel(
        chosen.dataset,
        chosen.data_dir,
        source=chosen.source_column,
        target=chosen.target_column,
    )
    if not chosen.limit:
        return corpus
    few = {
        part: _few(split, chosen.limit)
        for part in ("train", "validation", "test")
        if (split := getattr(corpus, part))
    }
    return dataclasses.replace(corpus, **few)


def _few(split, limit):
    """Some of a split, drawn by a fixed seed: neighbours in a dictionary are alike."""
    drawn = np.random.default_rng(0).permutation(len(split.sources))[:limit]
    rows = sorted(drawn.tolist())
    return datasets.ParallelSplit(
        [split.sources[row] for row in rows], [split.references[row] for row in rows]
    )


def build(chosen: Seq2SeqRecipe, corpus: datasets.ParallelCorpus) -> AttentionSeq2Seq:
    """Make the model of a recipe, with random weights, compiled.

    Args:
        chosen: The recipe.
        corpus: Its corpus, whose training pairs the vocabularies are counted in.

    Returns:
        The model.
    """
    sources, targets = corpus.train.pairs()
    tokenizer = _tokenizer(chosen, corpus.train.sources, chosen.source_tokens, True)
    target_tokenizer = _tokenizer(
        chosen, targets, chosen.target_tokens, chosen.target_case_fold, TARGET_TOKENS
    )
    model = AttentionSeq2Seq(
        AttentionSeq2SeqBackbone(
            tokenizer.vocabulary_size(),
            target_tokenizer.vocabulary_size(),
            **chosen.backbone_options(),
            dtype="mixed_bfloat16" if chosen.mixed_precision else "float32",
        ),
        AttentionSeq2SeqPreprocessor(
            tokenizer, target_tokenizer, chosen.max_length, chosen.max_length
        ),
        tie_embeddings=chosen.tie_embeddings,
    )
    steps = chosen.epochs * -(-len(sources) // chosen.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(chosen.learning_rate, steps)
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=5.0),
        TokenCrossentropy(chosen.label_smoothing),
        scheduled_sampling=chosen.scheduled_sampling,
    )
    return model


def fitting(model: AttentionSeq2Seq, pairs) -> tuple[list[str], list[str]]:
    """Those of some pairs that are not too long for a model.

    Args:
        model: The model, whose preprocessor says what is too long.
        pairs: Sources and targets.

    Returns:
        Sources and targets.
    """
    pre = model.preprocessor
    lengths = (
        tokenizer.words(texts).row_lengths().numpy() <= most
        for tokenizer, texts, most in (
            (pre.tokenizer, pairs[0], pre.encoder_sequence_length),
            (pre.target_tokenizer, pairs[1], pre.decoder_sequence_length),
        )
    )
    kept = [all(both) for both in zip(*lengths, strict=True)]
    return tuple(
        [text for text, keep in zip(texts, kept, strict=True) if keep]
        for texts in pairs
    )


def _tokenizer(chosen, texts, tokens, case_fold, special=()):
    cls, split = _TOKENIZERS[tokens]
    words = count_vocabulary(
        texts, chosen.vocabulary_size, chosen.min_count, case_fold, split
    )
    return cls([*special, *words], case_fold=case_fold)
