"""Classes are matched by their names wherever a dataset meets a classifier, at every door."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_transfer import quadrants
from transfer_models import MODELS, OF_DOMAINS, WITH_LABELS, WITHOUT_LABELS, fit, plain_backbone

# TensorFlow's own, of data pipelines, which stay graphs.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")

NAMES = ["ant", "bee", "cat", "dog"]
X, Y = quadrants(16)
TRAIN = mtf.data.ClassDataset(X, Y, NAMES)
# Two of the classes, in another order: numbers alone would be wrong.
OTHER, NUMBERS = TRAIN.select(["dog", "bee"]), np.asarray([3] * 4 + [1] * 4)


def trained(name, data, **options):
    """Without shuffling, whose order depends on that of the arrays."""
    model = MODELS[name](plain_backbone(), **options)
    model.compile(keras.optimizers.SGD(0.1))
    x, y = (data.examples, data.labels) if options else (data, None)
    if name in OF_DOMAINS:
        model.fit(data if y is None else (x, y), X, batch_size=8, verbose=0)
    else:
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    return model


@pytest.mark.rows(default=["classifier"])
@pytest.mark.parametrize("name", WITH_LABELS)
def test_every_door_takes_a_dataset_and_goes_by_its_names(name, eager, tmp_path):
    model, by_arrays = trained(name, TRAIN), trained(name, TRAIN, class_names=NAMES)
    assert model.class_names == NAMES
    for one, other in zip(model.get_weights(), by_arrays.get_weights()):
        np.testing.assert_array_equal(one, other)
    expected = model.evaluate(OTHER.examples, NUMBERS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for classifier in (model, loaded):
        assert classifier.evaluate(OTHER, verbose=0) == pytest.approx(expected)
    assert model.test_on_batch(OTHER) == pytest.approx(expected)
    np.testing.assert_allclose(model.predict(OTHER, verbose=0), model.predict(OTHER.examples, verbose=0))
    np.testing.assert_allclose(model.predict_on_batch(OTHER), model.predict_on_batch(OTHER.examples))
    history = fit(name, model, validation_data=OTHER, epochs=1, validation_batch_size=8).history
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(OTHER.examples, NUMBERS, verbose=0)[0])
    stranger = mtf.data.ClassDataset(X[:4], [0] * 4, ["owl"])
    for call in (lambda: model.evaluate(stranger), lambda: fit(name, model, validation_data=stranger)):
        with pytest.raises(ValueError, match=r"must hold classes of the training data.*classes \['owl'\]"):
            call()
    with pytest.raises(ValueError, match="`y` must be None, as `x` has the labels"):
        model.evaluate(OTHER, NUMBERS)


@pytest.mark.rows(default=["unfreezing"])
@pytest.mark.parametrize("name", WITH_LABELS)
def test_without_names_a_dataset_must_have_all_classes(name, eager):
    model = MODELS[name](plain_backbone())
    model.compile("sgd")
    fit(name, model, epochs=1)  # of arrays
    with pytest.raises(ValueError, match=r"must have the 4 classes.*`dataset.with_classes\(names\)`.*the 2 classes"):
        model.evaluate(OTHER)
    expected = model.evaluate(OTHER.examples, NUMBERS, verbose=0)
    assert model.evaluate(OTHER.with_classes(NAMES), verbose=0) == pytest.approx(expected)


@pytest.mark.rows(default=["autoencoder"])
@pytest.mark.parametrize("name", WITHOUT_LABELS)
def test_images_of_a_dataset_are_enough_where_there_are_no_labels(name, eager):
    model = MODELS[name](plain_backbone())
    model.compile("sgd")
    model.fit(TRAIN, validation_data=OTHER, batch_size=8, verbose=0)
    assert model.predict(OTHER, verbose=0).shape[0] == model.predict(OTHER.examples, verbose=0).shape[0] == 8
    assert np.isfinite(model.evaluate(OTHER, verbose=0)).all()


@pytest.mark.full
def test_fine_tune_of_arrays_and_pretrain_go_by_names_too(eager):
    options = {"epochs": 1, "batch_size": 8}
    with pytest.raises(ValueError, match=r"`validation_data` must have the 4 classes.*the 2 classes"):
        mtf.transfer.fine_tune(plain_backbone(), X, Y, validation_data=OTHER, **options)
    losses = []
    for validation in (OTHER, (OTHER.examples, NUMBERS)):
        history = keras.callbacks.History()
        mtf.transfer.pretrain(plain_backbone(), TRAIN, validation_data=validation, callbacks=history, **options)
        losses.append(history.history["val_loss"])
    assert losses[0] == pytest.approx(losses[1])
    assert mtf.transfer.fine_tune(plain_backbone(), TRAIN, **options).class_names == NAMES


@pytest.mark.full
def test_a_folder_without_a_class_is_scored_right(tmp_path, eager):
    for part, names in {"train": NAMES[:3], "val": NAMES[1:3]}.items():
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            for row in np.flatnonzero(NAMES.index(name) == Y)[:3]:
                keras.utils.save_img(tmp_path / part / name / f"{row}.png", X[row], scale=False)
    train = mtf.data.from_directory(tmp_path / "train", 4, channels=1)
    by_itself = mtf.data.from_directory(tmp_path / "val", 4, channels=1)
    with_names = mtf.data.from_directory(tmp_path / "val", 4, channels=1, class_names=train.class_names)
    np.testing.assert_array_equal(with_names.labels, [1] * 3 + [2] * 3)
    classifier = mtf.transfer.fine_tune(
        plain_backbone(),
        train,
        epochs=40,
        batch_size=9,
        learning_rate=0.05,
        unfreezing=mtf.transfer.UnfreezingPlan(0, 1),
    )
    for validation in ((by_itself,), (with_names,), (with_names.examples, with_names.labels)):
        assert classifier.evaluate(*validation, verbose=0)[1] == 1.0


def test_names_that_do_not_fit_are_refused():
    for names in (NAMES[:3], ["ant"] * 4, "ants"):
        with pytest.raises(ValueError, match="`class_names` must hold one distinct name for each of the 4 classes"):
            mtf.transfer.TransferClassifier(plain_backbone(), 4, class_names=names)
    model = mtf.transfer.TransferClassifier(plain_backbone(), 4)
    model.compile()
    with pytest.raises(ValueError, match=r"`validation_split` must be None.*split_examples\(\[0.8, 0.2\]\)"):
        model.fit(TRAIN, validation_split=0.2)


def test_labels_of_eight_bits_in_batches_are_class_numbers(eager):
    for name in WITH_LABELS:
        model = MODELS[name](plain_backbone())
        model.compile("sgd")
        batches = tf.data.Dataset.from_tensor_slices((X, Y.astype("uint8"))).batch(8)
        assert model.evaluate(batches, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)
