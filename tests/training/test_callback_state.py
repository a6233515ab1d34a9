"""What a file of `Resume` may say of callbacks, and what it may not."""

import json

import metalearn_tf as mtf
from metalearn_tf.files.cache import read_arrays, write_arrays
from metalearn_tf.training.callback_state import CallbackState

import keras
import numpy as np
import pytest

stop = keras.callbacks.EarlyStopping


class Counting(keras.callbacks.Callback):
    """With an argument that changes as it goes, an attribute that comes late, and a dict of a class of its own."""

    seen = 0

    def __init__(self, left, name="a"):
        super().__init__()
        self.left, self.name = left, name
        self.pair, self.flag, self.values = (1, 2.5), False, {"x": [np.float32(0.1)]}

    def go(self):
        self.left -= 1
        self.seen += 1
        self.late = np.arange(3)
        self.pair, self.flag, self.values = (3, 4.5), True, {"y": [np.float32(0.2)]}


def moved(callback, other):
    """The second callback with what the first one has seen, through JSON."""
    arrays = []
    state = json.loads(json.dumps(callback.values(arrays)))
    other.check(state, arrays)
    other.set(state, arrays)


def test_what_was_seen_is_kept_and_what_was_told_is_that_of_now():
    one, other = stop("loss", patience=0, min_delta=0.1), stop("mae", patience=9, min_delta=0.2, mode="min")
    state = CallbackState(one)
    one.best, one.wait, one.monitor_op, one.min_delta = 0.5, 3, keras.ops.less, -0.1
    one.best_weights = [np.ones(2), np.zeros((1, 2))]
    moved(state, CallbackState(other))
    assert (other.best, other.wait, other.monitor, other.patience) == (0.5, 3, "mae", 9)
    # Its sign is that of a comparison which the callback has yet to make.
    assert other.min_delta == 0.2 and other.monitor_op is None
    np.testing.assert_array_equal(other.best_weights[1], np.zeros((1, 2)))


def test_a_callback_of_ones_own_is_kept():
    one, other = Counting(5, "then"), Counting(5, "now")
    state = CallbackState(one)
    one.go()
    moved(state, CallbackState(other))
    assert (other.left, other.seen, other.flag, other.pair, other.name) == (4, 1, True, (3, 4.5), "now")
    assert other.values == {"y": [np.float32(0.2)]} and isinstance(other.values["y"][0], np.float32)
    np.testing.assert_array_equal(other.late, np.arange(3))
    with pytest.raises(ValueError, match=r"must be told what they were.*Counting with left=7 where the training has 5"):
        moved(state, CallbackState(Counting(7)))
    with pytest.raises(ValueError, match="same order. Received: EarlyStopping where the training has Counting"):
        moved(state, CallbackState(stop("loss")))


@pytest.mark.parametrize(
    "name, value",
    [
        ("on_epoch_end", "text"),
        ("_is_improvement", None),
        ("get_monitor_value", {"list": []}),
        ("model", None),
        ("params", {"dict": {}}),
        ("monitor_op", "less"),
        ("patience", 0),
        ("unknown", 1),
        ("__class__", "int"),
        ("__dict__", {"dict": {}}),
        ("wait", "1"),
        ("wait", float("nan")),
        ("wait", float("inf")),
        ("wait", True),
        ("wait", {"list": [1]}),
        ("restore_best_weights", True),
    ],
)
def test_a_file_cannot_say_anything_else(name, value):
    callback = stop("loss")
    state = {"class": "EarlyStopping", "seen": {name: value}, "told": {}}
    before = dict(vars(callback))
    with pytest.raises(ValueError, match=r"attributes that they have. Received: EarlyStopping\." + name):
        CallbackState(callback).check(state, [])
    assert vars(callback) == before


# === Whole files ===


def train(folder, killed=False):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    early = stop("loss", patience=5)

    def kill(epoch, logs):
        if killed and epoch == 1:
            raise KeyboardInterrupt

    callbacks = [mtf.training.Resume(folder, callbacks=[early]), early]
    callbacks += [keras.callbacks.LambdaCallback(on_epoch_end=kill)]
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    model.fit(x, x[:, :1], batch_size=4, epochs=3, verbose=0, callbacks=callbacks)
    return model.get_weights()


def damaged(meta, arrays):
    """Files of which each has something else wrong, by what that is."""
    for name, value in (
        ("epoch", -1),
        ("epoch", 1.5),
        ("epoch", float("nan")),
        ("steps", "2"),
        ("steps_of_epoch", 99),
        ("first_epoch", 7),
        ("ended", True),
        ("history", {"loss": ["x"]}),
        ("history", [1]),
        ("epochs", [0.5]),
        ("logs", {"loss": None}),
        ("callbacks", [{"best": "x"}]),
        ("callbacks", {}),
        ("callbacks", [{"class": "EarlyStopping", "seen": {"wait": {"function": ["os", "system"]}}, "told": {}}]),
        ("callbacks", [{"class": "EarlyStopping", "seen": {"wait": {"array": 99}}, "told": {}}]),
        ("callbacks", [{"class": "EarlyStopping", "seen": [1], "told": {}}]),
        ("python", [3, [1, 2], None]),
        ("numpy", ["MT19937", [1], 0, 0, 0.0]),
    ):
        yield f"{name}={value}", {**meta, name: value}, arrays
    yield "no meta", None, arrays
    yield "a list", [1, 2], arrays
    yield "without epoch", {name: value for name, value in meta.items() if name != "epoch"}, arrays
    weights = next(name for name in arrays if name.startswith("variable"))
    yield "another shape", meta, {**arrays, weights: np.zeros((9, 9))}
    yield "texts", meta, {**arrays, weights: np.full(arrays[weights].shape, "x")}
    yield "one less", meta, {name: value for name, value in arrays.items() if name != weights}
    yield "something more", meta, {**arrays, "other_00000": np.zeros(1)}


@pytest.mark.full
def test_files_that_are_damaged_are_refused_in_words(tmp_path, caplog):
    whole = train(tmp_path / "whole")
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(folder, killed=True)
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    arrays = read_arrays(folder / "latest.npz")
    meta = json.loads(str(arrays.pop("meta")))
    (folder / "previous.npz").unlink()
    for what, wrong, others in damaged(meta, arrays):
        write_arrays(
            folder / "latest.npz", {**others, **({} if wrong is None else {"meta": np.array(json.dumps(wrong))})}
        )
        with pytest.raises(
            OSError, match=r"`backup_dir` has no state that can be read; delete.*latest\.npz: "
        ) as error:
            train(folder)
        assert len(str(error.value)) < 1000, what
    state = {**meta["callbacks"][0], "seen": {"get_monitor_value": "x"}}
    write_arrays(folder / "latest.npz", {**arrays, "meta": np.array(json.dumps({**meta, "callbacks": [state]}))})
    with pytest.raises(ValueError, match=r"must hold what its callbacks remember.*EarlyStopping\.get_monitor_value"):
        train(folder)
    for name in ("model.json", "batch.json"):
        for text in (b"", b"[1]", b"\xff", b"[" * 100_000):
            for other, content in good.items():
                (folder / other).write_bytes(text if other == name else content)
            with pytest.raises(ValueError, match=rf"`backup_dir` must not hold a damaged file; delete it.*{name}"):
                train(folder)
    for name, content in good.items():
        (folder / name).write_bytes(content)
    (folder / "latest.npz").write_bytes(b"x")
    for value, expected in zip(train(folder), whole, strict=True):
        np.testing.assert_array_equal(value, expected)
    assert "latest.npz cannot be read" in caplog.text
