"""Generative adversarial networks, and those that learn to adapt to a few images."""

from metalearn_tf.gan.gan import GAN
from metalearn_tf.gan.meta_gan import MetaGAN
