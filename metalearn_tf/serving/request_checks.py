"""Checks inside the graph of a served model. A bad request gets an error that names the input, never an answer."""

import tensorflow as tf

from metalearn_tf.checks.image_range import are_within
from metalearn_tf.networks.input_scale import first_rescaling, is_for_other_range
from metalearn_tf.serving.file_headers import is_png

# The decoder passes over the pixels of a JPEG file once for each scan. Programs write up to ten scans.
_SCANS = 16


def check_answers(learner, support_y, examples, names, regression=False):
    """Checks that there is one label or target for each support example and that labels are valid; returns them.

    The returned tensors depend on the checks, so nothing is computed from a refused request. This is the same in all
    functions of this file.

    Args:
        learner: a `MetaLearner`.
        support_y: labels `(S,)` int32, or targets `(S, outputs)` float32 for regression.
        examples: the number of support examples, int32 scalar.
        names: the names of the two inputs, examples and labels, for the errors.
        regression: whether `support_y` are targets.
    """
    x_name, y_name = names
    y_shape = (None, *learner.network.output_shape[1:]) if regression else (None,)
    support_y = tf.ensure_shape(support_y, y_shape, name=f"{y_name}_shape")
    count = tf.shape(support_y)[0]
    checks = [
        require(tf.equal(count, examples), f"`{y_name}` must have one entry for each of `{x_name}`.", count, examples)
    ]
    checks += [_is_finite(support_y, y_name)] if regression else _label_checks(support_y, y_name, learner.max_ways)
    return after(checks, support_y)[0]


def check_examples(learner, examples, name, limits, most):
    """Checks that there is at least one example `(n, ...)` and all have the network's shape; returns the examples.

    Numbers must be finite. Texts must have more than white space.

    Args:
        learner: a `MetaLearner`.
        examples: `(n, ...)`.
        name: the input's name.
        limits: a dictionary, see `mtf.serving.limits`.
        most: the name of the limit on the number of examples.
    """
    network = learner.network
    examples = tf.ensure_shape(examples, (None, *network.input_shape[1:]), name=f"{name}_shape")
    count = tf.shape(examples)[0]
    checks = [
        require(count > 0, f"`{name}` must hold at least one example.", count),
        at_most(count, name, "examples", limits, most),
    ]
    if examples.dtype == tf.string:
        empty = tf.where(tf.equal(tf.strings.strip(examples), ""))[:, 0]
        checks.append(require(tf.size(empty) == 0, f"`{name}` must not hold empty texts, as these, by index.", empty))
        checks += _text_lengths(examples, name, limits)
    else:
        checks.append(_is_finite(examples, name))
        if examples.shape.rank == 4:
            checks += _image_sizes(examples, name, limits)
            checks += _input_scale(network, examples, name)
    return after(checks, examples)[0]


def check_pairs(support, queries, names, limits):
    """Checks that support examples times queries are within the limit; returns both numbers, scalars."""
    pairs = tf.cast(support, tf.int64) * tf.cast(queries, tf.int64)
    message = (
        f"`{names[0]}` times `{names[1]}` must be at most {limits['max_pairs']} (`max_pairs` of the export): send the "
        "queries in several requests."
    )
    return after([require(pairs <= limits["max_pairs"], message, support, queries)], support, queries)


def check_answer(answer, name):
    """Checks that an answer is finite, and returns it. Huge inputs overflow in the network; an argmax hides this."""
    message = f"`{name}` came out NaN or infinite: the inputs are finite, but far from the range of training."
    return after([require(tf.reduce_all(tf.math.is_finite(answer)), message)], answer)[0]


def check_encoded(encoded, name, limits, most):
    """Checks that there is at least one file `(n,)` and each begins like a PNG or JPEG file; returns the files."""
    encoded = tf.ensure_shape(encoded, (None,), name=f"{name}_shape")
    count = tf.shape(encoded)[0]
    jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), b"\xff\xd8\xff")
    refused = _indices(~(is_png(encoded) | jpeg))
    checks = [
        require(count > 0, f"`{name}` must hold at least one image.", count),
        at_most(count, name, "images", limits, most),
        require(tf.size(refused) == 0, f"`{name}` must be PNG or JPEG files; these are not, by index.", refused),
    ]
    return after(checks, encoded)[0]


def check_headers(encoded, header, scans, name, limits):
    """Checks by their headers that files can be decoded as in training, within the limits; returns the files.

    Args:
        encoded: strings `(n,)`, PNG or JPEG.
        header: their `FileHeader`.
        scans: int64 `(n,)`, see `scan_count`.
        name: the input's name, for the error.
        limits: a dictionary, see `mtf.serving.limits`.
    """
    pixels, most, in_all = header.pixels, limits["max_pixels"], limits["max_total_pixels"]
    cmyk, unknown, large = _indices(header.components == 4), _indices(pixels <= 0), _indices(pixels > most)
    total = tf.reduce_sum(tf.minimum(pixels, most + 1))
    # Computed without a product, which could overflow.
    slow = _indices((scans > _SCANS) & (tf.minimum(pixels, most) > _SCANS * most // tf.maximum(scans, 1)))
    checks = [
        require(
            tf.size(cmyk) == 0,
            f"`{name}` must hold JPEG files in grey or RGB; save this one, in CMYK, as RGB. By index:",
            cmyk,
        ),
        require(
            tf.size(unknown) == 0,
            f"`{name}` must hold files whose header says their size. Invalid JPEG or PNG, by index:",
            unknown,
        ),
        require(
            tf.size(large) == 0,
            f"`{name}` must hold images of at most {most} pixels (`max_pixels` of the export); shrink them. Pixels:",
            tf.gather(pixels, large),
        ),
        require(
            total <= in_all,
            f"`{name}` must hold at most {in_all} pixels in all (`max_total_pixels` of the export); send fewer images "
            "at a time. Pixels:",
            total,
        ),
        require(
            tf.size(slow) == 0,
            f"`{name}` must hold JPEG files whose pixels times scans are at most {_SCANS} times `max_pixels`; save "
            "these again. Scans:",
            tf.gather(scans, slow),
        ),
    ]
    return after(checks, encoded)[0]


def check_count(count, limits):
    """Checks that the number of images to draw is positive and within the limit, and returns it."""
    checks = [
        require(count > 0, "`count` must be positive.", count),
        require(
            count <= limits["max_count"],
            f"`count` must be at most {limits['max_count']} (`max_count` of the export); ask several times.",
            count,
        ),
    ]
    return after(checks, count)[0]


def check_labels_below(labels, classes, name, limits, most, examples=None):
    """Checks labels or attributes `(N, ...)`, and returns them: at least one, not too many, all classes or finite.

    Args:
        labels: `(N, ...)`.
        classes: the number of classes; `None` if it is not known, or there are no classes.
        name: the input's name.
        limits: a dictionary, see `mtf.serving.limits`.
        most: the name of the limit on the number of labels.
        examples: images, each of which must have a label; or `None`.
    """
    labels = tf.ensure_shape(labels, labels.shape, name=f"{name}_shape")
    count = tf.shape(labels)[0]
    checks = [
        require(count > 0, f"`{name}` must hold at least one.", count),
        at_most(count, name, "labels", limits, most),
        _is_finite(labels, name),
    ]
    if examples is not None:
        expected = tf.shape(examples)[0]
        checks.append(
            require(tf.equal(count, expected), f"`{name}` must have one entry for each image.", count, expected)
        )
    if classes is not None:
        known = tf.reduce_all((labels >= 0) & (labels < classes))
        checks.append(require(known, f"`{name}` must be from 0 to {classes - 1}.", labels))
    return after(checks, labels)[0]


def check_labels_among(labels, shown, name):
    """Checks that each label `(N,)` is among the labels `shown` `(S,)`, and returns the labels."""
    known = tf.reduce_any(tf.equal(tf.unique(labels)[0][:, None], tf.unique(shown)[0][None, :]), axis=1)
    unknown = tf.boolean_mask(tf.unique(labels)[0], ~known)
    message = f"`{name}` must be among `labels`: nothing was shown of others."
    return after([require(tf.size(unknown) == 0, message, unknown)], labels)[0]


def check_image_values(images, shape, bounds, least, name, limits, most):
    """Checks that there are at least `least` images `(n, height, width, channels)`, finite and within `bounds`."""
    images = tf.ensure_shape(images, (None, *shape), name=f"{name}_shape")
    count = tf.shape(images)[0]
    needed = "one image" if least == 1 else f"{least} images"
    checks = [
        require(count >= least, f"`{name}` must hold at least {needed}.", count),
        at_most(count, name, "images", limits, most),
        *_image_sizes(images, name, limits),
        _is_finite(images, name),
    ]
    if bounds is not None:
        low, high = tf.reduce_min(images), tf.reduce_max(images)
        within = are_within(low, high, bounds)
        checks.append(require(within, f"`{name}` must be in [{bounds[0]:g}, {bounds[1]:g}].", low, high))
    return after(checks, images)[0]


# === The parts of the checks ===


def require(condition, message, *received):
    """The operation that ends a request with a message if the condition, a bool scalar, is false."""
    if received and not message.endswith(":"):
        message += " Received:"
    return tf.debugging.Assert(condition, [message, *received], summarize=10)


def after(checks, *tensors):
    """The tensors, which are available only after the checks have passed."""
    with tf.control_dependencies(checks):
        return [tf.identity(tensor) for tensor in tensors]


def at_most(count, name, things, limits, limit):
    """The operation that refuses an input beyond a limit."""
    message = f"`{name}` must hold at most {limits[limit]} {things} (`{limit}` of the export); send fewer at a time."
    return require(count <= limits[limit], message, count)


def _label_checks(labels, name, max_ways):
    distinct = tf.unique(labels)[0]
    # Distinct labels that are not negative have no gap if the largest one equals their number minus 1. Do not add 1
    # to the largest label: this could overflow.
    contiguous = (tf.reduce_min(labels) >= 0) & (tf.reduce_max(labels) < tf.size(distinct))
    checks = [
        require(contiguous, f"`{name}` must hold every label from 0 to ways - 1 at least once.", distinct),
    ]
    if max_ways is not None:
        message = f"`{name}` must be from 0 to {max_ways - 1}, for a head of {max_ways} outputs."
        checks.append(require(tf.reduce_max(labels) < max_ways, message, distinct))
    return checks


def _is_finite(tensor, name):
    if not tensor.dtype.is_floating:
        return tf.no_op()
    bad = tf.math.count_nonzero(~tf.math.is_finite(tensor), dtype=tf.int32)
    return require(bad == 0, f"`{name}` must be finite. NaN or infinite values:", bad)


def _text_lengths(texts, name, limits):
    longest, most = tf.reduce_max(tf.strings.length(texts)), limits["max_text_length"]
    # All texts are padded to the number of words in the longest one.
    total = tf.cast(longest, tf.int64) * tf.size(texts, tf.int64)
    return [
        require(
            longest <= most,
            f"`{name}` must hold texts of at most {most} bytes (`max_text_length` of the export); cut them. Bytes:",
            longest,
        ),
        require(
            total <= limits["max_total_text_length"],
            f"`{name}` must be at most {limits['max_total_text_length']} bytes, each text counted as the longest "
            "(`max_total_text_length` of the export); send long texts by themselves. Bytes:",
            total,
        ),
    ]


def _image_sizes(images, name, limits):
    """If the network has no fixed image size, its images have the same limits as files."""
    if None not in images.shape[1:3]:
        return []
    count, height, width, _ = tf.unstack(tf.shape(images, tf.int64))
    most, in_all = limits["max_pixels"], limits["max_total_pixels"]
    message = f"`{name}` must hold images of at most {most} pixels (`max_pixels` of the export); shrink them. Pixels:"
    total = f"`{name}` must hold at most {in_all} pixels in all (`max_total_pixels` of the export). Pixels:"
    return [
        require(height * width <= most, message, height * width),
        require(count * height * width <= in_all, total, count * height * width),
    ]


def _input_scale(network, images, name):
    """Refuses images in [0, 1] if the network divides pixels by 255 itself, as the checks in Python do."""
    if not is_for_other_range(network, 1.0):
        return []
    largest = tf.reduce_max(tf.abs(images))
    message = (
        f"`{name}` must be in the range that the network takes, [0, 255]: it divides pixels itself, in the layer "
        f"{first_rescaling(network).name!r}. Largest:"
    )
    return [require((largest > 1.0) | tf.equal(largest, 0.0), message, largest)]


def _indices(condition):
    """The indices at which a condition `(n,)` is true."""
    return tf.where(condition)[:, 0]
