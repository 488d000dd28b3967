"""How a model that was taught to write writes: by search, or by chance."""

import collections
import functools

import keras
import numpy as np
from keras import ops

from kattn.alignment import Alignment, Alignments
from kattn.decoding import beam_search
from kattn.models.compiled import compiled
from kattn.models.examples import checked
from kattn.text.libraries import tensorflow

Hypothesis = collections.namedtuple("Hypothesis", ["text", "score"])
Hypothesis.__doc__ = """A text that was written, and its score, as `search` has them."""


class Generation:
    """The part of `kattn.models.AttentionSeq2Seq` that writes."""

    def encode(self, inputs):
        """What the decoder needs of sources.

        Args:
            inputs: The encoder's inputs, as `preprocessor.generate_preprocess` makes
                them.

        Returns:
            The memory, prepared by the cell, and the states before the first step.
        """
        encoded = self._encoder(inputs, training=False)
        cell = self.backbone.decoder.cell
        memory = cell.prepare(encoded["memory"], encoded["memory_mask"])
        return memory, cell.initial_state(memory, encoded["initial_state"])

    def step(self, tokens, states, memory, readers=1):
        """Take one step: what comes after tokens that were written.

        Args:
            tokens: Integers `(B,)`, the last ones.
            states: What `encode` or the step before gave.
            memory: What `encode` gave.
            readers: How many texts are written of each source: the tokens are
                `(B * readers,)` of the memory of B sources.

        Returns:
            The logits of the next ones `(B, V)`, the new states, and the weights of the
            source's positions `(B, Ts)`.
        """
        hidden, states, weights = self.backbone.decoder.cell(
            self.backbone.target_embedding(tokens),
            states,
            memory,
            readers=readers,
            return_attention_scores=True,
            training=False,
        )
        return self.logits(hidden), states, weights

    def generate(self, inputs, max_length=None, beam_width=1, sample=False, **options):
        """Write a text for each source.

        Args:
            inputs: A string, or a list of them.
            max_length: The most tokens to write; `2 n + 10` for a source of n tokens if
                `None`, and never more.
            beam_width: As for `search`; with 1 the likeliest token is taken each time.
            sample: Whether to draw each token by the `sampler` that the model was
                compiled with, in place of a search.
            **options: As for `search`: `length_penalty`, `coverage_penalty` and
                `batch_size`.

        Returns:
            A string, or a list of them. For a source without a token it is empty.

        Raises:
            ValueError: As for `search`.
        """
        single = isinstance(inputs, str | bytes)
        sources = [inputs] if single else inputs
        if sample:
            batch_size = options.pop("batch_size", 64)
            if options or beam_width != 1:
                raise ValueError(
                    "A sample is no search: it takes max_length and batch_size alone. "
                    f"Received: beam_width={beam_width}, {options}"
                )
            texts = self._written(sources, self._sample, max_length, batch_size)
            texts = [some[0].text for some in texts]
        else:
            found = self.search(sources, beam_width, max_length, wanted=1, **options)
            texts = [some[0].text for some in found]
        return texts[0] if single else texts

    def search(
        self,
        texts,
        beam_width=5,
        max_length=None,
        length_penalty=0.0,
        coverage_penalty=0.0,
        batch_size=64,
        wanted=None,
    ):
        """Write the likeliest texts for each source, by beam search.

        Args:
            texts: A list of strings.
            beam_width: How many texts are kept at each step, and found.
            max_length: The most tokens to write; `2 n + 10` for a source of n tokens if
                `None`, and never more.
            length_penalty: See `kattn.decoding.beam_search`.
            coverage_penalty: Likewise.
            batch_size: Sources that are read at a time.
            wanted: How many of them are wanted: a search ends once nothing can come to
                be better. As many as the beam is wide if `None`.

        Returns:
            For each source a list of `Hypothesis(text, score)`, the best first: as many
            as are wanted, or all that there are.

        Raises:
            ValueError: If a number is not a positive integer, or a source has more
                tokens than the preprocessor takes.
        """
        _check_positive("beam_width", beam_width)
        penalties = {
            "length_penalty": float(length_penalty),
            "coverage_penalty": float(coverage_penalty),
        }
        if wanted is not None:
            _check_positive("wanted", wanted)
            wanted = min(wanted, beam_width)
        write = functools.partial(
            self._search, beam_width=beam_width, wanted=wanted, **penalties
        )
        found = self._written(texts, write, max_length, batch_size)
        return [some[:wanted] for some in found]

    def hypotheses(self, inputs, length, beam_width, **options):
        """The search itself, of sources that are preprocessed: part of a graph.

        Args:
            inputs: As for `encode`.
            length: The most tokens that a text may have, as for
                `kattn.decoding.beam_search`; one of a source of n tokens has at most
                `2 n + 10`, and none where there is no token.
            beam_width: How many texts are kept at each step, and found.
            **options: As for `kattn.decoding.beam_search`: `wanted`,
                `length_penalty`, `coverage_penalty` and `return_alignments`.

        Returns:
            `kattn.decoding.Hypotheses`.

        Raises:
            ValueError: If `beam_width` is not a positive integer.
        """
        _check_positive("beam_width", beam_width)
        pre = self.preprocessor
        memory, states = self.encode(inputs)
        return beam_search(
            functools.partial(self.step, readers=beam_width),
            [ops.repeat(x, beam_width, axis=0) for x in states],
            memory.mask,
            memory=memory,
            start=pre.start_id,
            end=pre.end_id,
            limits=_limits(inputs, length),
            length=length,
            width=beam_width,
            never=self._never(),
            **options,
        )

    @functools.cached_property
    def _encoder(self):
        return self.backbone.encoder_model()

    @functools.cached_property
    def _functions(self):
        """What was compiled, by what is fixed in it."""
        return {}

    def quantize(self, *args, **kwargs):
        """Keep weights in fewer bits, as `keras.Model.quantize` does."""
        super().quantize(*args, **kwargs)
        self._functions.clear()  # they compute with the former

    def explain(self, texts, beam_width=5, max_length=None, batch_size=64, **penalties):
        """Write the likeliest text for each source, and tell what was read for it.

        Args:
            texts: A list of strings.
            beam_width: As for `search`.
            max_length: Likewise.
            batch_size: Likewise.
            **penalties: Likewise: `length_penalty` and `coverage_penalty`.

        Returns:
            `kattn.alignment.Alignments`: for each source an `Alignment`, which tells
            what was read as each token was written, and draws it.

        Raises:
            ValueError: As for `search`, or if the model has no attention.

        Example:
            The matrix of a word, as a page of its own:

                model.explain(["attention"]).to_html("alignment.html")
        """
        if self.backbone.attention == "none":
            raise ValueError(
                "What was read is told by attention. Received: a model with "
                "attention='none'"
            )
        _check_positive("beam_width", beam_width)
        write = functools.partial(
            self._search,
            beam_width=beam_width,
            wanted=1,
            return_alignments=True,
            **penalties,
        )
        texts = checked(texts)
        pre, found = self.preprocessor, [None] * len(texts)
        for rows, (tokens, scores, weights) in self._batches(
            texts, write, max_length, batch_size
        ):
            said = pre.generate_postprocess(tokens[:, 0]).numpy()
            for i, row in enumerate(rows):
                read = pre.tokenizer.words([texts[row]]).numpy()[0]
                of_id = pre.target_tokenizer.id_to_token
                written = [of_id(token) for token in tokens[i, 0] if token]
                found[row] = Alignment(
                    source=texts[row],
                    text=said[i].decode(),
                    score=float(scores[i, 0]),
                    source_tokens=[token.decode() for token in read],
                    tokens=written,
                    weights=weights[i, 0, : len(written), : len(read)],
                )
        return Alignments(found)

    def _written(self, texts, write, max_length, batch_size):
        """Hypotheses for each text, of a function that writes for a batch of them."""
        found = [None] * len(texts)
        for rows, (tokens, scores) in self._batches(
            texts, write, max_length, batch_size
        ):
            said = self.preprocessor.generate_postprocess(tokens).numpy()
            for row, some, of in zip(rows, said, scores, strict=True):
                found[row] = [
                    Hypothesis(text.decode(), float(score))
                    for text, score in zip(some, of, strict=True)
                    if score > float("-inf")
                ]
        return found

    def _batches(self, texts, write, max_length, batch_size):
        """Batch by batch which texts they are, and what `write` gives for them."""
        _check_positive("batch_size", batch_size)
        if max_length is not None:
            _check_positive("max_length", max_length)
        pre = self.preprocessor
        if pre is None:
            raise ValueError(
                "Writing texts takes a preprocessor. "
                "Received: a model with preprocessor=None"
            )
        ids = self._source_ids(checked(texts))
        lengths = ids.row_lengths().numpy()
        order = np.argsort(-lengths, kind="stable")  # like with like
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            inputs = pre.pad_sources(tensorflow().gather(ids, rows))
            length = 2 * inputs["encoder_token_ids"].shape[1] + 10
            if max_length is not None:
                length = min(length, max_length)
            inputs = {name: np.asarray(value) for name, value in inputs.items()}
            yield rows, [ops.convert_to_numpy(x) for x in write(inputs, length)]

    def _search(self, inputs, length, beam_width, **options):
        """Tokens `(B, K, L)` and scores `(B, K)` of a batch, and what it was asked."""

        def search(inputs, length):
            found = self.hypotheses(inputs, length, beam_width, **options)
            given = found.tokens, found.scores, found.alignments
            return [x for x in given if x is not None]

        key, given = (beam_width, *sorted(options.items())), [inputs]
        if keras.backend.backend() == "tensorflow":  # one graph for all lengths
            given.append(ops.convert_to_tensor(length, "int32"))
        else:
            search = functools.partial(search, length=length)
            key = (*key, length)
        if key not in self._functions:
            self._functions[key] = compiled(search, self)
        return self._functions[key](*given)

    def _sample(self, inputs, length):
        """Tokens `(B, 1, L)`, and scores of 0, of a batch."""
        pre = self.preprocessor

        def sample(inputs):
            memory, states = self.encode(inputs)
            limits = _limits(inputs, length)
            batch = ops.shape(limits)[0]
            places = ops.arange(length + 2)  # before the first token, and the end
            first = ops.broadcast_to(places == 0, (batch, length + 2))
            full = places > ops.expand_dims(limits, 1)
            prompt = ops.where(first, pre.start_id, ops.where(full, pre.end_id, 0))

            def following(prompt, states, index):
                last = ops.take(prompt, index - 1, axis=1)
                logits, states, _ = self.step(last, states, memory)
                never = ops.any(
                    ops.arange(logits.shape[-1])
                    == ops.reshape(list(self._never()), (-1, 1)),
                    axis=0,
                )
                return ops.where(never, -1e9, logits), None, states

            said = self.sampler(
                following,
                ops.cast(prompt, "int32"),
                states,
                index=1,
                mask=ops.logical_or(first, full),
                stop_token_ids=(pre.end_id,),
                model=self,
            )[:, 1:]
            ended = ops.cumsum(ops.cast(said == pre.end_id, "int32"), axis=1) > 0
            said = ops.where(ended, 0, said)
            return ops.expand_dims(said, 1), ops.zeros((batch, 1))

        key = (length, self.sampler)
        if key not in self._functions:
            chance = self.sampler.variables
            self._functions[key] = compiled(sample, self, chance)
        return self._functions[key](inputs)

    def _never(self):
        """The tokens that are not written."""
        tokens = self.preprocessor.target_tokenizer
        return tokens.pad_token_id, tokens.unk_token_id, self.preprocessor.start_id


def _limits(inputs, length):
    """The most tokens that each source may be written as, `(B,)`."""
    counts = ops.sum(ops.cast(inputs["encoder_padding_mask"], "int32"), axis=1)
    return ops.minimum(ops.where(counts > 0, 2 * counts + 10, 0), length)


def _check_positive(name, value):
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < 1:
        raise ValueError(f"{name} is a positive integer. Received: {name}={value!r}")
