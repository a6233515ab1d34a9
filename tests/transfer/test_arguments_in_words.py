"""What cannot work is refused before any training, in a sentence that says what to write."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

L = keras.layers
SHAPE = (8, 8, 1)
IMAGES, LABELS = np.random.default_rng(0).integers(0, 256, (12, *SHAPE)).astype("uint8"), np.arange(12) % 2


def backbone(*first):
    return keras.Sequential([keras.Input(SHAPE), *first, L.Flatten(), L.Dense(4)])


ARGUMENTS = {
    "learning_rate": (keras.optimizers.schedules.CosineDecay(1e-3, 10), "`learning_rate` must be a positive number"),
    "weight_decay": (-0.1, "`weight_decay` must be a number of at least 0"),
}


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_rates_are_numbers(argument):
    value, words = ARGUMENTS[argument]
    with pytest.raises(ValueError, match=f"{words}.*`compile` of a `TransferClassifier`. Received: {argument}="):
        mtf.transfer.fine_tune(backbone(), IMAGES, LABELS, **{argument: value})
    with pytest.raises(ValueError, match=words):
        mtf.transfer.pretrain(backbone(), IMAGES, LABELS, **{argument: value})


@pytest.mark.parametrize("stages", [[["dense"]], "dense", 1.5, [L.Flatten()]])
def test_stages_are_a_number_or_names(stages):
    for call in (
        lambda: mtf.transfer.UnfreezingPlan(stages=stages),
        lambda: mtf.transfer.TransferClassifier(backbone(), 2, stages=stages),
    ):
        with pytest.raises(ValueError, match="`stages` must be a number of groups of layers, or a list of names"):
            call()


SCALED = {
    "first": lambda: backbone(L.Rescaling(1 / 255)),
    "to -1 and 1": lambda: backbone(L.Rescaling(1 / 127.5, offset=-1)),
    "behind augmentation": lambda: backbone(L.RandomFlip(), L.ZeroPadding2D(), L.Rescaling(1 / 255)),
    "in a model": lambda: backbone(keras.Sequential([keras.Input(SHAPE), L.Rescaling([1 / 255])])),
}


@pytest.mark.rows(default=["first", "behind augmentation", "to -1 and 1"])
@pytest.mark.parametrize("where", SCALED)
def test_a_backbone_that_scales_pixels_itself_is_given_pixels(where):
    scaled = SCALED[where]()
    calls = {
        "fine_tune": lambda **options: mtf.transfer.fine_tune(scaled, IMAGES, LABELS, epochs=1, **options),
        "pretrain": lambda **options: mtf.transfer.pretrain(scaled, IMAGES, LABELS, epochs=1, **options),
        "extract_features": lambda **options: mtf.transfer.extract_features(scaled, IMAGES, **options),
        "TransferClassifier": lambda **options: mtf.transfer.TransferClassifier(scaled, 2, **options),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match=r"`image_range` must be .* for `image_range=\(0, 255\)`; or take that"):
            call()
    features = calls["extract_features"](image_range=(0, 255))
    np.testing.assert_allclose(features, scaled.predict(IMAGES.astype("float32"), verbose=0), atol=1e-5)


def test_a_rescaling_that_is_no_scaling_of_pixels_stays_possible():
    assert mtf.transfer.extract_features(backbone(L.Rescaling(2.0, offset=-1.0)), IMAGES).shape == (12, 4)


def test_a_layer_beside_a_network_is_refused_by_name():
    inputs = keras.Input(SHAPE)
    beside = keras.Model(inputs, L.Dense(4)(L.Flatten()(inputs)))
    beside.extra = L.Dense(3)
    beside.extra.build((None, 2))
    with pytest.raises(ValueError, match="one in an attribute of a functional model; leave these layers"):
        mtf.transfer.fine_tune(beside, IMAGES, LABELS)
