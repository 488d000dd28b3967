"""Cases of whole models: an epoch over the same batches, against PyTorch.

Texts are as long as reviews, or captions, are: lengths are drawn from a log-normal
distribution, and batches have texts of similar length, cut at the longest of a batch.
Both sides get the same batches, sizes, first weights, optimizer and gradient clipping.
"""

import functools

import keras
import numpy as np
import tensorflow as tf
from measure import Case

from kattn import models

VOCABULARY = 20_000
CAPTIONS = 2_400  # words of sick, whose texts are captions
CLIP = 5.0


# === Batches: inputs under the model's names, and labels ===


def lengths(count, median, spread, most, seed=0):
    """Numbers of words, or of sentences, from 1 to the most."""
    rng = np.random.default_rng(seed)
    drawn = rng.lognormal(np.log(median), spread, count)
    return np.clip(drawn, 1, most).astype(int)


def filled(sizes, seed, length=None, vocabulary=VOCABULARY):
    """Word ids `(N, T)`, 0 past each size, and the mask."""
    rng = np.random.default_rng(seed)
    mask = np.arange(length or sizes.max()) < sizes[:, None]
    ids = rng.integers(2, vocabulary, mask.shape)
    return np.where(mask, ids, 0).astype("int32"), mask


def cut(sizes, batch, classes):
    """In an order of its own, each batch's number, its sizes and its labels."""
    labels = np.random.default_rng(1).integers(0, classes, len(sizes))
    for i in np.random.default_rng(2).permutation(len(sizes) // batch):
        rows = slice(i * batch, (i + 1) * batch)
        yield int(i), sizes[rows], labels[rows].astype("int32")


def texts(median=175, most=400, length=None, count=1024, batch=64):
    """Batches of texts; all of one padded length, where it is given."""
    sizes = np.sort(lengths(count, median, 0.65, most))
    for i, own, labels in cut(sizes, batch, 2):
        ids, mask = filled(own, i, length)
        yield {"token_ids": ids, "padding_mask": mask}, labels


def documents():
    """Batches of documents of up to 20 sentences of up to 40 words."""
    counts = np.sort(lengths(1024, 11, 0.55, 20))
    for i, own, labels in cut(counts, 64, 2):
        ids, mask = filled(lengths(own.sum(), 18, 0.6, 40, seed=i), i)
        real = np.arange(own.max()) < own[:, None]  # (B, S)
        folded = [np.zeros((*real.shape, x.shape[1]), x.dtype) for x in (ids, mask)]
        folded[0][real], folded[1][real] = ids, mask
        yield dict(zip(("token_ids", "padding_mask"), folded, strict=True)), labels


def pairs():
    """Batches of pairs of captions."""
    sizes = np.sort(lengths(2048, 9.5, 0.35, 30))
    for i, own, labels in cut(sizes, 32, 3):
        premise, premise_mask = filled(own, i, vocabulary=CAPTIONS)
        others = lengths(len(own), float(np.mean(own)), 0.2, 30, seed=i)
        hypothesis, hypothesis_mask = filled(others, i + 1000, vocabulary=CAPTIONS)
        inputs = {
            "premise_token_ids": premise,
            "hypothesis_token_ids": hypothesis,
            "premise_padding_mask": premise_mask,
            "hypothesis_padding_mask": hypothesis_mask,
        }
        yield inputs, labels


# === Sides: an epoch of training, or of prediction ===


def dataset(batches):
    """Batches as `fit` and `predict` take them."""
    inputs, labels = batches[0]
    spec = {
        name: tf.TensorSpec((None,) * x.ndim, tf.as_dtype(x.dtype))
        for name, x in inputs.items()
    }
    spec = spec, tf.TensorSpec((None,), labels.dtype)
    made = tf.data.Dataset.from_generator(lambda: batches, output_signature=spec)
    made = made.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return made.prefetch(2)


def keras_training(make, batches):
    classifier = make()
    classifier.compile(keras.optimizers.Adam(1e-3, global_clipnorm=CLIP))
    data = dataset(batches)
    return lambda: [classifier.fit(data, epochs=1, verbose=0).history["loss"]]


def keras_prediction(make, batches):
    classifier, data = make(), dataset(batches)
    return lambda: [classifier.predict(data, verbose=0)]


def torch_model(name, make, dtype, batches):
    """The PyTorch model of that name with kattn's first weights; tensors of batches."""
    import torch
    import torch_models

    classifier = make()
    module = getattr(torch_models, name)
    width = classifier.backbone.embedding_dim
    words = classifier.backbone.vocabulary_size
    model = module(words, width, classes=classifier.num_classes)
    model.copy(classifier)
    tensors = [
        ([torch.from_numpy(x) for x in inputs.values()], torch.from_numpy(labels))
        for inputs, labels in batches
    ]
    return model.to(getattr(torch, dtype)), tensors


def torch_training(name, make, batches, dtype="float32"):
    import torch

    model, tensors = torch_model(name, make, dtype, batches)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7)  # Keras's eps

    def step():
        losses = []
        for inputs, labels in tensors:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(*inputs), labels.long())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            losses.append(loss.item())
        return [[np.mean(losses)]]

    return step


def torch_prediction(name, make, batches, dtype="float32"):
    import torch

    model, tensors = torch_model(name, make, dtype, batches)
    model.eval()

    def step():
        with torch.inference_mode():
            return [torch.cat([model(*inputs) for inputs, _ in tensors]).numpy()]

    return step


def compared(title, name, make, batches, goal, unit, prediction=False):
    """A case of kattn against PyTorch; what is right, PyTorch says in float64."""
    batches = list(batches)
    mine = keras_prediction if prediction else keras_training
    theirs = torch_prediction if prediction else torch_training
    peer = "torch, packed" if name in ("BiLSTM", "HAN") else "torch"
    return Case(
        title,
        {
            "kattn": lambda: mine(make, batches),
            peer: lambda: theirs(name, make, batches),
        },
        functools.cache(lambda: theirs(name, make, batches, "float64")()),
        {peer: goal},
        sum(len(labels) for _, labels in batches),
        unit,
        rtol=1e-3,
        repeats=5,
    )


# === The models ===


def bilstm():
    keras.utils.set_random_seed(0)
    backbone = models.BiLSTMAttentionBackbone(VOCABULARY, 100, units=64)
    return models.BiLSTMAttentionTextClassifier(backbone, num_classes=2)


def han():
    keras.utils.set_random_seed(0)
    backbone = models.HierarchicalAttentionBackbone(VOCABULARY, 100)
    return models.HierarchicalAttentionTextClassifier(backbone, num_classes=2)


def encoder():
    keras.utils.set_random_seed(0)
    backbone = models.AttentionEncoderBackbone(VOCABULARY, 128)
    return models.AttentionEncoderTextClassifier(backbone, num_classes=2)


def abcnn():
    keras.utils.set_random_seed(0)
    backbone = models.ABCNNBackbone(CAPTIONS, 100)
    return models.ABCNNTextPairClassifier(backbone, num_classes=3)


def cases():
    """The models."""
    name = "BiLSTM with attention, training, 64 texts of up to 400 words"
    yield compared(name, "BiLSTM", bilstm, texts(), 2.5, "texts")
    name = "HAN, training, 64 documents of up to 20 sentences of up to 40 words"
    yield compared(name, "HAN", han, documents(), 2.0, "documents")
    batches = list(texts(most=256, length=256, count=256, batch=32))
    name = "attention encoder, {}, 32 texts of 256 words"
    yield compared(name.format("training"), "Encoder", encoder, batches, 3.0, "texts")
    yield compared(
        name.format("inference"), "Encoder", encoder, batches, 1.8, "texts", True
    )
    name = "ABCNN-3, training, 32 pairs of captions"
    yield compared(name, "ABCNN", abcnn, pairs(), 1.5, "pairs")
