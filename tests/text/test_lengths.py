import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kattn.text import cut, head_and_tail, pad_to_bucket

ids = st.integers(1, 9)
sentence = st.lists(ids, max_size=9)
documents = st.lists(st.lists(sentence, max_size=5), max_size=4)


def ragged(rows, rank):
    return tf.ragged.constant(rows, tf.int32, ragged_rank=rank)


@settings(max_examples=40, deadline=None)
@given(documents, st.integers(1, 10))
def test_cut_against_python(rows, longest):
    def pieces(s):
        few = -(-len(s) // longest)
        return [part.tolist() for part in np.array_split(s, few)] if few else []

    expected = [[piece for s in row for piece in pieces(s)] for row in rows]
    result = cut(ragged(rows, 2), longest)
    assert result.to_list() == expected
    flat = [word for row in rows for s in row for word in s]
    assert result.flat_values.numpy().tolist() == flat  # no word is lost


@settings(max_examples=40, deadline=None)
@given(documents, st.integers(1, 6))
def test_head_and_tail_against_python(rows, most):
    def thin(row):
        if len(row) <= most:
            return row
        return row[: (most + 1) // 2] + row[len(row) - most // 2 :]

    assert head_and_tail(ragged(rows, 2), most).to_list() == [thin(r) for r in rows]
    texts = [[word for s in row for word in s] for row in rows]
    assert head_and_tail(ragged(texts, 1), most).to_list() == [thin(t) for t in texts]


@settings(max_examples=40, deadline=None)
@given(documents)
def test_pad_to_bucket_against_numpy(rows):
    buckets = (2, 3, 5), (1, 4, 9)
    longest = max((len(row) for row in rows), default=0)
    widest = max((len(s) for row in rows for s in row), default=0)
    shape = [
        min(n for n in lengths if n >= needed)
        for lengths, needed in zip(buckets, (longest, widest), strict=True)
    ]
    expected = np.zeros([len(rows), *shape], "int32")
    for b, row in enumerate(rows):
        for s, words in enumerate(row):
            expected[b, s, : len(words)] = words
    result = pad_to_bucket(ragged(rows, 2), *buckets)
    assert result.dtype == tf.int32
    np.testing.assert_array_equal(result.numpy(), expected)


def test_buckets_of_one_axis():
    assert pad_to_bucket([[1, 2, 3], [4]], (4, 8)).shape == (2, 4)
    assert pad_to_bucket([[1, 2, 3]], (3,)).shape == (1, 3)
    assert pad_to_bucket([[], []], (4, 8)).shape == (2, 4)
    assert pad_to_bucket(tf.constant([[1, 2, 3]]), (4,)).shape == (1, 4)
    assert pad_to_bucket([["a"], []], (2,)).numpy().tolist() == [
        [b"a", b""],
        [b"", b""],
    ]


def test_what_does_not_fit_is_an_error_and_not_lost():
    with pytest.raises(tf.errors.InvalidArgumentError, match="row of axis 1 is longer"):
        pad_to_bucket([[1, 2, 3]], (1, 2))
    padded = tf.function(lambda x: pad_to_bucket(x, (1, 2)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="row of axis 1 is longer"):
        padded(ragged([[1, 2, 3]], 1))


def test_eager_graph_and_dataset_agree():
    rows = [[[1, 2, 3], [], [4]], [], [[5, 6, 7, 8, 9]] * 4]

    def pipeline(batch):
        return pad_to_bucket(head_and_tail(cut(batch, 2), 5), (4, 6), (2,))

    eager = pipeline(ragged(rows, 2))
    assert eager.shape == (3, 6, 2)
    graph = tf.function(pipeline)
    np.testing.assert_array_equal(graph(ragged(rows, 2)), eager)
    data = tf.data.Dataset.from_tensors(ragged(rows, 2)).map(pipeline)
    assert data.element_spec.shape.rank == 3
    np.testing.assert_array_equal(next(iter(data)), eager)


def test_dense_axes_count_as_ragged_ones():
    dense = tf.constant([[[1, 2, 3], [4, 5, 6]]])
    assert cut(dense, 2).to_list() == [[[1, 2], [3], [4, 5], [6]]]
    uniform = tf.ragged.constant([[[1, 2]], []], ragged_rank=1, inner_shape=(2,))
    assert cut(uniform, 1).to_list() == [[[1], [2]], []]
    assert head_and_tail(dense, 1).to_list() == [[[1, 2, 3]]]


def test_row_splits_of_32_bits():
    rows = ragged([[[1, 2, 3]], []], 2).with_row_splits_dtype(tf.int32)
    assert cut(rows, 2).to_list() == [[[1, 2], [3]], []]
    assert head_and_tail(rows, 1).to_list() == [[[1, 2, 3]], []]
    assert pad_to_bucket(rows, (1,), (4,)).shape == (2, 1, 4)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, None, "3"])
def test_wrong_limits(wrong):
    with pytest.raises(ValueError, match="max_words must be a positive integer"):
        cut([[[1]]], wrong)
    with pytest.raises(ValueError, match="max_sentences must be a positive integer"):
        head_and_tail([[1]], wrong)


@pytest.mark.parametrize("wrong", [(), (2, 1), (2, 2), (0, 1), (1.5,), 4, (True, "a")])
def test_wrong_buckets(wrong):
    with pytest.raises(ValueError, match="increasing positive integers"):
        pad_to_bucket([[1]], wrong)


def test_wrong_numbers_of_axes():
    with pytest.raises(ValueError, match="2 ragged axes"):
        cut([[1, 2]], 2)
    with pytest.raises(ValueError, match="2 ragged axes"):
        cut(ragged([[1, 2]], 1), 2)
    with pytest.raises(ValueError, match="at least 1 ragged axes"):
        head_and_tail([1, 2], 2)
    with pytest.raises(ValueError, match="1 ragged axes"):
        pad_to_bucket(ragged([[[1]]], 2), (1,))
    with pytest.raises(ValueError, match="for each ragged axis"):
        pad_to_bucket([[1]])
