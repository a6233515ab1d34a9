"""Whether Keras still needs to be passed, see `ReplicatedModel`. Where a test fails, one of its methods may go."""

import os
import subprocess
import sys

from metalearn_tf.training import local_tf_configs

import pytest

# https://github.com/keras-team/keras/issues/20585
PROGRAM = """
import sys, keras, numpy as np, tensorflow as tf
from metalearn_tf.engine.replicated_model import ReplicatedModel

strategy = tf.distribute.MultiWorkerMirroredStrategy()

class Model(ReplicatedModel):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

for name in sys.argv[1:]:
    setattr(Model, name, getattr(keras.Model, name))

with strategy.scope():
    model = Model()
    model.build((None, 2))
    model.compile("sgd", "mse", metrics=["mae"])
data = tf.data.Dataset.from_tensor_slices((np.ones((4, 2), "float32"), np.ones((4, 1), "float32"))).batch(4)
model.fit(data, epochs=2, shuffle=False, verbose=0)
print("trained")
"""


def train(*methods):
    """What two workers write that train a model of which some methods are Keras's own."""
    command = [sys.executable, "-c", PROGRAM, *methods]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environments = [{**os.environ, "TF_CONFIG": config} for config in local_tf_configs(2)]
    workers = [subprocess.Popen(command, env=environment, **pipes) for environment in environments]
    try:
        return [worker.communicate(timeout=120)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "message"),
    [
        (None, None),
        ("_maybe_symbolic_build", "unsupported type (<class 'tensorflow.python.distribute.values.PerReplica'>)"),
        ("_make_function", "Invalid reduction dimension 0 for input with 0 dimensions"),
    ],
)
def test_keras_fails_by_itself(method, message):
    for output in train(*([] if method is None else [method])):
        assert ("trained" in output) == (method is None), output
        assert message is None or message in output
