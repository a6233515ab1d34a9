"""Exports learners, GANs and classifiers as SavedModels that adapt, draw and predict inside their graph."""

from metalearn_tf.serving.export import export_learner
from metalearn_tf.serving.export_classifier import export_classifier, export_features
from metalearn_tf.serving.export_generator import export_gan, export_meta_gan
