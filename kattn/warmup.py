"""Requests that TensorFlow Serving answers before it takes those of users."""

import importlib.util

from kattn.text.libraries import tensorflow

#: Where TensorFlow Serving looks for them, in the folder of a version.
PATH = "assets.extra/tf_serving_warmup_requests"
#: Short and long: what is traced or allocated late is so by then.
TEXTS = ["A short text.", "A longer text, of more than a sentence. " * 60]
_SIZES = (1, 32)  # alone and in a batch


def available() -> bool:
    """Whether the package that knows the form of requests is installed."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write(folder, fields, texts) -> None:
    """Write the requests into the folder of a version.

    Args:
        folder: A `pathlib.Path`.
        fields: The names of the strings that the model takes.
        texts: Strings that it takes, each of which is sent alone and in a batch.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    tf = tensorflow()
    path = folder / PATH
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in _SIZES:
            for text in texts:
                request = predict_pb2.PredictRequest()
                request.model_spec.signature_name = "serving_default"
                for field in fields:
                    strings = tf.make_tensor_proto([text] * size, tf.string)
                    request.inputs[field].CopyFrom(strings)
                log = prediction_log_pb2.PredictLog(request=request)
                log = prediction_log_pb2.PredictionLog(predict_log=log)
                writer.write(log.SerializeToString())
