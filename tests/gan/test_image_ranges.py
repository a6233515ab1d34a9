"""The range of a generator's pixels, for every kind of data and in all that scores and draws."""

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_networks import LATENT, SHAPE, discriminator, generator

L = keras.layers


class Batches(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return (self.images[10 * index : 10 * index + 10],)


def from_directory(images, folder):
    (folder / "all").mkdir(exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image.astype("uint8")[..., 0]).save(folder / "all" / f"{number:02}.png")
    options = {"color_mode": "grayscale", "image_size": SHAPE[:2], "batch_size": 10, "shuffle": False}
    return keras.utils.image_dataset_from_directory(str(folder), label_mode=None, verbose=False, **options)


KINDS = {
    "array": lambda images, folder: images,
    "list": lambda images, folder: list(images),
    "tensor": lambda images, folder: tf.constant(images),
    "dataset": lambda images, folder: tf.data.Dataset.from_tensor_slices(images).batch(10),
    "PyDataset": lambda images, folder: Batches(images),
    "generator": lambda images, folder: ((images[start : start + 10],) for start in range(0, 30, 10)),
    "directory": from_directory,
}


def new_gan(last="tanh", **options):
    keras.utils.set_random_seed(0)
    gan = mtf.gan.GAN(generator(last=last), discriminator(), **options)
    gan.compile(run_eagerly=True)
    return gan


@pytest.mark.rows(default=["list", "array"])
@pytest.mark.parametrize("kind", KINDS)
def test_floats_of_bytes_are_refused_in_data_of_every_kind(kind, images, tmp_path):
    images = images.astype("float32")
    with pytest.raises(ValueError, match=r"must be in \[-1, 1\]"):
        new_gan().fit(KINDS[kind](images, tmp_path), verbose=0)
    with pytest.raises(ValueError, match=r"`GAN\(..., image_range=\(0, 255\)\)`"):
        new_gan("linear").fit(KINDS[kind](images, tmp_path), verbose=0)


@pytest.mark.rows(default=["list"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "directory"])
def test_data_of_every_kind_are_trained_on_with_all_their_batches(kind, images, tmp_path):
    gan = new_gan()
    in_batches = kind in ("dataset", "PyDataset", "generator")
    steps = 3 if kind == "generator" else None  # Keras warns at the end of a generator that it did not know
    data = KINDS[kind](images, tmp_path)
    gan.fit(data, batch_size=None if in_batches else 10, steps_per_epoch=steps, verbose=0)
    assert int(gan.steps) == 3


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "object"])
def test_pixels_of_other_dtypes_are_refused(dtype, images):
    with pytest.raises(ValueError, match="must be uint8, or floating in .*Received: dtype="):
        new_gan().fit(images.astype(dtype), verbose=0)


def test_float64_pixels_and_bytes_of_the_same_images_train_alike(images):
    weights = []
    for pixels in (images, images / 127.5 - 1.0):
        gan = new_gan()
        gan.fit(pixels, batch_size=30, shuffle=False, verbose=0)
        weights.append(gan.get_weights())
    for one, other in zip(*weights):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_bytes_need_a_range_that_is_known_or_declared(images):
    with pytest.raises(ValueError, match=r"Declare it with `GAN\(..., image_range=\(-1, 1\)\)`"):
        new_gan("linear").fit(images, verbose=0)
    gan = new_gan("linear", image_range=(0.0, 1.0))
    assert gan.image_range == (0.0, 1.0)
    gan.fit(images, verbose=0)
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        gan.fit(images / 127.5 - 1.0, verbose=0)


# === Source images ===


def paired(source_shape, **options):
    keras.utils.set_random_seed(0)
    noise, source, shown = keras.Input((LATENT,)), keras.Input(source_shape), keras.Input(SHAPE)
    field = L.Reshape(SHAPE)(L.Dense(64)(L.Concatenate()([noise, L.Flatten()(source)])))
    made = keras.Model([noise, source], L.Activation("tanh")(field))
    judge = keras.Model([shown, source], L.Dense(1)(L.Concatenate()([L.Flatten()(shown), L.Flatten()(source)])))
    gan = mtf.gan.GAN(made, judge, **options)
    gan.compile(run_eagerly=True)
    return gan


@pytest.mark.rows(default=["source_shape0"])
@pytest.mark.parametrize("source_shape", [(8, 8, 3), (4, 4, 1)])
def test_source_images_may_have_a_shape_of_their_own(source_shape, images, tmp_path):
    gan = paired(source_shape)
    sources = np.random.default_rng(1).integers(0, 256, (30, *source_shape), dtype="uint8")
    floats = (sources / 127.5 - 1.0).astype("float32")
    network = keras.Sequential([keras.Input(SHAPE), L.Flatten()])
    scores = mtf.evaluation.GenerativeScores(images, network, count=30, labels=sources)
    grids = mtf.evaluation.SampleGrid(tmp_path, count=30, labels=sources)
    logs = gan.fit(images, sources, batch_size=30, verbose=0, callbacks=[scores, grids]).history
    assert np.isfinite(logs["fid"]).all() and (tmp_path / "epoch_0001.png").exists()
    gan.export(tmp_path / "served", warm_up=False)
    generate = tf.saved_model.load(str(tmp_path / "served")).signatures["generate"]
    served = generate(labels=tf.constant(floats[:4]), seed=tf.constant(0))["images"]
    np.testing.assert_allclose(served, gan.sample(4, sources[:4]), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"`labels` must be in \[-1, 1\]"):
        generate(labels=tf.constant(sources[:4], tf.float32), seed=tf.constant(0))
    # Bytes are brought to the range at every door.
    np.testing.assert_allclose(gan.sample(4, sources[:4]), gan.sample(4, floats[:4]), atol=1e-6)
    noise = np.zeros((4, LATENT), "float32")
    np.testing.assert_allclose(gan([noise, tf.constant(sources[:4])]), gan([noise, floats[:4]]), atol=1e-6)
    with pytest.raises(ValueError, match="that the source images have"):
        gan.sample(4, np.zeros((4, 5, 5, 1), "float32"))
    with pytest.raises(ValueError, match="`reconstruction_weight` needs source images of the shape"):
        paired(source_shape, reconstruction_weight=1.0)


def test_attributes_are_a_condition_too(images):
    """Numbers `(n, 3)` of any kind, uint8 too, which are no pixels."""
    noise, given, shown = keras.Input((LATENT,)), keras.Input((3,)), keras.Input(SHAPE)
    field = L.Reshape(SHAPE)(L.Dense(64)(L.Concatenate()([noise, given])))
    judge = keras.Model([shown, given], L.Dense(1)(L.Concatenate()([L.Flatten()(shown), given])))
    gan = mtf.gan.GAN(keras.Model([noise, given], L.Activation("tanh")(field)), judge)
    gan.compile(run_eagerly=True)
    attributes = np.random.default_rng(0).integers(0, 2, (30, 3))
    losses = [gan.test_on_batch(images, attributes.astype(dtype)) for dtype in ("uint8", "float32", "int64")]
    assert losses[0] == losses[1] == losses[2]
    np.testing.assert_array_equal(gan.sample(4, attributes[:4].astype("uint8")), gan.sample(4, attributes[:4] * 1.0))


# === Scores and grids ===


def perfect(activation, image):
    """A GAN that always draws the image."""
    network = keras.Sequential([keras.Input((LATENT,)), L.Dense(64), L.Reshape(SHAPE), L.Activation(activation)])
    network.layers[0].set_weights([np.zeros((LATENT, 64)), np.where(image.ravel() > 0, 30.0, -30.0)])
    gan = mtf.gan.GAN(network, discriminator())
    gan.compile(*(keras.optimizers.SGD(0.0) for _ in range(2)), run_eagerly=True)
    return gan


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_a_perfect_generator_of_any_range_scores_0_and_draws_black_and_white(activation, tmp_path):
    image = np.zeros(SHAPE, "uint8")
    image[2:6, 2:6] = 255
    real, gan = np.tile(image, (16, 1, 1, 1)), perfect(activation, image)
    network = keras.Sequential([keras.Input(SHAPE), L.AveragePooling2D(4), L.Flatten()])
    callbacks = [mtf.evaluation.GenerativeScores(real, network, 16), mtf.evaluation.SampleGrid(tmp_path, count=1)]
    logs = gan.fit(real, verbose=0, callbacks=callbacks).history
    assert logs["fid"][0] == pytest.approx(0, abs=1e-4) and logs["kid"][0] == pytest.approx(0, abs=1e-4)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "epoch_0001.png")), image[..., 0])
    drawn, limits = gan.sample(16), gan.image_range
    report = mtf.evaluation.generative_report(real, drawn, network, subset_size=8, image_range=limits)
    assert report.fid == pytest.approx(0, abs=1e-4)
    np.testing.assert_array_equal(mtf.evaluation.sample_grid(drawn[:1], image_range=limits), image)
    assert mtf.evaluation.nearest_images(drawn, real, image_range=limits)[1].max() < 1e-3
    if activation == "sigmoid":
        for score in (lambda x: mtf.evaluation.fid(real, x, network), mtf.evaluation.sample_grid):
            with pytest.raises(ValueError, match=r"seems to be in \[0, 1\]; say which by `image_range=\(0, 1\)`"):
                score(drawn)


def test_what_cannot_be_drawn_or_scored_is_said_before_training(images, tmp_path):
    network = keras.Sequential([keras.Input((4, 4, 1)), L.Flatten()])
    unknown = new_gan("linear")
    floats = (images / 127.5 - 1.0).astype("float32")
    for gan, callback, message in (
        (unknown, mtf.evaluation.SampleGrid(tmp_path), "The range of the model's images must be known"),
        (
            new_gan(),
            mtf.evaluation.GenerativeScores(images[:, :4, :4], network, 4),
            "must have the shape of the model's",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            gan.fit(floats, verbose=0, callbacks=callback)
        assert int(gan.steps) == 0
