"""The augmentation without a GAN that the GANs are compared with."""

import keras


def classical_augmentation(flip=False):
    """Small random turns (18 degrees), moves (a tenth), zooms (15 %) and shears of images in [0, 1].

    Args:
        flip: whether images are mirrored too, as photographs may be and characters may not.

    Returns:
        A `keras.Sequential`.
    """
    layers = [keras.layers.RandomFlip("horizontal")] if flip else []
    # What comes in at an edge is what was there: a background of any colour goes on.
    layers += [
        keras.layers.RandomRotation(0.05, fill_mode="nearest"),
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
        keras.layers.RandomZoom(0.15, fill_mode="nearest"),
        keras.layers.RandomShear(0.1, 0.1, fill_mode="nearest"),
    ]
    return keras.Sequential(layers, name="classical_augmentation")
