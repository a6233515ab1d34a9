"""Checks inside the graph of a served model: a bad request gets an error that names the input, never an answer."""

import tensorflow as tf

from metalearn_tf.data.image_range import are_within

# Of an image file, 8,192 × 8,192: a small file can hold many more, whose decoding would take all of a server's memory.
MOST_PIXELS = 1 << 26


def check_support(learner, support_x, support_y, names, regression=False):
    """The support set, passed on once it is one that the learner can adapt to.

    Args:
        learner: a `MetaLearner`.
        support_x: examples `(S, ...)` float32, or texts.
        support_y: labels `(S,)` int32, or targets `(S, outputs)` float32 for regression.
        names: the names of the two inputs, for the errors.
        regression: whether `support_y` are targets.

    Returns:
        Both tensors. They depend on the checks, so that nothing is computed from a refused request.
    """
    x_name, y_name = names
    support_x = check_examples(learner, support_x, x_name)
    y_shape = (None, *learner.network.output_shape[1:]) if regression else (None,)
    support_y = tf.ensure_shape(support_y, y_shape, name=f"{y_name}_shape")
    checks = [
        _require(
            tf.equal(tf.shape(support_y)[0], tf.shape(support_x)[0]),
            f"`{y_name}` must have one entry for each of `{x_name}`.",
            tf.shape(support_y)[0],
            tf.shape(support_x)[0],
        )
    ]
    if regression:
        checks.append(_require_finite(support_y, y_name))
    else:
        checks += _label_checks(support_y, y_name, learner.max_ways)
    return _after(checks, support_x, support_y)


def check_examples(learner, examples, name):
    """Examples `(n, ...)`, passed on once they have the network's shape, and there is at least one.

    Numbers must be finite, and texts hold more than white space.
    """
    examples = tf.ensure_shape(examples, (None, *learner.network.input_shape[1:]), name=f"{name}_shape")
    count = tf.shape(examples)[0]
    checks = [_require(count > 0, f"`{name}` must hold at least one example.", count)]
    if examples.dtype == tf.string:
        empty = tf.where(tf.equal(tf.strings.strip(examples), ""))[:, 0]
        checks.append(_require(tf.size(empty) == 0, f"`{name}` must not hold empty texts, as these, by index.", empty))
    else:
        checks.append(_require_finite(examples, name))
    return _after(checks, examples)[0]


def check_state(learner, state, specs):
    """The tensors of a task state that a client has kept, passed on once they can be one of this learner's."""
    checked, checks = [], []
    for tensor, spec in zip(state, specs):
        tensor = tf.ensure_shape(tensor, spec.shape, name=f"{spec.name}_shape")
        size = tf.size(tensor)
        checks.append(_require(size > 0, f"`{spec.name}` must not be empty.", size))
        if tensor.dtype.is_floating:
            checks.append(_require_finite(tensor, spec.name))
        elif tensor.dtype.is_integer and tensor.shape.rank == 0 and learner.max_ways is not None:
            checks.append(
                _require(
                    (tensor >= 1) & (tensor <= learner.max_ways),
                    f"`{spec.name}` must be the number of classes, from 1 to {learner.max_ways}.",
                    tensor,
                )
            )
        checked.append(tensor)
    return _after(checks, *checked)


def check_answer(answer, name):
    """The answer, passed on if it is finite: huge inputs overflow inside the network, and an argmax hides that."""
    message = f"`{name}` came out NaN or infinite: the inputs are finite, but far from the range of training."
    return _after([_require(tf.reduce_all(tf.math.is_finite(answer)), message)], answer)[0]


def check_encoded(encoded, name):
    """Files `(n,)`, passed on once there is at least one and each begins as a PNG or JPEG file does."""
    encoded = tf.ensure_shape(encoded, (None,), name=f"{name}_shape")
    count = tf.shape(encoded)[0]
    jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), b"\xff\xd8\xff")
    refused = tf.where(~(is_png(encoded) | jpeg))[:, 0]
    checks = [
        _require(count > 0, f"`{name}` must hold at least one image.", count),
        _require(tf.size(refused) == 0, f"`{name}` must be PNG or JPEG files; these are not, by index.", refused),
    ]
    return _after(checks, encoded)[0]


def check_header(file, header, name):
    """A file, passed on once its header says that it can be decoded as in training, in the memory that there is.

    Args:
        file: string scalar, PNG or JPEG.
        header: its `FileHeader`.
        name: the input's name, for the error.
    """
    checks = [
        _require(
            header.components != 4,
            f"`{name}` must hold JPEG files in grey or RGB; save this one, in CMYK, as RGB. Components:",
            header.components,
        ),
        _require(
            header.pixels <= MOST_PIXELS,
            f"`{name}` must hold images of at most {MOST_PIXELS} pixels; shrink this one. Pixels:",
            header.pixels,
        ),
    ]
    return _after(checks, file)[0]


def is_png(encoded):
    """Whether files `(...)` begin as PNG files do."""
    return tf.equal(tf.strings.substr(encoded, 0, 8), b"\x89PNG\r\n\x1a\n")


def _label_checks(labels, name, max_ways):
    distinct = tf.unique(labels)[0]
    # Distinct and not negative, labels have no gap just where the largest is their number less one. Compared without
    # the addition of one, which would overflow.
    contiguous = (tf.reduce_min(labels) >= 0) & (tf.reduce_max(labels) < tf.size(distinct))
    checks = [
        _require(contiguous, f"`{name}` must hold every label from 0 to ways - 1 at least once.", distinct),
    ]
    if max_ways is not None:
        message = f"`{name}` must be from 0 to {max_ways - 1}, for a head of {max_ways} outputs."
        checks.append(_require(tf.reduce_max(labels) < max_ways, message, distinct))
    return checks


def _require_finite(tensor, name):
    bad = tf.math.count_nonzero(~tf.math.is_finite(tensor), dtype=tf.int32)
    return _require(bad == 0, f"`{name}` must be finite. NaN or infinite values:", bad)


def _require(condition, message, *received):
    if not message.endswith(":"):
        message += " Received:"
    return tf.debugging.Assert(condition, [message, *received], summarize=10)


def _after(checks, *tensors):
    with tf.control_dependencies(checks):
        return [tf.identity(tensor) for tensor in tensors]


def check_count(count):
    """The number of images to draw, passed on once it is positive."""
    return _after([_require(count > 0, "`count` must be positive.", count)], count)[0]


def check_labels_below(labels, classes, name="labels", examples=None):
    """Labels `(N, ...)`, passed on once there is one and all are classes or, attributes, finite.

    With `examples`, there must be a label for each of them.
    """
    labels = tf.ensure_shape(labels, labels.shape, name=f"{name}_shape")
    count = tf.shape(labels)[0]
    checks = [_require(count > 0, f"`{name}` must hold at least one.", count)]
    if examples is not None:
        expected = tf.shape(examples)[0]
        checks.append(
            _require(tf.equal(count, expected), f"`{name}` must have one entry for each image.", count, expected)
        )
    if labels.dtype.is_floating:
        checks.append(_require_finite(labels, name))
    if classes is not None:
        known = tf.reduce_all((labels >= 0) & (labels < classes))
        checks.append(_require(known, f"`{name}` must be from 0 to {classes - 1}.", labels))
    return _after(checks, labels)[0]


def check_labels_among(labels, shown, name):
    """Labels `(N,)`, passed on once each is among those that were shown `(S,)`."""
    unknown = tf.boolean_mask(labels, ~tf.reduce_any(labels[:, None] == shown[None, :], axis=1))
    message = f"`{name}` must be among `labels`: nothing was shown of others."
    return _after([_require(tf.size(unknown) == 0, message, unknown)], labels)[0]


def check_image_values(images, shape, limits, least, name):
    """Images `(n, height, width, channels)`, passed on once they are finite, within `limits` and at least `least`."""
    images = tf.ensure_shape(images, (None, *shape), name=f"{name}_shape")
    count = tf.shape(images)[0]
    needed = "one image" if least == 1 else f"{least} images"
    checks = [
        _require(count >= least, f"`{name}` must hold at least {needed}.", count),
        _require_finite(images, name),
    ]
    if limits is not None:
        low, high = tf.reduce_min(images), tf.reduce_max(images)
        checks.append(
            _require(are_within(low, high, limits), f"`{name}` must be in [{limits[0]:g}, {limits[1]:g}].", low, high)
        )
    return _after(checks, images)[0]
