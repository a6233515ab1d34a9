"""The views that contrastive pre-training compares."""

import keras


def view_augmentation(image_shape, image_range=(0.0, 1.0)):
    """The random views of SimCLR that suit small images: a part of the image, mirrored, in other colours.

    Args:
        image_shape: `(height, width, channels)`; images that do not have 3 channels keep their colours.
        image_range: lowest and highest value of a pixel.

    Returns:
        A `keras.Sequential` of Keras's layers.
    """
    low, high = (float(limit) for limit in image_range)
    layers = [
        keras.layers.RandomFlip("horizontal"),
        # Parts of the image, enlarged up to twice.
        keras.layers.RandomZoom((-0.5, 0.0), fill_mode="reflect"),
        keras.layers.RandomTranslation(0.2, 0.2, fill_mode="reflect"),
    ]
    if image_shape[2] == 3:
        layers += [
            keras.layers.RandomColorJitter((low, high), 0.4, 0.4, 0.4, 0.1),
            keras.layers.RandomGrayscale(0.2),
        ]
    return keras.Sequential(layers, name="view_augmentation")
