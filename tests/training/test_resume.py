"""A training that was stopped anywhere ends as one that never was, bit for bit."""

import resource

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from kill import Kill

SHAPE = (16, 16, 1)


class Killed(Exception):
    """No `except` of the library expects it."""


def classes(count=6, examples=12):
    random = np.random.default_rng(0)
    means = random.uniform(0.2, 0.8, (count, 1, *SHAPE))
    images = np.clip(means + random.normal(0, 0.1, (count, examples, *SHAPE)), 0, 1).astype("float32")
    return mtf.data.ClassDataset(images.reshape(-1, *SHAPE), np.repeat(np.arange(count), examples))


def fit_learner(learner, **options):
    learner.compile(keras.optimizers.Adam(1e-2), metrics=["accuracy"])
    tasks = mtf.data.episodes(classes(), ways=3, shots=2, queries=3, tasks_per_batch=2)
    learner.fit(tasks, steps_per_epoch=4, verbose=0, **options)
    return learner


def maml(**options):
    return fit_learner(mtf.learners.MAML(mtf.networks.mlp(SHAPE, (16,), outputs=3)), **options)


def prototypes(**options):
    return fit_learner(mtf.learners.PrototypicalNetwork(mtf.networks.conv4(SHAPE, 4)), **options)


def small_gan():
    networks = mtf.networks.dcgan(
        SHAPE, filters=4, generator_normalization="layer", discriminator_normalization="layer"
    )
    return mtf.gan.GAN(*networks, penalty="r1")


def gan(**options):
    model = small_gan()
    model.compile(monitor="generator_loss", mode="max")  # that of the first epoch, which is to be remembered
    model.fit(2 * classes().examples - 1, batch_size=18, verbose=0, **options)
    return model


def meta_gan(**options):
    model = mtf.gan.MetaGAN(small_gan(), inner_steps=1)
    model.compile()
    model.fit(mtf.data.image_tasks(classes(), 4, tasks_per_batch=2), steps_per_epoch=4, verbose=0, **options)
    return model


def fine_tuned(epochs, callbacks, **options):
    """With dropout, an augmentation and early stopping, each with a state of its own."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Dropout(0.2)(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    backbone = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    dataset = classes()
    return mtf.transfer.fine_tune(
        backbone,
        dataset.examples,
        dataset.labels,
        validation_data=(dataset.examples[::5], dataset.labels[::5]),
        epochs=epochs,
        batch_size=18,
        unfreezing=mtf.transfer.UnfreezingPlan(1, 2),
        patience=2,
        augmentation=keras.layers.RandomFlip(),
        callbacks=callbacks,
        **options,
    )


TRAININGS = {"MAML": maml, "prototypes": prototypes, "GAN": gan, "MetaGAN": meta_gan, "fine-tuning": fine_tuned}


def train(name, **options):
    keras.utils.set_random_seed(0)
    return TRAININGS[name](epochs=6, **options)


def state_of(model):
    optimizers = getattr(model, "optimizers", None) or {"optimizer": model.optimizer}
    variables = [*model.variables, *(v for optimizer in optimizers.values() for v in optimizer.variables)]
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


@pytest.fixture(scope="module", params=TRAININGS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def whole(name):
    """The training that nothing stops: its final state and history."""
    model = train(name, callbacks=[])
    return state_of(model), model.history.history


# The plain models below stop between epochs.
@pytest.mark.full
@pytest.mark.parametrize("save_freq, kills", [(3, [11]), pytest.param("epoch", [3, 9], marks=pytest.mark.slow)])
def test_it_ends_as_if_it_had_not_been_stopped(name, whole, tmp_path, save_freq, kills):
    for step in kills:
        with pytest.raises(Killed):
            train(name, callbacks=[mtf.training.Resume(tmp_path / "run", save_freq), Kill(step, Killed)])
    model = train(name, callbacks=[mtf.training.Resume(tmp_path / "run", save_freq)])
    for value, expected in zip(state_of(model), whole[0], strict=True):
        np.testing.assert_array_equal(value, expected)
    assert model.history.history == whole[1]
    assert not (tmp_path / "run").exists()


# === A plain Keras model, which traces fast ===


def regression(callbacks, epochs=6, units=4, optimizer="adam", steps=None, batch=5, seed=1, loss="mse"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dense(1)])
    model.compile(optimizer, loss, metrics=["mae"], jit_compile=False)
    x = np.random.default_rng(0).normal(size=(20, 3))
    data = tf.data.Dataset.from_tensor_slices((x, x.sum(axis=1, keepdims=True))).batch(batch)
    data = data.shuffle(4, seed=seed).repeat() if steps else data
    model.fit(data, epochs=epochs, steps_per_epoch=steps, shuffle=False, callbacks=callbacks, verbose=0)
    return model


def stopped(folder, step=14, **options):
    with pytest.raises(Killed):
        regression([mtf.training.Resume(folder), Kill(step, Killed)], **options)
    return folder


@pytest.fixture(scope="module")
def undisturbed():
    return regression([])


def assert_same(model, expected):
    for value, other in zip(state_of(model), state_of(expected), strict=True):
        np.testing.assert_array_equal(value, other)
    assert model.history.history == expected.history.history


@pytest.mark.rows(default=["4"])
@pytest.mark.parametrize("steps", [None, 3, 4])
def test_passes_over_the_data_may_be_shorter_or_longer_than_epochs(tmp_path, steps):
    stopped(tmp_path / "run", steps=steps)
    assert_same(regression([mtf.training.Resume(tmp_path / "run")], steps=steps), regression([], steps=steps))


@pytest.mark.full
def test_other_callbacks_go_on_too(tmp_path):
    """One that halves the rate in every second epoch: at others, if it forgot what it had counted."""

    def callbacks():
        plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=100.0, patience=2, factor=0.5)
        return [mtf.training.Resume(tmp_path / "run", callbacks=[plateau]), plateau]

    with pytest.raises(Killed):
        regression([*callbacks(), Kill(14, Killed)])
    assert_same(regression(callbacks()), regression(callbacks()[1:]))


@pytest.mark.full
def test_a_training_that_has_ended_is_not_trained_again(tmp_path, undisturbed):
    regression([mtf.training.Resume(tmp_path / "run", delete_checkpoint=False)])
    again = regression([mtf.training.Resume(tmp_path / "run", delete_checkpoint=False), Kill(1, Killed)])
    assert_same(again, undisturbed)
    longer = regression([mtf.training.Resume(tmp_path / "run")], epochs=8)
    assert_same(longer, regression([], epochs=8))


@pytest.mark.rows(default=["-1"])
@pytest.mark.parametrize("cut", [0, 100, -1])
def test_a_state_cut_short_gives_way_to_the_one_before(tmp_path, cut, caplog, undisturbed):
    latest = stopped(tmp_path / "run") / "latest.npz"
    latest.write_bytes(latest.read_bytes()[:cut])
    assert_same(regression([mtf.training.Resume(tmp_path / "run")]), undisturbed)
    assert "latest.npz cannot be read" in caplog.text


def test_two_damaged_states_are_an_error(tmp_path):
    folder = stopped(tmp_path / "run")
    for name in ("latest.npz", "previous.npz"):
        (folder / name).write_bytes(b"damaged")
    with pytest.raises(OSError, match=r"no state that can be read; delete the folder.*latest.npz.*previous.npz"):
        regression([mtf.training.Resume(folder)])


@pytest.mark.full
def test_a_full_disk_is_an_error_that_leaves_the_last_state(tmp_path, undisturbed):
    folder = stopped(tmp_path / "run", step=6)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            regression([mtf.training.Resume(folder)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert_same(regression([mtf.training.Resume(folder)]), undisturbed)


@pytest.mark.rows(default=["options0-weights=\\\\[\\\\[3, 5\\\\].*where the training has \\\\[\\\\[3, 4\\\\]"])
@pytest.mark.parametrize(
    "options, differing",
    [
        ({"units": 5}, r"weights=\[\[3, 5\].*where the training has \[\[3, 4\]"),
        (
            {"optimizer": keras.optimizers.Adam(1e-2)},
            r"optimizer.learning_rate=0.0099.* where the training has 0.00100",
        ),
        ({"steps": 3}, "steps_per_epoch=3 where the training has 4"),
        ({"loss": keras.losses.Huber(0.5)}, r"loss.delta=0.5 where the training has 0.25"),
    ],
)
def test_another_training_is_refused(tmp_path, options, differing):
    loss = {"loss": keras.losses.Huber(0.25)} if "loss" in options else {}
    folder = stopped(tmp_path / "run", **loss)
    with pytest.raises(ValueError, match=r"`backup_dir` holds a training of another configuration(.|\n)*" + differing):
        regression([mtf.training.Resume(folder)], **options)


def test_batches_of_another_size_are_refused_before_any_step(tmp_path):
    folder = stopped(tmp_path / "run", steps=4)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"another configuration.*first_batch=\['\(4,\).*training has \['\(5,\)"):
        regression([mtf.training.Resume(folder)], steps=4, batch=4)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.full
def test_data_in_another_order_are_told_of(tmp_path, caplog):
    regression([mtf.training.Resume(stopped(tmp_path / "same", steps=4))], steps=4)
    assert not caplog.text
    regression([mtf.training.Resume(stopped(tmp_path / "other", steps=4))], steps=4, seed=2)
    assert "begin with another batch than before" in caplog.text


def test_a_model_must_be_built(tmp_path):
    model = keras.Sequential([keras.layers.Dense(1)], name="open")
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="`Resume` needs a model that is built.*Received: the model 'open'"):
        model.fit(np.zeros((2, 3)), np.zeros((2, 1)), callbacks=[mtf.training.Resume(tmp_path)], verbose=0)


@pytest.mark.parametrize("save_freq", ["batch", 0, 1.5, True])
def test_save_freq_is_checked(tmp_path, save_freq):
    with pytest.raises(ValueError, match='`save_freq` must be "epoch" or a positive number of steps. Received'):
        mtf.training.Resume(tmp_path, save_freq)
