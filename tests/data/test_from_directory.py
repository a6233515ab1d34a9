"""`from_directory`: the images that people have, and the folders that they have by mistake."""

import io
import logging
import os

from metalearn_tf.data.own_files.from_directory import from_directory

import numpy as np
import pytest
from PIL import Image, features


def halves(left, right, size=(32, 32), mode="RGB"):
    """An image whose left and right halves have one colour each."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def only_image(tmp_path, image_size=16, **options):
    """The one image of a folder with one class."""
    examples = from_directory(tmp_path, image_size, **options).examples
    assert len(examples) == 1 and examples.dtype == np.uint8
    return examples[0].astype(int)


RED, BLUE = (200, 0, 0), (0, 0, 200)


def test_classes_are_the_sorted_folders(tmp_path):
    for name, count in (("owl", 1), ("Cat", 3), ("dog", 2)):
        for index in range(count):
            save(Image.new("RGB", (20, 20), (index, len(name), 0)), tmp_path / name / f"{index}.png")
    dataset = from_directory(str(tmp_path), 8)
    assert dataset.class_names == ["Cat", "dog", "owl"]
    assert np.diff(dataset.offsets).tolist() == [3, 2, 1]
    assert dataset.example_shape == (8, 8, 3)
    assert dataset.class_examples("Cat")[:, 0, 0, 0].tolist() == [0, 1, 2]  # files in sorted order
    assert from_directory(tmp_path, (6, 10)).example_shape == (6, 10, 3)


@pytest.mark.parametrize("ending", ["png", "jpg", "JPEG", "bmp", "gif", "webp", "tif", "ppm"])
def test_formats(tmp_path, ending):
    save(halves(RED, BLUE), tmp_path / "a" / f"picture.{ending}")
    image = only_image(tmp_path)
    np.testing.assert_allclose(image[8, 3], RED, atol=12)
    np.testing.assert_allclose(image[8, 12], BLUE, atol=12)


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("L", (16, 16), value) for value in (50, 150, 250)]
    save(frames[0], tmp_path / "a" / "moving.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(only_image(tmp_path), 50)


@pytest.mark.parametrize("orientation, row, column", [(1, 2, 2), (3, 13, 13), (6, 2, 13), (8, 13, 2), (2, 2, 13)])
def test_exif_orientation(tmp_path, orientation, row, column):
    image = Image.new("L", (32, 32), 0)
    image.paste(255, (0, 0, 16, 16))  # the top left as the camera stored it
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(image, tmp_path / "a" / "phone.jpg", exif=exif)
    result = only_image(tmp_path)
    assert result[row, column, 0] > 240 and result[15 - row, 15 - column, 0] < 15


def test_sixteen_bits_are_scaled(tmp_path):
    values = np.repeat([[0, 257 * 100, 65535, 257 * 7]], 4, axis=0).astype("uint16")
    save(Image.fromarray(values), tmp_path / "a" / "deep.png")
    assert only_image(tmp_path, 4)[0, :, 0].tolist() == [0, 100, 255, 7]


def test_palettes_cmyk_and_one_bit(tmp_path):
    save(halves(RED, BLUE).convert("P", palette=Image.Palette.ADAPTIVE), tmp_path / "a" / "1.png")
    save(halves(RED, BLUE).convert("CMYK"), tmp_path / "a" / "2.tif")
    save(halves(1, 0, mode="1"), tmp_path / "a" / "3.png")
    examples = from_directory(tmp_path, 16).examples.astype(int)
    np.testing.assert_allclose(examples[:2, 8, 3], [RED, RED], atol=3)
    assert examples[2, 8, 3].tolist() == [255] * 3 and examples[2, 8, 12].tolist() == [0] * 3


@pytest.mark.parametrize("mode, seen, unseen", [("RGBA", (*RED, 255), (*BLUE, 0)), ("LA", (40, 255), (10, 0))])
def test_transparent_parts_are_on_white(tmp_path, mode, seen, unseen):
    save(halves(seen, unseen, mode=mode), tmp_path / "a" / "cut.png")
    image = only_image(tmp_path)
    assert image[8, 12].tolist() == [255] * image.shape[-1]
    assert image[8, 3, 0] == seen[0]


def test_a_transparent_palette_colour_is_on_white(tmp_path):
    image = halves(0, 1, mode="P")
    image.putpalette([*RED, *BLUE])
    save(image, tmp_path / "a" / "cut.png", transparency=1)
    result = only_image(tmp_path)
    assert result[8, 12].tolist() == [255] * 3 and result[8, 3].tolist() == list(RED)


def test_channels(tmp_path):
    save(Image.new("RGB", (16, 16), (90, 90, 90)), tmp_path / "a" / "grey.png")
    save(Image.new("L", (16, 16), 20), tmp_path / "b" / "grey.jpg")
    assert from_directory(tmp_path, 8).example_shape == (8, 8, 1)
    assert from_directory(tmp_path, 8, channels=3).example_shape == (8, 8, 3)
    save(Image.new("RGB", (16, 16), RED), tmp_path / "b" / "red.png")
    assert from_directory(tmp_path, 8).example_shape == (8, 8, 3)
    grey = from_directory(tmp_path, 8, channels=1)
    assert grey.example_shape == (8, 8, 1)
    assert sorted(grey.examples[:, 0, 0, 0].tolist()) == [20, 60, 90]  # 0.299 of 200 red


def test_crop_or_stretch(tmp_path):
    image = Image.new("L", (64, 32), 0)
    image.paste(250, (16, 0, 48, 32))
    save(image, tmp_path / "a" / "wide.png")
    np.testing.assert_array_equal(only_image(tmp_path), 250)
    stretched = only_image(tmp_path, crop_to_aspect_ratio=False)
    assert stretched[8, :, 0].tolist() == [0] * 4 + [250] * 8 + [0] * 4
    assert only_image(tmp_path, (32, 64)).shape == (32, 64, 1)


def test_shrinking_averages_and_large_photographs_stay_exact(tmp_path):
    """A JPEG is decoded at a fraction of its size; what comes out must be what the whole image gives."""
    waves = np.add.outer(np.sin(np.arange(1200) / 90), np.cos(np.arange(1600) / 70)) * 60 + 128
    photograph = Image.fromarray(waves.astype("uint8"))
    save(photograph, tmp_path / "a" / "large.jpg", quality=95)
    save(photograph, tmp_path / "a" / "large.png")
    from_jpeg, from_png = from_directory(tmp_path, 40).examples.astype(int)
    expected = waves[:, 200:1400].reshape(40, 30, 40, 30).mean(axis=(1, 3))
    np.testing.assert_allclose(from_png[..., 0], expected, atol=1.5)
    np.testing.assert_allclose(from_jpeg, from_png, atol=4)


def test_hidden_files_are_ignored_and_others_with_a_warning(tmp_path, caplog):
    save(Image.new("L", (8, 8)), tmp_path / "a" / "one.png")
    (tmp_path / "a" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "a" / "._one.png").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "readme.txt").write_text("about the pictures")
    with caplog.at_level(logging.WARNING):
        assert len(from_directory(tmp_path, 8)) == 1
    assert not caplog.records
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / "film.mov").write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        assert len(from_directory(tmp_path, 8)) == 1
    assert "2 files" in caplog.text and "film.mov, notes.txt" in caplog.text


def test_subfolders_and_links(tmp_path):
    save(Image.new("L", (8, 8), 1), tmp_path / "elsewhere" / "deep" / "one.png")
    save(Image.new("L", (8, 8), 2), tmp_path / "data" / "b" / "two.png")
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "a")
    os.symlink(tmp_path / "data", tmp_path / "elsewhere" / "deep" / "round")  # a link that leads round in a circle
    dataset = from_directory(tmp_path / "data", 8)
    assert dataset.class_names == ["a", "b"]
    assert 1 in dataset.class_examples("a") and dataset.class_examples("b").max() == 2


@pytest.mark.parametrize("name", ["bad.png", "bad.jpg"])
def test_a_corrupt_image_is_named(tmp_path, name):
    save(Image.new("RGB", (64, 64)), tmp_path / "a" / "good.png")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8"))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG" if name.endswith("png") else "JPEG")
    for content in (buffer.getvalue()[: len(buffer.getvalue()) // 2], b"not an image", b""):
        (tmp_path / "a" / name).write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read") as error:
            from_directory(tmp_path, 8)
        assert str(tmp_path / "a" / name) in str(error.value)


def test_floating_pixels_are_refused(tmp_path):
    save(Image.fromarray(np.zeros((8, 8), "float32")), tmp_path / "a" / "x.tif")
    with pytest.raises(ValueError, match=r"x.tif.*floating"):
        from_directory(tmp_path, 8)


def test_folders_by_mistake(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path`.*nowhere"):
        from_directory(tmp_path / "nowhere", 8)
    file = save(Image.new("L", (8, 8)), tmp_path / "flat" / "one.png")
    with pytest.raises(NotADirectoryError, match="`path`"):
        from_directory(file, 8)
    with pytest.raises(ValueError, match="holds no folder"):
        from_directory(tmp_path / "flat", 8)
    (tmp_path / "flat" / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty.* holds no files"):
        from_directory(tmp_path / "flat", 8)
    (tmp_path / "flat" / "empty" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"empty.*only \['notes.txt'\].*\.jpg"):
        from_directory(tmp_path / "flat", 8)


@pytest.mark.parametrize("image_size", [None, 0, "8", (8, 8, 3)])
def test_image_size_is_checked(tmp_path, image_size):
    with pytest.raises(ValueError, match="`image_size` must"):
        from_directory(tmp_path, image_size)


def test_channels_are_checked(tmp_path):
    with pytest.raises(ValueError, match=r"`channels` must be None, 1 or 3. Received: channels=4"):
        from_directory(tmp_path, 8, channels=4)


@pytest.mark.parametrize("ending", [".PNG", ".JpG", ".bmp", ".GIF", ".webp", ".TIFF", ".ppm", ".avif"])
def test_endings_of_any_case_are_read(tmp_path, ending):
    if ending == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    save(Image.new("RGB", (8, 8), (90, 90, 90)), tmp_path / "a" / f"one{ending}")
    assert abs(int(from_directory(tmp_path, 8).examples.mean()) - 90) <= 1


def test_named_classes_have_the_numbers_of_their_names(tmp_path):
    for name in "ab":
        save(Image.new("L", (8, 8), ord(name)), tmp_path / name / "one.png")
    dataset = from_directory(tmp_path, 8, class_names=["b", "c", "a"])
    assert dataset.class_names == ["b", "c", "a"] and dataset.labels.tolist() == [0, 2]
    assert dataset.class_examples("a").max() == ord("a") and len(dataset.class_examples("c")) == 0
    with pytest.raises(ValueError, match=r"`class_names` must name every class folder.*Received: no \['b'\]"):
        from_directory(tmp_path, 8, class_names=["a", "c"])
