"""What the networks of a GAN say about its images, noise and labels."""

import numpy as np

from metalearn_tf.gan.adversarial_model import AdversarialModel
from metalearn_tf.gan.label_classes import classes_of_labels
from metalearn_tf.gan.network_inputs import has_pairs
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
        """How many classes the networks' labels can be of: as many as both know; `None` where no layer says it.

        A layer named `"label_embedding"` says it, and what Keras has for class numbers and is given the labels. Labels
        of several numbers are attributes, not classes; those of a map of integers are classes.
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
