"""Checks on a MetaGAN and its tasks, made before any work is done."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.gan.gan import GAN
from metalearn_tf.gan.gan_checks import check_images, check_labels, condition_of, first_batch
from metalearn_tf.gan.network_checks import check_trainable, has_pairs
from metalearn_tf.gan.players_optimizer import check_unused
from metalearn_tf.gan.task_data import split_tasks
from metalearn_tf.networks.second_derivatives import check_second_derivatives

ALGORITHMS = ("reptile", "fomaml", "maml")


def check_meta_gan(gan, algorithm, inner_learning_rate, inner_optimizer, learned_rates):
    """Refuses GANs that cannot adapt in an inner loop, and options that do not go with the algorithm."""
    if not isinstance(gan, GAN):
        raise ValueError(f"`gan` must be a GAN. Received: {type(gan).__name__}")
    if has_pairs(gan) or gan.encoder is not None:
        kind = "a GAN with an encoder" if gan.encoder is not None else "a GAN of source images"
        raise ValueError(f"`gan` must have networks of noise, with or without labels, and no encoder. Received: {kind}")
    for name, network in (("generator", gan.generator), ("discriminator", gan.discriminator)):
        layers = [
            layer.name
            for layer in network._flatten_layers()
            if layer._non_trainable_variables or getattr(layer, "seed_generator", None) is not None
        ]
        if layers:
            raise ValueError(
                f"`gan` must have a {name} without a state beside its weights, as moving averages and dropout have it; "
                f'build it with `{name}_normalization="layer"` or `None`. Received: state in the layers {layers}'
            )
    if algorithm not in ALGORITHMS:
        raise ValueError(f"`algorithm` must be one of {ALGORITHMS}. Received: {algorithm!r}")
    if inner_learning_rate is not None and not inner_learning_rate > 0:
        raise ValueError(f"`inner_learning_rate` must be positive. Received: {inner_learning_rate!r}")
    if inner_optimizer is not None and (algorithm == "maml" or inner_learning_rate is not None):
        raise ValueError(
            '`inner_optimizer` must be None for "maml", which descends along gradients, and has its rate in itself '
            f"without `inner_learning_rate`. Received: {inner_optimizer!r}"
        )
    if inner_optimizer is not None:
        check_inner_optimizer(inner_optimizer)
    check_trainable(gan)
    if learned_rates and algorithm != "maml":
        raise ValueError(f'`learned_rates` needs `algorithm="maml"`. Received: {algorithm!r}')
    if algorithm == "maml":
        instead = 'take the `algorithm` "fomaml" or "reptile"'
        check_second_derivatives(gan.generator, "generator", instead=instead)
        # The generator's gradient goes through the images that the discriminator is given.
        check_second_derivatives(gan.judge, "discriminator", of_inputs=True, instead=instead)


def check_inner_optimizer(optimizer):
    """Refuses options of a Keras optimizer that an inner loop of a few steps cannot follow."""
    optimizer = keras.optimizers.get(optimizer)
    what = None
    if hasattr(optimizer, "optimizers") or hasattr(optimizer, "inner_optimizer"):
        what = f"a {type(optimizer).__name__}"
    else:
        options = ("use_ema", "gradient_accumulation_steps", "loss_scale_factor")
        what = next((f"{name}={getattr(optimizer, name)}" for name in options if getattr(optimizer, name)), None)
    if what is not None:
        raise ValueError(
            "`inner_optimizer` must be a plain optimizer: each inner step updates the weights by the gradients of "
            "unscaled losses, and the last weights are the adapted ones. Leave out loss scaling, "
            f"`gradient_accumulation_steps` and `use_ema`. Received: {what}"
        )


def check_outer_optimizer(meta_gan, optimizer):
    """The optimizer of the outer loop, as it came; refuses one that divides gradients, or has trained others."""
    if getattr(optimizer, "loss_scale_factor", None) or hasattr(optimizer, "inner_optimizer"):
        raise ValueError(
            "`optimizer` must not scale losses: an outer gradient is a mean over tasks, of unscaled losses. "
            f"Received: a {type(optimizer).__name__} with loss scaling"
        )
    check_unused("optimizer", optimizer, meta_gan.trainable_variables)
    return optimizer


def check_task_images(meta_gan, images, labels=None):
    """The images of one task as float32 in the generator's range, and their labels or `None`; tensors.

    Raises:
        ValueError: see `MetaGAN.adapt`.
    """
    images = check_images(meta_gan.gan, images)
    _check_count(meta_gan, "`images`", len(images))
    check_labels(meta_gan.gan, labels, len(images))
    images = to_image_range(tf.convert_to_tensor(images), meta_gan.gan.image_range)
    return images, None if labels is None else tf.cast(condition_of(meta_gan.gan, np.asarray(labels)), tf.int32)


def check_tasks(meta_gan, x, y=None, argument="x"):
    """Refuses tasks whose images and labels do not fit; of batches, the first is looked at.

    Returns:
        The `x` and `y` of Keras's `fit`: a pair of arrays, images and labels, is both.
    """
    x = x if y is None else (x, y)
    if isinstance(x, list) and not any(hasattr(part, "shape") for part in x):
        x = np.asarray(x)
    if isinstance(x, (tuple, list)):
        if not meta_gan.gan.conditional or len(x) != 2 or not all(hasattr(part, "shape") for part in x):
            raise ValueError(
                f"`{argument}` must be one array of tasks or, of conditional networks, a pair `(images, labels)` of "
                f"arrays; with query images, a `tf.data.Dataset`. Received: a {type(x).__name__} of {len(x)}"
            )
        _check_batch(meta_gan, tuple(x), f"`{argument}`")
        return tuple(map(np.asarray, x))
    if hasattr(x, "shape"):
        _check_batch(meta_gan, x, f"`{argument}`")
        return x, None
    first, x = first_batch(x, argument)
    if first is not None:
        _check_batch(meta_gan, first, f"the first batch of `{argument}`")
    return x, None


def _check_batch(meta_gan, batch, name):
    if isinstance(batch, (tuple, list)) and len(batch) > 2:
        raise ValueError(
            f"{name} must be tasks, or tasks and query images: a MetaGAN takes no weights. Received: {len(batch)} parts"
        )
    for images, labels in split_tasks(batch, meta_gan.gan.conditional):
        if images is None:
            continue
        images = np.asarray(images)
        if images.ndim != 5 or 0 in images.shape:
            raise ValueError(
                f"{name} must hold tasks of images, of the shape (tasks, images, height, width, channels), as "
                f"`mtf.data.image_tasks` yields them. Received: shape {images.shape}"
            )
        check_images(meta_gan.gan, images.reshape(-1, *images.shape[2:]), name)
        _check_count(meta_gan, name, images.shape[1])
        if labels is not None and np.shape(labels) != images.shape[:2]:
            raise ValueError(
                f"{name} must have a label for each image, of the shape {images.shape[:2]}. "
                f"Received: shape {np.shape(labels)}"
            )
        check_labels(meta_gan.gan, None if labels is None else np.ravel(labels), images.shape[0] * images.shape[1])


def _check_count(meta_gan, name, count):
    least = max(2, meta_gan.inner_batch_size or 0)
    if count < least:
        raise ValueError(
            f"{name} must hold at least {least} images"
            f"{' of a task, one inner batch' if meta_gan.inner_batch_size else ': one alone can only be copied'}. "
            f"Received: {count}"
        )
