"""How training runs on the machine at hand."""

from metalearn_tf.training.task_parallelism import use_task_parallelism
