"""How long a training lasts by default, and that any number of epochs is enough for a plan."""

import metalearn_tf as mtf
from metalearn_tf.transfer.budget import training_budget
from metalearn_tf.transfer.probes import probe_weights
from metalearn_tf.transfer.unfreezing_plan import UnfreezingPlan

import keras
import numpy as np
import pytest
from small_transfer import quadrants
from transfer_models import plain_backbone

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")


@pytest.mark.parametrize(
    "examples, given, expected",
    [
        (10, (None, None), (150, 8, 2)),
        (50, (None, None), (43, 8, 7)),
        (100, (None, None), (34, 12, 9)),
        (512, (None, None), (38, 64, 8)),
        (5000, (None, None), (20, 64, 79)),
        (100, (20, 64), (20, 64, 2)),
        (100, (None, 64), (150, 64, 2)),
        (5, (None, 64), (300, 5, 1)),
        (5000, (1, None), (1, 64, 79)),
    ],
)
def test_small_data_get_more_passes_and_smaller_batches(examples, given, expected):
    epochs, batch_size, steps = training_budget(examples, *given, largest_batch=64)
    assert (epochs, batch_size, steps) == expected
    assert given[0] is not None or epochs * steps >= 300


def times_of(plan):
    return plan.head_epochs, plan.stages, plan.stage_epochs


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 10, 19, 20, 100])
@pytest.mark.parametrize("layers", [0, 1, 2, 9])
def test_a_plan_fits_into_any_number_of_epochs(epochs, layers):
    head_epochs, stages, stage_epochs = times_of(UnfreezingPlan().for_epochs(epochs, layers))
    assert head_epochs + (stages - 1) * stage_epochs < epochs
    assert 1 <= stages <= max(1, min(3, layers)) and stage_epochs >= 1
    if epochs >= 20 and layers >= 3:  # what it grows from
        assert (head_epochs, stages, stage_epochs) == (epochs // 10, 3, epochs // 20)


@pytest.mark.parametrize(
    "given, expected",
    [
        ((5, 9, 4, None, None), (4, 1, 1)),
        ((5, 9, None, 5, None), (0, 5, 1)),
        ((5, 9, None, None, 2), (0, 3, 2)),
        ((7, 9, 1, 3, 2), (1, 3, 2)),
        ((4, 9, None, ["a", "b"], None), (0, ["a", "b"], 1)),
    ],
)
def test_what_is_given_is_kept(given, expected):
    epochs, layers, *times = given
    plan = UnfreezingPlan(*times, l2_sp=0.3).for_epochs(epochs, layers)
    assert times_of(plan) == expected and plan.l2_sp == 0.3


@pytest.mark.parametrize("given", [(4, 9, 2, 3, None), (1, 9, 1, None, None), (3, 9, None, ["a", "b"], 3)])
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ValueError, match=r"`epochs` must be at least \d+, so that the last of the \d stages is"):
        UnfreezingPlan(*given[2:]).for_epochs(*given[:2])


@pytest.mark.parametrize("epochs", [1, 2])
def test_few_epochs_are_enough(epochs, eager):
    tuned = mtf.transfer.fine_tune(plain_backbone(), *quadrants(16), epochs=epochs)
    assert len(tuned.history.history["loss"]) == epochs


def test_the_head_begins_as_a_linear_probe():
    x, y = quadrants(32)
    backbone = plain_backbone()
    features = mtf.transfer.extract_features(backbone, x)
    features[:, 0] *= 1e-9  # whatever the scale
    probe = mtf.transfer.linear_probe(features, y)
    weights, biases = probe_weights(features, y, 4)
    logits = features @ weights + biases
    logits -= logits.max(axis=1, keepdims=True)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probe.predict(features, verbose=0), expected, atol=1e-4)


def stripes(count, seed):
    """Noisy vectors `(n, 12)` of four classes that are not linear in them: whose parities are those of two pairs."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 12)).astype("float32")
    y = np.arange(count) % 4
    signs = random.choice([-1.0, 1.0], count)
    x[:, 0], x[:, 1] = 2 * signs, 2 * signs * np.where(y % 2, 1, -1)
    x[:, 2] += 3 * (y // 2)
    return x, y


@pytest.mark.full
def test_the_defaults_of_fine_tune_learn_more_than_a_linear_probe():
    """Ten examples a class, of classes that the frozen features do not tell apart."""
    keras.utils.set_random_seed(0)
    backbone = mtf.networks.mlp((12,), (16, 16))
    (x, y), (test_x, test_y) = stripes(40, 0), stripes(400, 1)
    tuned = mtf.transfer.fine_tune(backbone, x, y)
    train_features, test_features = (mtf.transfer.extract_features(backbone, part) for part in (x, test_x))
    probe = mtf.transfer.linear_probe(train_features, y)
    accuracy = tuned.evaluate(test_x, test_y, verbose=0)[1]
    assert accuracy > probe.evaluate(test_features, test_y, verbose=0)[1] + 0.03


@pytest.mark.rows(default=["pretrain"])
@pytest.mark.parametrize("function", ["fine_tune", "pretrain"])
def test_augmentation_and_dropout_follow_the_seed(function, eager):
    """Whatever they have drawn before."""
    x, y = quadrants(16)
    inputs = keras.Input((4, 4, 1))
    hidden = keras.layers.Dropout(0.3)(keras.layers.Flatten()(inputs))
    backbone = keras.Model(inputs, keras.layers.Dense(3)(hidden))
    start, layer, weights = backbone.get_weights(), keras.layers.RandomTranslation(0.3, 0.3), []
    for seed in (0, 0, 1):
        backbone.set_weights(start)
        options = {"augmentation": layer, "epochs": 1, "seed": seed}
        if function == "fine_tune":
            plan = UnfreezingPlan(train_normalization=True)
            trained = mtf.transfer.fine_tune(backbone, x, y, unfreezing=plan, **options).backbone
        else:
            trained = mtf.transfer.pretrain(backbone, x, y, **options)
        weights.append(trained.get_weights()[-2])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 0
