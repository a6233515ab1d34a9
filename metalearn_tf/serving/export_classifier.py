"""Writes classifiers and feature extractors of images as SavedModels."""

import keras
import tensorflow as tf

from metalearn_tf.data.image_range import check_limits
from metalearn_tf.networks.batch_dependence import check_batch_independence
from metalearn_tf.serving.classifier_card import classifier_card, features_card
from metalearn_tf.serving.encoded_images import decode_images, takes_encoded_images
from metalearn_tf.serving.export import check_destination, model_name, write_saved_model
from metalearn_tf.serving.request_checks import check_answer, check_image_values
from metalearn_tf.serving.warm_up import image_requests, wants_warm_up

CLASS_NAMES_FILE = "class_names.txt"


def export_classifier(model, path, class_names=None, description=None, warm_up=None, image_range=(0.0, 1.0)):
    """Writes a SavedModel that classifies images, for a server without Python.

    | signature | inputs | outputs |
    |---|---|---|
    | `serving_default`, `predict` | `images` (n, H, W, C) float32 | `probabilities` (n, classes), `labels` (n,) int32 |
    | `predict_bytes` | `image_bytes` (n,) string, PNG or JPEG | the same |

    A network of images that no file holds, or of no fixed size, has no `predict_bytes`. The names of the classes, one
    a line in the order of the labels, are in the SavedModel's `assets/class_names.txt` and in its `model_card.md`.

    ```python
    mtf.serving.export_classifier(model, "saved_models/pets/1", class_names=["cat", "dog"])
    ```

    Args:
        model: a built `keras.Model` from images to logits or probabilities `(n, classes)`. They are taken for
            probabilities where the last activation is a softmax, and for logits where it is linear.
        path: the folder to write, which must not exist yet; see `export_learner`.
        class_names: a name for each class, in the order of the labels; or `None`.
        description: text for the model card: what the model was trained on, and how.
        warm_up: as in `export_learner`.
        image_range: lowest and highest value of a pixel that the model was trained on.

    Raises:
        FileExistsError: if there is something at `path`.
        ValueError: if an argument is not of its kind, or the model is no classifier of images, each by itself.
        ImportError: as in `export_learner`.
    """
    path, warm_up = check_destination(path, description), wants_warm_up(warm_up)
    _check_network(model, "model", "logits or probabilities (n, classes), of two classes or more")
    check_batch_independence(model, "model")
    check_limits(image_range)
    if model.output_shape[1] < 2:
        raise ValueError(f"`model` must have two outputs or more. Received: output shape {model.output_shape}")
    class_names = _check_class_names(class_names, model.output_shape[1])
    gives_probabilities = _gives_probabilities(model)

    def answer(images):
        outputs = tf.cast(model(images, training=False), tf.float32)
        probabilities = check_answer(outputs if gives_probabilities else tf.nn.softmax(outputs), "probabilities")
        return {"probabilities": probabilities, "labels": tf.argmax(probabilities, axis=-1, output_type=tf.int32)}

    signatures = _image_signatures(model, answer, "predict", image_range)
    card = classifier_card(model, signatures, model_name(path), image_range, description, class_names)
    assets = None if class_names is None else {CLASS_NAMES_FILE: "\n".join(class_names) + "\n"}
    requests = image_requests(signatures, image_range) if warm_up else None
    write_saved_model(path, signatures, model.variables, card, requests, assets=assets)


def export_features(backbone, path, description=None, warm_up=None, image_range=(0.0, 1.0)):
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

    Raises:
        FileExistsError: if there is something at `path`.
        ValueError: if an argument is not of its kind, or the backbone is none of images.
        ImportError: as in `export_learner`.
    """
    path, warm_up = check_destination(path, description), wants_warm_up(warm_up)
    _check_network(backbone, "backbone", "features (n, d)")
    check_batch_independence(backbone, "backbone")
    check_limits(image_range)

    def answer(images):
        return {"embeddings": check_answer(tf.cast(backbone(images, training=False), tf.float32), "embeddings")}

    signatures = _image_signatures(backbone, answer, "embed", image_range)
    card = features_card(backbone, signatures, model_name(path), image_range, description)
    requests = image_requests(signatures, image_range) if warm_up else None
    write_saved_model(path, signatures, backbone.variables, card, requests)


def _image_signatures(network, answer, name, image_range):
    """The concrete functions that answer images, and their files where there are such; the first as the default."""
    shape, (low, high) = network.input_shape[1:], image_range
    images = tf.TensorSpec((None, *shape), tf.float32, name="images")
    # A function of its own, which the signatures call: its graph is stored once.
    answer = tf.function(answer, input_signature=[images], autograph=False)

    @tf.function(input_signature=[images])
    def of_images(images):
        return answer(check_image_values(images, shape, image_range, 1, "images"))

    functions = {"serving_default": of_images, name: of_images}
    if takes_encoded_images(network):

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
        def of_bytes(image_bytes):
            return answer(decode_images(image_bytes, shape, "image_bytes") * (high - low) + low)

        functions[f"{name}_bytes"] = of_bytes
    return {name: function.get_concrete_function() for name, function in functions.items()}


def _gives_probabilities(model):
    """Whether the last activation is a softmax.

    Raises:
        ValueError: if it is neither a softmax nor linear, so that the outputs may be anything.
    """
    layer = model
    while getattr(layer, "outputs", None):  # the layer that gives a model's output may be a model itself
        layer = layer.outputs[0]._keras_history.operation
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


def _check_network(network, argument, outputs):
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


def _check_class_names(class_names, classes):
    """The names as a list; `None` as it is."""
    if class_names is None:
        return None
    names = [class_names] if isinstance(class_names, str) else list(class_names)
    # A name of two lines would be two in the file.
    single = all(isinstance(name, str) and name.strip() and name.splitlines() == [name] for name in names)
    if len(names) != classes or len(set(names)) != len(names) or not single:
        raise ValueError(
            f"`class_names` must be {classes} distinct names of one line each, as many as the model has outputs. "
            f"Received: {len(names)} names, {names[:10]}"
        )
    return names
