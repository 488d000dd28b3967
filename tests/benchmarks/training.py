"""Cases of whole models: steps of training on the same batches, against packed PyTorch.

Texts are as long as reviews are: lengths are drawn from a log-normal distribution, and
batches have texts of similar length, cut at the longest of a batch. Both sides get the
same batches, sizes, optimizer and gradient clipping.
"""

import keras
import numpy as np
from measure import Case

from kattn import models

VOCABULARY, WIDTH, CLASSES = 20_000, 100, 2
TEXTS, BATCH = 1024, 64


def lengths(count, median, spread, most, seed=0):
    """Numbers of words, or of sentences, from 1 to the most."""
    rng = np.random.default_rng(seed)
    drawn = rng.lognormal(np.log(median), spread, count)
    return np.clip(drawn, 1, most).astype(int)


def filled(sizes, seed):
    """Word ids `(N, T)`, 0 past each size, and the mask."""
    rng = np.random.default_rng(seed)
    mask = np.arange(sizes.max()) < sizes[:, None]
    ids = rng.integers(2, VOCABULARY, mask.shape)
    return np.where(mask, ids, 0).astype("int32"), mask


def texts():
    """Batches of `(ids, mask, labels)` of reviews of up to 400 words."""
    sizes = np.sort(lengths(TEXTS, 175, 0.65, 400))
    labels = np.random.default_rng(1).integers(0, CLASSES, TEXTS)
    for i in np.random.default_rng(2).permutation(TEXTS // BATCH):
        rows = slice(i * BATCH, (i + 1) * BATCH)
        yield *filled(sizes[rows], int(i)), labels[rows]


def documents():
    """Batches of `(ids, mask, labels)` of up to 20 sentences of up to 40 words."""
    counts = np.sort(lengths(TEXTS, 11, 0.55, 20))
    labels = np.random.default_rng(1).integers(0, CLASSES, TEXTS)
    for i in np.random.default_rng(2).permutation(TEXTS // BATCH):
        rows = slice(i * BATCH, (i + 1) * BATCH)
        sizes = lengths(counts[rows].sum(), 18, 0.6, 40, seed=int(i))
        ids, mask = filled(sizes, int(i))
        real = np.arange(counts[rows].max()) < counts[rows][:, None]  # (B, S)
        folded = [np.zeros((*real.shape, x.shape[1]), x.dtype) for x in (ids, mask)]
        folded[0][real], folded[1][real] = ids, mask
        yield *folded, labels[rows]


def of_keras(classifier, batches):
    """A step of training on every batch."""
    classifier.compile(keras.optimizers.Adam(1e-3, global_clipnorm=5.0))
    prepared = [
        ({"token_ids": ids, "padding_mask": mask}, labels)
        for ids, mask, labels in batches
    ]

    def step():
        for inputs, labels in prepared:
            loss = classifier.train_on_batch(inputs, labels)
        return [np.asarray(loss)]

    return step


def of_torch(model, batches):
    import torch

    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    prepared = [[torch.from_numpy(x) for x in batch] for batch in batches]

    def step():
        for ids, mask, labels in prepared:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(ids, mask), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        return [loss.detach().numpy()]

    return step


def packed_encoder(recurrent, width, hidden):
    """A module: packed recurrence, then attention pooling; and the vectors."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = recurrent
            self.dense = torch.nn.Linear(width, hidden) if hidden else None
            self.query = torch.nn.Parameter(torch.randn(hidden or width) / 10)

        def forward(self, x, mask):
            sizes = mask.sum(1)
            packed = pack_padded_sequence(
                x, sizes, batch_first=True, enforce_sorted=False
            )
            states, _ = pad_packed_sequence(
                self.recurrent(packed)[0], batch_first=True, total_length=x.shape[1]
            )
            keys = (self.dense(states) if self.dense else states).tanh()
            energies = (keys @ self.query).masked_fill(~mask, -torch.inf)
            return (energies.softmax(1)[:, :, None] * states).sum(1)

    return Encoder()


def torch_bilstm():
    import torch

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(VOCABULARY, WIDTH)
            lstm = torch.nn.LSTM(WIDTH, 64, bidirectional=True, batch_first=True)
            self.encoder = packed_encoder(lstm, 128, None)
            self.output = torch.nn.Linear(128, CLASSES)

        def forward(self, ids, mask):
            return self.output(self.encoder(self.embedding(ids), mask).tanh())

    return Classifier()


def torch_han():
    import torch

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(VOCABULARY, WIDTH)
            words, sentences = (
                torch.nn.GRU(n, 50, bidirectional=True, batch_first=True)
                for n in (WIDTH, 100)
            )
            self.words = packed_encoder(words, 100, 100)
            self.sentences = packed_encoder(sentences, 100, 100)
            self.output = torch.nn.Linear(100, CLASSES)

        def forward(self, ids, mask):
            real = mask.any(-1)  # (B, S)
            vectors = self.words(self.embedding(ids[real]), mask[real])
            sentences = vectors.new_zeros(*real.shape, 100)
            sentences[real] = vectors  # the real ones alone are computed
            return self.output(self.sentences(sentences, real))

    return Classifier()


def bilstm():
    batches = list(texts())

    def ours():
        keras.utils.set_random_seed(0)
        backbone = models.BiLSTMAttentionBackbone(VOCABULARY, WIDTH, units=64)
        return models.BiLSTMAttentionTextClassifier(backbone, num_classes=CLASSES)

    return Case(
        "BiLSTM with attention, training, 64 texts of up to 400 words",
        {
            "kattn": lambda: of_keras(ours(), batches),
            "torch, packed": lambda: of_torch(torch_bilstm(), batches),
        },
        None,
        {"torch, packed": 2.5},
        TEXTS,
        "texts",
        repeats=3,
    )


def han():
    batches = list(documents())

    def ours():
        keras.utils.set_random_seed(0)
        backbone = models.HierarchicalAttentionBackbone(VOCABULARY, WIDTH)
        return models.HierarchicalAttentionTextClassifier(backbone, num_classes=CLASSES)

    return Case(
        "HAN, training, 64 documents of up to 20 sentences of up to 40 words",
        {
            "kattn": lambda: of_keras(ours(), batches),
            "torch, packed": lambda: of_torch(torch_han(), batches),
        },
        None,
        {"torch, packed": 2.0},
        TEXTS,
        "documents",
        repeats=3,
    )


def cases():
    """The models."""
    yield bilstm()
    yield han()
