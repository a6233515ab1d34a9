"""Accuracy with intervals, reports and pictures."""

from metalearn_tf.evaluation.evaluate_episodes import evaluate_episodes
from metalearn_tf.evaluation.evaluate_presentations import (
    PresentationReport,
    by_presentation,
    evaluate_presentations,
)
from metalearn_tf.evaluation.report import Report
from metalearn_tf.evaluation.scores import confidence_half_width, confusion_matrix, macro_recall_and_f1
from metalearn_tf.evaluation.task_figure import task_figure
