"""Whatever a training is fed with and wherever it stops, each step is made once."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from kill import Kill

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


class Steps(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append((self.epoch, batch))


class Batches(keras.utils.PyDataset):
    """With its own order in each epoch, and noise of the global state."""

    def __init__(self):
        super().__init__()
        self.order, self.random = np.arange(20), np.random.default_rng(1)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        chosen = self.order[5 * index : 5 * index + 5]
        return X[chosen] + np.random.normal(size=(5, 3)).astype("float32"), Y[chosen]

    def on_epoch_end(self):
        self.random.shuffle(self.order)


def drawn_batches():
    while True:
        chosen = np.random.randint(20, size=5)
        yield X[chosen], Y[chosen]


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y))


DATA = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 5},
    "weighted arrays in parts": lambda: {"x": X, "y": Y, "sample_weight": Y[:, 0] ** 2, "batch_size": 8},
    "PyDataset": lambda: {"x": Batches(), "shuffle": False},
    "shuffled PyDataset": lambda: {"x": Batches(), "shuffle": True},
    "generator": lambda: {"x": drawn_batches(), "steps_per_epoch": 4, "shuffle": False},
    "shuffled anew in each pass": lambda: {"x": dataset().shuffle(20, seed=1).batch(5), "shuffle": False},
    "of unknown length": lambda: {
        "x": dataset().shuffle(20, seed=1).filter(lambda x, y: x[0] > -9).batch(5),
        "shuffle": False,
    },
    "endless": lambda: {
        "x": dataset().shuffle(20, seed=1).repeat().batch(5),
        "steps_per_epoch": 3,
        "shuffle": False,
    },
    "passes longer than epochs": lambda: {"x": dataset().batch(4).repeat(3), "steps_per_epoch": 3, "shuffle": False},
}


def new_model(eagerly=True):
    layers = [keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    # Eagerly, since to trace a step takes longer than all steps here.
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], run_eagerly=eagerly, jit_compile=False)
    return model


def fit(model, data, callbacks=(), epochs=4):
    return model.fit(**data, epochs=epochs, verbose=0, callbacks=list(callbacks))


def state_of(model):
    variables = (*model.variables, *model.optimizer.variables)
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def assert_same(model, expected, message=""):
    for value, other in zip(state_of(model), state_of(expected), strict=True):
        np.testing.assert_array_equal(value, other, err_msg=message)
    assert model.history.history == expected.history.history
    assert model.history.epoch == expected.history.epoch


def start(kind):
    """What the beginning of a program is: seeds, a model and data."""
    keras.utils.set_random_seed(0)
    return new_model(eagerly=kind != "arrays"), DATA[kind]()


@pytest.mark.rows(default=["passes longer than epochs-3"])
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("kind, save_freq", [*((kind, 3) for kind in DATA), ("PyDataset", "epoch")])
def test_every_kind_of_data_goes_on_where_it_was_stopped(kind, save_freq, tmp_path):
    whole, data = start(kind)
    fit(whole, data)
    made = []
    # Before the end of the first epoch, in the middle of the second, in the first step after going on, and not at all.
    for stop in (2, 6, 1, None) if kind in ("arrays", "endless") else (6, None):
        model, data = start(kind)
        steps = Steps()
        callbacks = [mtf.training.Resume(tmp_path / "run", save_freq), steps, *([Kill(stop)] if stop else [])]
        try:
            fit(model, data, callbacks)
        except KeyboardInterrupt:
            assert (tmp_path / "run").exists()
        made.append(steps.seen)
    assert_same(model, whole)
    assert not (tmp_path / "run").exists()
    # The other callbacks see the steps that are made, and none before the state.
    assert made[0][0] == (0, 0) and made[-1][0] > (0, 0)


@pytest.mark.full
def test_the_same_session_goes_on_with_the_same_objects_and_without_resume(tmp_path):
    for kind in ("arrays", "shuffled anew in each pass"):
        whole, data = start(kind)
        fit(whole, data)
        model, data = start(kind)
        resume = mtf.training.Resume(tmp_path / kind, save_freq=3)
        for stop in (2, 6):
            with pytest.raises(KeyboardInterrupt):
                fit(model, data, [resume, Kill(stop)])
            data = DATA[kind]()
        fit(model, data, [resume])
        assert_same(model, whole, kind)
    # Interrupted, and then without it: all of its own epochs.
    with pytest.raises(KeyboardInterrupt):
        fit(model, DATA["arrays"](), [mtf.training.Resume(tmp_path / "again"), Kill(5)])
    with pytest.raises(KeyboardInterrupt):
        fit(model, DATA["arrays"](), [mtf.training.Resume(tmp_path / "again"), Kill(1)])
    before = int(model.optimizer.iterations)
    assert fit(model, DATA["arrays"]()).epoch == [0, 1, 2, 3]
    assert int(model.optimizer.iterations) == before + 16


def halved():
    return keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate)


@pytest.mark.full
def test_a_schedule_is_applied_once_an_epoch_wherever_resume_stands(tmp_path):
    whole, data = start("arrays")
    expected = fit(whole, data, [halved()]).history
    # The rate of an epoch begins before and behind the state that is saved when it begins.
    for number, (save_freq, stop, is_first) in enumerate(((2, 9, True), (4, 6, False))):
        for callbacks in ([Kill(stop)], []):
            model, data = start("arrays")
            resume = mtf.training.Resume(tmp_path / str(number), save_freq)
            try:
                fit(model, data, [resume, halved(), *callbacks] if is_first else [halved(), resume, *callbacks])
            except KeyboardInterrupt:
                continue
        assert_same(model, whole, f"{save_freq}, {stop}, {is_first}")
        assert model.history.history == expected


def test_data_that_are_used_up_are_refused(tmp_path):
    def few(batches):
        return {"x": ((X[:5], Y[:5]) for _ in range(batches)), "steps_per_epoch": 2, "shuffle": False}

    keras.utils.set_random_seed(0)
    model = new_model()
    with pytest.raises(KeyboardInterrupt):
        fit(model, few(9), [mtf.training.Resume(tmp_path), Kill(5)])
    with (
        pytest.raises(ValueError, match=r"`fit` must begin anew.*make a generator anew.*Received: 3 of the 4 batches"),
        pytest.warns(UserWarning, match="ran out of data"),
    ):
        fit(model, few(3), [mtf.training.Resume(tmp_path)])


@pytest.mark.full
def test_a_training_that_has_ended_is_not_taken_for_another(tmp_path):
    folder = tmp_path / "run"

    def again(epochs=2, **data):
        model, arrays = start("arrays")
        return fit(model, {**arrays, **data}, [mtf.training.Resume(folder, delete_checkpoint=False)], epochs), model

    _, whole = again()
    for data, message in (
        ({"x": X + 1}, "training of other data"),
        ({"sample_weight": X[:, 0]}, "training of other data"),
        ({"batch_size": 4}, "steps_per_epoch=5 where the training has 4"),
        ({"epochs": 1}, r"`epochs` must be at least as many as the training has begun, 2.*Received: epochs=1"),
    ):
        with pytest.raises(ValueError, match=message):
            again(**data)
    found, model = again()
    assert_same(model, whole)
    assert found.epoch == [0, 1]
    endless = tmp_path / "endless"
    for seed, message in ((1, None), (1, None), (2, "training of other data")):
        keras.utils.set_random_seed(0)
        data = {"x": dataset().shuffle(20, seed=seed).repeat().batch(5), "steps_per_epoch": 3, "shuffle": False}
        resume = mtf.training.Resume(endless, delete_checkpoint=False)
        if message is None:
            fit(new_model(), data, [resume], 2)
        else:
            with pytest.raises(ValueError, match=message):
                fit(new_model(), data, [resume], 2)


@pytest.mark.full
def test_a_training_that_was_stopped_early_goes_on_if_it_is_to_be_longer(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    whole, data = start("arrays")
    fit(whole, data, epochs=6)
    for epochs, callbacks, found in ((4, [Stop()], [0, 1]), (4, [], [0, 1]), (6, [], [0, 1, 2, 3, 4, 5])):
        model, data = start("arrays")
        resume = mtf.training.Resume(tmp_path / "run", delete_checkpoint=False)
        assert fit(model, data, [resume, *callbacks], epochs).epoch == found
    assert_same(model, whole)


def test_resume_says_where_it_works(tmp_path):
    resume = mtf.training.Resume(tmp_path)
    resume.set_model(new_model())
    resume.set_params({"epochs": 1})
    with pytest.raises(RuntimeError, match=r"`Resume` must be among the `callbacks` of `keras.Model.fit`"):
        resume.on_train_begin()
