"""How many texts a second become ids: kattn's tokenizer, and Hugging Face's."""

import functools
import os

import tensorflow as tf
from measure import Case

import kattn
from kattn.text import WordTokenizer, count_vocabulary

THREADS = 2
WORDS = 20_000


@functools.cache
def stories():
    """The news stories of the `data` extra, and their most frequent words."""
    texts = list(kattn.datasets.load("bbc").train.texts)
    return texts, count_vocabulary(texts, max_size=WORDS)


def of_kattn():
    """Strings to ragged ids, as in the input pipeline of every model."""
    texts, vocabulary = stories()
    tokenizer = WordTokenizer(vocabulary)
    batches = tf.data.Dataset.from_tensor_slices(texts).batch(256)
    batches = batches.map(tokenizer.tokenize, num_parallel_calls=THREADS)

    def step():
        return [sum(int(ids.nrows()) for ids in batches.prefetch(THREADS))]

    return step


def of_hugging_face():
    """The same normalisation and the same words, without offsets."""
    # Read by the package when it is first used.
    os.environ["RAYON_NUM_THREADS"] = str(THREADS)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers

    texts, vocabulary = stories()
    ids = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *vocabulary])}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()]
    )

    def step():
        return [len(tokenizer.encode_batch_fast(texts))]

    return step


def cases():
    """The one."""
    texts, _ = stories()
    yield Case(
        f"tokenising {len(texts):,} news stories, {THREADS} threads",
        {"kattn": of_kattn, "tokenizers": of_hugging_face},
        lambda: [len(texts)],
        {"tokenizers": 3.0},
        len(texts),
        "texts",
    )
