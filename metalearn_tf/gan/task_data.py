"""What the tasks of a MetaGAN hold: a few images and, where the networks take labels, the class of each."""

import keras
import tensorflow as tf

from metalearn_tf.data.image_range import to_image_range


def split_tasks(data, conditional):
    """The parts of what `fit` was given.

    Args:
        data: images; `(images, queries)`; or of conditional networks `(images, labels)`, or
            `((images, labels), (queries, query_labels))`.
        conditional: whether the networks take labels.

    Returns:
        `(images, labels)` and `(queries, query_labels)`, with `None` for what is not there.

    Raises:
        ValueError: if the queries of conditional networks have no labels.
    """
    x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
    if not conditional:
        return (x, None), (y, None)
    if not isinstance(x, (tuple, list)):
        return (x, y), (None, None)
    if y is not None and not isinstance(y, (tuple, list)):
        raise ValueError(
            "Query images of a conditional GAN must come with labels, as a pair `(queries, query_labels)`. "
            f"Received: {type(y).__name__}"
        )
    return tuple(x), (None, None) if y is None else tuple(y)


def prepare_tasks(data, conditional, limits, queries_too):
    """The tasks of a batch as tensors, by name.

    Args:
        data: as in `split_tasks`.
        conditional: whether the networks take labels.
        limits: lowest and highest value of a pixel.
        queries_too: whether the inner loop sees the queries too.

    Returns:
        A dict of `images` and `queries` `(tasks, n, height, width, channels)` float32, and for conditional networks
        `labels` and `query_labels` `(tasks, n)` int32. Without queries the images are their own.
    """
    shown, asked = split_tasks(data, conditional)
    shown = _as_tensors(("images", "labels"), shown, limits)
    if asked[0] is None:
        return shown | dict(zip(("queries", "query_labels"), shown.values()))
    asked = _as_tensors(("queries", "query_labels"), asked, limits)
    if queries_too:
        shown = {name: tf.concat([part, more], 1) for (name, part), more in zip(shown.items(), asked.values())}
    return shown | asked


def _as_tensors(names, task, limits):
    images, labels = task
    return dict(zip(names, [to_image_range(images, limits), *([] if labels is None else [tf.cast(labels, tf.int32)])]))
