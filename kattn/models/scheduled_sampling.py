"""Scheduled sampling: a decoder learns to go on from what it would have written.

Bengio, Vinyals, Jaitly, Shazeer: Scheduled Sampling for Sequence Prediction with
Recurrent Neural Networks. NIPS 2015.
"""

from keras import ops

from kattn.layers.scanning import scan
from kattn.text.libraries import tensorflow

#: Stands where the decoder is fed its own token: no tokenizer gives this id.
OWN = -1


class ScheduledSampling:
    """The part of `kattn.models.AttentionSeq2Seq` that feeds the decoder its own words.

    With `compile(scheduled_sampling=k)` the i-th step of training feeds a token of the
    target with the probability

        `e_i = k / (k + exp(i / k))`,

    and else what the decoder holds likeliest after all that it was fed before. It is
    the target that is learned in either case. Early on, e is nearly 1; it is a half at
    `i = k ln k`. Tokens are drawn by `(seed, i)`, so that a run that is resumed goes on
    as it would have. A step takes a reading more, without slopes.

    Reference:
        Bengio et al. 2015, arXiv:1506.03099, section 2.4: each token by itself, the
        likeliest one, inverse sigmoid decay.
    """

    _scheduled_sampling = 0.0

    @property
    def scheduled_sampling(self):
        """k, how slowly the target gives way; 0 where it alone is fed."""
        return self._scheduled_sampling

    @scheduled_sampling.setter
    def scheduled_sampling(self, k):
        if k and not k >= 1:
            raise ValueError(
                "`scheduled_sampling` is at least 1, the k of k / (k + exp(i / k)), or "
                f"0 for none. Received: {k!r}"
            )
        self._scheduled_sampling = float(k)

    def call(self, inputs, training=None, mask=None):
        """The logits; in training of what is fed, where tokens are to be its own."""
        if training and self.scheduled_sampling:
            inputs = {**inputs, "decoder_token_ids": self.fed(inputs)}
        return super().call(inputs, training=training, mask=mask)

    def fed(self, inputs):
        """What the decoder is fed, step by step, where some tokens are to be its own.

        Args:
            inputs: The model's inputs, the decoder's ids `OWN` at these tokens.

        Returns:
            The decoder's ids, `(B, T)`.
        """
        memory, states = self.encode(
            {name: x for name, x in inputs.items() if name.startswith("encoder")}
        )

        def step(before, asked):
            _, said, *states = before
            fed = ops.where(asked == OWN, said, asked)  # (B,)
            logits, states, _ = self.step(fed, states, memory)
            said = ops.cast(ops.argmax(logits, axis=-1), fed.dtype)
            return [fed, said, *states]

        asked = inputs["decoder_token_ids"]
        nothing = ops.zeros_like(asked[:, 0])
        start = [nothing, nothing, *states]
        _, (fed,) = scan(step, start, ops.swapaxes(asked, 0, 1), kept=1)
        return ops.swapaxes(fed, 0, 1)

    def get_compile_config(self):
        """What `compile` was given, for a model that is saved and trained further."""
        config = super().get_compile_config()
        return config and {**config, "scheduled_sampling": self.scheduled_sampling}


def scheduled(batches, k, seed, first):
    """Batches whose decoders are fed their own tokens, more and more.

    Args:
        batches: A `tf.data.Dataset` of `(inputs, ids, mask)`, a batch for each step.
        k: As for `ScheduledSampling`.
        seed: What tokens are drawn from, with the step.
        first: The number of the first step.

    Returns:
        A `tf.data.Dataset` of the same, with `OWN` among the decoder's ids.
    """
    tf = tensorflow()

    def drawn(step, batch):
        x, *targets = batch
        ids = x["decoder_token_ids"]  # (B, T)
        share = tf.sigmoid(tf.math.log(float(k)) - tf.cast(step, tf.float32) / k)
        key = tf.stack([tf.cast(seed, tf.int64), step])
        own = tf.random.stateless_uniform(tf.shape(ids), key) >= share
        # The first is "[START]", which nobody writes.
        own &= x["decoder_padding_mask"] & (tf.range(tf.shape(ids)[1]) > 0)
        return {**x, "decoder_token_ids": tf.where(own, OWN, ids)}, *targets

    return batches.enumerate(first).map(drawn)
