import tensorflow as tf

from kattn.text.batches import ordered_batches, prepared, training_batches


def test_prepared_gives_what_a_map_gives_in_order():
    numbers = tf.data.Dataset.range(50)
    ready = prepared(numbers, lambda n: (n, n * n))
    assert list(ready.as_numpy_iterator()) == [(n, n * n) for n in range(50)]


def test_no_dataset_is_tuned_for_its_iterators_would_end_late():
    ids = tf.ragged.constant([[1], [1, 2], [3]])

    def pad(some):
        return some.to_tensor()

    training, _ = training_batches(ids, [0, 1, 0], pad, batch_size=2, seed=0)
    for batches in (training, ordered_batches(ids, pad, batch_size=2)):
        assert batches.options().autotune.enabled is False
