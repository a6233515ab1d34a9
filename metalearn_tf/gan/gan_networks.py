"""The shapes of a GAN's images, noise and labels, read from its networks."""

import numpy as np

from metalearn_tf.gan.adversarial_model import AdversarialModel
from metalearn_tf.gan.label_classes import classes_of_labels
from metalearn_tf.gan.network_inputs import has_pairs
from metalearn_tf.networks.value_range import value_range


class GANNetworks(AdversarialModel):
    """A model with a `generator`, a `discriminator` and an `encoder` (or `None`). Its properties describe them."""

    @property
    def conditional(self):
        """Whether the networks take labels in addition to noise and images."""
        return len(self.generator.inputs) == 2

    @property
    def latent_dim(self):
        """How many numbers the noise of one image has."""
        return self.generator.inputs[0].shape[-1]

    @property
    def image_shape(self):
        """`(height, width, channels)`."""
        return tuple(self.generator.output_shape[1:])

    @property
    def number_of_classes(self):
        """The number of classes that both networks know; `None` if no layer tells it.

        A layer named `"label_embedding"` tells it, and so does a Keras layer for class numbers that gets the labels.
        Labels with several numbers are attributes, not classes. The integers in a map are classes.
        """
        if not self.conditional:
            return None
        condition = self.generator.inputs[1]
        is_map = len(condition.shape) == 4 and not has_pairs(self)
        if not is_map and condition.shape[1:] not in ((), (1,)):
            return None
        known = [classes_of_labels(network, network.inputs[1]) for network in (self.generator, self.discriminator)]
        return min((classes for classes in known if classes is not None), default=None)

    @property
    def source_shape(self):
        """`(height, width, channels)` of the source images of pairs; `None` for other GANs."""
        return tuple(self.generator.inputs[1].shape[1:]) if has_pairs(self) else None

    @property
    def image_range(self):
        """Lowest and highest value of a generated pixel; `None` if neither the generator nor the user tells it."""
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
