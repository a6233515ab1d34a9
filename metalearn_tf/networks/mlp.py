"""A multilayer perceptron, for vectors and small regression tasks."""

import keras

from metalearn_tf.checks.whole_numbers import check_python_whole
from metalearn_tf.networks.checks import check_outputs
from metalearn_tf.networks.task_normalization import TaskNormalization


def mlp(input_shape=(1,), units=(40, 40), outputs=None, normalization=None, activation="relu", name="mlp"):
    """Dense layers, each with an optional normalisation and an activation.

    The defaults are the sinusoid network of the MAML paper, section 5.1 (give it `outputs=1`).

    Args:
        input_shape: shape of one example; inputs with more than one axis are flattened.
        units: the layers' widths.
        outputs: width of a linear head; `None` for an embedding, the last layer's activations.
        normalization: `None`, or as in `TaskNormalization`.
        activation: name of a Keras activation.
        name: the model's name.

    Input shape: `(batch, *input_shape)`, floating.
    Output shape: `(batch, outputs)`, or `(batch, units[-1])`, float32.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: if a size is not a positive integer.

    Reference: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.1.
    """
    units = tuple(units)
    if not units:
        raise ValueError(f"`units` must hold at least one width. Received: {units}")
    check_python_whole(**{f"units[{index}]": width for index, width in enumerate(units)})
    check_outputs(outputs)

    x = inputs = keras.Input(input_shape, name="inputs")
    if len(input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    for number, width in enumerate(units, 1):
        x = keras.layers.Dense(width, use_bias=normalization is None, name=f"dense_{number}")(x)
        if normalization is not None:
            x = TaskNormalization(normalization, name=f"normalization_{number}")(x)
        x = keras.layers.Activation(activation, name=f"activation_{number}")(x)
    if outputs is None:
        x = keras.layers.Identity(dtype="float32", name="embedding")(x)
    else:
        x = keras.layers.Dense(outputs, dtype="float32", name="head")(x)
    return keras.Model(inputs, x, name=name)
