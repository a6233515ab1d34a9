"""Every transfer model, built, trained and asked alike."""

import metalearn_tf as mtf

import keras
import numpy as np
from small_transfer import quadrants

CLASSES = 4


def plain_backbone(**low):
    """Two layers with weights, `low` and `high`: images `(4, 4, 1)` to features `(n, 5)`."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Dense(6, activation="relu", name="low", **low)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(5, name="high")(x))


MODELS = {
    "classifier": lambda backbone, **options: mtf.transfer.TransferClassifier(backbone, CLASSES, **options),
    "unfreezing": lambda backbone, **options: mtf.transfer.TransferClassifier(
        backbone, CLASSES, **{"head_epochs": 1, "stages": 2, "layer_decay": 0.5, "l2_sp": 0.1, **options}
    ),
    "autoencoder": lambda backbone, **options: mtf.transfer.DenoisingAutoencoder(backbone, filters=2, **options),
    "contrastive": lambda backbone, **options: mtf.transfer.ContrastiveModel(
        backbone, projection=3, **{"augmentation": keras.layers.GaussianNoise(0.1), **options}
    ),
    "dann": lambda backbone, **options: mtf.transfer.DomainAdaptation(backbone, CLASSES, "dann", **options),
    "mmd": lambda backbone, **options: mtf.transfer.DomainAdaptation(backbone, CLASSES, "mmd", **options),
}
WITH_LABELS = ("classifier", "unfreezing", "dann", "mmd")
WITHOUT_LABELS = ("autoencoder", "contrastive")
OF_DOMAINS = ("dann", "mmd")


def fit(name, model, x=None, y=None, **options):
    """Trains for a few steps."""
    examples, labels = quadrants(16)
    x, y = examples if x is None else x, labels if y is None else y
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, **options}
    if name in OF_DOMAINS:
        return model.fit((x, y), examples, **options)
    return model.fit(x, **options) if name in WITHOUT_LABELS else model.fit(x, y, **options)


def first_batch(name):
    """What `train_step` is given."""
    x, y = quadrants(8)
    if name in OF_DOMAINS:
        return (x, x), y.astype("int32")
    return (x,) if name in WITHOUT_LABELS else (x, y)


def labelled(name, x, y):
    """What `evaluate` and `validation_data` are given."""
    return (x,) if name in WITHOUT_LABELS else (x, y)


@keras.saving.register_keras_serializable("transfer_models")
class Penalty(keras.layers.Layer):
    """Adds a constant to the loss in each call."""

    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)
        self.value = value

    def call(self, x):
        self.add_loss(keras.ops.convert_to_tensor(np.float32(self.value)))
        return x

    def get_config(self):
        return {**super().get_config(), "value": self.value}
