"""What the tests of GANs start from."""

import keras
import numpy as np
import pytest
from small_networks import SHAPE


@pytest.fixture(autouse=True)
def same_weights_in_every_test():
    keras.utils.set_random_seed(0)


@pytest.fixture
def images():
    """Thirty uint8 images `(30, 8, 8, 1)`."""
    return np.random.default_rng(0).integers(0, 256, (30, *SHAPE), dtype="uint8")
