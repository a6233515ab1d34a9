"""Few-shot learning, GANs that adapt from a handful of images, and transfer learning, as ordinary Keras models."""

from metalearn_tf import data, evaluation, gan, learners, networks, serving, training, transfer, workflows

__version__ = "0.1.0"
