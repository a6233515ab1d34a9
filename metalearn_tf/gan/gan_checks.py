"""Checks on the networks, options and data of a GAN, made before any work is done."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.whole_numbers import check_whole
from metalearn_tf.gan.augmentation import check_policy
from metalearn_tf.gan.losses import get_losses
from metalearn_tf.gan.penalties import get_penalty
from metalearn_tf.networks.task_normalization import TaskNormalization

_BATCH_NORMALIZATIONS = (keras.layers.BatchNormalization, TaskNormalization)


def check_networks(generator, discriminator, encoder=None):
    """Refuses networks that are not built functional models or whose shapes do not meet."""
    networks = {"generator": generator, "discriminator": discriminator}
    networks.update({} if encoder is None else {"encoder": encoder})
    for name, network in networks.items():
        if not isinstance(network, keras.Model) or not network.built or not getattr(network, "inputs", None):
            raise ValueError(
                f"`{name}` must be a built keras.Model with known inputs, such as `keras.Model(inputs, outputs)`. "
                f"Received: {type(network).__name__}"
            )
    shapes = {name: [tuple(x.shape[1:]) for x in network.inputs] for name, network in networks.items()}
    outputs = {name: tuple(network.output_shape[1:]) for name, network in networks.items()}
    noise, images = shapes["generator"][0], outputs["generator"]
    if len(noise) != 1 or len(shapes["generator"]) > 2:
        raise ValueError(
            "`generator` must take noise (n, latent_dim), or [noise, labels]. "
            f"Received: inputs of the shapes {shapes['generator']}"
        )
    if shapes["discriminator"][0] != images:
        raise ValueError(
            f"`discriminator` must take what the generator puts out, images of the shape {images}. "
            f"Received: a discriminator of images of the shape {shapes['discriminator'][0]}"
        )
    if shapes["generator"][1:] != shapes["discriminator"][1:]:
        raise ValueError(
            "`generator` and `discriminator` must both take labels of the same shape, or both none. Received: labels "
            f"of the shapes {shapes['generator'][1:]} and {shapes['discriminator'][1:]}"
        )
    if outputs["discriminator"] != (1,):
        raise ValueError(f"`discriminator` must put out logits (n, 1). Received: (n, {outputs['discriminator']})")
    if encoder is not None and (shapes["encoder"][0] != images or outputs["encoder"] != noise):
        raise ValueError(
            f"`encoder` must go from images of the shape {images} to noise of the shape {noise}. "
            f"Received: {shapes['encoder'][0]} to {outputs['encoder']}"
        )


def check_options(gan):
    """Refuses options that are unknown, out of range or without effect."""
    objective = gan.objective
    get_losses(objective.loss)
    if objective.penalty is not None:
        get_penalty(objective.penalty)
        mixing = [
            layer.name for layer in gan.discriminator._flatten_layers() if isinstance(layer, _BATCH_NORMALIZATIONS)
        ]
        if mixing:
            raise ValueError(
                "`penalty` needs a discriminator without batch normalisation, which makes an image's logit depend on "
                f'other images; `dcgan(discriminator_normalization="layer")` has one. Received: the layers {mixing}'
            )
    elif objective.penalty_weight is not None:
        raise ValueError(f"`penalty_weight` needs a `penalty`. Received: {objective.penalty_weight!r}")
    if objective.augmentation is not None:
        check_policy(objective.augmentation)
    for name in ("penalty_weight", "feature_matching_weight", "reconstruction_weight"):
        weight = getattr(objective, name)
        if weight is not None and not weight >= 0:
            raise ValueError(f"`{name}` must not be negative. Received: {weight!r}")
    check_whole(discriminator_steps=gan.discriminator_steps)
    if gan.average_decay is not None and not 0 <= gan.average_decay < 1:
        raise ValueError(f"`average_decay` must be in [0, 1), or None. Received: {gan.average_decay!r}")
    if objective.feature_matching_weight and "features" not in [layer.name for layer in gan.discriminator.layers]:
        raise ValueError(
            '`feature_matching_weight` needs a layer named "features" in the discriminator. '
            f"Received: layers {[layer.name for layer in gan.discriminator.layers]}"
        )
    if (gan.encoder is not None) and not objective.reconstruction_weight:
        raise ValueError("`encoder` needs a positive `reconstruction_weight`. Received: 0")
    if objective.reconstruction_weight and gan.encoder is None and not has_pairs(gan):
        raise ValueError(
            "`reconstruction_weight` needs an `encoder`, or networks that take source images as labels. "
            f"Received: {objective.reconstruction_weight!r}"
        )


def check_monitor(monitor, mode):
    """The name of a log and the direction in which it is better, as they came."""
    if monitor is not None and not isinstance(monitor, str):
        raise ValueError(f"`monitor` must be the name of a log, or None. Received: {monitor!r}")
    if mode not in ("min", "max"):
        raise ValueError(f'`mode` must be "min" or "max". Received: {mode!r}')
    return monitor, mode


def check_training_data(gan, x, y):
    """Refuses images and labels that do not fit the networks; of a dataset, in its first batch."""
    name = "`x`"
    if isinstance(x, tf.data.Dataset):
        first = next(iter(x.take(1)), None)
        if first is None:
            raise ValueError("`x` must have at least one batch. Received: an empty dataset")
        x, y, _ = keras.utils.unpack_x_y_sample_weight(first)
        name = "the first batch of `x`"
    elif not hasattr(x, "shape"):
        return  # a generator or a PyDataset, which only Keras can read
    check_images(gan, x, name)
    check_labels(gan, y, len(x))


def check_images(gan, images, name="`images`"):
    """Refuses images of another shape, dtype or range than the generator's.

    Returns:
        The images as a NumPy array.
    """
    images, shape, limits = np.asarray(images), gan.image_shape, gan.image_range
    if images.ndim != 4 or not _fits(images.shape[1:], shape):
        raise ValueError(
            f"{name} must have the shape (n, {', '.join(map(str, shape))}) of the generator's images. "
            f"Received: shape {images.shape}"
        )
    if len(images) == 0:
        raise ValueError(f"{name} must hold at least one image. Received: none")
    if images.dtype == np.uint8:
        if limits is None:
            raise ValueError(
                f"{name} must be floating for a generator whose last activation is neither tanh nor sigmoid. "
                "Received: uint8"
            )
        return images
    if images.dtype.kind != "f":
        raise ValueError(f"{name} must be floating, or uint8. Received: dtype={images.dtype}")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"{name} must be finite. Received: NaN or infinite pixels")
    # A little more than the bounds is what resizing and arithmetic of low precision leave.
    if limits is not None and not (limits[0] - 0.01 <= low and high <= limits[1] + 0.01):
        raise ValueError(
            f"{name} must be in the range [{limits[0]:g}, {limits[1]:g}] of the generator; uint8 images are brought "
            f"there by themselves. Received: values from {low:g} to {high:g}"
        )
    return images


def check_labels(gan, labels, count):
    """Refuses labels for networks that take none, and their absence for others."""
    if not gan.conditional:
        if labels is not None:
            raise ValueError("`labels` must be None: the networks take no labels. Received: labels")
        return
    if labels is None:
        raise ValueError("`labels` are needed: the networks take labels beside noise and images. Received: None")
    labels, shape = np.asarray(labels), tuple(gan.generator.inputs[1].shape[1:])
    if labels.shape != (count, *shape):
        raise ValueError(f"`labels` must have the shape {(count, *shape)}. Received: shape {labels.shape}")
    if has_pairs(gan):
        check_images(gan, labels, "`labels`")
        return
    classes = gan.number_of_classes
    if labels.dtype.kind not in "iu":
        raise ValueError(f"`labels` must be integers. Received: dtype={labels.dtype}")
    if classes is not None and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"`labels` must be in [0, {classes}), the classes of the generator. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )


def check_sampling(gan, n, labels):
    """The labels to sample, each class in turn where there are none.

    Raises:
        ValueError: see `GAN.sample`.
    """
    check_whole(n=n)
    if labels is None and gan.conditional and not has_pairs(gan):
        classes = gan.number_of_classes
        if classes is None:
            raise ValueError("`labels` are needed: the generator does not say how many classes it has. Received: None")
        labels = np.arange(n) % classes
    check_labels(gan, labels, n)
    if labels is None or has_pairs(gan):
        return labels
    return np.asarray(labels, "int32")


def has_pairs(gan):
    """Whether the second input is an image."""
    return gan.conditional and len(gan.generator.inputs[1].shape) == 4


def _fits(shape, expected):
    return len(shape) == len(expected) and all(want is None or want == side for side, want in zip(shape, expected))
