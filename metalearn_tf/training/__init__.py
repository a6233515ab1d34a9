"""Runs training on one machine or many, and continues a training that was stopped."""

from metalearn_tf.training.fastest_precision import fastest_precision
from metalearn_tf.training.multi_worker_strategy import local_tf_configs, multi_worker_strategy
from metalearn_tf.training.report_to_ray import ReportToRay
from metalearn_tf.training.resume import Resume
from metalearn_tf.training.run_on_ray import run_on_ray
from metalearn_tf.training.task_board import TaskBoard
from metalearn_tf.training.task_parallelism import use_task_parallelism
from metalearn_tf.training.trial_training import TrialBudget
from metalearn_tf.training.tune import tune
