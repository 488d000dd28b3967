"""What is served of a model that writes: texts, and what was read for each token."""

from kattn.text.libraries import tensorflow


def signatures(model, beam_width=5, length_penalty=0.0, coverage_penalty=0.0):
    """Trace a beam search from strings to strings.

    Args:
        model: A `kattn.models.AttentionSeq2Seq` with its preprocessor.
        beam_width: As for the model's `search`.
        length_penalty: Likewise.
        coverage_penalty: Likewise.

    Returns:
        A dictionary of one concrete function under two names, `serving_default` and
        `generate`, as `kattn.export` describes it.

    Raises:
        ValueError: If `beam_width` is not a positive integer.
    """
    tf = tensorflow()
    preprocessor = model.preprocessor
    _, *vocabulary = preprocessor.target_tokenizer.get_vocabulary()
    vocabulary = tf.constant([token.encode() for token in ["", *vocabulary]])
    most = preprocessor.encoder_sequence_length
    text = tf.TensorSpec([None], tf.string, name="text")

    @tf.function(input_signature=[text], autograph=False)
    def generate(text):
        with tf.device("cpu"):
            words = preprocessor.tokenizer.words(text)
            fits = tf.debugging.assert_less_equal(
                words.bounding_shape(axis=1),
                tf.constant(most, tf.int64),
                f"A source has at most {most:,} tokens",
            )
            with tf.control_dependencies([fits]):
                inputs = preprocessor.pad_sources(preprocessor.tokenizer.ids(words))
            shape = tf.shape(inputs["encoder_token_ids"])
            source_tokens = words.to_tensor("", shape=shape)  # (B, Ts)
        found = model.hypotheses(
            inputs,
            length=2 * shape[1] + 10,
            beam_width=beam_width,
            length_penalty=float(length_penalty),
            coverage_penalty=float(coverage_penalty),
            return_alignments=True,
        )
        # Of the length that texts might have, what the longest one has.
        some = tf.reduce_any(found.tokens > 0, axis=[0, 1])
        longest = tf.reduce_sum(tf.cast(some, tf.int32))
        tokens = found.tokens[:, :, :longest]  # (B, K, L)
        with tf.device("cpu"):
            texts = preprocessor.generate_postprocess(tokens)  # ragged
            texts = texts.to_tensor(shape=[None, beam_width])  # (B, K)
            tokens = tf.gather(vocabulary, tokens)
        return {
            "texts": texts,
            "scores": tf.maximum(found.scores, tf.float32.min),  # JSON has no infinity
            "tokens": tokens,
            "source_tokens": source_tokens,
            "alignments": found.alignments[:, :, :longest],
        }

    concrete = generate.get_concrete_function()
    return {"serving_default": concrete, "generate": concrete}


def requests(model):
    """What `kattn.warmup.write` takes: the name of its string, and texts.

    Short and long: about as many tokens as a source may have, be they words or letters.
    """
    most = model.preprocessor.encoder_sequence_length
    return ("text",), ["a", " ".join("a" * (most // 2))]
