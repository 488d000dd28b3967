"""The language model against its formula, and what it teaches a backbone."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from rich.console import Console

import kattn
from kattn import building, language_model, recipes
from kattn.models import (
    BiLSTMAttentionBackbone,
    HierarchicalAttentionBackbone,
)
from kattn.text import WordTokenizer

BACKBONES = {
    "lstm": lambda: BiLSTMAttentionBackbone(12, 5, units=4),
    "gru, summed": lambda: BiLSTMAttentionBackbone(
        12, 5, units=4, cell="gru", directions="sum"
    ),
    "hierarchical": lambda: HierarchicalAttentionBackbone(12, 5, units=4),
}


@pytest.fixture(params=BACKBONES)
def backbone(request):
    keras.utils.set_random_seed(0)
    return BACKBONES[request.param]()


@pytest.fixture
def model(backbone):
    made = language_model.LanguageModel(
        backbone.token_embedding, backbone.word_recurrence
    )
    made.build((None, None))
    made.biases.assign(np.linspace(-1, 1, 12))
    return made


IDS = np.array([[2, 3, 4, 5, 2], [6, 7, 3, 0, 0], [4, 0, 0, 0, 0]], "int32")


def oracle(model, ids):
    """The mean cross-entropy of next and former words, word by word."""
    table = np.asarray(model.token_embedding.embeddings)
    losses = []
    for row in ids:
        row = row[row > 0]
        readers = model.recurrent.forward_layer, model.recurrent.backward_layer
        for reader, turn, layer in zip(readers, (1, -1), model.maps, strict=True):
            weights = [np.asarray(w) for w in layer.weights]
            for i in range(1, len(row)):
                # Read what stands on one side, and guess the next word on the other.
                seen = row[::turn][:i]
                direction = type(reader).from_config(
                    {**reader.get_config(), "go_backwards": False}
                )
                direction.build((None, None, table.shape[1]))
                direction.set_weights(reader.get_weights())
                states = language_model._states(direction(table[seen][None]))
                state = np.asarray(states)[0, -1]
                mapped = state @ weights[0] + weights[1]
                logits = table @ mapped + np.asarray(model.biases)
                right = row[::turn][i]
                losses.append(np.log(np.exp(logits).sum()) - logits[right])
    return np.mean(losses)


def test_it_is_the_formula(model):
    found = float(model(IDS))
    assert found == pytest.approx(oracle(model, IDS), rel=1e-5)
    padded = np.pad(IDS, ((0, 1), (0, 3)))
    assert float(model(padded)) == pytest.approx(found, rel=1e-5)


def test_the_sampled_loss_is_the_formula(model, monkeypatch):
    drawn = np.array([2, 7, 0, 3, 2], "int32")
    monkeypatch.setattr(model, "_draw", lambda: drawn)
    states = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
    target = IDS[:2, :3]
    found = model._cross_entropies(states, target, training=True)
    table, biases = np.asarray(model.token_embedding.embeddings), model.biases.numpy()
    chances = np.log(1 + 1 / (np.arange(12) + 1)) / np.log(13)
    logits = states @ table.T + biases - np.log(512 * chances)  # (2, 3, 12)
    for at in np.ndindex(2, 3):
        right = logits[at][target[at]]
        others = [logits[at][i] for i in drawn if i != target[at]]
        whole = np.log(np.exp([right, *others]).sum())
        assert np.asarray(found)[at] == pytest.approx(whole - right, rel=1e-5)


def test_words_are_drawn_as_often_as_is_said(model):
    drawn = np.concatenate([np.asarray(model._draw()) for _ in range(100)])
    counts = np.bincount(drawn, minlength=12)
    expected = 100 * np.exp(np.asarray(model._expected(np.arange(12))))
    assert counts.sum() == pytest.approx(expected.sum()) == 100 * 512
    np.testing.assert_allclose(counts, expected, atol=5 * np.sqrt(expected.max()))


def test_a_text_without_neighbours_gives_no_loss(model):
    assert float(model(IDS[2:])) == 0


@pytest.fixture
def tokenizer():
    return WordTokenizer(["a", "good", "film", "is", "rare"])


def test_pieces_are_the_texts_cut(tokenizer):
    texts = ["a good film is rare", "", "film", "is a film a film rare good"]
    made = language_model.pieces(iter(texts), tokenizer, length=3)
    back = [tokenizer.detokenize(row[row > 0]) for row in made]
    assert back == ["a good film", "is rare", "is a film", "a film rare"]
    assert made.dtype == np.int32


def test_it_learns_what_follows_what(tokenizer):
    keras.utils.set_random_seed(0)
    backbone = BiLSTMAttentionBackbone(tokenizer.vocabulary_size(), 8, units=8)
    before = [w.copy() for w in backbone.get_weights()]
    model = language_model.LanguageModel(
        backbone.token_embedding, backbone.word_recurrence, dropout=0.0
    )
    # Every word has one follower, but which is the first is open.
    texts = ["a good film is rare " * 2, "film is rare a good " * 2] * 100
    read = language_model.pieces(texts, tokenizer, length=10)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=False)
    model.fit(read, batch_size=8, epochs=8, verbose=0)
    assert model.evaluate(read, batch_size=8, verbose=0) < 0.05
    changed = {
        w.path.split("/")[0]
        for w, old in zip(backbone.weights, before, strict=True)
        if not np.array_equal(w.numpy(), old)
    }
    assert changed == {"token_embedding", "encoder"}


def write(path):
    rows = [
        {"text": f"it was {word} and {word} {i}", "label": label}
        for i in range(30)
        for word, label in (("good", "yes"), ("bad", "no"))
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


SMALL = {
    "model": "bilstm_attention",
    "pretrain": "language_model",
    "units": 4,
    "embedding_dim": 6,
    "min_count": 1,
    "epochs": 1,
}


def test_a_model_starts_from_what_was_read(tmp_path, monkeypatch):
    pytest.importorskip("gensim", reason="the extra `vectors` is not installed")
    write(tmp_path / "corpus.jsonl")
    chosen = recipes.complete({**SMALL, "dataset": str(tmp_path / "corpus.jsonl")})
    corpus, console = building.corpus_of(chosen), Console(quiet=True)
    taught, teach = [], language_model.teach

    def counted(backbone, *args):
        before = backbone.encoder.get_weights()
        teach(backbone, *args)
        taught.append((before, backbone.encoder.get_weights()))

    monkeypatch.setattr(building, "teach", counted)
    folder = tmp_path / "run"
    going_on = building.pretrained(chosen, corpus, folder, console)
    # The next seed, or a try that goes on, reads nothing anew.
    assert building.pretrained(chosen, corpus, folder, console) == going_on
    ((before, after),) = taught
    assert not np.array_equal(before[0], after[0])
    assert going_on.pretrain is None and going_on.vectors is None
    made = building.build(going_on, corpus, console)
    for ours, theirs in zip(made.backbone.encoder.get_weights(), after, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert made.class_names == ["no", "yes"] and made.dropout == 0.3
    assert made.preprocessor.max_words == 512
    assert {path.name for path in folder.iterdir()} == {
        *(building.VECTORS, building.PRETRAINED)
    }


@pytest.mark.parametrize("pretrain", ["language_model", "word2vec"])
def test_another_corpus_may_be_what_is_read(tmp_path, monkeypatch, pretrain):
    pytest.importorskip("gensim", reason="the extra `vectors` is not installed")
    write(tmp_path / "corpus.jsonl")
    corpus = kattn.datasets.load(tmp_path / "corpus.jsonl")
    held = corpus.test.texts[0]
    texts = [*(f"whales are {word} whales" for word in ("good", "big") * 9), held]
    labels = np.zeros(len(texts), "int32")
    other = dataclasses.replace(
        corpus, class_names=("a", "b"), train=kattn.datasets.Split(texts, labels)
    )
    corpora = {"trec": corpus, "trec50": other}
    monkeypatch.setattr(building, "corpus_of", lambda chosen: corpora[chosen.dataset])
    read = []
    monkeypatch.setattr(building, "teach", lambda *args: read.append(args[2:4]))
    keys = {**SMALL, "pretrain": pretrain, "pretrain_corpus": "trec50"}
    if pretrain == "language_model":
        keys["pretrain_epochs"] = 3
    chosen = recipes.complete({**keys, "dataset": "trec"})
    console = Console(quiet=True)
    going_on = building.pretrained(chosen, corpus, tmp_path / "run", console)
    assert going_on.dataset == "trec" and going_on.pretrain_corpus is None
    made = building.build(going_on, corpus, console)
    assert made.class_names == ["no", "yes"]
    words = made.preprocessor.tokenizer.get_vocabulary()
    if pretrain == "word2vec":  # vectors serve whatever words there are
        assert "whales" not in words and "was" in words
    else:
        assert "whales" in words and "was" not in words
        assert read == [(texts[:-1], 3)]  # without what the corpus holds out


def test_from_another_corpus_nothing_else_is_learned():
    for wrong in ({"pretrain": None}, {"dataset": "imdb"}, {"pretrain": "trec"}):
        keys = {**SMALL, "dataset": "sst2", "pretrain_corpus": "imdb", **wrong}
        with pytest.raises(ValueError, match="pretrain_corpus='imdb'"):
            recipes.complete(keys)
    with pytest.raises(ValueError, match="Did you mean 'imdb'"):
        recipes.complete({**SMALL, "dataset": "sst2", "pretrain_corpus": "imbd"})


def test_epochs_are_the_language_models():
    with pytest.raises(ValueError, match="pretrain_epochs=3, pretrain='word2vec'"):
        recipes.complete({**SMALL, "pretrain": "word2vec", "pretrain_epochs": 3})


def test_a_model_without_a_recurrence_cannot_be_taught():
    keys = {**SMALL, "model": "apcnn"}
    del keys["units"]
    with pytest.raises(ValueError, match="bilstm_attention, han. Received: 'apcnn'"):
        recipes.complete(keys)
