"""The networks whose features are compared in the scores of generated images."""

import dataclasses
from importlib import resources

import keras

from metalearn_tf.networks.checks import check_image_network


@dataclasses.dataclass(frozen=True)
class _Shipped:
    image_shape: tuple
    classes: int
    features: int


_SHIPPED = {
    "mnist": _Shipped((28, 28, 1), 10, 64),
    "fashion_mnist": _Shipped((28, 28, 1), 10, 64),
    "omniglot": _Shipped((28, 28, 1), 964, 64),
    "cifar10": _Shipped((32, 32, 3), 10, 128),
}


def feature_network(name):
    """The features of a small classifier that ships with the library.

    Scores from different networks cannot be compared with each other, nor with published scores, which use InceptionV3.
    So print the name of the network beside the score.

    Args:
        name: `"mnist"`, `"fashion_mnist"`, `"omniglot"` or `"cifar10"`; see `feature_classifier`.

    Input shape: `(batch, 28, 28, 1)`, or `(batch, 32, 32, 3)` for `"cifar10"`, floating, in `[-1, 1]`.
    Output shape: `(batch, 64)`, or `(batch, 128)` for `"cifar10"`, float32, not negative.

    Returns:
        A built `keras.Model` with frozen weights: the classifier up to its `"features"` layer.

    Raises:
        ValueError: if the name is unknown.
    """
    classifier = feature_classifier(name)
    network = keras.Model(classifier.input, classifier.get_layer("features").output, name=f"{name}_features")
    network.trainable = False
    return network


def feature_classifier(name):
    """A small classifier that ships with the library.

    | name | images | classes |
    |---|---|---|
    | `"mnist"`, `"fashion_mnist"` | 28 × 28 × 1 | 10, numbered as published |
    | `"omniglot"` | 28 × 28 × 1, white ink (1) on black (-1) | 964, the background characters |
    | `"cifar10"` | 32 × 32 × 3 | 10, numbered as published |

    Omniglot's classes are numbered as in `load("omniglot", "train", protocol="lake")` merged with `"validation"`; the
    network was not trained on any evaluation alphabet. `weights/README.md` beside this file gives the training and the
    accuracy of each network.

    Args:
        name: a name from the table.

    Input shape: `(batch, 28, 28, 1)`, or `(batch, 32, 32, 3)` for `"cifar10"`, floating, in `[-1, 1]`.
    Output shape: `(batch, classes)` float32, probabilities.

    Returns:
        A built `keras.Model`, uncompiled; it computes in float32 under any global policy.

    Raises:
        ValueError: if the name is unknown.
    """
    if not isinstance(name, str) or name not in _SHIPPED:
        raise ValueError(
            f"`name` must be one of {sorted(_SHIPPED)}; `train_feature_classifier` makes one of your own data. "
            f"Received: name={name!r}"
        )
    shipped = _SHIPPED[name]
    classifier = build_classifier(
        shipped.image_shape, shipped.classes, shipped.features, dtype="float32", name=f"{name}_classifier"
    )
    weights = resources.files("metalearn_tf.evaluation").joinpath("weights", f"{name}.weights.h5")
    with resources.as_file(weights) as path:
        classifier.load_weights(path)
    return classifier


def build_classifier(image_shape, classes, features=64, dtype=None, seed=0, name="classifier"):
    """The architecture of the shipped classifiers: four convolutions, three halvings, then the mean over all pixels.

    Args:
        image_shape: `(height, width, channels)`, at least 8 pixels a side.
        classes: width of the softmax.
        features: width of the layer before it, `"features"`.
        dtype: dtype of the layers; the global policy by default.
        seed: integer, for the initial weights.
        name: the model's name.

    Returns:
        A built `keras.Model` from images in `[-1, 1]` to probabilities `(batch, classes)`.
    """
    check_image_network(image_shape, classes, smallest_side=8, features=features)
    x = inputs = keras.Input(image_shape, name="images")
    for block, filters in enumerate((32, 64, 64, features), 1):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(seed=seed + block),
            dtype=dtype,
            name=f"convolution_{block}",
        )(x)
        if block < 4:
            # Pooling before the normalisation, which then has a quarter of the work.
            x = keras.layers.MaxPooling2D(2, dtype=dtype, name=f"pooling_{block}")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"normalization_{block}")(x)
        x = keras.layers.ReLU(dtype=dtype, name=f"relu_{block}")(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(x)
    head = keras.initializers.GlorotUniform(seed=seed)
    outputs = keras.layers.Dense(
        classes, activation="softmax", kernel_initializer=head, dtype="float32", name="probabilities"
    )(x)
    return keras.Model(inputs, outputs, name=name)


def inception_features(image_shape=(32, 32, 3), weights="imagenet"):
    """InceptionV3 up to its global pooling, for images of any size. Most published FIDs use this network.

    Images are resized to 299 × 299; grey images are repeated over three channels. Published scores use the weights of a
    graph from 2015. Keras's weights differ from these, so the figures are near the published ones but not the same.

    Args:
        image_shape: `(height, width, channels)` with 1 or 3 channels.
        weights: `"imagenet"`, which Keras downloads on its first use, the path of a weights file of
            `keras.applications.InceptionV3` without its top, or `None` for random weights.

    Input shape: `(batch, height, width, channels)`, floating, in `[-1, 1]`.
    Output shape: `(batch, 2048)` float32.

    Returns:
        A built `keras.Model` with frozen weights.

    Raises:
        ValueError: if `image_shape` is not the shape of such images.

    Reference: [Szegedy et al., 2016](https://arxiv.org/abs/1512.00567)
    """
    check_image_network(image_shape, None, smallest_side=1)
    if image_shape[2] not in (1, 3):
        raise ValueError(f"`image_shape` must have 1 or 3 channels. Received: {image_shape}")
    x = inputs = keras.Input(image_shape, name="images", dtype="float32")
    if image_shape[2] == 1:
        x = keras.layers.Concatenate(dtype="float32", name="grey_to_color")([x, x, x])
    x = keras.layers.Resizing(299, 299, dtype="float32", name="resized")(x)
    x = keras.applications.InceptionV3(include_top=False, weights=weights, pooling="avg")(x)
    network = keras.Model(inputs, keras.layers.Identity(dtype="float32", name="features")(x), name="inception_features")
    network.trainable = False
    return network
