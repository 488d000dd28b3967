"""A process's share of each batch, where several train one model."""

import keras

from kattn.text.libraries import tensorflow


def share(batches, total, batch_size, endless=False):
    """Leave of each batch what this process reads of it.

    Under a `keras.distribution` that does not share data out itself, every process
    makes the same batches, and hands its own rows to its devices. What is left over
    when a batch is shared out evenly, fewer examples than there are devices, is read
    by none.

    Args:
        batches: A `tf.data.Dataset` of tuples of batches.
        total: Examples an epoch.
        batch_size: Examples a batch, of all processes together.
        endless: Whether the dataset begins anew after an epoch.

    Returns:
        `(batches, steps_per_epoch)`.

    Raises:
        ValueError: If a batch cannot be shared out evenly.
    """
    steps = -(-total // batch_size)
    tf = tensorflow()
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        # TensorFlow shares out itself, but Keras first adds up its devices' shares, to
        # know their form, which no mask can be that is not of numbers.
        return batches.map(lambda *x: tf.nest.map_structure(_number, x)), steps
    distribution = keras.distribution.distribution()
    if distribution is None or distribution.auto_shard_dataset:
        return batches, steps
    mesh = distribution.device_mesh
    devices = mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)]
    if batch_size % devices:
        raise ValueError(
            f"A batch is shared out evenly: its size is a multiple of the {devices} "
            f"devices. Received: {batch_size}"
        )
    index, count = distribution.data_shard_id, distribution.num_processes

    def rows(*batch):
        size = _size(batch) // devices * devices // count
        own = slice(index * size, (index + 1) * size)
        return tf.nest.map_structure(lambda x: x[own], batch)

    batches = batches.map(rows)
    if 0 < total % batch_size < devices:
        steps -= 1
        batches = batches.filter(lambda *batch: _size(batch) > 0)
    if not endless:
        batches = batches.apply(tf.data.experimental.assert_cardinality(steps))
    return batches, steps


def _number(x):
    tf = tensorflow()
    return tf.cast(x, "int8") if x.dtype == tf.bool else x


def _size(batch):
    tf = tensorflow()
    return tf.shape(tf.nest.flatten(batch)[0])[0]
