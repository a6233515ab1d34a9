"""The update rules of a MetaGAN's inner loop, made of a Keras optimizer."""

import keras
import numpy as np
import tensorflow as tf

from metalearn_tf.engine.update_rules import UpdateRule, keras_optimizer, stateless_optimizer


class InnerRules:
    """The update rules of generator and discriminator, made of the current inner optimizer of a `MetaGAN`."""

    def __init__(self, meta_gan):
        self._meta_gan, self._made = meta_gan, (None, None)
        self()  # refuses at once an optimizer that does not work in an inner loop

    def __call__(self):
        meta_gan = self._meta_gan
        with tf.init_scope():  # a trace keeps the rules that it was made with
            described = meta_gan.kept_in_traces()
            if self._made[0] != described:
                rate = meta_gan.inner_learning_rate or 1e-3
                optimizer = meta_gan.inner_optimizer or keras.optimizers.Adam(rate, beta_1=0.0)
                networks = meta_gan.gan.generator, meta_gan.gan.discriminator
                self._made = described, [fresh_rule(optimizer, network.trainable_variables) for network in networks]
        return self._made[1]


def described_optimizer(meta_gan):
    """The configuration of the inner optimizer; `None` if there is none."""
    return meta_gan.inner_optimizer and keras.saving.serialize_keras_object(meta_gan.inner_optimizer)


def fresh_rule(optimizer, variables):
    """The update rule of a Keras optimizer that starts fresh for every task: it has seen no gradient yet."""
    optimizer = stateless_optimizer(optimizer, variables)
    start = [np.asarray(variable) for variable in optimizer.variables]
    return UpdateRule(lambda weights: [tf.constant(value) for value in start], keras_optimizer(optimizer).update)
