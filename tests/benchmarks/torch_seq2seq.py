"""kattn's encoder-decoder as one would write it in PyTorch, with the same weights."""

import dataclasses

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch_models import copy_cell, copy_dense, take


class Seq2Seq(nn.Module):
    """A packed bidirectional LSTM, and Luong's decoder with input feeding.

    What does not depend on the step before, logits and vectors of the tokens, is made
    for all steps at once. `compiled` has torch.compile make one function of a step.
    """

    def __init__(self, sources, targets, width, units, compiled=False):
        super().__init__()
        self.source = nn.Embedding(sources, width)
        self.target = nn.Embedding(targets, width)
        self.encoder = nn.LSTM(width, units, bidirectional=True, batch_first=True)
        self.bridge = nn.Linear(2 * units, 2 * units)
        self.cell = nn.LSTMCell(width + units, units)
        self.query = nn.Linear(units, 2 * units, bias=False)
        self.attentional = nn.Linear(3 * units, units, bias=False)
        self.output = nn.Linear(units, targets)
        self.units = units
        if compiled:
            self.step = torch.compile(self.step, dynamic=True)

    def encode(self, ids, mask):
        """The states `(B, Ts, 2 * units)`, and those that the decoder starts from."""
        packed = pack_padded_sequence(
            self.source(ids), mask.sum(1), batch_first=True, enforce_sorted=False
        )
        states, (last, _) = self.encoder(packed)
        memory, _ = pad_packed_sequence(
            states, batch_first=True, total_length=ids.shape[1]
        )
        last = torch.cat([last[0], last[1]], dim=1)  # (B, 2 * units)
        h, c = self.bridge(last).tanh().chunk(2, dim=1)
        return memory, (h, c, torch.zeros_like(h))

    def step(self, x, h, c, fed, memory, mask):
        """The new states of K texts for each source: `(B * K, units)` each."""
        h, c = self.cell(torch.cat([x, fed], dim=1), (h, c))
        asked = self.query(h).unflatten(0, (memory.shape[0], -1))  # (B, K, Dm)
        energies = asked @ memory.transpose(1, 2)  # (B, K, Ts)
        weights = energies.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
        read = (weights @ memory).flatten(0, 1)  # (B * K, Dm)
        return h, c, self.attentional(torch.cat([read, h], dim=1)).tanh()

    def forward(self, source, source_mask, target):
        """The logits `(B, Tt, V)`."""
        memory, states = self.encode(source, source_mask)
        outputs = []
        for x in self.target(target).unbind(1):
            states = self.step(x, *states, memory, source_mask)
            outputs.append(states[-1])
        return self.output(torch.stack(outputs, dim=1))

    def copy(self, model):
        """Take the weights of an `AttentionSeq2Seq`."""
        backbone = model.backbone
        take(self.source.weight, backbone.source_embedding.embeddings)
        take(self.target.weight, backbone.target_embedding.embeddings)
        both = backbone.encoders[0].recurrent
        copy_cell(both.forward_layer.cell, self.encoder, "l0")
        copy_cell(both.backward_layer.cell, self.encoder, "l0_reverse")
        copy_dense(backbone.bridge, self.bridge)
        cell = backbone.decoder.cell
        copy_lstm_cell(cell.cell, self.cell)
        take(self.query.weight, backbone.score.query_dense.kernel.numpy().T)
        take(self.attentional.weight, cell.output_dense.kernel.numpy().T)
        copy_dense(model.output_dense, self.output)


def copy_lstm_cell(cell, module):
    """An LSTM cell's weights: one bias is taught, and gates are in the same order."""
    take(module.weight_ih, cell.kernel.numpy().T)
    take(module.weight_hh, cell.recurrent_kernel.numpy().T)
    take(module.bias_ih, cell.bias)
    take(module.bias_hh, 0 * cell.bias.numpy())
    module.bias_hh.requires_grad_(False)


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Ids that mean something to who writes."""

    start: int
    end: int
    never: tuple[int, ...]


@torch.inference_mode()
def greedy(model, ids, mask, tokens):
    """The likeliest token at each step `(B, L)`, until all texts have ended."""
    memory, states = model.encode(ids, mask)
    limits = 2 * mask.sum(1) + 10  # (B,)
    last = torch.full_like(limits, tokens.start)
    done = torch.zeros_like(limits, dtype=torch.bool)
    written = []
    while not done.all():
        states = model.step(model.target(last), *states, memory, mask)
        logits = model.output(states[-1])
        logits[:, tokens.never] = -torch.inf
        last = logits.argmax(1)
        done |= (last == tokens.end) | (len(written) >= limits)
        last = last.masked_fill(done, 0)
        written.append(last)
    return torch.stack(written, dim=1)


@torch.inference_mode()
def beam(model, ids, mask, tokens, width):
    """The likeliest texts that a beam finds `(B, L)`, as `kattn.decoding` searches."""
    memory, states = model.encode(ids, mask)
    states = [state.repeat_interleave(width, 0) for state in states]  # (B * K, U)
    limits = 2 * mask.sum(1) + 10  # (B,)
    batch, size = len(ids), model.output.out_features
    last = torch.full((batch, width), tokens.start)
    log_p = torch.full((batch, width), -torch.inf, dtype=memory.dtype)
    log_p[:, 0] = 0
    scores = torch.full_like(log_p, -torch.inf)  # of the texts found
    written = torch.zeros(batch, width, int(limits.max()) + 1, dtype=torch.long)
    found = torch.zeros_like(written)
    rows = width * torch.arange(batch)[:, None]
    at = 0
    while (log_p.amax(1) > scores[:, 0]).any():  # the best is all that is wanted
        states = model.step(model.target(last.flatten()), *states, memory, mask)
        log_next = model.output(states[-1]).log_softmax(1)
        log_next[:, tokens.never] = -torch.inf
        log_next = log_next.unflatten(0, (batch, width))  # (B, K, V)
        others = torch.arange(size) != tokens.end
        full = (at >= limits)[:, None, None] & others
        total = (log_p[..., None] + log_next).masked_fill(full, -torch.inf)
        best, index = total.flatten(1).topk(2 * width)  # (B, 2 K)
        parents, chosen = index // size, index % size
        ends = chosen == tokens.end
        ended = best[:, :width].masked_fill(~ends[:, :width], -torch.inf)
        scores, kept = torch.cat([scores, ended], dim=1).topk(width)
        said = pick(written, parents[:, :width])
        found = pick(torch.cat([found, said], dim=1), kept)
        log_p, kept = best.masked_fill(ends, -torch.inf).topk(width)
        parents, last = parents.gather(1, kept), chosen.gather(1, kept)
        written = pick(written, parents)
        written[:, :, at] = last
        of = (rows + parents).flatten()
        states = [state[of] for state in states]
        at += 1
    return found[:, 0]


def pick(values, index):
    """Of `(B, K, L)` those at `(B, K')`."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))
