"""Writing token by token: the likeliest texts that a model can write, by beam search.

Everything is done by `keras.ops`: on TensorFlow and JAX a search is one computation.
"""

import typing

from keras import ops

from kattn.dropping import each_row

_NEVER = float("-inf")


class Hypotheses(typing.NamedTuple):
    """What a search found, the best first."""

    tokens: object  # (B, K, L) ids without the end, 0 after the last one
    scores: object  # (B, K) float32; -inf where there are fewer than K
    log_probabilities: object  # (B, K) float32, of all tokens and the end
    alignments: object = None  # (B, K, L, Ts) float32, zeros after the last token


def beam_search(
    step,
    states,
    live,
    *,
    start,
    end,
    limits,
    length,
    width,
    memory=(),
    wanted=None,
    length_penalty=0.0,
    coverage_penalty=0.0,
    never=(),
    return_alignments=False,
):
    """Search the texts that a model holds likeliest.

    The score of a text Y for a source X is that of Wu et al.,

        `log P(Y | X) / ((5 + |Y|) / 6)^a + b sum_i log(min(sum_j weights_ji, 1))`,

    where |Y| counts the end as well, a is the length penalty, b the coverage penalty,
    and i runs over the source. Only texts that have ended are found: where a text has
    as many tokens as it may have, the end is what comes next. A search stops when no
    text that goes on can come to be better than those found that are wanted. With
    `width=1` and no penalty it takes the likeliest token at each step.

    Args:
        step: A function of tokens `(B * K,)`, states and memory to the logits of the
            next tokens `(B * K, V)`, the new states, and the weights of the source
            `(B * K, Ts)`. On a CPU it is called for fewer examples once some have
            ended.
        states: A list of tensors `(B * K, ...)`, the same for all K of an example.
        live: Boolean `(B, Ts)`: what of the source is not padding.
        start: Id of the token that the first step is fed.
        end: Id of the token that ends a text.
        limits: Integers `(B,)`: the most tokens that each text may have.
        length: L, the largest of them: an integer, or in a graph of TensorFlow a scalar
            tensor.
        width: K, how many texts are kept at each step.
        memory: What the step reads and leaves as it is: a structure of tensors
            `(B, ...)`.
        wanted: Of how many texts found is it to be certain that they are the best: K
            if `None`.
        length_penalty: a; 0 favours short texts, as each token costs.
        coverage_penalty: b; above 0 favours texts for which all of X was read.
        never: Ids that are never written.
        return_alignments: Whether to return the weights by which each token was
            written, `(B, K, L, Ts)`.

    Returns:
        `Hypotheses`.

    Reference:
        Wu et al. 2016, arXiv:1609.08144, section 7.
    """
    batch, positions = ops.shape(live)
    places = ops.arange(length)
    steps = length + 1  # with that of the end
    wanted = width if wanted is None else wanted

    def penalty(count):
        return ((5 + ops.cast(count, "float32")) / 6) ** length_penalty

    def scored(log_p, count, coverage, live):
        scores = log_p / penalty(count)
        if coverage_penalty:
            least = ops.log(ops.clip(coverage, 1e-30, 1.0))  # (B, K, Ts)
            read = ops.where(ops.expand_dims(live, 1), least, 0.0)
            scores = scores + coverage_penalty * ops.sum(read, axis=-1)
        return scores

    def pick(values, index):
        """Of `(B, K, ...)` those at `(B, K')` of the second axis, row by row."""
        batch, count, *rest = ops.shape(values)
        if values.shape[1] == 1:  # there is nothing to choose
            taken = index.shape[1]
            return values if taken == 1 else ops.repeat(values, taken, axis=1)
        places = ops.expand_dims(ops.arange(batch), 1) * count + index  # (B, K')
        return ops.take(ops.reshape(values, (batch * count, *rest)), places, axis=0)

    def going_on(rows):
        # Log probabilities and penalties only lower what a text that goes on may reach.
        (_, scores, _, _), _, log_p, _, _, (_, limits, _) = rows
        best = ops.max(log_p, axis=1) / penalty(limits + 1)
        best = ops.where(ops.isfinite(best), best, _NEVER)
        return best > scores[:, wanted - 1]  # (B,)

    def advance(at, rows):
        (*found, read), written, log_p, coverage, states, given = rows
        live, limits, memory = given
        last = ops.take(written[..., 0], ops.maximum(at - 1, 0), axis=2)  # (B, K)
        former = ops.reshape(ops.where(at == 0, start, last), (-1,))
        states = [ops.reshape(x, (-1, *ops.shape(x)[2:])) for x in states]
        logits, states, weights = step(former, states, memory)
        states = [ops.reshape(x, (-1, width, *ops.shape(x)[1:])) for x in states]
        size = logits.shape[-1]
        ids = ops.arange(size)
        log_next = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        log_next = ops.reshape(log_next, (-1, width, size))
        forbidden = ops.any(ids == ops.reshape(list(never) or [-1], (-1, 1)), axis=0)
        full = ops.reshape(at >= limits, (-1, 1, 1))
        barred = ops.logical_or(forbidden, ops.logical_and(full, ids != end))
        total = ops.where(barred, _NEVER, ops.expand_dims(log_p, -1) + log_next)
        weights = ops.cast(weights, "float32")
        weights = ops.reshape(weights, (-1, width, ops.shape(weights)[-1]))
        if coverage_penalty:
            coverage = coverage + weights
        if return_alignments:
            now = ops.reshape(ops.arange(steps) == at, (-1, 1, 1))
            read = ops.where(now, ops.expand_dims(weights, 1), read)

        # At most K of 2 K end, so K go on.
        best, index = ops.top_k(ops.reshape(total, (-1, width * size)), 2 * width)
        index = ops.cast(index, "int32")
        parents, chosen = index // size, index % size  # (B, 2 K)
        ends = chosen == end
        among_best = ops.logical_and(ends, ops.arange(2 * width) < width)
        ended = ops.where(among_best, best, _NEVER)
        said = pick(written, parents)  # (B, 2 K, L, C)
        reached = pick(coverage, parents) if coverage_penalty else coverage
        scores = scored(ended, at + 1, reached, live)
        both = [
            ops.concatenate(pair, axis=1)
            for pair in zip(found, (said, scores, ended), strict=True)
        ]
        _, kept = ops.top_k(both[1], width)
        found = [pick(values, kept) for values in both]

        log_p, kept = ops.top_k(ops.where(ends, _NEVER, best), width)
        parents, chosen = pick(parents, kept), pick(chosen, kept)  # (B, K)
        new = [chosen, parents + 1][:columns]
        new = ops.expand_dims(ops.stack(new, axis=-1), 2)  # (B, K, 1, C)
        here = ops.expand_dims(places == at, -1)  # (L, 1)
        written = ops.where(here, new, pick(said, kept))
        coverage = pick(reached, kept) if coverage_penalty else coverage
        states = [pick(state, parents) for state in states]
        return [[*found, read], written, log_p, coverage, states, given]

    # What is noted of each text: its tokens, and for alignments the place in the beam,
    # from 1, of what it went on from at each of them. So weights are noted but once,
    # by step and place, and followed back at the end.
    columns = 2 if return_alignments else 1  # C
    nothing = ops.zeros((batch, width, length, columns), "int32")
    no_scores = ops.full((batch, width), _NEVER, "float32")
    first = ops.where(ops.arange(width) == 0, 0.0, _NEVER)  # K the same are one
    unread = (batch, steps, width, positions) if return_alignments else (batch, 1, 1, 1)
    rows = [
        [nothing, no_scores, no_scores, ops.zeros(unread)],
        nothing,
        ops.broadcast_to(first, (batch, width)),
        ops.zeros((batch, width, positions) if coverage_penalty else (batch, 1, 1)),
        [ops.reshape(x, (batch, width, *ops.shape(x)[1:])) for x in states],
        [ops.convert_to_tensor(live), ops.cast(limits, "int32"), memory],
    ]
    written, scores, log_p, read = each_row(going_on, advance, rows, steps)
    tokens = written[..., 0]
    if not return_alignments:
        return Hypotheses(tokens, scores, log_p)
    origins = written[..., 1]  # (B, K, L)
    of = places * width + ops.maximum(origins - 1, 0)
    of = ops.reshape(of, (batch, width * length))
    read = ops.reshape(read, (batch, steps * width, positions))
    weights = ops.reshape(pick(read, of), (batch, width, length, positions))
    weights = ops.where(ops.expand_dims(origins, -1) > 0, weights, 0.0)
    return Hypotheses(tokens, scores, log_p, weights)
