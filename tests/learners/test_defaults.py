"""The defaults of learners that adapt by gradients: their steps solve a task, on data of several kinds and scales."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest

WAYS, SHOTS = 3, 5
# Which part of the loss may be left after the steps of an untrained learner. The head alone does less, and what an LSTM
# makes of gradients is learned.
LEARNERS = {"MAML": 0.6, "ANIL": 0.9, "MetaSGD": 0.6, "MetaLSTM": 0.95, "Reptile": 0.6}


def vectors(scale):
    random = np.random.default_rng(0)
    x = random.normal(size=(WAYS, 1, 16)) + 0.5 * random.normal(size=(WAYS, SHOTS, 16))
    return scale * x.reshape(-1, 16).astype("float32")


def images():
    random = np.random.default_rng(0)
    x = random.random((WAYS, 1, 16, 16, 1)) + 0.3 * random.random((WAYS, SHOTS, 16, 16, 1))
    return (x / 1.3).reshape(-1, 16, 16, 1).astype("float32")


def mlp():
    return mtf.networks.mlp((16,), (32, 32), outputs=WAYS)


KINDS = {
    "images": (lambda: mtf.networks.conv4((16, 16, 1), filters=8, outputs=WAYS), images),
    "vectors": (mlp, lambda: vectors(1.0)),
    "vectors that are not standardised": (mlp, lambda: vectors(5.0)),
}


@pytest.mark.rows(
    default=[
        "ANIL-vectors",
        "ANIL-vectors that are not standardised",
        "MetaSGD-vectors",
        "MetaSGD-vectors that are not standardised",
    ]
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LEARNERS)
def test_the_inner_steps_lower_the_loss_of_a_task(name, kind):
    keras.utils.set_random_seed(0)
    build, data = KINDS[kind]
    learner, x, y = getattr(mtf.learners, name)(build()), data(), np.repeat(np.arange(WAYS), SHOTS)
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    before = float(losses(y, learner.network(x)))
    after = float(losses(y, np.asarray(learner((x[None], y[None], x[None])))[0]))
    assert after < LEARNERS[name] * before
