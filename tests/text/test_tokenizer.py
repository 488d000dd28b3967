import json
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from kattn.text import WordTokenizer, count_vocabulary, split_sentences

TEXTS = ["A good, GOOD film.", "", "Don't!<br />3.5 stars – 很好 👍", "bad"]
WORDS = ["a", "good", "film", ".", "do", "n't", "3.5", "很", "bad"]


@pytest.fixture
def tokenizer():
    return WordTokenizer(WORDS)


def test_ids(tokenizer):
    ids = tokenizer.tokenize(TEXTS)
    assert ids.dtype == tf.int32
    assert ids.to_list()[0] == [2, 3, 1, 3, 4, 5]
    assert ids.to_list()[1] == []
    assert ids.to_list()[3] == [10]


def test_ids_of_every_rank(tokenizer):
    assert tokenizer.tokenize("good").numpy().tolist() == [3]
    nested = tokenizer.tokenize([["good film", "bad"], []])
    assert nested.to_list() == [[[3, 4], [10]], []]
    assert tokenizer.ids([["good", ""], ["", "worse"]]).numpy().tolist() == [
        [3, 0],
        [0, 1],
    ]


def test_call_gives_what_kerashub_tokenizers_give(tokenizer):
    assert tokenizer(["good film", "bad"]) == [[3, 4], [10]]
    assert np.array(tokenizer("good film")).tolist() == [3, 4]


def test_padding_round_trips(tokenizer):
    words = tokenizer.words(["good film", "bad"]).to_tensor()
    assert tokenizer.ids(words).numpy().tolist() == [[3, 4], [10, 0]]


def test_detokenize(tokenizer):
    join = tokenizer.detokenize
    assert join([3, 1, 0]).numpy() == b"good [UNK]"
    assert join([[3, 4], []]).numpy().tolist() == [b"good film", b""]
    assert join(np.array([[3, 0], [10, 4]])).numpy().tolist() == [b"good", b"bad film"]
    assert join(keras.ops.array([3, 4])).numpy() == b"good film"
    nested = tf.ragged.constant([[[3, 4], [10]], []], tf.int64)
    assert join(nested).to_list() == [[b"good film", b"bad"], []]
    with pytest.raises(tf.errors.InvalidArgumentError):
        join([99])


def test_vocabulary(tokenizer):
    assert tokenizer.get_vocabulary() == ["[PAD]", "[UNK]", *WORDS]
    assert tokenizer.vocabulary_size() == 11
    assert tokenizer.id_to_token(3) == "good"
    assert tokenizer.token_to_id("good") == 3
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)
    assert (tokenizer.pad_token, tokenizer.unk_token) == ("[PAD]", "[UNK]")
    assert tokenizer.special_tokens == ["[PAD]", "[UNK]"]
    assert tokenizer.special_token_ids == [0, 1]
    with pytest.raises(ValueError, match=r"in \[0, 10\]. Received: id=11"):
        tokenizer.id_to_token(11)
    with pytest.raises(ValueError, match="'worse'"):
        tokenizer.token_to_id("worse")


def test_vocabulary_with_special_tokens_in_front(tokenizer):
    assert (
        WordTokenizer(tokenizer.get_vocabulary()).get_vocabulary()
        == tokenizer.get_vocabulary()
    )


def test_get_vocabulary_is_a_copy(tokenizer):
    tokenizer.get_vocabulary().append("x")
    assert tokenizer.vocabulary_size() == 11


def test_a_new_vocabulary_replaces_the_old(tokenizer):
    assert tokenizer.tokenize("film").numpy().tolist() == [4]
    tokenizer.set_vocabulary(["film"])
    assert tokenizer.tokenize("film").numpy().tolist() == [2]


@pytest.mark.parametrize(
    "words, message",
    [
        (["a", "b", "a"], "each word once.*'a' as word number 3"),
        (["a", "[UNK]"], "special tokens only as its first two"),
        (["[PAD]", "a"], "special tokens only as its first two"),
        (["a", ""], "no blank word.*'' as word number 2"),
        (["a", " \t"], "no blank word"),
        (["a\nb"], "without line breaks"),
        (["a", 3], "strings.*3 as word number 2"),
    ],
)
def test_wrong_vocabularies(words, message):
    with pytest.raises(ValueError, match=message):
        WordTokenizer(words)


def test_no_vocabulary():
    tokenizer = WordTokenizer()
    assert tokenizer.words("a b").numpy().tolist() == [b"a", b"b"]
    for use in (
        lambda: tokenizer.tokenize("a"),
        lambda: tokenizer.detokenize([2]),
        tokenizer.get_vocabulary,
        tokenizer.vocabulary_size,
        lambda: tokenizer.id_to_token(2),
        lambda: tokenizer.token_to_id("a"),
        lambda: tokenizer.save_assets("."),
    ):
        with pytest.raises(ValueError, match="no vocabulary yet"):
            use()


def test_dtype():
    assert WordTokenizer(WORDS, dtype="int64").tokenize("bad").dtype == tf.int64
    with pytest.raises(ValueError, match="one of integers"):
        WordTokenizer(WORDS, dtype="float32")
    keras.config.set_dtype_policy("mixed_float16")
    assert WordTokenizer(WORDS).tokenize("bad").dtype == tf.int32


# --- Files ---


def test_vocabulary_file(tmp_path, tokenizer):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeff".encode() + "\r\n".join(WORDS).encode())
    for given in (path, str(path)):
        assert WordTokenizer(given).get_vocabulary() == tokenizer.get_vocabulary()
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(ValueError, match="is not UTF-8"):
        WordTokenizer(path)
    path.write_bytes(b"")
    assert WordTokenizer(path).vocabulary_size() == 2
    with pytest.raises(FileNotFoundError, match="No vocabulary file"):
        WordTokenizer(tmp_path / "none.txt")


def test_assets(tmp_path):
    words = [*WORDS, "odd\u2028word", "trailing\u3000"]  # kept to the character
    WordTokenizer(words).save_assets(tmp_path)
    text = (tmp_path / "vocabulary.txt").read_bytes().decode("utf-8")
    assert text.split("\n")[:3] == ["[PAD]", "[UNK]", "a"]
    loaded = WordTokenizer()
    loaded.load_assets(tmp_path)
    assert loaded.get_vocabulary() == ["[PAD]", "[UNK]", *words]


def test_config(tokenizer):
    config = WordTokenizer(WORDS, case_fold=False, name="words").get_config()
    json.dumps(config)
    assert "good" not in json.dumps(config)
    again = WordTokenizer.from_config(config)
    assert (again.case_fold, again.name) == (False, "words")
    assert again.get_config() == config
    data = keras.saving.serialize_keras_object(tokenizer)
    assert data["registered_name"] == "kattn>WordTokenizer"
    assert isinstance(keras.saving.deserialize_keras_object(data), WordTokenizer)


def test_a_config_reads_no_file(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    config = {"vocabulary": str(tmp_path / "secret.txt"), "case_fold": True}
    with pytest.raises(ValueError, match="must not name a vocabulary file"):
        WordTokenizer.from_config(config)


@keras.saving.register_keras_serializable(package="kattn_tests")
class Holder(keras.Model):
    def __init__(self, tokenizer, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer
        self.dense = keras.layers.Dense(1)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        tokenizer = keras.saving.serialize_keras_object(self.tokenizer)
        return {**super().get_config(), "tokenizer": tokenizer}

    @classmethod
    def from_config(cls, config):
        tokenizer = keras.saving.deserialize_keras_object(config.pop("tokenizer"))
        return cls(tokenizer, **config)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_file(tmp_path):
    model = Holder(WordTokenizer(WORDS, case_fold=False))
    model(keras.ops.ones((1, 2)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.tokenizer.get_vocabulary() == ["[PAD]", "[UNK]", *WORDS]
    assert loaded.tokenizer.tokenize("good Good").numpy().tolist() == [3, 1]


# --- Graphs ---


def test_eager_graph_and_dataset_agree(tokenizer):
    eager = tokenizer.tokenize(TEXTS).to_list()
    graph = tf.function(tokenizer.tokenize)
    assert graph(tf.constant(TEXTS)).to_list() == eager
    assert graph(tf.constant("good film")).numpy().tolist() == [3, 4]
    fresh = WordTokenizer(WORDS)  # its table is made while the graph is traced
    batches = tf.data.Dataset.from_tensor_slices(TEXTS).batch(3).map(fresh.tokenize)
    assert [row for batch in batches for row in batch.to_list()] == eager
    single = tf.data.Dataset.from_tensor_slices(TEXTS).map(fresh)
    assert [row.numpy().tolist() for row in single] == eager


def test_export_serves_strings_without_kattn(tmp_path):
    corpus = [f"Word{i} don't stop, e.g. at {i}.5… 第{i}号" for i in range(1000)]
    tokenizer = WordTokenizer(count_vocabulary(corpus, max_size=1000))

    class Served(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = tokenizer

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def serve(self, texts):
            sentences = split_sentences(texts)  # (B, S)
            return {
                "ids": self.tokenizer.tokenize(texts).to_tensor(),
                "by_sentence": self.tokenizer.tokenize(sentences).to_tensor(),
            }

    served = Served()
    texts = [*corpus[:20], *TEXTS, "One. Two? 三。四", "caf\u00e9 \ufb01n"]
    expected = served.serve(tf.constant(texts))
    tf.saved_model.save(served, str(tmp_path / "model"))
    script = """
        import json, sys
        import tensorflow as tf
        import tensorflow_text
        served = tf.saved_model.load(sys.argv[1] + "/model")
        texts = json.load(open(sys.argv[1] + "/texts.json"))
        result = served.serve(tf.constant(texts))
        result = {name: value.numpy().tolist() for name, value in result.items()}
        json.dump(result, open(sys.argv[1] + "/ids.json", "w"))
        assert "kattn" not in sys.modules and "keras_hub" not in sys.modules
    """
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        check=True,
        cwd=tmp_path,
        timeout=300,
    )
    result = json.loads((tmp_path / "ids.json").read_text())
    for name, value in expected.items():
        assert result[name] == value.numpy().tolist()


def test_importable_without_tensorflow():
    # The JAX backend must not need it either, until strings are split.
    script = """
        import sys
        for name in ("tensorflow", "tensorflow_text"):
            sys.modules[name] = None
        import kattn.text.words, kattn.text.sentences, kattn.text.lengths
        import kattn.text.vectors, kattn.text.vocabulary
        try:
            kattn.text.words.split_words("a")
        except ImportError as error:
            assert "pip install tensorflow tensorflow-text" in str(error), error
        else:
            raise SystemExit("no ImportError")
    """
    pytest.importorskip("jax")
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        check=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        timeout=300,
    )
