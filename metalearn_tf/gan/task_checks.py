"""Checks on the tasks of a MetaGAN. They run before any work."""

import keras
import numpy as np

from metalearn_tf.checks.whole_numbers import check_seed, check_whole
from metalearn_tf.gan.batches import as_arrays, first_ordered_batch
from metalearn_tf.gan.gan_checks import check_gan_images, check_gan_labels
from metalearn_tf.gan.task_data import split_tasks, task_inputs


def check_adaptation(meta_gan, images, labels, steps, seed):
    """Checks one task, and returns tensors: images as float32 in the generator's range, and their labels or `None`.

    Raises:
        ValueError: see `MetaGAN.adapt`.
    """
    images, labels = check_gan_images("images", as_arrays("images", images), meta_gan.gan), as_arrays("labels", labels)
    check_whole(steps=steps)
    check_seed(seed, signed=True)
    _check_count("images", len(images), meta_gan)
    check_gan_labels(meta_gan.gan, labels, len(images))
    task = task_inputs(meta_gan.gan, images, labels)
    return task["images"], task.get("labels")


def check_tasks(meta_gan, x, y=None, argument="x"):
    """Refuses tasks whose images and labels do not fit. Of data in batches, it checks only the first batch.

    Returns:
        The `x` and `y` for Keras's `fit`: a pair of arrays, images and labels, is split into both.
    """
    x = x if y is None else (as_arrays(argument, x), as_arrays("labels", y))
    if isinstance(x, list) and not any(np.ndim(part) == 5 for part in x):
        x = as_arrays(argument, x)
    if isinstance(x, (tuple, list)):
        if not _are_images_and_labels(meta_gan, x):
            raise ValueError(
                f"`{argument}` must be one array of tasks or, of conditional networks, a pair `(images, labels)` of "
                f"arrays; with query images, a `tf.data.Dataset`. Received: a {type(x).__name__} of {len(x)}"
            )
        _check_batch(argument, tuple(x), meta_gan)
        return tuple(map(np.asarray, x))
    if hasattr(x, "shape"):
        _check_batch(argument, x, meta_gan)
        return x, None
    first, x = first_ordered_batch(argument, x)
    if first is not None:
        _check_batch(argument, first, meta_gan, in_batches=True)
    return x, None


def check_task_inputs(meta_gan, x):
    """Refuses inputs that are not tasks. Of data in batches, it checks only the first batch.

    Returns:
        `x` for Keras's `predict`.
    """
    if hasattr(x, "shape") or isinstance(x, (list, tuple)):
        x = x if _are_images_and_labels(meta_gan, x) else as_arrays("x", x)
        _check_batch("x", x, meta_gan)
        return list(map(np.asarray, x)) if isinstance(x, (list, tuple)) else x
    first, x = first_ordered_batch("x", x)
    if first is not None:
        _check_batch("x", keras.utils.unpack_x_y_sample_weight(first)[0], meta_gan, in_batches=True)
    return x


def _are_images_and_labels(meta_gan, x):
    is_pair = meta_gan.gan.conditional and isinstance(x, (list, tuple)) and len(x) == 2
    return is_pair and all(hasattr(part, "shape") for part in x) and np.ndim(x[0]) == 5


def _check_batch(argument, batch, meta_gan, in_batches=False):
    if isinstance(batch, (tuple, list)) and len(batch) > 2:
        raise ValueError(
            f"`{argument}` must be tasks, or tasks and query images: a MetaGAN takes no weights. "
            f"Received: {len(batch)} parts"
        )
    for images, labels in split_tasks(batch, meta_gan.gan.conditional):
        if images is None:
            continue
        images = np.asarray(images)
        if images.ndim != 5 or 0 in images.shape:
            raise ValueError(
                f"`{argument}` must hold tasks of images, of the shape (tasks, images, height, width, channels), as "
                f"`mtf.data.image_tasks` yields them. Received: shape {images.shape}"
            )
        check_gan_images(argument, images.reshape(-1, *images.shape[2:]), meta_gan.gan)
        _check_count(argument, images.shape[1], meta_gan)
        if labels is None:
            check_gan_labels(meta_gan.gan, labels, len(images))
            continue
        if np.shape(labels)[:2] != images.shape[:2]:
            raise ValueError(
                f"`{argument}` must have a label for each image, of the shape {images.shape[:2]}. "
                f"Received: shape {np.shape(labels)}"
            )
        check_gan_labels(meta_gan.gan, labels, images.shape[:2], in_batches=in_batches)


def _check_count(argument, count, meta_gan):
    least = max(2, meta_gan.inner_batch_size or 0)
    if count < least:
        raise ValueError(
            f"`{argument}` must hold at least {least} images"
            f"{' of a task, one inner batch' if meta_gan.inner_batch_size else ': one alone can only be copied'}. "
            f"Received: {count}"
        )
