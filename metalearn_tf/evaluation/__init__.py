"""Accuracy with intervals, scores of generated images, reports and pictures."""

from metalearn_tf.evaluation.evaluate_episodes import evaluate_episodes
from metalearn_tf.evaluation.evaluate_presentations import (
    PresentationReport,
    by_presentation,
    evaluate_presentations,
)
from metalearn_tf.evaluation.feature_networks import feature_classifier, feature_network, inception_features
from metalearn_tf.evaluation.feature_scores import (
    Kid,
    fid_of_features,
    frechet_distance,
    kid_of_features,
    precision_and_recall_of_features,
)
from metalearn_tf.evaluation.generative_figures import few_shot_figure, training_curves
from metalearn_tf.evaluation.generative_scores import (
    GenerativeReport,
    fid,
    generated_accuracy,
    generative_report,
    kid,
    precision_and_recall,
)
from metalearn_tf.evaluation.generative_scores_callback import GenerativeScores
from metalearn_tf.evaluation.image_features import image_features
from metalearn_tf.evaluation.nearest_images import nearest_images
from metalearn_tf.evaluation.report import Report
from metalearn_tf.evaluation.sample_grid import SampleGrid, sample_grid
from metalearn_tf.evaluation.scores import (
    confidence_half_width,
    confusion_matrix,
    macro_recall_and_f1,
    student_half_width,
)
from metalearn_tf.evaluation.task_figure import task_figure
from metalearn_tf.evaluation.train_feature_classifier import train_feature_classifier
