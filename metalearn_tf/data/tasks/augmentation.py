"""Keras preprocessing layers on tasks, as pure functions of the seed and the task's number."""

import keras
import tensorflow as tf

from metalearn_tf.checks.layers import check_is_layer
from metalearn_tf.data.tasks.sampling import random_bits
from metalearn_tf.engine.keras_internals import flat_layers

# Start of the counters of these random numbers. Those of tasks count blocks and never get this far.
_FIRST_COUNTER = 2**62


def augment(model, examples, rows, numbers, seed, stream):
    """Applies a model to each task; every task has its own random numbers.

    Args:
        model: a built `keras.Model`, as `check_augmentation` returns it.
        examples: images `(tasks, n, height, width, channels)` float32.
        rows: int64 `(tasks, n)`, -1 for padding, which stays zero.
        numbers: int64 `(tasks,)`, the tasks' places in the stream.
        seed: integer, of the stream.
        stream: 0 for support and 1 for queries, so that their random numbers are independent.

    Returns:
        float32 `(tasks, n, …)`.
    """

    def augment_task(task):
        images, task_rows, number = task
        augmented = augment_images(model, images, random_bits([2], seed, _FIRST_COUNTER + 2 * number + stream))
        is_real = tf.reshape(task_rows >= 0, [-1, *[1] * (augmented.shape.rank - 1)])
        return tf.where(is_real, augmented, 0.0)

    return tf.map_fn(augment_task, (examples, rows, numbers), fn_output_signature=tf.float32)


def augment_images(model, images, bits):
    """Applies a model to images, with random numbers that depend on `bits` alone.

    Args:
        model: a built `keras.Model`, as `augmentation_model` returns it.
        images: `(n, height, width, channels)` float32.
        bits: two integers that choose the random numbers.

    Returns:
        float32 `(n, …)`.
    """
    # The layers' random state is an argument here, so that no state stays from one call to the next.
    bits = tf.cast(bits, tf.int64)
    state = [
        tf.cast(bits, variable.dtype) if _is_random_state(variable) else tf.convert_to_tensor(variable)
        for variable in model.non_trainable_variables
    ]
    weights = [tf.convert_to_tensor(variable) for variable in model.trainable_variables]
    return tf.cast(model.stateless_call(weights, state, images, training=True)[0], tf.float32)


def seed_augmentation(model, seed):
    """Sets the random state of a built layer's parts, so that what it does next depends on `seed` alone."""
    for number, variable in enumerate(filter(_is_random_state, model.variables)):
        variable.assign([seed, number])


def check_augmentation(name, layer, dataset):
    """The layer as a model, built for the dataset's images.

    Raises:
        TypeError: if it is not a Keras layer, or the examples are strings.
        ValueError: if it has a `value_range` other than that of the images.
    """
    check_is_layer(name, layer)
    if dataset.dtype.kind == "O":
        raise TypeError(f"`{name}` needs images or other numbers. Received: a dataset of strings")
    if dataset.dtype == "uint8":
        check_value_range(name, layer)
    return augmentation_model(layer, dataset.example_shape)


def check_value_range(name, layer):
    """Refuses a layer that is for images in a range other than `[0, 1]`."""
    for part in flat_layers(layer):
        limits = getattr(part, "value_range", None)
        if limits is not None and tuple(limits) != (0, 1):
            raise ValueError(
                f"`{name}` sees images in [0, 1]; build {type(part).__name__} with `value_range=(0, 1)`. "
                f"Received: value_range={tuple(limits)}"
            )


def augmentation_model(layer, image_shape):
    """A Keras layer as a model that is built for images."""
    # A model passes `training` to those of its layers that take it.
    model = layer if isinstance(layer, keras.Model) else keras.Sequential([layer])
    if not model.built:
        model.build((None, *image_shape))
    return model


def _is_random_state(variable):
    return variable.name == "seed_generator_state"
