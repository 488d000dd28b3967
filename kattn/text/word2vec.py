"""Word vectors learned from texts without labels, by gensim.

Mikolov, Sutskever, Chen, Corrado, Dean: Distributed Representations of Words and
Phrases and their Compositionality. NeurIPS 2013.
"""

from itertools import islice

import numpy as np
from tqdm import tqdm

from kattn.text.vectors import WordVectors
from kattn.text.word_list import SPECIAL_TOKENS
from kattn.text.words import split_words

_CHUNK = 1000  # texts at a time


def learn_vectors(
    texts,
    vocabulary,
    width=100,
    epochs=5,
    window=5,
    min_count=5,
    case_fold=True,
    seed=0,
):
    """Learn a vector for each word from the words that stand near it.

    Skip-gram with negative sampling: the vector `v` of a word and the outer vectors `u`
    of the words up to `window` places away maximise `log s(u . v)`, and `log s(-u . v)`
    for 5 words drawn at random. Words of a fraction f above 1e-4 of all are passed over
    with probability `1 - sqrt(1e-4 / f)`. One thread learns, so that equal texts give
    equal vectors; it reads about half a million words a second.

    Args:
        texts: An iterable of strings, read once.
        vocabulary: The words in the order of the rows; `get_vocabulary()` of a
            `WordTokenizer` fits, and its special tokens keep rows of zeros.
        width: Width D of a vector.
        epochs: How often the texts are read.
        window: How many places away a word is still near.
        min_count: Words seen less often get no vector.
        case_fold: Whether upper and lower case are one.
        seed: Of the first vectors and of what is drawn.

    Returns:
        `kattn.text.WordVectors`.

    Raises:
        ImportError: If gensim is not installed.
        ValueError: If no word of the texts is seen `min_count` times.

    Example:
        >>> texts = ["a good film", "a bad film"] * 20
        >>> vectors = learn_vectors(texts, ["good", "bad", "worse"], width=8)
        >>> vectors.matrix.shape, vectors.found.tolist()
        ((3, 8), [True, True, False])

    Reference:
        Mikolov et al. 2013, arXiv:1310.4546, equation 4 and section 2.3.
    """
    try:
        from gensim.models import Word2Vec
        from gensim.models.callbacks import CallbackAny2Vec
    except ImportError as error:
        raise ImportError(
            "Learning word vectors needs the package gensim, which is not installed: "
            'pip install "kattn[vectors]"'
        ) from error

    class Bar(CallbackAny2Vec):
        """Shows the epochs."""

        def on_train_begin(self, model):
            self.bar = tqdm(total=epochs, desc="word vectors", unit="epoch")

        def on_epoch_end(self, model):
            self.bar.update()

        def on_train_end(self, model):
            self.bar.close()

    read, remaining, known = [], iter(texts), {}
    while chunk := list(islice(remaining, _CHUNK)):
        for row in split_words(chunk, case_fold).to_list():
            # One string for all places of a word.
            read.append([known.setdefault(word, word.decode()) for word in row])
    model = Word2Vec(
        vector_size=width,
        window=window,
        min_count=min_count,
        sg=1,
        negative=5,
        sample=1e-4,
        workers=1,
        seed=seed,
    )
    model.build_vocab(read)
    if not len(model.wv):
        raise ValueError(
            f"Words are learned from texts where they are seen at least {min_count} "
            f"times. Received: {len(read):,} texts without such a word."
        )
    model.train(
        read, total_examples=model.corpus_count, epochs=epochs, callbacks=[Bar()]
    )
    vocabulary = list(vocabulary)
    special = tuple(vocabulary[: len(SPECIAL_TOKENS)]) == SPECIAL_TOKENS
    num_special = len(SPECIAL_TOKENS) if special else 0
    matrix = np.zeros((len(vocabulary), width), "float32")  # (V, D)
    found = np.zeros(len(vocabulary), bool)  # (V,)
    for row, word in enumerate(vocabulary[num_special:], start=num_special):
        if word in model.wv:
            matrix[row], found[row] = model.wv[word], True
    return WordVectors(matrix, found, num_special)
