"""A layer that makes one part of a network work against another."""

import keras
import tensorflow as tf

from metalearn_tf.checks.real_numbers import check_not_negative


@keras.saving.register_keras_serializable("metalearn_tf")
class GradientReversal(keras.layers.Layer):
    """Passes its input on unchanged, and multiplies the gradient by `-strength` on the way back.

    Layers after it learn to minimise a loss, and layers before it learn to maximise it. `strength` is a weight that is
    not trained. So `layer.strength.assign(0.5)` also works in a compiled `train_step`, and a file stores it.

    ```python
    x = mtf.transfer.GradientReversal()(features)
    domain_logits = keras.layers.Dense(1)(x)
    ```

    Args:
        strength: the initial factor, not negative.

    Input shape: any, floating.
    Output shape: the same.

    Raises:
        ValueError: if `strength` is not a number of at least 0.

    Reference: [Ganin et al., 2016](https://arxiv.org/abs/1505.07818), section 4.2.
    """

    def __init__(self, strength=1.0, **kwargs):
        super().__init__(**kwargs)
        check_not_negative("strength", strength)
        self.first_strength = float(strength)
        self.strength = self.add_weight(
            name="strength",
            shape=(),
            initializer=keras.initializers.Constant(strength),
            dtype="float32",
            trainable=False,
            autocast=False,
        )

    def call(self, x):
        strength = tf.convert_to_tensor(self.strength)

        @tf.custom_gradient
        def reverse(x):
            return tf.identity(x), lambda gradient: -tf.cast(strength, gradient.dtype) * gradient

        return reverse(x)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "strength": self.first_strength}
