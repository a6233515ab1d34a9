"""Writes classifiers and feature extractors of images as SavedModels."""

import keras
import tensorflow as tf

from metalearn_tf.checks.class_names import check_class_names
from metalearn_tf.checks.image_range import check_limits
from metalearn_tf.engine.in_blocks import in_blocks
from metalearn_tf.engine.keras_internals import origin_of
from metalearn_tf.networks.batch_dependence import check_batch_independence
from metalearn_tf.networks.input_scale import check_range_is_taken
from metalearn_tf.serving.classifier_card import classifier_card, features_card
from metalearn_tf.serving.encoded_images import decode_images, read_files, takes_encoded_images
from metalearn_tf.serving.export import check_destination, model_name, write_saved_model
from metalearn_tf.serving.limits import export_limits, image_limits
from metalearn_tf.serving.model_card import card_facts
from metalearn_tf.serving.request_checks import check_answer, check_image_values
from metalearn_tf.serving.warm_up import image_requests, wants_warm_up

CLASS_NAMES_FILE = "class_names.txt"

# The number of images to predict at the same time, so memory does not grow with a request.
AT_ONCE = 64


def export_classifier(model, path, class_names=None, description=None, warm_up=None, image_range=(0.0, 1.0), **limits):
    """Writes a SavedModel that classifies images, for a server without Python.

    | signature | inputs | outputs |
    |---|---|---|
    | `serving_default`, `predict` | `images` (n, H, W, C) float32 | `probabilities` (n, classes), `labels` (n,) int32 |
    | `predict_bytes` | `image_bytes` (n,) string, PNG or JPEG | the same |

    There is no `predict_bytes` if image files do not fit the network, or if it has no fixed image size. The names of
    the classes are in the SavedModel's `assets/class_names.txt` (one per line, in the order of the labels) and in its
    `model_card.md`.

    ```python
    mtf.serving.export_classifier(model, "saved_models/pets/1", class_names=["cat", "dog"])
    ```

    Args:
        model: a built `keras.Model` from images to logits or probabilities `(n, classes)`. They count as probabilities
            if the last activation is a softmax, and as logits if it is linear.
        path: the folder to write, which must not exist yet; see `export_learner`.
        class_names: a name for each class, in the order of the labels; or `None`.
        description: text for the model card: what the model was trained on, and how.
        warm_up: as in `export_learner`.
        image_range: lowest and highest value of a pixel that the model was trained on.
        **limits: the largest values that a request may have, integers: `max_images` (1,024) images. For files, and
            for a network that takes images of any size: `max_pixels` (16,777,216) in an image and `max_total_pixels`
            (536,870,912) in all of them. A request beyond a limit is refused before any work.

    Raises:
        FileExistsError: if `path` already exists.
        ValueError: if an argument is wrong, the model does not classify each image separately, or it is for images of
            another range.
        TypeError: if a limit is none of these, or does not apply to the inputs of this model.
        ImportError: as in `export_learner`.
    """
    path, warm_up = check_destination(path, description), wants_warm_up(warm_up)
    limits = _check_network(
        model, "model", "logits or probabilities (n, classes), of two classes or more", image_range, limits
    )
    if model.output_shape[1] < 2:
        raise ValueError(f"`model` must have two outputs or more. Received: output shape {model.output_shape}")
    class_names = _names_of_one_line(class_names, model.output_shape[1])
    gives_probabilities = _gives_probabilities(model)

    def answer(images):
        outputs = tf.cast(model(images, training=False), tf.float32)
        return outputs if gives_probabilities else tf.nn.softmax(outputs)

    def named(outputs):
        probabilities = check_answer(outputs, "probabilities")
        return {"probabilities": probabilities, "labels": tf.argmax(probabilities, axis=-1, output_type=tf.int32)}

    signatures = _image_signatures(model, answer, named, "predict", image_range, limits)
    card = classifier_card(model, signatures, model_name(path), image_range, limits, description, class_names)
    assets = None if class_names is None else {CLASS_NAMES_FILE: "\n".join(class_names) + "\n"}
    _write(path, model, signatures, card, image_range, limits, warm_up, assets)


def export_features(backbone, path, description=None, warm_up=None, image_range=(0.0, 1.0), **limits):
    """Writes a SavedModel that turns images into features, for a server without Python.

    | signature | inputs | outputs |
    |---|---|---|
    | `serving_default`, `embed` | `images` (n, H, W, C) float32 | `embeddings` (n, d) float32 |
    | `embed_bytes` | `image_bytes` (n,) string, PNG or JPEG | the same |

    Args:
        backbone: a built `keras.Model` from images to features `(n, d)`.
        path: as in `export_classifier`.
        description: as in `export_classifier`.
        warm_up: as in `export_learner`.
        image_range: as in `export_classifier`.
        **limits: as in `export_classifier`.

    Raises:
        FileExistsError: if `path` already exists.
        ValueError: if an argument is wrong, the backbone does not take images, or it is for images of another range.
        TypeError: as in `export_classifier`.
        ImportError: as in `export_learner`.
    """
    path, warm_up = check_destination(path, description), wants_warm_up(warm_up)
    limits = _check_network(backbone, "backbone", "features (n, d)", image_range, limits)

    def answer(images):
        return tf.cast(backbone(images, training=False), tf.float32)

    def named(outputs):
        return {"embeddings": check_answer(outputs, "embeddings")}

    signatures = _image_signatures(backbone, answer, named, "embed", image_range, limits)
    card = features_card(backbone, signatures, model_name(path), image_range, limits, description)
    _write(path, backbone, signatures, card, image_range, limits, warm_up)


def _write(path, model, signatures, card, image_range, limits, warm_up, assets=None):
    requests = image_requests(signatures, image_range, min(2, limits["max_images"])) if warm_up else None
    facts = card_facts(model, signatures, model_name(path), limits)
    write_saved_model(path, signatures, model.variables, card, facts, requests, assets=assets)


def _image_signatures(network, answer, named, name, image_range, limits):
    """The concrete functions for images and, if possible, for image files. The first one is the default.

    Args:
        network: a network of images.
        answer: function from images to outputs, each image separately.
        named: function from all outputs to a dictionary of them.
        name: the name of the signature.
        image_range: lowest and highest value of a pixel.
        limits: a dictionary, see `mtf.serving.limits`.
    """
    shape, (low, high) = network.input_shape[1:], image_range
    images = tf.TensorSpec((None, *shape), tf.float32, name="images")
    # A separate function, which the signatures call, so its graph is stored only once.
    answer = tf.function(answer, input_signature=[images], autograph=False)

    @tf.function(input_signature=[images])
    def of_images(images):
        images = check_image_values(images, shape, image_range, 1, "images", limits, "max_images")
        return named(in_blocks(answer, images, AT_ONCE))

    functions = {"serving_default": of_images, name: of_images}
    if takes_encoded_images(network):

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
        def of_bytes(image_bytes):
            def answer_files(files):
                return answer(decode_images(files, shape, "image_bytes") * (high - low) + low)

            files = read_files(image_bytes, "image_bytes", limits, "max_images")
            return named(in_blocks(answer_files, files, AT_ONCE))

        functions[f"{name}_bytes"] = of_bytes
    return {name: function.get_concrete_function() for name, function in functions.items()}


def _gives_probabilities(model):
    """Whether the last activation is a softmax.

    Raises:
        ValueError: if it is neither a softmax nor linear, because the outputs may then be anything.
    """
    layer = model
    while getattr(layer, "outputs", None):  # the layer that gives a model's output may be a model itself
        layer = origin_of(layer.outputs[0]).operation
    activation = getattr(getattr(layer, "activation", None), "__name__", None)
    if isinstance(layer, keras.layers.Softmax) or activation == "softmax":
        return True
    if isinstance(layer, keras.layers.Dense) and activation == "linear":
        return False
    raise ValueError(
        "`model` must end with a softmax, or with a Dense layer of logits without activation; "
        "`keras.Sequential([model, keras.layers.Softmax()])` makes probabilities of logits. "
        f"Received: the last layer {layer.name!r}, {type(layer).__name__} with activation {activation!r}"
    )


def _check_network(network, argument, outputs, image_range, limits):
    """Checks that a network takes images of a range, each separately, and returns the limits of the export."""
    if not isinstance(network, keras.Model) or not network.built or not hasattr(network, "input_shape"):
        raise ValueError(
            f"`{argument}` must be a built keras.Model with known shapes, such as `keras.Model(inputs, outputs)`. "
            f"Received: {type(network).__name__}"
        )
    shapes = network.input_shape, network.output_shape
    if not all(isinstance(shape, tuple) for shape in shapes) or [len(shape) for shape in shapes] != [4, 2]:
        raise ValueError(
            f"`{argument}` must take images (n, height, width, channels) and give {outputs}. "
            f"Received: input shape {shapes[0]} and output shape {shapes[1]}"
        )
    check_batch_independence(network, argument)
    check_limits(image_range)
    check_range_is_taken(network, image_range)
    shape = network.input_shape[1:]
    return export_limits(limits, ["max_images", *image_limits(shape, takes_encoded_images(network))])


def _names_of_one_line(class_names, classes):
    """Checks the names, and returns them as a list; `None` stays `None`."""
    if class_names is None:
        return None
    names = check_class_names(class_names, classes)
    # A name with two lines would become two names in the file.
    if not all(isinstance(name, str) and name.strip() and name.splitlines() == [name] for name in names):
        raise ValueError(f"`class_names` must be names of one line each. Received: {names[:10]}")
    return names
