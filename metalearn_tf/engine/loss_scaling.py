"""Loss scaling, which half precision needs."""

import keras


def with_loss_scaling(optimizer, network):
    """A Keras optimizer, or its name, as an optimizer: with loss scaling where the network computes in float16.

    Keras does so by itself for a model whose own policy is mixed; our models leave the mixed policy to their networks.
    """
    optimizer = keras.optimizers.get(optimizer)
    if network.compute_dtype == "float16" and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
