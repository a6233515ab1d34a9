"""Keras layers among arguments."""

from metalearn_tf.checks.layers import check_is_layer

import keras
import pytest


def test_one_layer_is_asked_for():
    check_is_layer("augmentation", keras.layers.RandomFlip())
    for other in (None, [keras.layers.RandomFlip()], "flip", keras.layers.RandomFlip):
        with pytest.raises(TypeError, match="`augmentation` must be a Keras layer; put several into a .*Received: "):
            check_is_layer("augmentation", other)
