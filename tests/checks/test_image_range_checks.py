"""One tolerance of pixels, at every door: of arrays, and of scalar tensors in graphs."""

from metalearn_tf.checks.image_range import TOLERANCE, are_within, check_image_range, check_limits

import numpy as np
import pytest
import tensorflow as tf


def images_with(*pixels):
    return np.array(pixels, "float32").reshape(1, -1, 1, 1)


@pytest.mark.parametrize("limits", [(0.0, 1.0), (-1.0, 1.0), (0, 255)])
def test_a_little_more_than_the_range_is_accepted_and_no_more(limits):
    low, high = limits
    for share, fits in ((0.0, True), (0.9, True), (1.1, False)):
        margin = share * TOLERANCE * (high - low)
        for pixels in ((low - margin, high), (low, high + margin)):
            assert bool(are_within(*pixels, limits)) is fits
            assert bool(are_within(*map(tf.constant, map(float, pixels)), limits)) is fits
            if fits:
                check_image_range("images", images_with(*pixels), limits)
            else:
                with pytest.raises(ValueError, match=r"`images` must be in \[.*Received: values from"):
                    check_image_range("images", images_with(*pixels), limits)


@pytest.mark.parametrize(
    "images, limits, message",
    [
        (images_with(0.0, np.nan), (0, 1), "`x` must be finite.*NaN or infinite values in rows"),
        (images_with(0.0, np.inf), None, "`x` must be finite"),
        (images_with(0, 255), (0, 1), r"must be in \[0, 1\]; uint8 images.*astype\('uint8'\)`.*from 0 to 255"),
        (images_with(0, 256), (0, 1), r"must be in \[0, 1\]\. Received: values from 0 to 256"),
        (images_with(0).astype("int64"), (0, 1), r"uint8, or floating in \[0, 1\]; `images.astype\('uint8'\)`.*int64"),
        (images_with(0).astype(bool), None, "uint8, or floating. Received: dtype=bool"),
    ],
)
def test_what_is_refused(images, limits, message):
    with pytest.raises(ValueError, match=message):
        check_image_range("x", images, limits)


def test_bytes_are_in_any_range_and_all_finite_floats_where_none_is_said():
    check_image_range("x", np.full((1, 2, 2, 1), 255, "uint8"), (-1, 1))
    check_image_range("x", images_with(-300.0, 300.0))


@pytest.mark.parametrize("limits", [(1, 0), (0, np.inf), (0, 1, 2), (np.nan, 1)])
def test_a_range_has_two_finite_ends(limits):
    with pytest.raises(ValueError, match="`image_range` must be the lowest and the highest"):
        check_limits(limits)
