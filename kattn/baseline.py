"""What a plain model gets on a corpus: the figure that a trained one has to beat."""

import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from kattn.models.pair_features import PairFeatures
from kattn.text import WordTokenizer, count_vocabulary, split_words

_CHUNK = 1000  # texts at a time


def measure(corpus) -> dict:
    """Train a plain model on the training split and evaluate it on the test split.

    Single texts: TF-IDF of words and pairs of words, logistic regression. Pairs:
    gradient boosting on the fifteen numbers of `kattn.models.PairFeatures`, overlap,
    lengths and negation. Nothing is chosen, so the validation split is not used.

    Args:
        corpus: A `kattn.datasets.Corpus`.

    Returns:
        A dictionary for metrics.json: `method`, `accuracy` and `seconds`.
    """
    began = time.perf_counter()
    method, model, read = (_pairs if corpus.pairs else _texts)(corpus)
    model.fit(read(corpus.train.texts), corpus.train.labels)
    accuracy = model.score(read(corpus.test.texts), corpus.test.labels)
    return {
        "method": method,
        "accuracy": float(accuracy),
        "seconds": time.perf_counter() - began,
    }


def _texts(corpus):
    vectorizer = TfidfVectorizer(
        analyzer=_words_and_pairs, sublinear_tf=True, min_df=2, dtype=np.float32
    )
    model = make_pipeline(vectorizer, LogisticRegression(C=10.0, max_iter=1000))
    method = "TF-IDF of words and pairs of words, logistic regression"
    return method, model, _split


def _split(texts):
    """Lists of words, `(N,)`."""
    found = []
    for i in range(0, len(texts), _CHUNK):
        found += split_words(texts[i : i + _CHUNK]).to_list()
    return found


def _words_and_pairs(words):
    return [*words, *(b" ".join(pair) for pair in zip(words, words[1:], strict=False))]


def _pairs(corpus):
    premises, hypotheses = corpus.train.texts
    tokenizer = WordTokenizer(count_vocabulary([*premises, *hypotheses]))
    layer = PairFeatures(tokenizer.vocabulary_size(), dtype="float32")
    ids = tokenizer.ids(split_words([*premises, *hypotheses])).to_list()
    layer.adapt(ids, tokenizer.get_vocabulary())

    def read(texts):
        features = []
        for i in range(0, len(texts[0]), _CHUNK):
            words = [split_words(part[i : i + _CHUNK]) for part in texts]
            ids = [tokenizer.ids(part).to_tensor() for part in words]
            masks = [part != tokenizer.pad_token_id for part in ids]
            made = layer(*ids, premise_mask=masks[0], hypothesis_mask=masks[1])
            features.append(np.asarray(made))
        return np.concatenate(features)  # (N, 15)

    model = HistGradientBoostingClassifier(random_state=0)
    method = "gradient boosting on overlap, lengths and negation"
    return method, model, read
