"""Few-shot learning, GANs that adapt from a handful of images, and transfer learning, as ordinary Keras models."""

from metalearn_tf.engine.processor import use_onednn

use_onednn()  # TensorFlow reads the setting while it is imported, which the next line does

from metalearn_tf import data, evaluation, gan, learners, networks, serving, training, transfer, workflows
from metalearn_tf.version import __version__
