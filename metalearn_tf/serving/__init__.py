"""Learners and GANs become SavedModels that adapt inside their graph."""

from metalearn_tf.serving.export import export_learner
from metalearn_tf.serving.export_generator import export_gan, export_meta_gan
