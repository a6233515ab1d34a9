"""Warm-up requests: TensorFlow Serving runs them before the first client comes."""

import importlib.util
import logging

import numpy as np
import tensorflow as tf

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"

_FILE_SIZE = 64
_PACKAGE = "tensorflow_serving"
_INSTALL = 'pip install "metalearn_tf[serving]"'


def wants_warm_up(warm_up):
    """Whether to write warm-up requests: `True`, `False`, or `None` to write them if possible.

    Raises:
        ValueError: if `warm_up` is none of the three.
        ImportError: if it is `True` and the package of TensorFlow Serving's messages is missing.
    """
    if warm_up not in (None, True, False):
        raise ValueError(f"`warm_up` must be None, True or False. Received: warm_up={warm_up!r}")
    installed = importlib.util.find_spec(_PACKAGE) is not None
    if warm_up and not installed:
        raise ImportError(f"Warm-up requests need the package tensorflow-serving-api: `{_INSTALL}`")
    if warm_up is None and not installed:
        logging.getLogger(__name__).info("No warm-up requests are written; they need `%s`.", _INSTALL)
    return installed if warm_up is None else warm_up


def example_requests(signatures, ways):
    """One request of noise for each signature: `ways` classes with one support example and one query each.

    Args:
        signatures: the result of `learner_signatures`.
        ways: number of classes, at least 1.

    Returns:
        A dictionary from signature to a dictionary of arrays by input.
    """
    random = np.random.default_rng(0)

    def array(spec):
        if spec.name == "support_labels":
            return np.arange(ways, dtype="int32")
        if spec.name.endswith("_texts"):
            return np.full((ways, *spec.shape[1:]), "a text of a few words", dtype=object)
        if spec.dtype == tf.string:
            return _image_files(random, ways)
        return random.random((ways, *spec.shape[1:]), dtype="float32")

    requests = {
        name: {spec.name: array(spec) for spec in function.structured_input_signature[0]}
        for name, function in signatures.items()
        if name != "predict"
    }
    query = signatures["predict"].structured_input_signature[0][-1]
    state = signatures["adapt"](**{name: tf.constant(value) for name, value in requests["adapt"].items()})
    requests["predict"] = {**{name: tensor.numpy() for name, tensor in state.items()}, query.name: array(query)}
    return requests


def image_requests(signatures, image_range, count=2):
    """One request for each signature that has one input, images or their files: `count` images of noise.

    Args:
        signatures: concrete functions by name.
        image_range: lowest and highest value of a pixel.
        count: number of images.

    Returns:
        As in `example_requests`.
    """
    random = np.random.default_rng(0)

    def array(spec):
        if spec.dtype == tf.string:
            return _image_files(random, count)
        # A network without a fixed image size gets images with the size of the files.
        shape = [_FILE_SIZE if side is None else side for side in spec.shape[1:]]
        return random.uniform(*image_range, (count, *shape)).astype("float32")

    return {
        name: {spec.name: array(spec) for spec in function.structured_input_signature[0]}
        for name, function in signatures.items()
    }


def _image_files(random, count):
    """JPEG files of noise. They have the size of a small photograph, because the graph resizes any file."""
    images = random.integers(0, 256, (count, _FILE_SIZE, _FILE_SIZE, 3), dtype="uint8")
    return np.asarray([tf.io.encode_jpeg(image).numpy() for image in images], dtype=object)


def write_warm_up(requests, directory):
    """Writes `requests`, as in `example_requests`, to the place in a SavedModel where TensorFlow Serving reads them."""
    from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

    file = directory / WARM_UP_FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for name, inputs in requests.items():
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(signature_name=name),
                inputs={key: tf.make_tensor_proto(value) for key, value in inputs.items()},
            )
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
