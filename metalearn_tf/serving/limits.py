"""The limits of a served model, so that a small request cannot use up a server's memory or time."""

from metalearn_tf.checks.whole_numbers import check_whole

# The default of each limit, and what it limits.
LIMITS = {
    "max_support": (1024, "support examples in a request, and rows of a task state's tensors"),
    "max_queries": (4096, "queries in a request"),
    "max_pairs": (1 << 21, "support examples times queries, or rows of the task state times queries"),
    "max_images": (1024, "images in a request"),
    "max_count": (1024, "images that a request asks for"),
    "max_pixels": (1 << 24, "pixels of an image"),
    "max_total_pixels": (1 << 29, "pixels of all images of one input"),
    "max_text_length": (1 << 16, "length of a text, as UTF-8"),
    "max_total_text_length": (1 << 24, "length of the texts of one input, if each were as long as the longest"),
}


def export_limits(given, accepted):
    """The limits of an export: the given values and, for the others, the defaults.

    Args:
        given: a dictionary from the names of limits to integers.
        accepted: the names of the limits that this export has.

    Returns:
        A dictionary of integers by name.

    Raises:
        ValueError: if a limit is not a positive integer.
        TypeError: if an argument is not a limit, or is a limit that this model does not have.
    """
    for name in given:
        if name not in accepted:
            known = "nothing in this model is bounded by it" if name in LIMITS else "there is no such argument"
            raise TypeError(
                f"`{name}` must be left out: {known}. The limits of this export are "
                f"{', '.join(f'`{one}`' for one in accepted)}. Received: {name}={given[name]!r}"
            )
    check_whole(**given)
    return {name: int(given.get(name, LIMITS[name][0])) for name in accepted}


def image_limits(shape, of_files):
    """The names of the limits on images of a shape `(height, width, channels)`.

    Args:
        shape: the shape of the network's images, with `None` for sides of any length.
        of_files: whether the model accepts image files.
    """
    return ["max_pixels", "max_total_pixels"] if of_files or None in shape else []
