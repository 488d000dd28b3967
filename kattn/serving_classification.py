"""What is served of a classifier: labels, and what it looked at."""

from kattn import warmup
from kattn.text.libraries import tensorflow


def signatures(classifier):
    """Trace a classifier from strings, and from ids, to labels and attention.

    Args:
        classifier: A `kattn.models.TextClassifier` with its preprocessor.

    Returns:
        A dictionary of concrete functions: `serving_default`, `attend` and `ids`, as
        `kattn.export` describes them.
    """
    tf = tensorflow()
    preprocessor = classifier.preprocessor
    model = classifier.attention_model()
    labels = tf.constant([label.encode() for label in classifier.labels])

    # One string an example, called `text`, or two.
    fields = preprocessor.fields
    prefixes = [""] if len(fields) == 1 else [f"{field}_" for field in fields]
    texts = [tf.TensorSpec([None], tf.string, name=field) for field in fields]

    def said(logits):
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))  # (B, num_classes)
        label = tf.gather(labels, tf.argmax(probabilities, axis=-1))
        return {"probabilities": probabilities, "label": label}

    @tf.function(input_signature=texts, autograph=False)
    def attend(*texts):
        with tf.device("cpu"):
            words = preprocessor.words(texts if len(fields) > 1 else texts[0])
            inputs = preprocessor.pad(preprocessor.look_up(words))
            shown = {}
            for prefix, part in zip(prefixes, tf.nest.flatten(words), strict=True):
                shape = tf.shape(inputs[f"{prefix}token_ids"], tf.int64)
                shown[f"{prefix}words"] = part.to_tensor("", shape=shape)
        outputs = dict(model(inputs, training=False))
        return {
            **said(outputs.pop("logits")),
            **shown,
            **{name: tf.cast(x, tf.float32) for name, x in outputs.items()},
        }

    @tf.function(input_signature=texts, autograph=False)
    def serving_default(*texts):
        outputs = attend(*texts)
        return {name: outputs[name] for name in ("probabilities", "label")}

    # Ids, and what is live among them.
    masks = {f"{p}token_ids": f"{p}padding_mask" for p in prefixes}
    numbers = [
        tf.TensorSpec(classifier.input[name].shape, tf.int32, name=name)
        for name in masks
    ]

    @tf.function(input_signature=numbers, autograph=False)
    def from_ids(*numbers):
        given = dict(zip(masks, numbers, strict=True))
        live = {masks[name]: x != 0 for name, x in given.items()}
        return said(classifier({**given, **live}, training=False))

    # Concrete functions, because `save` would trace others anew, outside `portable`.
    return {
        "serving_default": serving_default.get_concrete_function(),
        "attend": attend.get_concrete_function(),
        "ids": from_ids.get_concrete_function(),
    }


def requests(classifier):
    """What `kattn.warmup.write` takes: the names of its strings, and texts."""
    return classifier.preprocessor.fields, warmup.TEXTS
