"""One trunk and many tasks, with a head for each task, in one layer."""

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("metalearn_tf")
class MultiTaskHead(keras.layers.Layer):
    """A linear head for each of several classification tasks that share their features.

    The tasks share all parameters except the heads, so the trunk learns features that serve all tasks. This is the
    multi-task baseline of meta-learning. The heads are columns of one matrix; a task's logits are those of its classes.

    ```python
    tasks = mtf.networks.task_of_class(dataset)  # one task for each parent: an alphabet, a superclass
    images, task = keras.Input((28, 28, 1)), keras.Input((), dtype="int32")
    model = keras.Model([images, task], mtf.networks.MultiTaskHead(tasks)([embedding(images), task]))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit([x, np.asarray(tasks)[y]], y)
    ```

    Args:
        task_of_class: integers `(classes,)`: the task that each class belongs to.

    Call arguments:
        inputs: `[features, task]` of shapes `(batch, features)` and `(batch,)`, integers.

    Output shape: logits `(batch, classes)` float32; -1e9, a probability of 0, for classes of other tasks.

    Raises:
        ValueError: if `task_of_class` is not a sequence of integers from 0 on.

    Reference: [Caruana, 1997](https://doi.org/10.1023/A:1007379606734)
    """

    def __init__(self, task_of_class, **kwargs):
        super().__init__(**kwargs)
        tasks = np.asarray(task_of_class)
        if tasks.ndim != 1 or tasks.size == 0 or tasks.dtype.kind not in "iu" or tasks.min() < 0:
            raise ValueError(f"`task_of_class` must be one integer from 0 on for each class. Received: {task_of_class}")
        self.task_of_class = tasks.tolist()

    def build(self, input_shape):
        classes, features = len(self.task_of_class), input_shape[0][-1]
        self.kernel = self.add_weight(name="kernel", shape=(features, classes), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(classes,), initializer="zeros")

    def call(self, inputs):
        features, task = inputs
        logits = tf.cast(tf.matmul(features, self.kernel) + self.bias, tf.float32)
        of_task = tf.constant(self.task_of_class, tf.int32)[None] == tf.cast(task, tf.int32)[:, None]
        return tf.where(of_task, logits, -1e9)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], len(self.task_of_class))

    def get_config(self):
        return {**super().get_config(), "task_of_class": self.task_of_class}


def task_of_class(dataset):
    """The number of each class's parent, `(classes,)` int32, in the order of the parents' first classes.

    Args:
        dataset: a `ClassDataset` with `parents`.

    Raises:
        ValueError: if the dataset has no parents, or a class without examples has none.
    """
    if not dataset.parents:
        raise ValueError("`dataset` must have `parents`, one task for each. Received: a dataset without parents")
    without = [name for name in dataset.class_names if name not in dataset.parents]
    if without:
        raise ValueError(f"`dataset` must have a parent for each class. Received: none for {without[:10]}")
    parents = [dataset.parents[name] for name in dataset.class_names]
    numbers = {parent: number for number, parent in enumerate(dict.fromkeys(parents))}
    return np.array([numbers[parent] for parent in parents], "int32")
