"""A kattn model that reads one word of each sentence, and one sentence of each text."""

import keras
import numpy as np
import pytest
from keras import ops

import kattn
from kattn.losses import Reinforce
from kattn.normalizers import Hard

TEXTS = ["The film was good. We laughed.", "Bad. The plot was thin!", "", "Good."]
LABELS = ["yes", "no", "no", "yes"]


@pytest.mark.parametrize("estimator", ["straight_through", "gumbel", "reinforce"])
def test_trains_on_strings_and_is_saved(estimator, tmp_path):
    tokenizer = kattn.models.HierarchicalAttentionTokenizer(
        "the film was good bad plot we laughed . !".split()
    )
    model = kattn.models.HierarchicalAttentionTextClassifier(
        kattn.models.HierarchicalAttentionBackbone(
            tokenizer.vocabulary_size(),
            embedding_dim=8,
            units=6,
            attention_units=7,
            normalizer=Hard(estimator, seed=0),
        ),
        preprocessor=kattn.models.HierarchicalAttentionTextClassifierPreprocessor(
            tokenizer, max_sentences=4, max_words=6
        ),
        class_names=["no", "yes"],
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if estimator == "reinforce":
        loss = Reinforce(loss, model)
    model.compile("adam", loss, run_eagerly=True)
    history = model.fit(TEXTS * 2, LABELS * 2, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    hard = model.backbone.normalizer
    if estimator == "reinforce":
        assert hard.sampled == []
        assert float(ops.convert_to_numpy(hard.losses_seen)) == 4
    ids = model.preprocessor(TEXTS)
    attention = model.backbone.attention_model()(ids)
    for name, weights in attention.items():
        if name != "vector":
            sums = ops.convert_to_numpy(weights).sum(-1)
            assert set(np.unique(ops.convert_to_numpy(weights))) <= {0, 1}
            assert set(np.unique(sums)) <= {0, 1} and sums.any()
    model.save_to_preset(tmp_path / "preset")
    again = type(model).from_preset(tmp_path / "preset")
    assert again.backbone.normalizer.get_config() == hard.get_config()
    np.testing.assert_array_equal(again.predict(TEXTS), model.predict(TEXTS))
