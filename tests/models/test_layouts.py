"""Weights split between devices: where they lie, and that the training is the same."""

import keras
import pytest

from kattn import models

# JAX is told how many devices there are before it starts.
HALVES = """
    import os, sys
    os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=4"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import keras, numpy as np
    from kattn import models
    from kattn.models.families import FAMILIES

    def distribute(cls, copies=1):
        devices = keras.distribution.list_devices()[: 2 * copies]
        axes = (copies, 2), ("batch", "model")
        layouts = cls.get_layout_map(keras.distribution.DeviceMesh(*axes, devices))
        return keras.distribution.ModelParallel(
            layout_map=layouts, auto_shard_dataset=False
        )

    def shapes(variable):
        return [shard.data.shape for shard in variable.value.addressable_shards]

    # Of 9 words, which is odd, each device has all, and half their numbers.
    half = [(9, 4), (9, 4)]
    for kin in FAMILIES.values():
        cls = kin.classifier.backbone_cls
        with distribute(cls).scope():
            assert shapes(cls(9, embedding_dim=8).token_embedding.embeddings) == half
    with distribute(models.AttentionSeq2SeqBackbone).scope():
        writer = models.AttentionSeq2SeqBackbone(9, 9, embedding_dim=8)
    assert shapes(writer.source_embedding.embeddings) == half
    assert shapes(writer.target_embedding.embeddings) == half

    cls = models.AttentionEncoderTextClassifier
    texts = np.array([f"{'good' if i % 2 else 'bad'} film . " * 3 for i in range(8)])

    def fit():
        keras.utils.set_random_seed(0)
        tokenizer = models.AttentionEncoderTokenizer("a good bad film plot . !".split())
        model = cls(
            cls.backbone_cls(9, embedding_dim=8),
            preprocessor=cls.preprocessor_cls(tokenizer), num_classes=2,
        )
        done = model.fit(texts, np.arange(8) % 2, batch_size=4, epochs=2, verbose=0)
        return model, done.history["loss"]

    _, alone = fit()
    with distribute(cls.backbone_cls).scope():
        model, losses = fit()
        model.save_to_preset(sys.argv[1])
        split = cls.from_preset(sys.argv[1])
    whole = cls.from_preset(sys.argv[1])
    np.testing.assert_allclose(losses, alone, atol=1e-5)
    with distribute(cls.backbone_cls, copies=2).scope():
        np.testing.assert_allclose(fit()[1], alone, atol=1e-5)

    moments = [v for v in model.optimizer.variables if "token_embedding" in v.path]
    tables = [m.backbone.token_embedding.embeddings for m in (model, split)]
    assert [shapes(table) for table in moments + tables] == [half] * 4
    block = model.backbone.blocks[1]
    heads = block.attention
    for dense in heads.query_dense, heads.key_dense, heads.value_dense:
        assert shapes(dense.kernel) == [(8, 2, 2)] * 2
    assert shapes(heads.output_dense.kernel) == [(2, 2, 8)] * 2
    assert shapes(block.hidden_dense.kernel) == [(8, 128)] * 2
    assert shapes(block.output_dense.kernel) == [(128, 8)] * 2
    for other in split, whole:
        for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
"""


def test_halves_train_as_the_whole(on_jax, tmp_path):
    on_jax(HALVES, str(tmp_path / "preset"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device_mesh": (1, 2)}, r"`keras.distribution.DeviceMesh`. Received: \(1, 2"),
        (
            {"model_parallel_dim_name": "modell"},
            r"one of the mesh's dimensions \('batch', 'model'\). Received: 'modell'",
        ),
        ({"data_parallel_dim_name": "data"}, "`data_parallel_dim_name` .* 'data'"),
        ({"data_parallel_dim_name": "model"}, "two dimensions .* 'model' for both"),
    ],
)
def test_what_is_no_mesh_or_not_of_it(arguments, message):
    mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    with pytest.raises(ValueError, match=message):
        models.ReaderBackbone.get_layout_map(**{"device_mesh": mesh, **arguments})
