"""Fixtures of the tests of transfer."""

import pytest
import tensorflow as tf


@pytest.fixture
def eager():
    """Steps without graphs: the same arithmetic, without the seconds that a graph takes."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
