"""Which arguments are counts."""

import numpy as np
import pytest

from metalearn_tf.checks.whole_numbers import check_python_whole, check_whole, is_whole


@pytest.mark.parametrize("value", [3, np.int32(3), np.uint8(3)])
def test_integers_of_python_and_numpy_are_whole(value):
    assert is_whole(value)
    check_whole(steps=value)
    check_whole(least=3, steps=value, ways=4)


@pytest.mark.parametrize("value", [True, 3.0, "3", None, np.float32(3), np.array([3, 4])])
def test_what_is_no_integer_is_refused(value):
    assert not is_whole(value)
    with pytest.raises(ValueError, match="`steps` must be a positive integer. Received: steps="):
        check_whole(steps=value)


def test_the_first_number_that_is_too_small_is_named():
    with pytest.raises(ValueError, match="`shots` must be an integer of at least 2. Received: shots=1"):
        check_whole(least=2, ways=5, shots=1, queries=0)
    with pytest.raises(ValueError, match="`steps` must be a positive integer. Received: steps=0"):
        check_whole(steps=0)


def test_layers_are_given_integers_of_python():
    check_python_whole(units=3)
    with pytest.raises(
        ValueError, match=r"`units` must be a positive integer of Python's. Received: units=np.int64\(3\)"
    ):
        check_python_whole(units=np.int64(3))
    with pytest.raises(ValueError, match="`units` must be a positive integer. Received: units=0"):
        check_python_whole(units=0)
