"""What Keras's users take for granted, for every transfer model: frozen layers, regularisers, options, files."""

import inspect

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_transfer import quadrants
from transfer_models import MODELS, OF_DOMAINS, WITHOUT_LABELS, Penalty, first_batch, fit, labelled, plain_backbone

# TensorFlow's own, of data pipelines, which stay graphs.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
names = pytest.mark.parametrize("name", MODELS)


def compiled(name, backbone=None, **options):
    model = MODELS[name](backbone or plain_backbone(), **options)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def one_step(name, model):
    """The loss of one step, outside of a graph."""
    if name in OF_DOMAINS:
        model.training_steps.assign(10)
    return float(model.train_step(first_batch(name))["loss"])


# === Frozen layers ===


def freeze_low(backbone):
    backbone.get_layer("low").trainable = False


def freeze_all(backbone):
    backbone.trainable = False


def freeze_all_but_high(backbone):
    backbone.trainable = False
    backbone.get_layer("high").trainable = True


def freeze_variable(backbone):
    backbone.get_layer("low").kernel.trainable = False


def flags(model):
    return [layer.trainable for layer in model._flatten_layers()] + [variable.trainable for variable in model.variables]


# How many of the four weights then stay.
FREEZES = {freeze_low: 2, freeze_all_but_high: 2, freeze_all: 4, freeze_variable: 1}


@pytest.mark.rows(default=["classifier-freeze_low-before", "classifier-freeze_low-after"])
@pytest.mark.parametrize(
    "name, freeze, when",
    [(name, freeze_low, when) for name in MODELS for when in ("before", "after")]
    + [(name, freeze, "before") for name in ("unfreezing", "mmd") for freeze in FREEZES if freeze != freeze_low],
)
def test_frozen_layers_stay_and_their_flags_too(name, freeze, when, eager):
    backbone, frozen = plain_backbone(), FREEZES[freeze]
    if when == "before":
        freeze(backbone)
    model = compiled(name, backbone)
    if when == "after":  # Keras's recipe: freeze, then compile
        freeze(backbone)
        model.compile(keras.optimizers.SGD(0.1))
    before, given = backbone.get_weights(), flags(backbone)
    fit(name, model, epochs=4)
    same = [np.array_equal(old, new) for old, new in zip(before, backbone.get_weights())]
    assert same == [True] * frozen + [False] * (4 - frozen)
    assert flags(backbone) == given


@pytest.mark.rows(default=["autoencoder"])
@pytest.mark.parametrize("method", ["supervised", "autoencoder", "contrastive"])
def test_pretrain_leaves_what_is_frozen_and_refuses_when_all_is(method, eager):
    backbone = plain_backbone()
    options = {"augmentation": keras.layers.GaussianNoise(0.1), "epochs": 1}
    freeze_low(backbone)
    before, given = backbone.get_weights(), flags(backbone)
    mtf.transfer.pretrain(backbone, *quadrants(16), method=method, **options)
    same = [np.array_equal(old, new) for old, new in zip(before, backbone.get_weights())]
    assert same == [True, True, False, False] and flags(backbone) == given
    backbone.trainable = False
    with pytest.raises(ValueError, match=r"`backbone` must have layers to train; set `trainable = True`"):
        mtf.transfer.pretrain(backbone, *quadrants(16), method=method, **options)


def test_stages_do_not_name_frozen_layers():
    backbone = plain_backbone()
    freeze_low(backbone)
    with pytest.raises(ValueError, match=r"`stages` must not name frozen layers.*Received: \['low'\]"):
        mtf.transfer.TransferClassifier(backbone, 4, stages=["high", "low"])


def test_training_on_batches_follows_the_last_stage():
    backbone, (x, y) = plain_backbone(), quadrants(8)
    model = mtf.transfer.TransferClassifier(backbone, 4, head_epochs=3, stages=["high"])
    model.compile(keras.optimizers.SGD(0.1))
    before, given = backbone.get_weights(), flags(backbone)
    model.train_on_batch(x, y)
    same = [np.array_equal(old, new) for old, new in zip(before, backbone.get_weights())]
    assert same == [True, True, False, False] and flags(backbone) == given


# === Files ===


@pytest.mark.rows(default=["classifier"])
@names
def test_a_file_has_all_that_was_given(name, tmp_path, eager):
    backbone = plain_backbone()
    freeze_low(backbone)
    # Behind the first epoch: while the head alone is trained, the flags of a plan are not the user's.
    saving = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras", save_freq=1)
    options = {"stages": 1} if name == "unfreezing" else {}
    options |= {"name": "given", "image_range": (-1.0, 1.0), "augmentation": keras.layers.GaussianNoise(0.2)}
    model = MODELS[name](backbone, **options)
    model.compile(keras.optimizers.SGD(0.1))
    fit(name, model, epochs=1, callbacks=[saving])
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert flags(loaded.backbone) == flags(backbone)
    assert loaded.augmentation.stddev == 0.2
    plain = {key: value for key, value in model.get_config().items() if not isinstance(value, dict)}
    assert {key: loaded.get_config()[key] for key in plain} == plain
    assert plain["name"] == "given" and plain["trainable"] is True and plain["dtype"] == "float32"
    x = quadrants(8)[0]
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    before = loaded.backbone.get_weights()
    fit(name, loaded, epochs=2)
    same = [np.array_equal(old, new) for old, new in zip(before, loaded.backbone.get_weights())]
    assert same == [True, True, False, False]


def test_a_dtype_other_than_the_backbone_s_is_refused():
    with pytest.raises(ValueError, match=r"`dtype` must be that of the backbone's weights, 'float32'"):
        mtf.transfer.TransferClassifier(plain_backbone(), 4, dtype="float64")


# === Added losses ===


@pytest.mark.rows(default=["unfreezing", "autoencoder"])
@names
def test_what_layers_add_to_the_loss_counts_once_for_each_call(name):
    """Powers of two, so that the sum says which were counted, and how often."""
    low = {"kernel_regularizer": keras.regularizers.L2(0.5), "activity_regularizer": keras.regularizers.L1(0.0)}
    backbone = plain_backbone(**low)
    backbone = keras.Model(backbone.input, Penalty(64.0)(backbone.output))
    options = {"augmentation": Penalty(8.0)}
    if name == "dann":
        features = keras.Input((5,))
        options["discriminator"] = keras.Model(features, Penalty(512.0)(keras.layers.Dense(1)(features)))
    calls = {"contrastive": (1, 2), "dann": (2, 2), "mmd": (2, 2)}  # of the backbone and the augmentation
    in_backbone, in_augmentation = calls.get(name, (1, 1))
    model = compiled(name, backbone, **options)
    kernel = np.asarray(backbone.get_layer("low").kernel)
    expected = 64.0 * in_backbone + 8.0 * in_augmentation + 0.5 * np.square(kernel).sum()
    expected += 512.0 if name == "dann" else 0.0
    loss = one_step(name, model)
    assert 0.0 < loss - expected < 5.0  # what is left is the model's own loss
    moved = np.asarray(backbone.get_layer("low").kernel)
    alone = compiled(name, augmentation=keras.layers.Identity())
    one_step(name, alone)
    assert np.abs(moved).sum() < np.abs(np.asarray(alone.backbone.get_layer("low").kernel)).sum()


# === Gradients ===


@names
def test_a_layer_that_no_gradient_reaches_is_named(name):
    backbone = plain_backbone()
    cut = keras.ops.stop_gradient(keras.layers.Dense(5, name="cut")(backbone.output))
    options = {"l2_sp": 0.0} if name == "unfreezing" else {}  # which reaches all
    model = compiled(name, keras.Model(backbone.input, keras.layers.Add()([backbone.output, cut])), **options)
    with pytest.raises(ValueError, match=r"No gradient reaches the trainable variables \['cut/kernel', 'cut/bias'\]"):
        one_step(name, model)


# === Keras's own options ===

COMPILE = {"loss": "mse", "loss_weights": [1.0], "metrics": ["mae"], "weighted_metrics": ["mae"]}
FIT = {"sample_weight": np.ones(16), "class_weight": {0: 2.0}, "validation_split": 0.5, "shuffle": True}


@pytest.mark.parametrize("name", [*WITHOUT_LABELS, *OF_DOMAINS])
@pytest.mark.parametrize("option", COMPILE)
def test_a_loss_or_metrics_beside_the_model_s_own_are_refused(name, option):
    with pytest.raises(ValueError, match=f"`{option}` must be None: .* has a loss and metrics of its own"):
        MODELS[name](plain_backbone()).compile("sgd", **{option: COMPILE[option]})


@pytest.mark.rows(default=["autoencoder"])
@names
def test_the_other_options_of_compile_and_fit_are_taken(name, eager):
    """Of Keras's signatures, whatever it has: what is neither taken nor refused would be a new option."""
    taken = {"run_eagerly": True, "steps_per_execution": 1, "jit_compile": False, "auto_scale_loss": True}
    assert set(inspect.signature(keras.Model.compile).parameters) == {"self", "optimizer", *COMPILE, *taken}
    model = MODELS[name](plain_backbone())
    model.compile("sgd", **taken)
    x, y = quadrants(16)
    options = {
        "batch_size": 8,
        "epochs": 3,
        "verbose": 0,
        "callbacks": keras.callbacks.TerminateOnNaN(),
        "validation_data": labelled(name, x, y),
        "initial_epoch": 1,
        "steps_per_epoch": 2,
        "validation_steps": 1,
        "validation_batch_size": 4,
        "validation_freq": 2,
    }
    assert set(inspect.signature(keras.Model.fit).parameters) == {"self", "x", "y", *FIT, *options}
    history = fit(name, model, **options).history
    assert len(history["loss"]) == 2 and len(history["val_loss"]) == 1
    assert int(model.optimizer.iterations) == 4


@pytest.mark.parametrize("name", OF_DOMAINS)
@pytest.mark.parametrize("option", FIT)
def test_options_of_fit_without_a_meaning_for_two_domains_are_refused(name, option):
    with pytest.raises(ValueError, match=f"`{option}` is not for `DomainAdaptation.fit`"):
        fit(name, compiled(name), **{option: FIT[option]})


@pytest.mark.parametrize("option", ["x", "y"])
def test_keras_s_names_of_the_data_are_answered_for_two_domains(option):
    with pytest.raises(
        ValueError, match=f"`{option}` is not for `DomainAdaptation.fit`: .*fit\\(\\(source_x, source_y"
    ):
        compiled("mmd").fit(**{option: quadrants(16)[0]})


@pytest.mark.rows(default=["y-contrastive", "y-autoencoder"])
@pytest.mark.parametrize("name", WITHOUT_LABELS)
@pytest.mark.parametrize("option", ["sample_weight", "class_weight", "y"])
def test_labels_and_weights_are_refused_where_there_are_none(name, option):
    with pytest.raises(ValueError, match=f"`{option}` must be None"):
        compiled(name).fit(quadrants(16)[0], **{option: {**FIT, "y": quadrants(16)[1]}[option]})
    if option != "y":
        with pytest.raises(ValueError, match=f"`{option}` must be None"):
            compiled(name).train_on_batch(quadrants(16)[0], **{option: FIT[option]})
    with pytest.raises(ValueError, match="`y` must be None"):
        compiled(name).fit(tf.data.Dataset.from_tensor_slices(quadrants(16)).batch(8))


@pytest.mark.full
def test_class_weights_are_sample_weights():
    x, y = quadrants(16)
    weights = []
    for options in ({"class_weight": {0: 3.0, 2: 0.0}}, {"sample_weight": np.asarray([3.0, 1.0, 0.0, 1.0])[y]}):
        model = compiled("classifier")
        keras.utils.set_random_seed(1)
        model.fit(x, y, verbose=0, **options)
        weights.append(model.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_array_equal(one, other)
    for call in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match=r"`class_weight` must be a dict from class numbers in \[0, 4\)"):
            call(x, y, class_weight={4: 1.0})


# Keras's, of the end of a dataset whose length it did not know.
@pytest.mark.rows(default=["autoencoder"])
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("name", ["classifier", *WITHOUT_LABELS])
def test_losses_do_not_depend_on_whether_the_length_is_known(name):
    x, y = quadrants(12)  # batches of 8 and 4
    batches = tf.data.Dataset.from_tensor_slices((x, y) if name == "classifier" else x).batch(8)
    losses = []
    for data in (batches, batches.filter(lambda *batch: True)):
        model = compiled(name, augmentation=keras.layers.Identity())
        if name == "autoencoder":
            model.noise_layer.stddev = 0.0
        losses.append(model.fit(data, verbose=0).history["loss"][0])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def rate_callbacks():
    return [keras.callbacks.ReduceLROnPlateau("loss"), keras.callbacks.LearningRateScheduler(lambda epoch: 1.0)]


@pytest.mark.parametrize("callback", rate_callbacks(), ids=lambda callback: type(callback).__name__)
def test_callbacks_cannot_set_a_rate_that_has_a_schedule(callback):
    for call in (mtf.transfer.fine_tune, mtf.transfer.pretrain):
        with pytest.raises(ValueError, match=rf"`callbacks` must not set the .*Received: {type(callback).__name__}"):
            call(plain_backbone(), *quadrants(), callbacks=callback)
    model = MODELS["classifier"](plain_backbone())
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 5)))
    with pytest.raises(ValueError, match="The optimizer has a schedule; `compile` with a number"):
        model.fit(*quadrants(), callbacks=[callback])


ENDED = r"learning rate has come to 0 .*`compile\(.*after 2 steps"


def test_a_schedule_that_has_ended_is_not_gone_on_with(tmp_path, eager):
    classifier = mtf.transfer.fine_tune(plain_backbone(), *quadrants(16), epochs=1)
    classifier.save(tmp_path / "tuned.keras")
    for model in (classifier, keras.models.load_model(tmp_path / "tuned.keras")):
        for call in (model.fit, model.train_on_batch):
            with pytest.raises(ValueError, match=ENDED):
                call(*quadrants(16))
    classifier.compile(keras.optimizers.SGD(0.1))
    before = classifier.get_weights()
    classifier.fit(*quadrants(16), verbose=0)
    assert not np.array_equal(before[0], classifier.get_weights()[0])


@pytest.mark.rows(default=["autoencoder"])
@names
def test_no_epoch_is_trained_at_a_rate_of_zero(name, eager):
    """Of two steps an epoch: Keras's polynomial goes to 0 as the cosine does, an exponential does not."""
    schedules = keras.optimizers.schedules
    model = MODELS[name](plain_backbone())
    cosine = schedules.CosineDecay(0.0, 1, warmup_target=0.1, warmup_steps=1)
    for schedule in (schedules.PolynomialDecay(0.1, 2, 0.0), cosine):
        model.compile(keras.optimizers.SGD(schedule))
        with pytest.raises(ValueError, match=r"`epochs` must end with the schedule.* and 2 before the last epoch"):
            fit(name, model, epochs=2)
        fit(name, model, epochs=1)
        with pytest.raises(ValueError, match=ENDED):
            fit(name, model, epochs=1)
    model.compile(keras.optimizers.SGD(schedules.ExponentialDecay(0.1, 2, 0.5)))
    fit(name, model, epochs=3)


def test_a_loss_or_metric_of_logits_is_refused():
    model = MODELS["classifier"](plain_backbone())
    for module, argument in ((keras.losses, "loss"), (keras.metrics, "metrics"), (keras.metrics, "weighted_metrics")):
        of_logits = module.SparseCategoricalCrossentropy(from_logits=True)
        with pytest.raises(ValueError, match=f"`{argument}` must take probabilities.*leave out `from_logits=True`"):
            model.compile("sgd", **{argument: of_logits if argument == "loss" else [of_logits]})
    for metric in ("recall", keras.metrics.AUC(), "categorical_accuracy", "mse"):
        with pytest.raises(ValueError, match="`metrics` must take class numbers.*one-hot labels and `loss="):
            model.compile("sgd", metrics=["accuracy", metric])
    model.compile("sgd", loss="categorical_crossentropy", metrics=["recall", "categorical_accuracy"])
    model.compile("sgd", metrics=["sparse_categorical_crossentropy", lambda y, p: p[:, 0]])


def test_class_weights_are_the_same_for_every_kind_of_data_and_labels(eager):
    x, y = quadrants(16)
    losses = []
    for loss, data in {
        "sparse_categorical_crossentropy": (x, y),
        keras.losses.SparseCategoricalCrossentropy(): (x, y),
        keras.losses.CategoricalCrossentropy(): (x, np.eye(4)[y]),
        keras.losses.SparseCategoricalCrossentropy(name="of_batches"): (
            tf.data.Dataset.from_tensor_slices((x, y)).batch(16),
        ),
    }.items():
        model = MODELS["classifier"](plain_backbone())
        model.compile("sgd", loss=loss)
        losses.append(model.fit(*data, batch_size=16 if len(data) > 1 else None, class_weight={0: 2.0}, verbose=0))
    losses = [history.history["loss"][0] for history in losses]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)


NOISE = {
    "a backbone's dropout": lambda: {"backbone": noisy_backbone()},
    "augmentation": lambda: {"augmentation": keras.layers.RandomTranslation(0.3, 0.3)},
}


def noisy_backbone():
    backbone = plain_backbone()
    return keras.Model(backbone.input, keras.layers.Dropout(0.5)(backbone.output))


@pytest.mark.rows(default=["augmentation"])
@pytest.mark.parametrize("noise", NOISE)
def test_the_seed_of_domain_adaptation_is_that_of_all_noise(noise, eager):
    weights = []
    for state in (1, 2):
        options = NOISE[noise]()  # of plain_backbone's weights
        keras.utils.set_random_seed(state)
        if "augmentation" in options:
            options = {"augmentation": keras.layers.RandomTranslation(0.3, 0.3)}
        model = compiled("dann", **options)
        fit("dann", model, epochs=1)
        weights.append(model.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_array_equal(one, other)


def test_averages_of_weights_need_all_to_move_alike():
    optimizer = keras.optimizers.SGD(0.1, use_ema=True)
    with pytest.raises(ValueError, match=r"`optimizer` must not average weights \(`use_ema`\)"):
        MODELS["unfreezing"](plain_backbone()).compile(optimizer)


@pytest.mark.rows(default=["autoencoder"])
@names
def test_float64(name, eager):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        model = compiled(name)
        loss = fit(name, model).history["loss"][-1]
        assert np.isfinite(loss) and {variable.dtype for variable in model.trainable_variables} == {"float64"}
        assert model.predict(quadrants(8)[0], verbose=0).dtype == np.float64
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


OPTIONS = {
    "run_eagerly": {"run_eagerly": True},
    "jit_compile": {"jit_compile": True},
    "steps_per_execution": {"steps_per_execution": 2},
}


@pytest.mark.slow
@names
@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_the_execution_change_no_weight(name, option):
    weights = []
    for options in ({}, OPTIONS[option]):
        keras.utils.set_random_seed(2)
        model = MODELS[name](plain_backbone(), **({"augmentation": keras.layers.Identity()}))
        if name == "autoencoder":
            model.noise_layer.stddev = 0.0
        model.compile(keras.optimizers.SGD(0.1), **options)
        fit(name, model)
        weights.append(model.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@names
@pytest.mark.parametrize("option", [{"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_momentum": 0.5}])
def test_options_of_the_optimizer_are_taken(name, option):
    options = {"head_epochs": 0, "stages": 1, "layer_decay": 1.0} if name == "unfreezing" else {}
    model = MODELS[name](plain_backbone(), **options)
    model.compile(keras.optimizers.SGD(0.1, **option))
    fit(name, model)
    steps = 3 if "gradient_accumulation_steps" in option else 6
    assert int(model.optimizer.iterations) == steps
    if "use_ema" in option:  # Keras ends with the averages
        for variable, average in zip(model.trainable_variables, model.optimizer._model_variables_moving_average):
            np.testing.assert_array_equal(variable, average)


@pytest.mark.parametrize(
    "function",
    [
        mtf.transfer.fine_tune,
        mtf.transfer.pretrain,
        mtf.transfer.extract_features,
        mtf.transfer.feature_dataset,
        mtf.evaluation.train_feature_classifier,
        mtf.transfer.DomainAdaptation.fit,
        mtf.transfer.TransferClassifier.fit,
        mtf.transfer.DenoisingAutoencoder.fit,
        mtf.gan.GAN.fit,
        mtf.learners.MAML.fit,
    ],
    ids=lambda function: function.__qualname__,
)
def test_what_is_like_fit_has_the_arguments_of_keras_in_its_order(function):
    of_keras, ours = (inspect.signature(f).parameters for f in (keras.Model.fit, function))
    shared = [name for name in ours if name in of_keras and name != "self"]
    assert shared == [name for name in of_keras if name in shared]
    if "verbose" in ours:
        assert ours["verbose"].default == "auto"
    else:  # they hand all on
        assert any(parameter.kind is parameter.VAR_KEYWORD for parameter in ours.values())


def test_features_show_how_far_they_are_as_predict_does(tmp_path, capsys):
    x, _ = quadrants(16)
    for verbose, shown in (("auto", "2/2"), (1, "2/2"), (0, "")):
        mtf.transfer.extract_features(plain_backbone(), x, 8, verbose)
        printed = capsys.readouterr().out
        assert shown in printed and bool(printed) is bool(shown)
