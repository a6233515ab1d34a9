"""The learning rate of trainings that know their number of steps."""

import keras


def warm_up_and_cosine(learning_rate, steps):
    """A rate that rises from 0 to `learning_rate` in the first tenth of `steps`, then falls to 0 by a half cosine.

    Reference: [Loshchilov and Hutter, 2017](https://arxiv.org/abs/1608.03983)
    """
    warm_up = max(1, steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )
