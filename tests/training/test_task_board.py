"""What TensorBoard is told of a learner is what an independent computation gives."""

import functools
import importlib.util
import inspect
import math

import metalearn_tf as mtf
from metalearn_tf.engine.task_mapping import task_context
from metalearn_tf.training import task_board, task_clock

import keras
import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorboard", reason="TensorFlow writes no summaries without the tensorboard package")

WAYS, SHOTS, QUERIES, TASKS = 3, 2, 2, 2


def network(outputs=None, policy=None):
    x = inputs = keras.Input((16, 16, 1))
    x = keras.layers.Dense(4, activation="tanh", dtype=policy)(keras.layers.Flatten(dtype=policy)(x))
    x = mtf.networks.TaskNormalization("transductive", dtype=policy)(x)
    x = x if outputs is None else keras.layers.Dense(outputs, dtype=policy)(x)
    return keras.Model(inputs, x)


PLUS_PLUS = {
    "inner_steps": 2,
    "inner_learning_rate": 0.1,
    "learned_rates": True,
    "per_step_normalization": True,
    "multi_step_loss": True,
    "annealing_steps": 2,
}
MANN = {"ways": WAYS, "memory_slots": 6, "memory_width": 4, "controller_units": 8, "read_heads": 1}
# With few inner steps each.
BY_STEPS = {
    "MAML": lambda **options: mtf.learners.MAML(network(WAYS, **options), inner_steps=3, inner_learning_rate=0.2),
    "MAML++": lambda **options: mtf.learners.MAML(network(WAYS, **options), **PLUS_PLUS),
    "ANIL": lambda **options: mtf.learners.ANIL(network(WAYS, **options), inner_steps=2),
    "MetaSGD": lambda **options: mtf.learners.MetaSGD(network(WAYS, **options), test_inner_steps=3),
    "MetaLSTM": lambda **options: mtf.learners.MetaLSTM(network(WAYS, **options), inner_steps=2, units=4),
    "Reptile": lambda **options: mtf.learners.Reptile(network(WAYS, **options), inner_steps=2, test_inner_steps=4),
}
AT_ONCE = {
    "PrototypicalNetwork": lambda **options: mtf.learners.PrototypicalNetwork(network(**options)),
    "MatchingNetwork": lambda **options: mtf.learners.MatchingNetwork(network(**options)),
    "NearestNeighbor": lambda **options: mtf.learners.NearestNeighbor(network(**options)),
    "RelationNetwork": lambda **options: mtf.learners.RelationNetwork(network(**options)),
    "MANN": lambda **options: mtf.learners.MANN(network(**options), **MANN),
}
LEARNERS = BY_STEPS | AT_ONCE
STEPS = {"MAML": 3, "MAML++": 2, "ANIL": 2, "MetaSGD": 3, "MetaLSTM": 2, "Reptile": 4}
HISTOGRAMS = {
    "MAML++": {"learned/inner_rates/step_1", "learned/inner_rates/step_2"},
    "MetaLSTM": {f"learned/{gate}_gate/step_{step}" for gate in ("input", "forget") for step in (1, 2)},
}
# Their curves are computed as those of a learner that is tested: long gates.
LIKE_ANOTHER = {"ANIL", "MetaSGD", "MatchingNetwork", "NearestNeighbor"}
# That make a learner of others, or are the bases of others.
OTHERS = {"Ensemble", "MetaLearner", "GradientBasedLearner"}


@pytest.fixture(scope="module")
def tasks(toy_tasks):
    return functools.partial(toy_tasks, WAYS, SHOTS, QUERIES, TASKS)


def compiled(name, run_eagerly=True, **options):
    """Eager, since the steps of a training are fewer than their graph is worth; the callback's own graph is tested."""
    learner = LEARNERS[name](**options)
    learner.compile(metrics=["accuracy"], run_eagerly=run_eagerly)
    return learner


def train(learner, folder, train_tasks, test_tasks, epochs=2, **options):
    """The learner after a short training, with a `TaskBoard`."""
    board = mtf.training.TaskBoard(folder, test_tasks, write_graph=False, **options)
    learner.fit(train_tasks, steps_per_epoch=2, epochs=epochs, verbose=0, callbacks=[board])
    return learner


def write(learner, folder, test_tasks, **options):
    """What a `TaskBoard` writes at the end of an epoch, without the training."""
    board = mtf.training.TaskBoard(folder, test_tasks, write_graph=False, **options)
    board.set_params({"epochs": 1})
    board.set_model(learner)
    board.on_train_begin()
    board.on_epoch_begin(0)
    board.on_epoch_end(0, {"loss": 0.0})
    board.on_train_end()
    return last(read(folder))


def read(folder, run="tasks"):
    """What the event files of a run hold: `{tag: {step: value}}`."""
    files = sorted(map(str, (folder / run).glob("events*")))
    found = {}
    for record in tf.data.TFRecordDataset(files):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor)
    return found


def last(found):
    return {tag: values[max(values)] for tag, values in found.items()}


def softmax_losses(logits, labels):
    return -tf.nn.log_softmax(logits).numpy()[np.arange(len(labels)), labels]


# === Every learner ===


def test_no_learner_is_left_out():
    public = {name for name, value in vars(mtf.learners).items() if inspect.isclass(value)}
    assert public - OTHERS == {name for name in LEARNERS if name != "MAML++"}


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LIKE_ANOTHER else name for name in LEARNERS]
)
def test_every_learner_has_its_curves(name, tasks, tmp_path):
    learner = train(compiled(name), tmp_path, tasks(seed=0), tasks(seed=1), epochs=1)
    found = last(read(tmp_path))
    expected = {f"adaptation/{score}_after" for score in ("loss", "accuracy")}
    if name in BY_STEPS:
        expected |= {f"adaptation/{score}_before" for score in ("loss", "accuracy")}
        expected |= {f"{s}_by_step/step_{step}" for s in ("loss", "accuracy") for step in range(STEPS[name] + 1)}
    if name == "MANN":
        expected |= {f"accuracy_by_presentation/{number}" for number in range(1, SHOTS + QUERIES + 1)}
    assert {tag for tag in found if not tag.startswith("learned/")} == expected
    assert {tag for tag in found if tag.startswith("learned/")} >= HISTOGRAMS.get(name, set())
    # What Keras says of the same tasks.
    evaluated = learner.evaluate(tasks(seed=1), steps=2, verbose=0, return_dict=True)
    for score in ("loss", "accuracy"):
        np.testing.assert_allclose(found[f"adaptation/{score}_after"], evaluated[score], rtol=1e-4)
        if name in BY_STEPS:
            assert found[f"adaptation/{score}_after"] == found[f"{score}_by_step/step_{STEPS[name]}"]
            assert found[f"adaptation/{score}_before"] == found[f"{score}_by_step/step_0"]
    usual = read(tmp_path, "train")
    assert {"epoch_loss", "epoch_accuracy", "epoch_learning_rate", "epoch_tasks_per_second"} <= usual.keys()
    assert all(speed > 0 for speed in usual["epoch_tasks_per_second"].values())


@pytest.mark.rows(default=["PrototypicalNetwork-mixed_bfloat16"])
@pytest.mark.parametrize(
    "name, policy",
    [("MAML", "mixed_float16"), *((name, "mixed_bfloat16") for name in ("MAML", "PrototypicalNetwork", "MANN"))],
)
def test_mixed_precision(name, policy, tasks, tmp_path):
    learner = compiled(name, policy=policy)
    evaluated = learner.evaluate(tasks(seed=1), steps=2, verbose=0, return_dict=True)
    found = write(learner, tmp_path, tasks(seed=1))
    np.testing.assert_allclose(found["adaptation/loss_after"], evaluated["loss"], rtol=1e-2, atol=2e-3)
    assert all(np.isfinite(value) for value in found.values())


def test_a_learner_of_the_users_own(tasks, tmp_path):
    class Means(mtf.learners.PrototypicalNetwork):
        def adaptation_values(self, support_x, support_y):
            return {"means": self.adapt_task(support_x, support_y)[0]}

    learner = Means(network())
    learner.compile(run_eagerly=True)
    found = write(learner, tmp_path, tasks(seed=1))
    assert set(found) == {"adaptation/loss_after", "adaptation/accuracy_after", "learned/means"}


# === The numbers ===


@pytest.mark.full
def test_each_step_is_a_gradient_step_by_hand(tasks, tmp_path):
    """With a network without normalisation, in eager mode."""
    model = mtf.networks.mlp((16, 16, 1), (5,), outputs=WAYS)
    learner = mtf.learners.MAML(model, inner_steps=3, inner_learning_rate=0.3)
    learner.compile("adam", run_eagerly=True)
    found = write(learner, tmp_path, tasks(seed=4), batches=1)
    losses, accuracies = [], []
    (support_x, support_y, query_x), query_y = next(tasks(seed=4).as_numpy_iterator())
    for task in zip(support_x, support_y, query_x, query_y):
        weights = [tf.constant(weight) for weight in learner.get_weights()]
        for step in range(4):
            logits = model.stateless_call(weights, [], task[2])[0]
            losses.append((step, softmax_losses(logits, task[3]).mean()))
            accuracies.append((step, (np.argmax(logits, axis=1) == task[3]).mean()))
            with tf.GradientTape() as tape:
                tape.watch(weights)
                logits = model.stateless_call(weights, [], task[0])[0]
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(task[1], logits))
            weights = [w - 0.3 * gradient for w, gradient in zip(weights, tape.gradient(loss, weights))]
    for name, pairs in (("loss", losses), ("accuracy", accuracies)):
        for step in range(4):
            expected = np.mean([value for number, value in pairs if number == step])
            np.testing.assert_allclose(found[f"{name}_by_step/step_{step}"], expected, rtol=1e-4)
    assert found["adaptation/loss_after"] < found["adaptation/loss_before"]


@pytest.mark.rows(default=["ANIL"])
@pytest.mark.parametrize("name", [name for name in BY_STEPS if name != "MAML++"])
def test_a_step_is_the_end_of_a_learner_with_as_many(name, tasks):
    x, _ = next(iter(tasks(seed=2)))
    learner = LEARNERS[name]()
    logits = learner.logits_by_step(x)
    assert logits.shape[0] == STEPS[name] + 1
    for steps in range(1, STEPS[name] + 1):
        learner.test_inner_steps = steps
        np.testing.assert_allclose(logits[steps], learner(x), rtol=1e-4, atol=1e-5)


def test_each_step_has_its_own_normalization(tasks):
    """As in the multi-step loss of MAML++, whose trajectory is that of training."""
    (support_x, support_y, query_x), _ = next(iter(tasks(seed=2)))
    learner = LEARNERS["MAML++"]()
    for number, change in enumerate(learner.per_step_changes):
        change.assign(tf.random.stateless_normal(change.shape, (number, 0)))
    logits = learner.classify_by_step(support_x[0], support_y[0], query_x[0])
    with task_context(training=True, ways=None):
        first = [tf.convert_to_tensor(variable) for variable in learner.adapted_variables()]
        trajectory = learner.inner_loop(support_x[0], support_y[0], WAYS)
        for number, step, weights in [(0, 0, first), (1, 0, trajectory[0][0]), (2, 1, trajectory[1][0])]:
            state = learner.task_state(support_x[0], weights, tf.constant(WAYS), step)
            np.testing.assert_allclose(logits[number], learner.classify(state, query_x[0], step), rtol=1e-4, atol=1e-5)


@pytest.mark.rows(default=["PrototypicalNetwork"])
@pytest.mark.parametrize("name", ["MAML", "ANIL", "PrototypicalNetwork"])
def test_vectorized_tasks_give_the_same(name, tasks):
    x, _ = next(iter(tasks(seed=2)))
    learner = LEARNERS[name]()
    expected = learner.logits_by_step(x)
    learner.task_mapping = "vectorized"
    np.testing.assert_allclose(tf.function(learner.logits_by_step)(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("name", ["MAML", "PrototypicalNetwork", "MANN"])
def test_ragged_tasks_count_what_is_real(name, toy_dataset, tmp_path):
    ragged = functools.partial(
        mtf.data.episodes, toy_dataset, (2, WAYS), (1, SHOTS), (1, QUERIES), 4, uneven_shots=True
    )
    learner = compiled(name)
    found = write(learner, tmp_path, ragged(seed=5))
    losses, hits = [], []
    for (support_x, support_y, query_x), query_y, _ in ragged(seed=5).take(2).as_numpy_iterator():
        for *task, labels in zip(support_x, support_y, query_x, query_y):
            real = [task[0][task[1] >= 0], task[1][task[1] >= 0], task[2][labels >= 0]]
            logits = learner([part[None] for part in real])[0]
            losses.append(softmax_losses(logits, labels[labels >= 0]))
            hits.append(np.argmax(logits, axis=1) == labels[labels >= 0])
    by_batch = [np.concatenate(losses[:4]).mean(), np.concatenate(losses[4:]).mean()]
    np.testing.assert_allclose(found["adaptation/loss_after"], np.mean(by_batch), rtol=1e-4)
    np.testing.assert_allclose(found["adaptation/accuracy_after"], np.concatenate(hits).mean(), rtol=1e-5)
    if name == "MANN":
        presentations = {tag for tag in found if tag.startswith("accuracy_by_presentation/")}
        assert presentations == {f"accuracy_by_presentation/{n}" for n in range(1, SHOTS + QUERIES + 1)}


def test_regression_has_losses_alone(tmp_path):
    random = np.random.default_rng(0)
    x = [random.normal(size=(6, n, 1)).astype("float32") for n in (5, 4)]
    slopes = random.normal(size=(6, 1, 1)).astype("float32")
    tasks = tf.data.Dataset.from_tensor_slices(((x[0], slopes * x[0], x[1]), slopes * x[1])).batch(4)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    learner = mtf.learners.MAML(model, inner_steps=2, inner_learning_rate=0.1)
    learner.compile("adam", run_eagerly=True)
    found = write(learner, tmp_path, tasks)
    steps = {f"loss_by_step/step_{step}" for step in range(3)}
    assert set(found) == {"adaptation/loss_before", "adaptation/loss_after", *steps}
    kernel, bias = (weight.ravel() for weight in learner.get_weights())
    expected = np.mean((x[1] * kernel + bias - slopes * x[1]) ** 2)  # of batches of 4 and 2 tasks
    np.testing.assert_allclose(found["adaptation/loss_before"], expected, rtol=1e-5)
    assert found["adaptation/loss_after"] < expected


@pytest.mark.full
def test_accuracy_by_presentation_is_counted_along_the_sequence(tasks, tmp_path):
    learner = compiled("MANN")
    written = write(learner, tmp_path, tasks(seed=3), batches=1, seed=11)
    (support_x, support_y, query_x), query_y = next(tasks(seed=3).as_numpy_iterator())
    random, accuracies = np.random.default_rng(11), []
    for task in range(TASKS):
        labels = np.concatenate([support_y[task], query_y[task]])
        order = random.permutation(len(labels))
        examples = np.concatenate([support_x[task], query_x[task]])[order]
        logits = learner.present(examples[None], labels[order][None])[0]
        predictions = np.argmax(logits, axis=1)
        accuracies.append(mtf.evaluation.by_presentation(labels[order], predictions, SHOTS + QUERIES))
    for number, expected in enumerate(np.mean(accuracies, axis=0), 1):
        np.testing.assert_allclose(written[f"accuracy_by_presentation/{number}"], expected, rtol=1e-6)


@pytest.mark.full
def test_histograms_are_of_what_was_learned(tasks, tmp_path):
    learner = train(compiled("MetaSGD"), tmp_path, tasks(), tasks(seed=1), epochs=1)
    found = last(read(tmp_path))
    assert len({tag for tag in found if tag.startswith("learned/")}) == len(learner.inner_rates)
    for variable, rates in zip(learner.adapted_variables(), learner.inner_rates):
        buckets, rates = found[f"learned/inner_rates/{variable.path}"], np.asarray(rates)  # left, right, count
        np.testing.assert_allclose([buckets[0, 0], buckets[-1, 1]], [rates.min(), rates.max()], rtol=1e-5)
        assert buckets[:, 2].sum() == rates.size


def test_gates_are_those_of_the_inner_loop(tasks):
    (support_x, support_y, _), _ = next(iter(tasks()))
    learner = LEARNERS["MetaLSTM"]()
    values = learner.adaptation_values(support_x[0], support_y[0])
    _, state = learner.inner_loop(support_x[0], support_y[0], WAYS)[-1]
    for gate, expected in zip(("input_gate", "forget_gate"), state[2:]):
        np.testing.assert_allclose(values[f"{gate}/step_2"], expected[:, 0], rtol=1e-5)
        assert math.isclose(np.mean(values[f"{gate}/step_1"]), 0.01 if gate == "input_gate" else 0.995, rel_tol=0.1)


# === The training ===


@pytest.mark.full
def test_training_goes_as_without_it(tasks, tmp_path):
    weights = []
    for folder in (None, tmp_path):
        keras.utils.set_random_seed(3)
        learner = compiled("PrototypicalNetwork")
        if folder is None:
            learner.fit(tasks(), steps_per_epoch=2, epochs=2, verbose=0)
        else:
            train(learner, folder, tasks(), tasks(seed=1))
        weights.append(learner.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


class Seconds:
    """A clock that shows one second more at each look, and 100 more at the second one."""

    def __init__(self):
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return self.looks + 100 * (self.looks > 1)


def test_tasks_per_second_leave_out_the_first_step_and_all_between(tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(task_clock.time, "perf_counter", Seconds())
    learner = compiled("PrototypicalNetwork")
    board = mtf.training.TaskBoard(tmp_path, tasks(seed=1), write_graph=False)
    options = {"validation_data": tasks(seed=2), "validation_steps": 2, "callbacks": [board], "verbose": 0}
    learner.fit(tasks(), steps_per_epoch=3, epochs=2, **options)
    speeds = read(tmp_path, "train")["epoch_tasks_per_second"]
    assert speeds == {0: TASKS, 1: TASKS}
    assert "epoch_loss" in read(tmp_path, "validation")


@pytest.mark.full
def test_a_resumed_training_goes_on_with_its_curves(tasks, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def kill(batch, logs):
        if board._clock is not None and int(learner.optimizer.iterations) == 7:
            raise Killed

    for attempt in range(2):
        keras.utils.set_random_seed(0)
        monkeypatch.setattr(task_clock.time, "perf_counter", Seconds())
        learner = compiled("PrototypicalNetwork")
        resume = mtf.training.Resume(tmp_path / "state", save_freq=2)
        board = mtf.training.TaskBoard(tmp_path / "board", tasks(seed=1), write_graph=False)
        killer = keras.callbacks.LambdaCallback(on_train_batch_end=kill if attempt == 0 else None)
        options = {"steps_per_epoch": 4, "epochs": 3, "callbacks": [resume, board, killer], "verbose": 0}
        if attempt == 0:
            with pytest.raises(Killed):
                learner.fit(tasks(), **options)
        else:
            learner.fit(tasks(), **options)
    assert set(read(tmp_path / "board")["adaptation/loss_after"]) == {0, 1, 2}
    assert read(tmp_path / "board", "train")["epoch_tasks_per_second"] == {0: TASKS, 1: TASKS, 2: TASKS}


@pytest.mark.full
def test_some_epochs_alone(tasks, tmp_path):
    train(compiled("PrototypicalNetwork"), tmp_path, tasks(), tasks(seed=1), epochs=6, every=3)
    assert set(read(tmp_path)["adaptation/loss_after"]) == {0, 2, 5}
    assert set(read(tmp_path, "train")["epoch_loss"]) == set(range(6))


def test_curves_of_batches_do_not_hide_those_of_epochs(tasks, tmp_path):
    train(compiled("PrototypicalNetwork"), tmp_path, tasks(), tasks(seed=1), update_freq=3)
    assert set(read(tmp_path)["adaptation/loss_after"]) == {0, 1}
    usual = read(tmp_path, "train")
    assert set(usual["epoch_loss"]) == {0, 1} and set(usual["batch_loss"]) == {3}


def test_tensorboard_reads_it(tasks, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = write(compiled("MAML++"), tmp_path, tasks(seed=1))
    accumulator = EventAccumulator(str(tmp_path / "tasks"))
    accumulator.Reload()
    plugins = {tag: accumulator.SummaryMetadata(tag).plugin_data.plugin_name for tag in found}
    assert set(plugins.values()) == {"scalars", "histograms"}
    assert {tag for tag, plugin in plugins.items() if plugin == "histograms"} >= HISTOGRAMS["MAML++"]


def test_another_worker_than_the_first_writes_nothing(tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(task_board, "is_first_worker", lambda model: False)
    train(compiled("PrototypicalNetwork"), tmp_path / "board", tasks(), tasks(seed=1), update_freq=1)
    assert not (tmp_path / "board").exists()


# === Bad input ===


def test_arguments_are_checked(tasks, tmp_path):
    for name in ("batches", "every"):
        for number in (0, 1.5, True):
            with pytest.raises(ValueError, match=f"`{name}` must be a positive integer. Received: {name}={number}"):
                mtf.training.TaskBoard(tmp_path, tasks(), **{name: number})
    with pytest.raises(ValueError, match="`seed` must be an integer. Received: seed=None"):
        mtf.training.TaskBoard(tmp_path, tasks(), seed=None)
    with pytest.raises(ValueError, match="`tasks` must be a tf.data.Dataset of tasks.* Received: list"):
        mtf.training.TaskBoard(tmp_path, [1])
    for dataset in (tf.data.Dataset.range(3), tf.data.Dataset.from_tensors((1, 2)), tasks().map(lambda x, y: (x,))):
        with pytest.raises(ValueError, match="`tasks` must be a tf.data.Dataset of tasks.* Received: elements"):
            mtf.training.TaskBoard(tmp_path, dataset)
    with pytest.raises(ValueError, match="`tasks` must have a batch. Received: an empty dataset"):
        mtf.training.TaskBoard(tmp_path, tasks().take(0))


def test_tasks_must_fit_the_learner(tasks, toy_dataset, tmp_path):
    learner = compiled("MAML")
    before = learner.get_weights()
    more_ways = mtf.data.episodes(toy_dataset, WAYS + 1, SHOTS, QUERIES)
    with pytest.raises(ValueError, match="The tasks' ways must be the width of the network's head.*4-way"):
        train(learner, tmp_path, tasks(), more_ways)
    smaller = tasks().map(lambda x, y: ((x[0][:, :, :8], x[1], x[2][:, :, :8]), y))
    with pytest.raises(ValueError, match=r"`support_x` must have the shape \(n, 16, 16, 1\)"):
        train(learner, tmp_path, tasks(), smaller)
    assert int(learner.optimizer.iterations) == 0
    for one, other in zip(learner.get_weights(), before):
        np.testing.assert_array_equal(one, other)


def test_the_model_must_be_a_learner(tasks, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`TaskBoard` is for the learners of `mtf.learners`. Received: a Sequential"):
        model.fit(np.zeros((2, 3)), np.zeros((2, 1)), callbacks=[mtf.training.TaskBoard(tmp_path, tasks())], verbose=0)


def test_without_tensorboard_the_error_says_what_to_install(tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"`TaskBoard` needs the tensorboard package: `pip install"):
        mtf.training.TaskBoard(tmp_path, tasks())
