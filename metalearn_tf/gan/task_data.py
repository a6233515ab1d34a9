"""The tasks of a MetaGAN: a few images and, if the networks take labels, the class of each."""

import keras
import tensorflow as tf

from metalearn_tf.gan.network_inputs import class_numbers, images_of


def split_tasks(data, conditional):
    """Splits the data of `fit` into its parts.

    Args:
        data: images; `(images, queries)`; or, for conditional networks, `(images, labels)` or
            `((images, labels), (queries, query_labels))`.
        conditional: whether the networks take labels.

    Returns:
        `(images, labels)` and `(queries, query_labels)`, with `None` for missing parts.

    Raises:
        ValueError: if there are labels but the networks take none, or labels are missing.
    """
    x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
    if not conditional:
        if _is_pair(x) or _is_pair(y) or (y is not None and len(y.shape) < 5):
            raise ValueError(
                "Tasks must be images, or pairs of images and query images: the networks take no labels. "
                "Received: tasks with labels"
            )
        return (x, None), (y, None)
    shown, asked = (x, y) if _is_pair(x) else ((x, y), (None, None))
    asked = (None, None) if asked is None else asked
    for part in (shown, asked):
        if not _is_pair(part) or (part[0] is not None and (part[1] is None or len(part[1].shape) == 5)):
            raise ValueError(
                "Tasks of a conditional GAN must be pairs of images and their labels `(tasks, images)`, and query "
                "images a pair of their own, as `mtf.data.image_tasks` yields them with `ways`. "
                f"Received: {'a pair of other shapes' if _is_pair(part) else 'images without labels'}"
            )
    return tuple(shown), tuple(asked)


def _is_pair(part):
    return isinstance(part, (tuple, list)) and len(part) == 2


def prepare_tasks(data, gan, queries_too):
    """The tasks of a batch as tensors, by name.

    Args:
        data: as in `split_tasks`.
        gan: a `GAN`.
        queries_too: whether the inner loop also sees the queries.

    Returns:
        A dict of `images` and `queries` `(tasks, n, height, width, channels)` float32 in the generator's range, and for
        conditional networks `labels` and `query_labels` `(tasks, n)` int32. Missing queries are the images again.

    Raises:
        ValueError: as in `split_tasks`.
        InvalidArgumentError: when the graph runs, if pixels are out of the range, or labels are not among the classes.
    """
    shown, asked = split_tasks(data, gan.conditional)
    shown = task_inputs(gan, *shown)
    if asked[0] is None:
        return shown | dict(zip(("queries", "query_labels"), shown.values()))
    asked = dict(zip(("queries", "query_labels"), task_inputs(gan, *asked).values()))
    if queries_too:
        shown = {name: tf.concat([part, more], 1) for (name, part), more in zip(shown.items(), asked.values())}
    return shown | asked


def task_inputs(gan, images, labels=None):
    """Images `(…, height, width, channels)` and labels `(…)` of tasks, as the inner loop takes them, by name."""
    named = {"images": images_of(gan, images)}
    return named if labels is None else named | {"labels": class_numbers(gan, labels, len(images.shape) - 3)}
