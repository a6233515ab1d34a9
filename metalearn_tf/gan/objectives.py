"""The losses that the two players of a GAN minimise, as pure functions of their networks.

A player's loss also contains the losses that the layers of its own networks add: regularisers of weights once, and
`activity_regularizer` and `add_loss` for each pass that the loss needs. The passes of a penalty do not count.
"""

from typing import NamedTuple

import tensorflow as tf

from metalearn_tf.engine.replicas import draw_rows
from metalearn_tf.gan.augmentation import change_images, draw_changes
from metalearn_tf.gan.losses import feature_matching_loss, get_losses, reconstruction_loss
from metalearn_tf.gan.penalties import get_penalty


class Objective(NamedTuple):
    """The terms of both players' losses.

    Attributes:
        loss: a name of `mtf.gan.LOSSES`, or a pair of functions.
        penalty: a name of `mtf.gan.PENALTIES`, a `Penalty`, or `None`.
        penalty_weight: factor of the penalty; `None` for the weight of the `Penalty`.
        augmentation: names of differentiable augmentations, or `None`.
        feature_matching_weight: factor of the distance between mean features in the generator's loss.
        reconstruction_weight: factor of the mean absolute error in the generator's loss.
        image_range: lowest and highest value of a pixel, for augmentation; `None` if it is not known.
    """

    loss: str
    penalty: str | None = None
    penalty_weight: float | None = None
    augmentation: tuple | None = None
    feature_matching_weight: float = 0.0
    reconstruction_weight: float = 0.0
    image_range: tuple | None = None

    def discriminator_loss(self, players, real, fake, labels, seed):
        """The discriminator's loss and, if there is a penalty, the weighted penalty that is part of it.

        Args:
            players: the `Players`; `generate` is not used.
            real: images `(n, height, width, channels)`.
            fake: generated images of the same shape, for the same labels.
            labels: `(n, …)`, or `None`.
            seed: int32 `(2,)`.

        Returns:
            A tuple of one or two float32 scalars.
        """
        seeds = split_seed(seed, 3)
        real, fake = (self.augment(players, images, each) for images, each in zip((real, fake), seeds))
        (real_logits, _, of_real), (fake_logits, _, of_fake) = (players.judge(x, labels) for x in (real, fake))
        loss = get_losses(self.loss)[0](real_logits, fake_logits)
        loss += of_real + of_fake + players.discriminator_weight_losses()
        if self.penalty is None:
            return (loss,)
        function, weight = get_penalty(self.penalty)
        weight = weight if self.penalty_weight is None else self.penalty_weight
        mix = players.draw(lambda count: tf.random.stateless_uniform([count], seeds[2]), tf.shape(real)[0])
        penalty = weight * function(lambda images: players.judge(images, labels)[0], real, fake, mix)
        return loss + penalty, penalty

    def generator_loss(self, players, real, noise, labels, seed):
        """The generator's loss, a float32 scalar.

        Args:
            players: the `Players`.
            real: images as in `discriminator_loss`, for the terms that compare with real images.
            noise: `(n, latent_dim)`.
            labels: `(n, …)`, or `None`.
            seed: int32 `(2,)`.
        """
        seeds = split_seed(seed, 2)
        fake, added = players.generate(noise, labels)
        logits, features, _ = players.judge(self.augment(players, fake, seeds[0]), labels)
        loss = get_losses(self.loss)[1](logits) + added + players.generator_weight_losses()
        if self.feature_matching_weight:
            real_features = tf.stop_gradient(players.judge(self.augment(players, real, seeds[1]), labels)[1])
            loss += self.feature_matching_weight * feature_matching_loss(real_features, features)
        if self.reconstruction_weight:
            again = fake
            if players.encode is not None:
                code, of_encoder = players.encode(real)
                again, of_generator = players.generate(code, labels)
                loss += of_encoder + of_generator
            loss += self.reconstruction_weight * reconstruction_loss(real, again)
        return loss

    def augment(self, players, images, seed):
        """The images as the discriminator sees them: scaled to [-1, 1], changed, and scaled back to their own range."""
        if self.augmentation is None:
            return images
        low, high = self.image_range or (-1.0, 1.0)
        middle, half = (high + low) / 2.0, (high - low) / 2.0
        draw = lambda count: players.draw(lambda count: draw_changes(count, seed), count, axis=1)  # noqa: E731
        return middle + half * change_images((images - middle) / half, self.augmentation, draw)


def draw_noise(count, latent_dim, seed):
    """Standard normal noise `(count, latent_dim)` float32. The same `seed`, int32 `(2,)`, gives the same noise."""
    return tf.random.stateless_normal([count, latent_dim], seed)


def batch_noise(images, latent_dim, seed):
    """`draw_noise` for the images of a batch that is split over all replicas."""
    return draw_rows(lambda count: draw_noise(count, latent_dim, seed), tf.shape(images)[0])


def split_seed(seed, number):
    """Makes `number` independent seeds, a list of int32 `(2,)`, of one."""
    return tf.unstack(tf.random.split(seed, number))


def task_seeds(seed, tasks):
    """Makes one seed for each task of a batch, int32 `(tasks, 2)`, of one."""
    return draw_rows(lambda count: tf.random.split(seed, count), tasks)
