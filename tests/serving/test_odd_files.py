"""One picture, one answer: whatever the file, every door to a network gives the same pixels, or says why not."""

import functools
import tempfile

import metalearn_tf as mtf

import keras
import numpy as np
import pytest
import tensorflow as tf
from odd_files import COLOUR, OPACITY, REFUSED, SERVED

SHAPES = [(20, 20, 1), (16, 48, 3)]


def by_read_image(files, shape, folder):
    return np.stack([mtf.data.read_image(file, shape[:2], channels=shape[2]) for file in files])


def by_path(files, shape, folder):
    (folder / "one").write_bytes(b"")
    images = []
    for file in files:
        (folder / "one").write_bytes(file)  # without an ending: the content says what it is
        images.append(mtf.data.read_image(folder / "one", shape[:2], channels=shape[2]))
    return np.stack(images)


def by_from_directory(files, shape, folder):
    (folder / "class").mkdir()
    for number, file in enumerate(files):
        (folder / "class" / f"{number:03}.{'png' if file[1:4] == b'PNG' else 'jpg'}").write_bytes(file)
    return mtf.data.from_directory(folder, shape[:2], channels=shape[2]).examples


@functools.cache
def served_pixels(shape):
    """The signature for files of a network that returns its pixels, exported and loaded."""
    inputs = keras.Input(shape)
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))
    with tempfile.TemporaryDirectory() as folder:
        mtf.serving.export_features(network, f"{folder}/pixels/1", warm_up=False)
        return tf.saved_model.load(f"{folder}/pixels/1").signatures["embed_bytes"]


def by_a_served_model(files, shape, folder):
    pixels = served_pixels(shape)(image_bytes=tf.constant(files))["embeddings"].numpy().reshape(-1, *shape)
    return np.round(255 * pixels).astype("uint8")


def by_adapted_predict(files, shape, folder):
    """What the network of an adapted learner sees, of the uint8 pixels that `read_image` gives."""
    inputs = keras.Input(shape)
    learner = mtf.learners.NearestNeighbor(keras.Model(inputs, keras.layers.Flatten()(inputs)))
    learner.compile()
    images = by_read_image(files, shape, folder)
    classifier = learner.adapt(images / np.float32(255), np.arange(len(files)))
    # The nearest of pictures in [0, 1] is the same picture only if it is brought to that range.
    return images[classifier.predict(images, verbose=0).argmax(axis=1)]


DOORS = [by_path, by_from_directory, by_a_served_model, by_adapted_predict]


@pytest.mark.rows(default=["by_from_directory-(20, 20, 1)", "by_from_directory-(16, 48, 3)"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_every_door_gives_the_same_pixels(door, shape, tmp_path):
    expected = by_read_image(SERVED.values(), shape, tmp_path).astype(int)
    found = door(list(SERVED.values()), shape, tmp_path).astype(int)
    assert found.shape == expected.shape == (len(SERVED), *shape)
    differences = dict(zip(SERVED, np.abs(found - expected).max(axis=(1, 2, 3)).tolist()))
    # The same code but for the decoders, which may round a pixel in another way.
    assert {name: most for name, most in differences.items() if most > (door is by_a_served_model)} == {}


@pytest.mark.rows(default=["TIFF"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_the_graph_would_decode_otherwise_is_refused_in_words(name):
    file, message = REFUSED[name]
    assert mtf.data.read_image(file, 20).shape[:2] == (20, 20)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"`image_bytes` must {message}"):
        served_pixels(SHAPES[0])(image_bytes=tf.constant([SERVED["RGB"], file]))


def test_what_the_pixels_are():
    """By hand: the doors could agree and all be wrong."""
    size = (20, 20)

    def pixels(name, **options):
        return mtf.data.read_image(SERVED[name], size, **options).astype(int)

    np.testing.assert_array_equal(pixels("all transparent"), 255)
    assert pixels("one pixel")[7, 7].tolist() == [10, 200, 30]
    for turn in ("PNG", "JPEG"):
        name = "turned" if turn == "PNG" else "JPEG turned"
        upright = pixels(f"{name} 1")
        # 6: the camera lay on its side, and the picture must be turned to the right to stand; 3: it stood on its head.
        np.testing.assert_allclose(pixels(f"{name} 6"), np.rot90(upright, -1), atol=2)
        np.testing.assert_allclose(pixels(f"{name} 3"), upright[::-1, ::-1], atol=2)
        np.testing.assert_allclose(pixels(f"{name} 2"), upright[:, ::-1], atol=2)
    np.testing.assert_array_equal(pixels("turned at its end"), pixels("turned 8"))
    np.testing.assert_array_equal(pixels("turned by an editor's note alone"), pixels("JPEG turned 1"))
    # On white, by the share of the opacity.
    share = np.asarray(OPACITY)[..., None] / 255
    on_white = share * np.asarray(COLOUR) + (1 - share) * 255
    np.testing.assert_allclose(mtf.data.read_image(SERVED["alpha"], (32, 40)), on_white, atol=0.51)
    luma = pixels("RGB") @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(pixels("RGB", channels=1)[..., 0], luma, atol=0.51)
    assert pixels("16 bits grey").shape[-1] == pixels("grey").shape[-1] == 1
    np.testing.assert_allclose(pixels("16 bits grey"), pixels("grey"), atol=2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (np.zeros((4, 4, 3), "uint8"), 20),
            TypeError,
            "`file` must be a path or the bytes of a file. Received: ndarray",
        ),
        (("missing.png", 20), FileNotFoundError, "missing.png"),
        ((b"text", 20), ValueError, "image of 4 bytes cannot be read"),
        ((SERVED["RGB"], None), ValueError, "`image_size` must be given"),
        ((SERVED["RGB"], 20, 4), ValueError, "`channels` must be None, 1 or 3"),
    ],
)
def test_what_is_no_picture_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mtf.data.read_image(*arguments)


def test_a_small_file_of_too_many_pixels_is_refused_before_it_is_decoded():
    bomb = bytearray(SERVED["RGB"])
    bomb[16:24] = (20_000).to_bytes(4) * 2
    jpeg = bytearray(SERVED["JPEG 4:4:4"])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = (20_000).to_bytes(2) * 2
    for file in (bomb, jpeg):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 16777216 pixels.*\[400000000\]"):
            served_pixels(SHAPES[0])(image_bytes=tf.constant([bytes(file)]))
