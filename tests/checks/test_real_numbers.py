"""Numbers in a range, in the same words for every argument."""

from metalearn_tf.checks.real_numbers import (
    check_all_positive,
    check_below_one,
    check_not_negative,
    check_positive,
    check_share,
)

import numpy as np
import pytest

NO_NUMBERS = [None, True, "1", [1.0], float("nan"), float("inf"), -0.5]


@pytest.mark.parametrize(
    "check, accepted, refused, words",
    [
        (check_positive, [1e-9, 3, np.float32(2), np.int64(2)], [0, 0.0], "a positive number"),
        (check_not_negative, [0, 0.0, 3.5], [], "a number of at least 0"),
        (check_share, [1e-9, 1, np.float32(1)], [0, 1.5], r"a number in \(0, 1\]"),
        (check_below_one, [0, 0.999], [1, 1.5], r"a number in \[0, 1\)"),
        (check_all_positive, [[1], (0.5, 2), np.array([0.5])], [[], (), [0.5, 0], 1.0], "one or more positive numbers"),
    ],
)
def test_the_range_of_each(check, accepted, refused, words):
    for value in accepted:
        check("rate", value)
    no_numbers = [value for value in NO_NUMBERS if check is not check_all_positive or value != [1.0]]
    for value in [*refused, *no_numbers]:
        with pytest.raises(ValueError, match=f"`rate` must be {words}. Received: rate="):
            check("rate", value)
