"""Losses and accuracies of every learner, however its tasks are given, against NumPy on what `adapt` answers."""

import metalearn_tf as mtf
from metalearn_tf.learners.maml import step_importance

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_contract import LEARNERS, WAYS

FEATURES, SUPPORT, QUERIES, TASKS, BATCH = 5, 6, 4, 5, 2  # a short last batch
IN_FULL = ("MAML", "PrototypicalNetwork")
NOT_TRAINED = ("Ensemble", "Baseline", "BaselinePlusPlus")
# Its Adam keeps moments from batch to batch: steps of SGD are the same for each task.
SGD_REPTILE = lambda network: mtf.learners.Reptile(  # noqa: E731
    network(outputs=WAYS), inner_steps=2, inner_optimizer=keras.optimizers.SGD(0.3), inner_batch_size=4
)
BUILDS = {**LEARNERS, "Reptile": SGD_REPTILE}


def network(outputs):
    layers = [keras.Input((FEATURES,)), keras.layers.Dense(6, activation="tanh")]
    return keras.Sequential([*layers, *([] if outputs is None else [keras.layers.Dense(outputs)])])


def tasks():
    """Tasks whose losses are far from each other, since each has a scale of its own."""
    random = np.random.default_rng(0)
    support_y = np.stack([random.permutation(np.arange(SUPPORT) % WAYS) for _ in range(TASKS)]).astype("int32")
    query_y = random.integers(WAYS, size=(TASKS, QUERIES)).astype("int32")
    scale = np.arange(1, TASKS + 1).reshape(TASKS, 1, 1)
    draw = lambda n: np.float32(scale * random.normal(size=(TASKS, n, FEATURES)))  # noqa: E731
    return (draw(SUPPORT), support_y, draw(QUERIES)), query_y


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return -(-TASKS // BATCH)

    def __getitem__(self, index):
        x, y = tasks()
        rows = slice(BATCH * index, BATCH * (index + 1))
        return tuple(part[rows] for part in x), y[rows]


def ways_to_give():
    x, y = tasks()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    return {
        "arrays": ((x, y), {"batch_size": BATCH}),
        "dataset": ((dataset,), {}),
        "unknown length": ((dataset.filter(lambda *_: True),), {}),
        "generator": (((batch for batch in dataset.as_numpy_iterator()),), {}),
        "PyDataset": ((Batches(),), {}),
    }


def cross_entropy(logits, y):
    """The loss of each row of `logits` `(n, ways)`."""
    logits = np.float64(logits)
    return np.log(np.exp(logits).sum(axis=-1)) - logits[np.arange(len(y)), y]


def answers(learner, task):
    """What the adapted model of one task says of its queries, as logits."""
    support_x, support_y, query_x = task
    return np.log(learner.adapt(support_x, support_y).predict(query_x, verbose=0))


def scores(logits, y):
    """Loss and accuracy over the queries of all tasks."""
    logits, y = np.concatenate(logits), np.concatenate(y)
    return [np.mean(cross_entropy(logits, y)), np.mean(np.argmax(logits, axis=-1) == y)]


# === What a step of training sees, with weights that stay ===


def of_adapted(learner, x, y, steps):
    return scores([answers(learner, task) for task in zip(*x)], y)


def of_reptile(learner, x, y, steps):
    """A task in training is one set, of support and queries; it is asked about queries that it has trained on."""
    learner = learner.copy()
    learner.test_inner_steps = learner.inner_steps
    one_set = [np.concatenate([x[0], x[2]], axis=1), np.concatenate([x[1], y], axis=1), x[2]]
    return of_adapted(learner, one_set, y, steps)


def of_all_steps(learner, x, y, steps):
    """MAML++: a weighted sum of the losses after each inner step, at first."""
    by_step = np.asarray(learner.logits_by_step(x))[1:]
    losses = []
    for task, labels in enumerate(y):
        importance = np.asarray(step_importance(learner.inner_steps, steps[task // BATCH], learner.annealing_steps))
        losses.append(importance @ [np.mean(cross_entropy(logits[task], labels)) for logits in by_step])
    return [np.mean(losses), scores(by_step[-1], y)[1]]


def of_presentations(learner, x, y, steps):
    """MANN: all examples in random order, with the loss at every presentation."""
    x, y = np.concatenate([x[0], x[2]], axis=1), np.concatenate([x[1], y], axis=1)
    losses, right = [], []
    for index, step in enumerate(steps):
        rows = slice(BATCH * index, BATCH * (index + 1))
        places = tf.random.stateless_uniform(y[rows].shape, tf.constant([step, 0], tf.int64), alg="philox")
        order = np.argsort(places, axis=1)
        labels = np.take_along_axis(y[rows], order, axis=1)
        logits = np.asarray(learner.present(np.take_along_axis(x[rows], order[..., None], axis=1), labels))
        losses += [np.mean(cross_entropy(*task)) for task in zip(logits, labels)]
        right += list((np.argmax(logits, axis=-1) == labels)[order >= SUPPORT])
    return [np.mean(losses), np.mean(right)]


IN_TRAINING = {"Reptile": of_reptile, "MAML++": of_all_steps, "MANN": of_presentations}


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("name", BUILDS)
def test_losses_and_accuracies_are_those_of_a_direct_computation(name):
    learner, (x, y) = BUILDS[name](network), tasks()
    learner.compile(keras.optimizers.SGD(0.0), metrics=["accuracy"])
    expected = scores([answers(learner, task) for task in zip(*x)], y)
    np.testing.assert_allclose(learner.test_on_batch(x, y), expected, rtol=1e-4)
    # The ways to give tasks share their code over learners, and most are traced anew.
    ways = ways_to_give() if name in IN_FULL else ["unknown length"]
    for way in ways:
        (data, options), (validation, _) = ways_to_give()[way], ways_to_give()[way]
        if name in (*NOT_TRAINED, *IN_FULL):
            found = learner.evaluate(*data, verbose=0, **options)
            np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=f"evaluate, {way}")
        if name in NOT_TRAINED:
            continue
        data, _ = ways_to_give()[way]  # a generator is read once
        first = int(learner.optimizer.iterations)
        validation = validation if way == "arrays" else validation[0]
        logs = learner.fit(*data, shuffle=False, verbose=0, validation_data=validation, **options).history
        found = [logs[key][0] for key in ("loss", "accuracy", "val_loss", "val_accuracy")]
        direct = IN_TRAINING.get(name, of_adapted)(learner, x, y, range(first, first + 3))
        np.testing.assert_allclose(found, [*direct, *expected], rtol=1e-4, err_msg=f"fit, {way}")
    if name in IN_FULL:
        learner.reset_metrics()
        np.testing.assert_allclose(learner.train_on_batch(x, y), expected, rtol=1e-4)
