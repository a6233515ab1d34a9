"""Few-shot learning, GANs that adapt from a handful of images, and transfer learning, as ordinary Keras models."""

from metalearn_tf import data, evaluation, gan, learners, networks, serving, training, transfer, workflows
from metalearn_tf.version import __version__
