"""Learners become SavedModels that adapt inside their graph."""

from metalearn_tf.serving.export import export_learner
