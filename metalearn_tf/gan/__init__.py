"""GANs, their losses and penalties, and GANs that learn to adapt from a few images."""

from metalearn_tf.gan.augmentation import differentiable_augmentation
from metalearn_tf.gan.gan import GAN
from metalearn_tf.gan.losses import (
    LOSSES,
    feature_matching_loss,
    get_losses,
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    minimax_discriminator_loss,
    minimax_generator_loss,
    non_saturating_discriminator_loss,
    non_saturating_generator_loss,
    reconstruction_loss,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from metalearn_tf.gan.meta_gan import MetaGAN
from metalearn_tf.gan.penalties import PENALTIES, Penalty, get_penalty, gradient_penalty, r1_penalty
