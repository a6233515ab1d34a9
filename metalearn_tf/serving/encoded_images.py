"""Image files become the pixels that a network was trained on, inside the graph."""

import tensorflow as tf

from metalearn_tf.data.resizing import crop_and_resize
from metalearn_tf.serving.request_checks import check_encoded


def takes_encoded_images(network):
    """Whether image files can be brought to the network's input: grey or colour, of a fixed size."""
    shape = network.input_shape[1:]
    return len(shape) == 3 and None not in shape and shape[-1] in (1, 3)


def decode_images(encoded, image_shape, name):
    """Decodes, crops and resizes PNG and JPEG files as `mtf.data.from_directory` does.

    Args:
        encoded: string tensor `(n,)`.
        image_shape: `(height, width, channels)`, with 1 channel for grey or 3 for colour.
        name: the input's name, for the errors.

    Returns:
        Images `(n, height, width, channels)` float32 in `[0, 1]`, in steps of 1/255.
    """
    *size, channels = image_shape

    def decode(file):
        # The operation's name is all that the error of a damaged file carries.
        image = tf.io.decode_image(file, channels, expand_animations=False, name=f"decode_{name}")
        image.set_shape((None, None, channels))
        return tf.cast(crop_and_resize(image, size), tf.float32) / 255.0

    return tf.map_fn(decode, check_encoded(encoded, name), fn_output_signature=tf.TensorSpec(image_shape, tf.float32))
