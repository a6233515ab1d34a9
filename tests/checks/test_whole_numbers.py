"""Which arguments are counts."""

from metalearn_tf.checks.whole_numbers import check_python_whole, check_seed, check_whole, check_whole_between, is_whole

import numpy as np
import pytest


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
    with pytest.raises(ValueError, match=r"`units` must be a positive Python integer. Received: units=np.int64\(3\)"):
        check_python_whole(units=np.int64(3))
    with pytest.raises(ValueError, match="`units` must be a positive integer. Received: units=0"):
        check_python_whole(units=0)


def test_any_integer_where_there_is_no_least():
    check_whole(least=None, seed=-3)
    with pytest.raises(ValueError, match="`seed` must be an integer. Received: seed=True"):
        check_whole(least=None, seed=True)


def test_seeds_are_of_32_bits():
    assert type(check_seed(np.int64(2**32 - 1))) is int
    assert check_seed(-(2**31), signed=True) == -(2**31)
    for seed in (None, True, 1.0, -1, 2**32):
        with pytest.raises(ValueError, match=r"`seed` must be an integer from 0 to 2\*\*32 - 1; draw .*seed="):
            check_seed(seed)
    for seed in (None, 2**31, -(2**31) - 1):
        with pytest.raises(ValueError, match=r"`seed` must be an integer from -2\*\*31 to 2\*\*31 - 1; .*seed="):
            check_seed(seed, signed=True)


def test_integers_between_two():
    for value in (2, np.int64(5)):
        check_whole_between("neighbors", value, 2, 5, "the images")
    for value in (1, 6, 3.0, True, None):
        with pytest.raises(ValueError, match="`neighbors` must be an integer from 2 to 5, the images. Rec.*neighbors="):
            check_whole_between("neighbors", value, 2, 5, "the images")
