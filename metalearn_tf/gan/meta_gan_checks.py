"""Checks on a MetaGAN and its tasks, made before any work is done."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.data.image_range import to_image_range
from metalearn_tf.gan.gan import GAN
from metalearn_tf.gan.gan_checks import check_images

ALGORITHMS = ("reptile", "fomaml", "maml")


def check_meta_gan(gan, algorithm, inner_learning_rate, inner_optimizer, learned_rates):
    """Refuses GANs that cannot adapt in an inner loop, and options that do not go with the algorithm."""
    if not isinstance(gan, GAN):
        raise ValueError(f"`gan` must be a GAN. Received: {type(gan).__name__}")
    if gan.conditional or gan.encoder is not None:
        kind = "a conditional GAN" if gan.conditional else "a GAN with an encoder"
        raise ValueError(f"`gan` must have networks without labels, and no encoder. Received: {kind}")
    for name, network in (("generator", gan.generator), ("discriminator", gan.discriminator)):
        if network.non_trainable_variables:
            layers = [layer.name for layer in network._flatten_layers() if layer._non_trainable_variables]
            raise ValueError(
                f"`gan` must have a {name} without a state beside its trainable weights; build it with "
                f'`{name}_normalization="layer"` or `None`. Received: state in the layers {layers}'
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
    if learned_rates and algorithm != "maml":
        raise ValueError(f'`learned_rates` needs `algorithm="maml"`. Received: {algorithm!r}')


def check_task_images(meta_gan, images):
    """The images of one task as float32 in the generator's range.

    Raises:
        ValueError: see `MetaGAN.adapt`.
    """
    images = check_images(meta_gan.gan, images)
    _check_count(meta_gan, "`images`", len(images))
    return to_image_range(tf.convert_to_tensor(images), meta_gan.gan.image_range).numpy()


def check_tasks(meta_gan, x):
    """Refuses tasks whose images do not fit; of a dataset, in its first batch."""
    name = "`x`"
    if isinstance(x, tf.data.Dataset):
        first = next(iter(x.take(1)), None)
        if first is None:
            raise ValueError("`x` must have at least one batch of tasks. Received: an empty dataset")
        x, name = first, "the first batch of `x`"
    for part in keras.utils.unpack_x_y_sample_weight(x)[:2]:
        if part is None or not hasattr(part, "shape"):
            continue
        part = np.asarray(part)
        if part.ndim != 5 or 0 in part.shape:
            raise ValueError(
                f"{name} must hold tasks of images, of the shape (tasks, images, "
                f"height, width, channels), as `mtf.data.image_tasks` yields them. Received: shape {part.shape}"
            )
        check_images(meta_gan.gan, part.reshape(-1, *part.shape[2:]), name)
        _check_count(meta_gan, name, part.shape[1])


def _check_count(meta_gan, name, count):
    least = max(2, meta_gan.inner_batch_size or 0)
    if count < least:
        raise ValueError(
            f"{name} must hold at least {least} images"
            f"{' of a task, one inner batch' if meta_gan.inner_batch_size else ': one alone can only be copied'}. "
            f"Received: {count}"
        )
