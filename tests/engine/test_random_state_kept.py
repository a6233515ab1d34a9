"""Library functions draw by their own seed, and leave the user's random numbers as they were."""

import random
import threading

import metalearn_tf as mtf
from metalearn_tf.engine.random_state_kept import random_state_kept

import keras
import numpy as np
import pytest
import tensorflow as tf

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1)).astype("uint8")
LABELS = np.repeat(np.arange(4), 6)
DATASET = mtf.data.ClassDataset(IMAGES, LABELS, domain="noise")


def network():
    layers = [keras.layers.Flatten(), keras.layers.Dense(5), keras.layers.Dropout(0.3)]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def backbone():
    """The same first weights each time."""
    keras.utils.set_random_seed(3)
    return network()


def features_of(model):
    return model(IMAGES / np.float32(255)).numpy()


def pretrained(method, **options):
    def run(seed):
        return features_of(
            mtf.transfer.pretrain(backbone(), DATASET, method=method, epochs=1, batch_size=8, seed=seed, **options)
        )

    return run


def fine_tuned(seed):
    options = {"epochs": 2, "unfreezing": mtf.transfer.UnfreezingPlan(1, 1), "batch_size": 8, "seed": seed}
    options |= {"augmentation": keras.layers.RandomTranslation(0.2, 0.2, seed=7)}
    return mtf.transfer.fine_tune(backbone(), IMAGES, LABELS, **options).predict(IMAGES, verbose=0)


def feature_classifier(seed):
    classifier = mtf.evaluation.train_feature_classifier(DATASET, epochs=1, features=8, seed=seed)
    return classifier.predict(IMAGES / np.float32(127.5) - 1, verbose=0)


def gan_samples(seed):
    return gan().sample(3, seed=seed)


def gan():
    keras.utils.set_random_seed(5)
    return mtf.gan.GAN(*mtf.networks.dcgan((16, 16, 1), 2, filters=2))


def copied(seed):
    return learner().copy().network(IMAGES / np.float32(255)).numpy()


def adapted(seed):
    return learner().adapt(IMAGES[::6] / np.float32(255), np.arange(4)).predict(IMAGES[:5], verbose=0)


def learner():
    keras.utils.set_random_seed(4)
    learner = mtf.learners.PrototypicalNetwork(network())
    learner.compile("adam", metrics=["accuracy"])
    return learner


def evaluated(seed):
    report = mtf.evaluation.evaluate_episodes(learner(), DATASET, ways=2, shots=1, queries=2, episodes=4, seed=seed)
    return np.array(report.episode_accuracies)


def tasks(seed):
    (support, *_), _ = next(iter(mtf.data.episodes(DATASET, 2, 1, 2, seed=seed)))
    return support.numpy()


def kid(seed):
    images = IMAGES / np.float32(127.5) - 1
    return mtf.evaluation.kid(images[:12], images[12:], backbone(), subsets=3, subset_size=6, seed=seed).value


def split(seed):
    return DATASET.split([0.5, 0.5], seed=seed)[0].examples


FUNCTIONS = {
    "pretrain, supervised": pretrained("supervised"),
    "fine_tune": fine_tuned,
    "GAN.sample": gan_samples,
    "episodes": tasks,
    "kid": kid,
    "split": split,
    "copy": copied,
    "adapt": adapted,
}


def draws():
    """The next numbers of each of the user's generators."""
    return [
        random.random(),
        np.random.random(),
        float(keras.random.uniform(())),
        keras.initializers.GlorotUniform().seed,
        float(tf.random.uniform(())),
        keras.src.utils.rng_utils.get_random_seed(),
    ]


def state_of(function, seed):
    """What a call returns, and what the user draws after it."""
    keras.utils.set_random_seed(11)
    before = draws()
    found = function(seed)
    return found, [before, draws()]


SLOW = {"pretrain, contrastive": pretrained("contrastive"), "pretrain, autoencoder": pretrained("autoencoder")}
SLOW |= {"evaluate_episodes": evaluated, "train_feature_classifier": feature_classifier}


@pytest.mark.rows(default=["GAN.sample"])
@pytest.mark.parametrize("name", [*FUNCTIONS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_the_users_random_numbers_go_on(name, monkeypatch):
    # What builds the arguments is the user's own and sets seeds: it is not part of the call.
    function = {**FUNCTIONS, **SLOW}[name]
    for builder in ("backbone", "learner", "gan"):
        monkeypatch.setitem(globals(), builder, random_state_kept()(globals()[builder]))
    _, expected = state_of(lambda seed: None, 0)
    found, after = state_of(function, 1)
    assert after == expected
    # Of the function's own seed alone, whatever the user's.
    keras.utils.set_random_seed(99)
    random.random(), np.random.random(), tf.random.uniform(())
    np.testing.assert_allclose(function(1), found, rtol=1e-5, atol=1e-6)


def test_without_a_seed_of_the_user_there_is_none_afterwards():
    found = []

    def fresh_thread():  # Keras's state is one for each thread
        with random_state_kept():
            keras.utils.set_random_seed(1)
        found.append(keras.src.utils.rng_utils.get_random_seed())

    thread = threading.Thread(target=fresh_thread)
    thread.start()
    thread.join()
    assert found == [None]


def test_it_is_kept_after_an_error_and_in_blocks_inside_one_another():
    keras.utils.set_random_seed(11)
    expected = [draws(), draws()]
    keras.utils.set_random_seed(11)
    found = [draws()]
    with pytest.raises(KeyError), random_state_kept():
        keras.utils.set_random_seed(1)
        with random_state_kept():
            keras.utils.set_random_seed(2)
        inner = random.random()
        raise KeyError
    random_of_one = random.Random(1).random()
    assert inner == random_of_one and [*found, draws()] == expected


def test_threads_take_turns_and_each_has_its_own_numbers():
    @random_state_kept()
    def three_draws(seed):
        keras.utils.set_random_seed(seed)
        numbers = []
        for _ in range(3):
            numbers.append((random.random(), np.random.random()))
            threading.Event().wait(0.01)  # others would draw between
        return numbers

    keras.utils.set_random_seed(11)
    expected, alone = draws(), [three_draws(seed) for seed in range(4)]
    keras.utils.set_random_seed(11)
    found = {}
    threads = [threading.Thread(target=lambda seed=seed: found.update({seed: three_draws(seed)})) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[seed] for seed in range(4)] == alone and draws() == expected
