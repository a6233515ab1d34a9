"""MetaGAN: its contract for every outer algorithm, and its gradients against independent computations."""

import metalearn_tf as mtf
from metalearn_tf.gan.inner_game import outer_losses
from metalearn_tf.gan.objectives import draw_noise, split_seed

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import LATENT, SHAPE, discriminator, generator
from tensorflow.core.protobuf import saved_model_pb2

ALGORITHMS = {"reptile": {}, "fomaml": {}, "maml": {}, "maml with rates": {"learned_rates": True}}


def make_meta_gan(algorithm="reptile", gan_options=None, **options):
    gan = mtf.gan.GAN(generator(), discriminator(activation="softplus"), **(gan_options or {}))
    options = {"inner_steps": 2, **ALGORITHMS[algorithm], **options}
    return mtf.gan.MetaGAN(gan, algorithm.split()[0], **options)


def tasks_of(images, queries=0):
    labels = np.arange(len(images)) % 3
    dataset = mtf.data.ClassDataset(images, labels)
    return mtf.data.image_tasks(dataset, shots=4, queries=queries, tasks_per_batch=3)


def make_conditional(algorithm="reptile", gan_options=None, **options):
    gan = mtf.gan.GAN(generator(3), discriminator(3, activation="softplus"), **(gan_options or {}))
    return mtf.gan.MetaGAN(gan, algorithm, **{"inner_steps": 2, **options})


# The others differ in their outer gradients alone, which are tested below; the conditional one is "maml".
@pytest.mark.full
@pytest.mark.parametrize(
    "algorithm", [pytest.param(a, marks=[] if a == "reptile" else pytest.mark.slow) for a in ALGORITHMS]
)
def test_it_trains_resumes_bit_for_bit_adapts_and_exports(algorithm, images, tmp_path):
    meta_gan = make_meta_gan(algorithm, {"penalty": "r1", "augmentation": "translation"})
    meta_gan.compile()
    before = [v.numpy() for v in meta_gan.trainable_variables]
    history = meta_gan.fit(tasks_of(images, 2), steps_per_epoch=3, verbose=0).history
    assert np.isfinite([history["generator_loss"], history["discriminator_loss"]]).all()
    assert all(np.any(old != new.numpy()) for old, new in zip(before, meta_gan.trainable_variables))

    meta_gan.save(tmp_path / "meta_gan.keras")
    again = keras.models.load_model(tmp_path / "meta_gan.keras")
    for one in (meta_gan, again):
        one.fit(tasks_of(images), steps_per_epoch=2, verbose=0)
    for one, other in zip(meta_gan.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    adapted = meta_gan.adapt(images[:5], seed=3)
    assert isinstance(adapted, mtf.gan.GAN)
    assert np.any(adapted.sample(4) != meta_gan.gan.sample(4))
    meta_gan.export(tmp_path / "served/1")
    served = tf.saved_model.load(str(tmp_path / "served/1")).signatures
    request = {"images": tf.constant(images[:5] / 127.5 - 1.0, tf.float32), "seed": tf.constant(3)}
    drawn = served["adapt_and_generate"](**request, count=tf.constant(4))["generated"]
    np.testing.assert_allclose(drawn, adapted.sample(4, seed=3), atol=1e-4)
    state = served["adapt"](**request)
    again = served["generate"](**state, count=tf.constant(4), seed=tf.constant(3))["generated"]
    np.testing.assert_allclose(drawn, again, atol=1e-5)
    assert (tmp_path / "served/1/model_card.md").read_text().startswith("# served")


@pytest.mark.full
def test_the_inner_loop_is_what_an_ordinary_gan_does_on_these_images(images):
    meta_gan = make_meta_gan("maml", {"discriminator_steps": 2, "penalty": "gradient"}, inner_learning_rate=0.05)
    gan = meta_gan.gan.copy()
    gan.seed = 5
    gan.compile(keras.optimizers.SGD(0.05), keras.optimizers.SGD(0.05))
    gan.fit(images[:6], batch_size=6, epochs=2, shuffle=False, verbose=0)
    adapted = meta_gan.adapt(images[:6], seed=5)
    for network, other in [(gan.generator, adapted.generator), (gan.discriminator, adapted.discriminator)]:
        for one, two in zip(network.get_weights(), other.get_weights()):
            np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.full
def test_adam_in_the_inner_loop_is_keras_s(images):
    meta_gan = make_meta_gan(inner_optimizer=keras.optimizers.Adam(1e-2, beta_1=0.3))
    gan = meta_gan.gan.copy()
    gan.seed = 1
    gan.compile(*(keras.optimizers.Adam(1e-2, beta_1=0.3) for _ in range(2)))
    gan.fit(images[:6], batch_size=6, epochs=2, shuffle=False, verbose=0)
    adapted = meta_gan.adapt(images[:6], seed=1)
    for one, two in zip(gan.generator.get_weights(), adapted.generator.get_weights()):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.full
def test_a_reptile_step_of_one_ends_at_the_mean_of_the_adapted_weights(images):
    meta_gan = make_meta_gan()
    meta_gan.compile(keras.optimizers.SGD(1.0))
    tasks = images[:12].reshape(3, 4, *SHAPE).astype("float32") / 127.5 - 1.0
    seeds = tf.random.split(tf.constant([0, 0]), 3)
    adapted = [meta_gan.adapt_task(tf.constant(task), split_seed(seed, 2)[0], 2) for task, seed in zip(tasks, seeds)]
    means = [np.mean([weight.numpy() for weight in each], axis=0) for each in zip(*adapted)]
    meta_gan.train_on_batch(tasks)
    for variable, mean in zip(meta_gan.trainable_variables, means, strict=True):
        np.testing.assert_allclose(variable.numpy(), mean, atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("penalty", [None, "r1"])
def test_the_meta_gradient_is_that_of_finite_differences(penalty, images):
    """The derivative of each player's own loss after the inner loop, by its initial weights and its rates."""
    options = {"learned_rates": True, "inner_learning_rate": 0.1}
    meta_gan = make_meta_gan("maml with rates", {"penalty": penalty}, **options)
    task, queries = (tf.constant(x / 127.5 - 1.0, tf.float32) for x in (images[:4], images[4:8]))
    seed = tf.constant([3, 4])
    _, _, *gradients = meta_gan.task_gradients(task, queries, seed)

    def losses():
        inner_seed, outer_seed = split_seed(seed, 2)
        return outer_losses(meta_gan.gan, meta_gan.adapt_task(task, inner_seed, 2), queries, outer_seed)

    random, step = np.random.default_rng(0), 3e-3
    count = len(meta_gan.gan.generator.trainable_variables)
    players = [[*range(count), len(gradients) - 2], [*range(count, len(gradients) - 2), len(gradients) - 1]]
    for player, rows in enumerate(players):
        for row in rows:
            variable, gradient = meta_gan.trainable_variables[row], gradients[row].numpy()
            direction = random.normal(size=gradient.shape).astype("float32")
            direction /= np.linalg.norm(direction)
            start, values = variable.numpy(), []
            for sign in (1.0, -1.0):
                variable.assign(start + sign * step * direction)
                values.append(float(losses()[player]))
            variable.assign(start)
            expected = (values[0] - values[1]) / (2 * step)
            assert np.sum(gradient * direction) == pytest.approx(expected, rel=0.03, abs=3e-4)


def test_first_order_gradients_are_those_at_the_adapted_weights(images):
    meta_gan = make_meta_gan("fomaml")
    task, queries = (tf.constant(x / 127.5 - 1.0, tf.float32) for x in (images[:4], images[4:8]))
    seed = tf.constant([3, 4])
    _, _, *gradients = meta_gan.task_gradients(task, queries, seed)
    inner_seed, outer_seed = split_seed(seed, 2)
    adapted = meta_gan.adapt_task(task, inner_seed, 2)
    copy = meta_gan.gan.copy()
    count = len(copy.generator.trainable_variables)
    with tf.GradientTape() as tape:
        tape.watch(adapted)
        loss = outer_losses(copy, adapted, queries, outer_seed)[0]
    for one, two in zip(gradients[:count], tape.gradient(loss, adapted[:count])):
        np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.full
def test_adaptation_draws_what_it_was_shown():
    """After training on tasks of one brightness each, a few images of an unseen brightness are enough."""
    levels = np.linspace(-0.8, 0.8, 20)
    images = np.broadcast_to(levels.repeat(8)[:, None, None, None], (160, *SHAPE)).astype("float32")
    dataset = mtf.data.ClassDataset(images, np.arange(160) // 8)
    meta_gan = make_meta_gan(inner_steps=10, inner_learning_rate=1e-2)
    meta_gan.compile(keras.optimizers.SGD(0.5))
    tasks = mtf.data.image_tasks(dataset, shots=6, tasks_per_batch=4)
    meta_gan.fit(tasks, steps_per_epoch=40, verbose=0)
    shown = [np.full((6, *SHAPE), level, "float32") for level in (-0.6, 0.6)]
    dark, bright = (meta_gan.adapt(images, steps=20).sample(20).mean() for images in shown)
    assert bright > dark + 0.4


def test_call_draws_as_many_images_as_came(images):
    tasks = images[:12].reshape(3, 4, *SHAPE).astype("float32") / 127.5 - 1.0
    assert make_meta_gan()(tasks).shape == (3, 4, *SHAPE)


@pytest.mark.full
def test_evaluate_gives_the_losses_after_adaptation(images):
    meta_gan = make_meta_gan()
    meta_gan.compile()
    before = meta_gan.get_weights()
    results = meta_gan.evaluate(tasks_of(images), steps=2, verbose=0, return_dict=True)
    assert np.isfinite(results["generator_loss"])
    for old, new in zip(before, meta_gan.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.rows(
    default=[
        "<lambda>-`gan` must be a GAN",
        "<lambda>-`algorithm`",
        "<lambda>-generator_normalization",
        "<lambda>-`inner_learning_rate`",
    ]
)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mtf.gan.MetaGAN(generator()), "`gan` must be a GAN"),
        (
            lambda: mtf.gan.MetaGAN(mtf.gan.GAN(*mtf.networks.augmentation_gan((16, 16, 1), filters=4))),
            "with or without labels, and no encoder. Received: a GAN of source images",
        ),
        (lambda: mtf.gan.MetaGAN(mtf.gan.GAN(generator(None, "batch"), discriminator())), "generator_normalization"),
        (lambda: make_meta_gan(inner_steps=0), "`inner_steps`"),
        (lambda: make_meta_gan(inner_learning_rate=-1.0), "`inner_learning_rate`"),
        (lambda: make_meta_gan(learned_rates=True), "`learned_rates`"),
        (lambda: make_meta_gan("maml", inner_optimizer="adam"), "`inner_optimizer`"),
        (lambda: mtf.gan.MetaGAN(mtf.gan.GAN(generator(), discriminator()), "imaml"), "`algorithm`"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:1], "at least 4 images"),
        (lambda x: x[:3], "one inner batch"),
        (lambda x: x.astype("float32"), r"must be in \[-1, 1\]"),
        (lambda x: x[..., 0], "must have the shape"),
    ],
)
def test_bad_images_are_refused(change, message, images):
    with pytest.raises(ValueError, match=message):
        make_meta_gan(inner_batch_size=4).adapt(change(images))


def test_one_image_alone_is_refused(images):
    with pytest.raises(ValueError, match="can only be copied"):
        make_meta_gan().adapt(images[:1])


def test_tasks_without_a_task_axis_are_refused(images):
    meta_gan = make_meta_gan()
    meta_gan.compile()
    with pytest.raises(ValueError, match="tasks, images"):
        meta_gan.fit(tf.data.Dataset.from_tensors(images))


@pytest.mark.full
def test_labels_for_networks_without_are_refused(images):
    meta_gan, tasks = make_meta_gan(), images[:12].reshape(3, 4, *SHAPE)
    meta_gan.compile()
    for pair in ((tasks, tasks), [tasks, np.zeros((3, 4), int)]):
        with pytest.raises(ValueError, match="`x` must be one array of tasks.* Received: a (tuple|list) of 2"):
            meta_gan.fit(pair)
    dataset = mtf.data.ClassDataset(images, np.arange(30) // 6)
    for queries in (0, 1):
        with pytest.raises(ValueError, match="the networks take no labels. Received: tasks with labels"):
            meta_gan.fit(mtf.data.image_tasks(dataset, 4, queries, ways=3))


@pytest.mark.full
def test_a_bad_request_is_named(images, tmp_path):
    make_meta_gan().export(tmp_path / "1")
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["adapt_and_generate"]
    good = {"images": tf.zeros([4, *SHAPE]), "count": tf.constant(2), "seed": tf.constant(0)}
    for change, message in [
        ({"images": tf.fill([4, *SHAPE], 255.0)}, "must be in"),
        ({"images": tf.zeros([1, *SHAPE])}, "at least 2 images"),
        ({"images": tf.fill([4, *SHAPE], np.nan)}, "must be finite"),
        ({"count": tf.constant(0)}, "must be positive"),
    ]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            served(**{**good, **change})
    assert served(**good)["generated"].shape == (2, *SHAPE)


@pytest.mark.full
def test_a_request_may_leave_count_and_seed_to_tensorflow_serving(tmp_path):
    make_meta_gan().export(tmp_path / "1")
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((tmp_path / "1/saved_model.pb").read_bytes())
    defaults = saved.meta_graphs[0].signature_def["adapt_and_generate"].defaults
    assert {name: int(tf.make_ndarray(value)) for name, value in defaults.items()} == {"count": 16, "seed": 0}


def test_noise_is_of_the_generator_s_width():
    assert make_meta_gan().gan.latent_dim == LATENT


# === Of networks with labels ===


@pytest.mark.full
@pytest.mark.parametrize(("algorithm", "queries"), [pytest.param("reptile", 1, marks=pytest.mark.slow), ("maml", 0)])
def test_a_conditional_meta_gan_trains_resumes_adapts_and_exports(algorithm, queries, images, tmp_path):
    meta_gan = make_conditional(algorithm, {"penalty": "r1", "feature_matching_weight": 1.0}, inner_batch_size=3)
    dataset = mtf.data.ClassDataset(images, np.arange(30) // 6)
    tasks = mtf.data.image_tasks(dataset, shots=2, queries=queries, tasks_per_batch=2, ways=3)
    meta_gan.compile()
    before = [v.numpy() for v in meta_gan.trainable_variables]
    history = meta_gan.fit(tasks, steps_per_epoch=2, verbose=0).history
    assert np.isfinite([history["generator_loss"], history["discriminator_loss"]]).all()
    assert all(np.any(old != new.numpy()) for old, new in zip(before, meta_gan.trainable_variables))
    assert np.isfinite(meta_gan.evaluate(tasks, steps=1, verbose=0)).all()

    meta_gan.save(tmp_path / "meta_gan.keras")
    again = keras.models.load_model(tmp_path / "meta_gan.keras")
    for one in (meta_gan, again):
        one.fit(tasks, steps_per_epoch=1, verbose=0)
    for one, other in zip(meta_gan.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    labels, wanted = np.arange(6) % 3, np.asarray([2, 2, 0, 1])
    adapted = meta_gan.adapt(images[:6], labels, seed=3)
    meta_gan.export(tmp_path / "1", warm_up=False)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures
    shown = {
        "images": tf.constant(images[:6] / 127.5 - 1.0, tf.float32),
        "labels": tf.constant(labels, tf.int32),
        "seed": tf.constant(3),
    }
    request = {"wanted_labels": tf.constant(wanted, tf.int32), "seed": tf.constant(3)}
    drawn = served["adapt_and_generate"](**{**shown, **request})["generated"]
    np.testing.assert_allclose(drawn, adapted.sample(4, wanted, seed=3), atol=1e-4)
    np.testing.assert_allclose(served["generate"](**served["adapt"](**shown), **request)["generated"], drawn, atol=1e-5)
    for change, message in [
        ({"labels": tf.constant([0, 1, 2, 0, 1, 3])}, "`labels` must be from 0 to 2"),
        ({"labels": tf.constant([0, 1])}, "`labels` must have one entry for each image"),
        ({"wanted_labels": tf.constant([-1])}, "`wanted_labels` must be from 0 to 2"),
        (
            {"labels": tf.constant(3 * [0, 1])},
            "`wanted_labels` must be among `labels`: nothing was shown of others.*2",
        ),
    ]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            served["adapt_and_generate"](**{**shown, **request, **change})


@pytest.mark.full
def test_the_conditional_inner_loop_is_what_an_ordinary_gan_does_on_these_images(images):
    meta_gan = make_conditional("maml", {"penalty": "gradient"}, inner_learning_rate=0.05)
    labels = np.arange(6) % 3
    gan = meta_gan.gan.copy()
    gan.seed = 5
    gan.compile(keras.optimizers.SGD(0.05), keras.optimizers.SGD(0.05))
    gan.fit(images[:6], labels, batch_size=6, epochs=2, shuffle=False, verbose=0)
    adapted = meta_gan.adapt(images[:6], labels, seed=5)
    for network, other in [(gan.generator, adapted.generator), (gan.discriminator, adapted.discriminator)]:
        for one, two in zip(network.get_weights(), other.get_weights()):
            np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.full
def test_call_draws_the_labels_that_came(images):
    tasks = images[:12].reshape(2, 6, *SHAPE).astype("float32") / 127.5 - 1.0
    labels = np.arange(12).reshape(2, 6) % 3
    meta_gan = make_conditional()
    drawn = meta_gan((tasks, labels))
    seeds = tf.random.split(tf.constant([meta_gan.seed, -1]), 2)
    for one, task, seed, of_task in zip(drawn, tasks, seeds, labels):
        state = meta_gan.adapt_task(tf.constant(task), seed, labels=tf.constant(of_task))
        expected = meta_gan.generate(state, draw_noise(6, LATENT, seed), tf.constant(of_task))
        np.testing.assert_allclose(one, expected, atol=1e-5)
        assert np.any(one != meta_gan.generate(state, draw_noise(6, LATENT, seed), tf.constant(of_task[::-1])))


@pytest.mark.full
def test_inner_batches_take_the_classes_in_turn(images):
    meta_gan = make_conditional(inner_batch_size=3, inner_steps=2)
    labels = np.repeat([0, 1, 2], 2)
    in_turn = [0, 2, 4, 1, 3, 5]
    adapted = [meta_gan.adapt(images[:6][rows], labels[rows]) for rows in (slice(None), in_turn)]
    for one, other in zip(*(gan.generator.get_weights() for gan in adapted)):
        np.testing.assert_array_equal(one, other)


def test_first_order_gradients_of_label_embeddings_are_dense(images):
    meta_gan = make_conditional("fomaml")
    task, labels = tf.constant(images[:6] / 127.5 - 1.0, tf.float32), tf.constant(np.arange(6) % 3)
    _, _, *gradients = meta_gan.task_gradients(task, task, tf.constant([3, 4]), labels, labels)
    for gradient, variable in zip(gradients, meta_gan.trainable_variables, strict=True):
        assert isinstance(gradient, tf.Tensor) and gradient.shape == variable.shape


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "`labels` are needed"),
        ([0, 1, 2], r"`labels` must have the shape \(4,\)"),
        ([0, 1, 2, 3], r"`labels` must be in \[0, 3\)"),
        ([0.0, 1.0, 2.0, 0.0], "`labels` must be integers"),
    ],
)
def test_bad_labels_are_refused(labels, message, images):
    with pytest.raises(ValueError, match=message):
        make_conditional().adapt(images[:4], labels)


def test_labels_of_a_meta_gan_without_are_refused(images):
    with pytest.raises(ValueError, match="`labels` must be None: the networks take no labels"):
        make_meta_gan().adapt(images[:4], [0, 1, 2, 0])


@pytest.mark.full
def test_tasks_whose_labels_do_not_fit_are_refused(images):
    meta_gan = make_conditional()
    meta_gan.compile()
    dataset = mtf.data.ClassDataset(images, np.arange(30) // 6)
    for unlabelled in (mtf.data.image_tasks(dataset, 4), mtf.data.image_tasks(dataset, 4, 1)):
        with pytest.raises(ValueError, match="must be pairs of images and their labels.*Received: "):
            meta_gan.fit(unlabelled)
        with pytest.raises(ValueError, match="must be pairs of images and their labels.*Received: "):
            meta_gan.evaluate(unlabelled, steps=1)
    with pytest.raises(ValueError, match=r"`labels` must be in \[0, 3\)"):
        meta_gan.fit(mtf.data.image_tasks(dataset, 4, ways=4))
    tasks = images[:8].reshape(2, 4, *SHAPE)
    with pytest.raises(ValueError, match=r"a label for each image, of the shape \(2, 4\). Received: shape \(2, 3\)"):
        meta_gan.fit((tasks, np.zeros((2, 3), int)))
    queried = tf.data.Dataset.from_tensors(((tasks, np.zeros((2, 4), int)), tasks))
    with pytest.raises(ValueError, match="query images a pair of their own"):
        meta_gan.fit(queried)
    with pytest.raises(ValueError, match="with query images, a `tf.data.Dataset`. Received: a tuple of 2"):
        meta_gan.fit(((tasks, np.zeros((2, 4), int)), (tasks, np.zeros((2, 4), int))))


@pytest.mark.full
def test_arrays_of_tasks_and_labels_train_as_a_dataset_of_them(images):
    tasks, labels = images[:12].reshape(2, 6, *SHAPE), np.tile(np.arange(6) % 3, (2, 1))
    weights = []
    for data in ((tasks, labels), tf.data.Dataset.from_tensors((tasks, labels))):
        keras.utils.set_random_seed(0)
        meta_gan = make_conditional()
        meta_gan.compile()
        meta_gan.fit(data, shuffle=False, verbose=0)
        weights.append(meta_gan.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_allclose(one, other, atol=1e-6)
