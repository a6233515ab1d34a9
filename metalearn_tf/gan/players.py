"""The networks of a GAN as functions, with their own weights or with others."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from metalearn_tf.engine.regularization import regularization_loss
from metalearn_tf.engine.replicas import draw_rows
from metalearn_tf.networks.second_derivatives import twice_differentiable_call, twice_differentiable_pass


class Players(NamedTuple):
    """Generator and discriminator as functions that close over some weights.

    A network's layers add to its player's loss in two parts. `added` is a float32 scalar for each pass, from
    `activity_regularizer` and `add_loss`. The regularisers of weights count once.

    Attributes:
        generate: function from noise `(n, latent_dim)` and labels (or `None`) to images
            `(n, height, width, channels)` and `added`.
        judge: function from images and labels (or `None`) to logits `(n, 1)`, features `(n, …)` (`None` without
            feature matching) and `added`.
        generator_weight_losses: function without arguments that returns the regularisation loss of the weights of
            generator and encoder, a scalar.
        discriminator_weight_losses: the same for the discriminator.
        draw: function that draws random numbers for each example, with the arguments of `draw_rows`.
        encode: function from images to noise `(n, latent_dim)` and `added`; `None` if there is no encoder.
    """

    generate: Callable
    judge: Callable
    generator_weight_losses: Callable
    discriminator_weight_losses: Callable
    draw: Callable
    encode: Callable | None = None


def stateful_players(gan, training):
    """A GAN's networks with their own weights, on a batch that is split over all replicas.

    A pass in training may change the state of their layers.

    Args:
        gan: a `GAN`.
        training: as in Keras.
    """

    def run(network, *inputs):
        outputs, losses = twice_differentiable_call(network, inputs_of(*inputs), training=training)
        return outputs, _pass_losses(losses)

    def judge(images, labels):
        outputs, added = run(gan.judge, images, labels)
        return (*_logits_and_features(gan, outputs), added)

    trained = [gan.generator, *([] if gan.encoder is None else [gan.encoder])]
    return Players(
        lambda noise, labels: run(gan.generator, noise, labels),
        judge,
        lambda: tf.add_n([_weight_losses(network) for network in trained]),
        lambda: _weight_losses(gan.discriminator),
        draw_rows,
        None if gan.encoder is None else lambda images: run(gan.encoder, images),
    )


def stateless_players(gan, weights):
    """A GAN's networks with other weights, on a task, which one replica computes alone.

    Args:
        gan: a `GAN` without encoder, whose networks have no state except their weights.
        weights: the generator's trainable weights, then the discriminator's, a flat list of tensors.
    """
    count = len(gan.generator.trainable_variables)
    generator, discriminator = weights[:count], weights[count:]

    def run(network, weights, *inputs):
        frozen = [tf.convert_to_tensor(variable) for variable in network.non_trainable_variables]
        outputs, _, losses = twice_differentiable_pass(network, weights, frozen, inputs_of(*inputs), training=True)
        return outputs, _pass_losses(losses)

    def judge(images, labels):
        outputs, added = run(gan.judge, discriminator, images, labels)
        return (*_logits_and_features(gan, outputs), added)

    return Players(
        lambda noise, labels: run(gan.generator, generator, noise, labels),
        judge,
        lambda: _weight_losses(gan.generator, generator),
        lambda: _weight_losses(gan.discriminator, discriminator),
        lambda draw, count, axis=0: draw(count),
    )


def inputs_of(x, labels=None):
    """The inputs of a network: `x`, or a list of `x` and labels."""
    return x if labels is None else [x, labels]


def _logits_and_features(gan, outputs):
    return outputs if gan.judge is not gan.discriminator else (outputs, None)


def _weight_losses(network, weights=None):
    """The regularisation loss of a network's trainable weights, a float32 scalar.

    Args:
        network: a `keras.Model`.
        weights: tensors to use instead of its trainable weights.
    """
    penalty = regularization_loss(network.trainable_variables, weights)
    return _pass_losses([] if penalty is None else [penalty])


def _pass_losses(losses):
    """The sum of the losses that layers added in a pass, a list of tensors, as a float32 scalar."""
    return tf.add_n([tf.zeros([]), *(tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in losses)])
