"""What the networks of a GAN say about its images, noise and labels."""

import numpy as np

from metalearn_tf.gan.adversarial_model import AdversarialModel
from metalearn_tf.gan.network_checks import has_pairs
from metalearn_tf.networks.value_range import value_range


class GANNetworks(AdversarialModel):
    """A model with a `generator`, a `discriminator` and an `encoder` or `None`, which is asked what they are for."""

    @property
    def conditional(self):
        """Whether the networks take labels beside noise and images."""
        return len(self.generator.inputs) == 2

    @property
    def latent_dim(self):
        """Numbers in the noise of an image."""
        return self.generator.inputs[0].shape[-1]

    @property
    def image_shape(self):
        """`(height, width, channels)`."""
        return tuple(self.generator.output_shape[1:])

    @property
    def number_of_classes(self):
        """The labels that the generator's layer `"label_embedding"` knows; `None` where it has no such layer."""
        layers = {layer.name: layer for layer in self.generator.layers}
        embedding = layers.get("label_embedding")
        return None if embedding is None or not embedding.weights else embedding.weights[0].shape[0]

    @property
    def source_shape(self):
        """`(height, width, channels)` of the source images of pairs; `None` for others."""
        return tuple(self.generator.inputs[1].shape[1:]) if has_pairs(self) else None

    @property
    def image_range(self):
        """Lowest and highest value of a generated pixel; `None` where neither the generator nor the user says it."""
        known = self._declared_range or value_range(self.generator)
        return known if np.isfinite(known).all() else None

    @property
    def trained_by_player(self):
        """The variables that each player's optimizer trains, by the player's name."""
        encoder = [] if self.encoder is None else self.encoder.trainable_variables
        return {
            "generator": [*self.generator.trainable_variables, *encoder],
            "discriminator": self.discriminator.trainable_variables,
        }
