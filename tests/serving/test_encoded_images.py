"""PNG and JPEG files inside the graph become what `mtf.data.from_directory` makes of them."""

import io

import metalearn_tf as mtf
from metalearn_tf.serving.encoded_images import decode_images, takes_encoded_images
from metalearn_tf.serving.exif_orientation import exif_orientation
from metalearn_tf.serving.file_headers import jpeg_header

import matplotlib.cbook
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image


@pytest.fixture(scope="module")
def photo():
    """A real photograph, 512 × 606, which comes with Matplotlib."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return Image.open(file).convert("RGB")


def file_of(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def orientation_of():
    signature = [tf.TensorSpec((), tf.string)]
    read = tf.function(lambda file: exif_orientation(jpeg_header(file).exif), input_signature=signature)
    return lambda file: int(read(tf.constant(file)))


def decode(files, shape):
    decoded = tf.function(lambda files: decode_images(files, shape, "support_bytes"))(tf.constant(files))
    return np.round(decoded.numpy() * 255).astype(int)


def from_directory(folder, files, shape):
    (folder / "class").mkdir()
    for index, file in enumerate(files):
        (folder / "class" / f"{index:02}.{'png' if file[1:4] == b'PNG' else 'jpg'}").write_bytes(file)
    return mtf.data.from_directory(folder, shape[:2], channels=shape[2]).examples.astype(int)


@pytest.mark.full
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 64, 3)])
def test_a_photo_becomes_what_from_directory_makes_of_it(photo, shape, tmp_path):
    images = [photo, photo.convert("L"), photo.resize((90, 40)), photo.resize((1200, 900))]
    files = [file_of(image, kind) for image in images for kind in ("JPEG", "PNG")]
    served, loaded = decode(files, shape), from_directory(tmp_path, files, shape)
    assert served.shape == loaded.shape == (len(files), *shape)
    differences = np.abs(served - loaded)
    assert differences[1::2].max() <= 1
    # The loader may have JPEG decoded to a smaller size, which averages in another way.
    assert differences[::2].mean() <= 1
    assert np.quantile(differences[::2], 0.99) <= 5


@pytest.mark.rows(default=["shape1"])
@pytest.mark.parametrize("shape", [(28, 28, 3), (28, 28, 1)])
def test_every_kind_of_png_becomes_what_from_directory_makes_of_it(photo, shape, tmp_path):
    colour = photo.resize((64, 48))
    clear = colour.copy()
    clear.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 64).astype("uint8"), (48, 1))))
    sixteen_bits = Image.fromarray(np.asarray(colour.convert("L")).astype("uint16") * 256 + 77)
    files = [
        *(file_of(image, "PNG") for image in (clear, clear.convert("LA"), clear.convert("L"), sixteen_bits)),
        *(file_of(colour.convert("1"), "PNG", **options) for options in ({}, {"transparency": 0})),
        *(
            file_of(colour.quantize(2**bits), "PNG", bits=bits, **options)
            for bits in (1, 2, 4, 8)
            for options in ({}, {"transparency": 0})
        ),
    ]
    served, loaded = decode(files, shape), from_directory(tmp_path, files, shape)
    assert (np.abs(served - loaded).max(axis=(1, 2, 3)) <= 1).all()


@pytest.mark.rows(default=[">"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_photos_are_turned_as_their_orientation_says(endian, orientation_of, tmp_path):
    # Four different corners, so that each of the eight orientations looks different.
    corners = Image.fromarray(np.asarray([[0, 80], [160, 240]], "uint8").repeat(24, 0).repeat(24, 1)).convert("RGB")
    files = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif.endian = endian
        exif[0x010F], exif[0x0112] = "a camera", orientation
        files.append(file_of(corners, exif=exif))
    assert [orientation_of(file) for file in files] == list(range(1, 9))
    shape = (24, 24, 3)
    served = decode(files, shape)
    assert np.abs(served - from_directory(tmp_path, files, shape)).max() <= 3
    assert len(np.unique(served.reshape(8, -1), axis=0)) == 8


def test_broken_orientations_count_as_upright(photo, orientation_of):
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = file_of(photo.resize((40, 30)), exif=exif)
    assert orientation_of(whole) == 6
    assert orientation_of(file_of(photo.resize((40, 30)))) == 1
    random = np.random.default_rng(0)
    for cut in range(3, 60):
        assert 1 <= orientation_of(whole[:cut]) <= 8
    for _ in range(100):
        broken = bytearray(whole)
        broken[random.integers(2, 60)] = random.integers(256)
        assert 1 <= orientation_of(bytes(broken)) <= 8


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((28, 28, 1), True), ((28, 28, 3), True), ((28, 28, 2), False), ((None, None, 3), False), ((5,), False)],
)
def test_only_grey_and_colour_networks_take_files(shape, expected):
    class Network:
        input_shape = (None, *shape)

    assert takes_encoded_images(Network) is expected
