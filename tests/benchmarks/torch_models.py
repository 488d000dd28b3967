"""kattn's models as one would write them in PyTorch, and with the same weights."""

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kattn.models.known_keys import FACTOR, NONE


class PackedEncoder(nn.Module):
    """A packed recurrence, then attention pooling, `(N, T, D)` to `(N, 2 * units)`."""

    def __init__(self, recurrent, units, hidden=None):
        super().__init__()
        self.recurrent = recurrent
        self.dense = nn.Linear(2 * units, hidden) if hidden else None
        self.query = nn.Parameter(torch.zeros(hidden or 2 * units))

    def forward(self, x, mask):
        packed = pack_padded_sequence(
            x, mask.sum(1), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(
            self.recurrent(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        keys = (self.dense(states) if self.dense else states).tanh()
        energies = (keys @ self.query).masked_fill(~mask, -torch.inf)
        return (energies.softmax(1)[:, :, None] * states).sum(1)

    def copy(self, recurrent, pooling):
        """Take the weights of Keras's layers."""
        for layer, end in (
            (recurrent.forward_layer, ""),
            (recurrent.backward_layer, "_reverse"),
        ):
            copy_cell(layer.cell, self.recurrent, f"l0{end}")
        take(self.query, pooling.query[0])
        if self.dense:
            copy_dense(pooling.hidden_dense, self.dense)


class BiLSTM(nn.Module):
    def __init__(self, vocabulary, width=100, units=64, classes=2, cell=nn.LSTM):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        recurrent = cell(width, units, bidirectional=True, batch_first=True)
        self.encoder = PackedEncoder(recurrent, units)
        self.output = nn.Linear(2 * units, classes)

    def forward(self, ids, mask):
        return self.output(self.encoder(self.embedding(ids), mask).tanh())

    def copy(self, classifier):
        backbone = classifier.backbone
        take(self.embedding.weight, vectors(backbone))
        self.encoder.copy(backbone.encoder.recurrent, backbone.pooling_layer)
        copy_dense(classifier.output_dense, self.output)


class HAN(nn.Module):
    """The real sentences alone are computed."""

    def __init__(self, vocabulary, width=100, units=50, attention=100, classes=2):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        words, sentences = (
            nn.GRU(n, units, bidirectional=True, batch_first=True)
            for n in (width, 2 * units)
        )
        self.words = PackedEncoder(words, units, attention)
        self.sentences = PackedEncoder(sentences, units, attention)
        self.output = nn.Linear(2 * units, classes)

    def forward(self, ids, mask):
        real = mask.any(-1)  # (B, S)
        vectors = self.words(self.embedding(ids[real]), mask[real])
        sentences = vectors.new_zeros(*real.shape, vectors.shape[1])
        sentences[real] = vectors
        return self.output(self.sentences(sentences, real))

    def copy(self, classifier):
        backbone = classifier.backbone
        take(self.embedding.weight, vectors(backbone))
        for mine, theirs in (
            (self.words, backbone.word_encoder.layer),
            (self.sentences, backbone.sentence_encoder.layer),
        ):
            mine.copy(theirs.recurrent, theirs.pooling)
        copy_dense(classifier.output_dense, self.output)


class Encoder(nn.Module):
    """`torch.nn.TransformerEncoder`, and the mean over the words."""

    def __init__(self, vocabulary, width=128, layers=2, heads=4, inner=256, classes=2):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        layer = nn.TransformerEncoderLayer(
            width,
            heads,
            inner,
            dropout=0.0,
            activation="gelu",
            layer_norm_eps=1e-6,
            batch_first=True,
            norm_first=True,
        )
        norm = nn.LayerNorm(width, eps=1e-6)
        self.encoder = nn.TransformerEncoder(
            layer, layers, norm=norm, enable_nested_tensor=False
        )
        self.output = nn.Linear(width, classes)

    def forward(self, ids, mask):
        x = self.embedding(ids)
        x = self.encoder(x + self.positions[: x.shape[1]], src_key_padding_mask=~mask)
        x = x.masked_fill(~mask[..., None], 0.0)
        return self.output(x.sum(1) / mask.sum(1, keepdim=True))

    def copy(self, classifier):
        backbone = classifier.backbone
        take(self.embedding.weight, vectors(backbone))
        like = np.zeros((1, 512, backbone.embedding_dim), "float32")
        positions = np.array(backbone.position_embedding(like))[0]
        self.register_buffer("positions", torch.from_numpy(positions))
        for mine, theirs in zip(self.encoder.layers, backbone.blocks, strict=True):
            parts = theirs.attention
            width = backbone.embedding_dim
            denses = parts.query_dense, parts.key_dense, parts.value_dense
            kernels = [np.array(x.kernel).reshape(width, width).T for x in denses]
            biases = [np.array(x.bias).reshape(width) for x in denses]
            take(mine.self_attn.in_proj_weight, np.concatenate(kernels))
            take(mine.self_attn.in_proj_bias, np.concatenate(biases))
            last = np.array(parts.output_dense.kernel).reshape(width, width).T
            take(mine.self_attn.out_proj.weight, last)
            take(mine.self_attn.out_proj.bias, parts.output_dense.bias)
            copy_dense(theirs.hidden_dense, mine.linear1)
            copy_dense(theirs.output_dense, mine.linear2)
        copy_dense(classifier.output_dense, self.output)


class ABCNN(nn.Module):
    """ABCNN-3 as in the paper: two levels, features, logistic regression."""

    def __init__(
        self, vocabulary, width=100, filters=50, window=3, places=64, classes=3
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        widths = width, filters
        self.maps = nn.ParameterList(torch.zeros(places, n) for n in widths)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(2 * n, filters, window, padding=window - 1) for n in widths
        )
        self.window = window
        self.output = nn.Linear(6, classes)

    def forward(self, left_ids, right_ids, left_mask, right_mask):
        texts = [self.embedding(ids) for ids in (left_ids, right_ids)]
        masks = left_mask, right_mask
        texts = [
            x * mask[..., None] for x, mask in zip(texts, masks, strict=True)
        ]  # (B, T, D)
        means = [
            x.sum(1) / mask.sum(1, keepdim=True)
            for x, mask in zip(texts, masks, strict=True)
        ]
        features = self.features(*means)
        for places, convolution in zip(self.maps, self.convolutions, strict=True):
            match = self.match(*texts, *masks)  # (B, T0, T1)
            columns, live = [], []
            for x, a, mask in zip(
                texts, (match, match.transpose(1, 2)), masks, strict=True
            ):
                x = torch.cat([x, a @ places[: a.shape[2]]], dim=2)
                made = convolution(x.transpose(1, 2)).tanh().transpose(1, 2)
                wide = nn.functional.pad(mask, (0, self.window - 1))
                for k in range(1, self.window):
                    wide = wide | nn.functional.pad(mask, (k, self.window - 1 - k))
                columns.append(made * wide[..., None])  # (B, T + w - 1, filters)
                live.append(wide)
            match = self.match(*columns, *live)
            texts, vectors = [], []
            for x, sums, mask in zip(
                columns, (match.sum(2), match.sum(1)), masks, strict=True
            ):
                weighted = x * (sums / sums.sum(1, keepdim=True))[..., None]
                pooled = weighted.unfold(1, self.window, 1).sum(-1)  # (B, T, filters)
                texts.append(pooled * mask[..., None])
                vectors.append(weighted.sum(1))
            features += self.features(*vectors)
        return self.output(torch.cat(features, dim=1))

    @staticmethod
    def match(left, right, left_mask, right_mask):
        return (
            left_mask[:, :, None]
            * right_mask[:, None]
            / (
                1
                + torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")
            )
        )

    @staticmethod
    def features(left, right):
        cosine = nn.functional.cosine_similarity(left, right)
        near = 1 / (1 + (left - right).norm(dim=1))
        return [cosine[:, None], near[:, None]]

    def copy(self, classifier):
        backbone = classifier.backbone
        take(self.embedding.weight, vectors(backbone))
        for places, convolution, level in zip(
            self.maps, self.convolutions, backbone.levels, strict=True
        ):
            take(places, level.input_map.dense.kernel)
            theirs = level.convolution
            take(convolution.weight, np.array(theirs.kernel).transpose(2, 1, 0))
            take(convolution.bias, theirs.bias)
        copy_dense(classifier.output_dense, self.output)


class WithNgrams(nn.Module):
    """A network, and what n-grams say beside it."""

    def __init__(self, network, layer):
        super().__init__()
        self.network = network
        self.order = layer.order
        for name in ("keys", "table", "bias"):
            values = np.array(getattr(layer, name))
            values = values if name == "keys" else values.astype("float32")
            self.register_buffer(name, torch.from_numpy(values))

    def forward(self, ids, mask):
        key, live, found = ids, mask, []
        for n in range(self.order):
            if n:
                key = key[..., :-1] * FACTOR + ids[..., n:]
                live = live[..., :-1] & mask[..., n:]
            found.append(torch.where(live, key, NONE).flatten(1))
        keys = torch.cat(found, dim=1).sort(dim=1).values  # (B, M)
        place = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        new = nn.functional.pad(keys[:, 1:] != keys[:, :-1], (1, 0), value=True)
        counts = (self.keys[place] == keys) & (keys != NONE) & new
        said = (self.table[place] * counts[..., None]).sum(1) + self.bias
        return (self.network(ids, mask) + said) / 2


def served(classifier):
    """The module of a trained classifier, with its weights."""
    backbone = classifier.backbone
    options = {"classes": classifier.num_classes, "units": backbone.units}
    options["width"] = backbone.embedding_dim
    if hasattr(backbone, "word_encoder"):
        model = HAN(
            backbone.vocabulary_size, attention=backbone.attention_units, **options
        )
    else:
        cell = {"lstm": nn.LSTM, "gru": nn.GRU}[backbone.cell]
        model = BiLSTM(backbone.vocabulary_size, cell=cell, **options)
    model.copy(classifier)
    layer = classifier.ngram_logits
    return model if layer is None else WithNgrams(model, layer)


def vectors(backbone):
    """The word vectors `(V, D)`, also of a table in 8 bits."""
    return backbone.token_embedding(np.arange(backbone.vocabulary_size))


def take(parameter, values):
    """Copy an array into a parameter of its shape."""
    values = np.array(values)
    assert values.shape == tuple(parameter.shape), (values.shape, parameter.shape)
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values))


def copy_dense(dense, linear):
    take(linear.weight, np.array(dense.kernel).T)
    take(linear.bias, dense.bias)


def copy_cell(cell, recurrent, end):
    """A GRU's or an LSTM's weights; `end` is how PyTorch calls their direction."""
    bias = np.array(cell.bias)
    if bias.ndim == 1:  # an LSTM's: PyTorch has two that are added
        bias = np.stack([bias, np.zeros_like(bias)])
        order = 0, 1, 2, 3
    else:
        order = 1, 0, 2  # z, r, c in Keras; r, z, n in PyTorch

    def gates(x):
        parts = np.split(np.array(x), len(order), axis=-1)
        return np.concatenate([parts[i] for i in order], axis=-1).T

    take(getattr(recurrent, f"weight_ih_{end}"), gates(cell.kernel))
    take(getattr(recurrent, f"weight_hh_{end}"), gates(cell.recurrent_kernel))
    take(getattr(recurrent, f"bias_ih_{end}"), gates(bias[0]))
    second = getattr(recurrent, f"bias_hh_{end}")
    take(second, gates(bias[1]))
    second.requires_grad_(len(order) == 3)  # or Adam moves an LSTM's sum twice as far
