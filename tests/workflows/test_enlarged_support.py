"""A learner whose support set a GAN enlarges."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_domains import SHAPE, augmentation_gan, domain, prototypes


def darker():
    """A generator that ignores its noise: half the distance to black."""
    inputs = [keras.Input((3,)), keras.Input(SHAPE)]
    return keras.Model(inputs, keras.layers.Rescaling(0.5, -0.5)(inputs[1]), name="darker")


def task(ways=3, shots=2):
    return next(iter(mtf.data.episodes(domain("a"), ways, shots, 4)))[0]


@pytest.mark.full
def test_it_adapts_to_the_support_and_to_what_is_drawn_from_it():
    learner = prototypes()
    support_x, support_y, query_x = (tensor[0] for tensor in task())
    enlarged = mtf.workflows.EnlargedSupport(learner, darker(), copies=2)
    dark = 0.5 * support_x
    by_hand = learner.adapt(np.concatenate([support_x, dark, dark]), np.concatenate([support_y, support_y, support_y]))
    ours = enlarged.adapt(support_x.numpy(), support_y.numpy())
    np.testing.assert_allclose(ours.predict(query_x, verbose=0), by_hand.predict(query_x, verbose=0), atol=1e-5)


@pytest.mark.full
def test_a_generator_s_range_is_its_own():
    learner, (support_x, support_y, _) = prototypes(), (tensor[0] for tensor in task())
    inputs = [keras.Input((3,)), keras.Input(SHAPE)]
    # In [0, 1], as its last layer says; 0.5 of a sigmoid is grey.
    grey = keras.layers.Activation("sigmoid")(keras.layers.Rescaling(0.01)(inputs[1]))
    enlarged = mtf.workflows.EnlargedSupport(learner, keras.Model(inputs, grey), copies=1)
    seen = []
    enlarged.learner.adapt_task = lambda x, y: seen.append(x) or []
    enlarged.adapt_task(support_x, support_y)
    np.testing.assert_allclose(seen[0][6:], 0.5 * np.ones((6, *SHAPE)), atol=5e-3)
    assert enlarged.image_range == (0.0, 1.0) and enlarged.get_config()["image_range"] == [0.0, 1.0]
    declared = mtf.workflows.EnlargedSupport(learner, darker(), copies=1, image_range=(0, 255))
    declared.learner.adapt_task = lambda x, y: seen.append(x) or []
    declared.adapt_task(support_x, support_y)
    np.testing.assert_allclose(seen[1][6:], 0.5 * support_x - 0.5 / 255, atol=1e-6)


def test_a_layer_enlarges_with_the_same_random_numbers_each_time():
    layer = mtf.workflows.classical_augmentation()
    learner, (support_x, support_y, _) = prototypes(), (tensor[0] for tensor in task())
    first, second = (mtf.workflows.EnlargedSupport(learner, layer, copies=2, seed=seed) for seed in (0, 1))
    tensors = [enlarged.adapt_task(support_x, support_y)[0] for enlarged in (first, first, second)]
    np.testing.assert_array_equal(tensors[0], tensors[1])
    assert np.abs(tensors[0] - tensors[2]).max() > 1e-4
    plain = learner.adapt_task(support_x, support_y)[0]
    assert tensors[0].shape == plain.shape and np.abs(tensors[0] - plain).max() > 1e-4


@pytest.mark.full
def test_copies_of_one_image_differ_by_their_noise():
    enlarged = mtf.workflows.EnlargedSupport(prototypes(), augmentation_gan().sampler, copies=3)
    seen = []
    enlarged.learner.adapt_task = lambda x, y: seen.append((x, y)) or []
    enlarged.adapt_task(*(tensor[0] for tensor in task()[:2]))
    ((x, y),) = seen
    assert x.shape == (24, *SHAPE) and y.numpy().tolist() == [0, 0, 1, 1, 2, 2, *([0] * 6), *([1] * 6), *([2] * 6)]
    assert np.abs(x[6] - x[7]).max() > 1e-3


@pytest.mark.full
@pytest.mark.parametrize("build", [lambda: augmentation_gan().sampler, mtf.workflows.classical_augmentation])
def test_a_file_and_an_export_answer_alike(build, tmp_path):
    enlarged = mtf.workflows.EnlargedSupport(prototypes(), build(), copies=2, seed=5)
    inputs = task()
    expected = enlarged(inputs)
    enlarged.save(tmp_path / "enlarged.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "enlarged.keras")(inputs), expected, atol=1e-5)
    enlarged.export(tmp_path / "served" / "1", warm_up=False)
    support_x, support_y, query_x = (tensor[0] for tensor in inputs)
    served = tf.saved_model.load(tmp_path / "served" / "1").signatures["adapt_and_predict"](
        support_images=support_x, support_labels=support_y, query_images=query_x
    )
    np.testing.assert_allclose(served["probabilities"], tf.nn.softmax(expected[0]), atol=1e-5)


def test_it_is_tested_like_any_learner():
    enlarged = mtf.workflows.EnlargedSupport(prototypes(), darker())
    report = mtf.evaluation.evaluate_episodes(enlarged, domain("a"), 3, 2, queries=4, episodes=8)
    assert report.learner == "EnlargedSupport" and report.accuracy > 0.5
    assert enlarged.normalization == "transductive" and enlarged.max_ways is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"learner": keras.Sequential()}, "`learner` must be a MetaLearner"),
        ({"copies": 0}, "`copies` must be a positive integer"),
        ({"enlarger": mtf.networks.augmentation_gan((20, 20, 1))[0]}, r"`enlarger` must go from images of the learner"),
        ({"enlarger": mtf.networks.dcgan(SHAPE)[0]}, r"`enlarger` must go from images of the learner"),
        (
            {"enlarger": keras.layers.Flatten()},
            r"`enlarger` must go from images.*Received: images of the shapes \[\(256",
        ),
        ({"enlarger": None}, "`enlarger` must be a generator or a Keras layer. Received: NoneType"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mtf.workflows.EnlargedSupport(**{"learner": prototypes(), "enlarger": darker(), **arguments})


def test_it_carries_no_network_but_that_of_its_own_learner():
    learner = mtf.learners.PrototypicalNetwork(mtf.networks.conv4(SHAPE, filters=4))
    enlarged = mtf.workflows.EnlargedSupport(learner, mtf.workflows.classical_augmentation())
    assert enlarged.network is enlarged.learner.network and enlarged.network is not learner.network
    assert len(enlarged.weights) == len(learner.weights)
    assert not {id(v) for v in enlarged.variables} & {id(v) for v in learner.variables}
