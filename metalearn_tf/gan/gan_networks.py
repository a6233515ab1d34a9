"""What the networks of a GAN say about its images, noise and labels."""

import keras
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
        """How many classes the networks' labels can be of: as many as both know; `None` where no layer says it.

        A layer named `"label_embedding"` says it, and what Keras has for class numbers. Labels of several numbers are
        attributes, not classes.
        """
        if not self.conditional or self.generator.inputs[1].shape[1:] not in ((), (1,)):
            return None
        networks = (self.generator, self.discriminator)
        parts = [part for network in networks for part in (*network._flatten_layers(), *network.operations)]
        return min((classes for classes in map(_classes_of, parts) if classes is not None), default=None)

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


def _classes_of(part):
    """The number of class numbers that a layer or an operation of Keras's takes; `None` where it takes others."""
    if isinstance(part, keras.layers.Embedding):
        return part.input_dim
    if isinstance(part, keras.layers.CategoryEncoding):
        return part.num_tokens
    if type(part).__name__ == "OneHot":  # `keras.ops.one_hot`
        return part.num_classes
    return part.weights[0].shape[0] if part.name == "label_embedding" and part.weights else None
