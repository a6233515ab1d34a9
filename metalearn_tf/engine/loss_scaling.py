"""Loss scaling, which half precision needs."""

import keras


def with_loss_scaling(optimizer, network):
    """Returns an optimizer for a Keras optimizer or its name, with loss scaling if the network computes in float16.

    Keras adds this only to a model whose own policy is mixed. In our models, only the networks have a mixed policy.
    """
    optimizer = keras.optimizers.get(optimizer)
    if network.compute_dtype == "float16" and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
