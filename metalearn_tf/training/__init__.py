"""How training runs on the machine at hand, and goes on where it was stopped."""

from metalearn_tf.training.resume import Resume
from metalearn_tf.training.task_parallelism import use_task_parallelism
