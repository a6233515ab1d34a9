"""The embedded letters."""

import unicodedata

from metalearn_tf.data.named_datasets import glyph_rendering, glyphs
from metalearn_tf.data.named_datasets.glyphs import SCRIPTS, load_glyphs

import numpy as np
import pytest

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("glyphs")


@pytest.fixture(scope="session")
def splits(cache_dir):
    """All splits, rendered once for the whole session."""
    return {split: load_glyphs(split, cache_dir=cache_dir) for split in SPLITS}


def codepoint_of(name):
    return ord(unicodedata.lookup(name))


@pytest.mark.full
def test_at_least_a_thousand_classes_of_twenty_white_on_black_images(splits):
    assert sum(dataset.num_classes for dataset in splits.values()) >= 1000
    assert splits["train"].num_classes >= 700
    assert min(splits["validation"].num_classes, splits["test"].num_classes) >= 150
    for dataset in splits.values():
        assert dataset.example_shape == (28, 28, 1)
        assert dataset.examples.dtype == np.uint8
        assert dataset.domain == "glyphs"
        np.testing.assert_array_equal(np.diff(dataset.offsets), 20)
        assert dataset.examples.mean() < 64  # mostly black
        assert dataset.examples.max() == 255


def test_no_script_and_no_class_is_in_two_splits(splits):
    scripts = [set(dataset.parents.values()) for dataset in splits.values()]
    for split, found in zip(SPLITS, scripts):
        assert found == set(SCRIPTS[split])
    assert not (scripts[0] & scripts[1] or scripts[0] & scripts[2] or scripts[1] & scripts[2])
    names = [name for dataset in splits.values() for name in dataset.class_names]
    assert len(set(names)) == len(names)


def test_names_are_unicode_s_and_parents_their_scripts(splits):
    assert splits["test"].parents["GEORGIAN LETTER AN"] == "Georgian"
    assert splits["train"].parents["CANADIAN SYLLABICS E"] == "Canadian Syllabics"
    for dataset in splits.values():
        for name, script in dataset.parents.items():
            assert unicodedata.lookup(name)
            assert name.startswith(script.upper())
        sizes = [list(dataset.parents.values()).count(script) for script in set(dataset.parents.values())]
        assert min(sizes) >= 10  # episodes of one script need several letters


def test_every_example_has_ink_and_none_is_full(splits):
    for dataset in splits.values():
        ink = dataset.examples.reshape(len(dataset), -1).mean(1) / 255
        assert ink.min() > 0.01
        assert ink.max() < 0.5


def test_no_two_examples_are_equal(splits):
    images = np.concatenate([dataset.examples.reshape(len(dataset), -1) for dataset in splits.values()])
    assert len(np.unique(images, axis=0)) == len(images)


@pytest.mark.full
def test_no_two_classes_look_alike(splits):
    codepoints = [codepoint_of(name) for dataset in splits.values() for name in dataset.class_names]
    for fonts, least in [(glyphs.FONTS[:1], glyphs.MIN_APART), (glyphs.FAMILIES, glyphs.MIN_APART_IN_FAMILIES)]:
        apart = glyphs.unmatched_ink(codepoints, fonts)
        np.testing.assert_array_equal(apart, apart.T)
        np.testing.assert_array_equal(np.diag(apart), 0)
        np.fill_diagonal(apart, np.inf)
        assert apart.min() >= least
    # Independent of that measure: the classes' mean images.
    means = np.concatenate([dataset.examples.reshape(-1, 20, 784).mean(1) for dataset in splits.values()])
    correlation = np.corrcoef(means)
    np.fill_diagonal(correlation, 0)
    assert correlation.max() < 0.97


@pytest.mark.parametrize(
    "kept, copy",
    [
        ("LATIN CAPITAL LETTER A", "GREEK CAPITAL LETTER ALPHA"),
        ("LATIN CAPITAL LETTER A", "CYRILLIC CAPITAL LETTER A"),
        ("LATIN CAPITAL LETTER O", "LATIN SMALL LETTER O"),
        ("LATIN CAPITAL LETTER X", "LATIN SMALL LETTER X"),
        ("LATIN CAPITAL LETTER A", "OLD ITALIC LETTER A"),
        ("LATIN CAPITAL LETTER O", "TIFINAGH LETTER YAR"),
        ("LATIN CAPITAL LETTER I", "LATIN LETTER SMALL CAPITAL I"),
        ("LATIN SMALL LETTER H", "CYRILLIC CAPITAL LETTER SHHA"),  # in DejaVu Sans Mono only
    ],
)
def test_copies_of_a_kept_letter_are_left_out(splits, kept, copy):
    names = {name for dataset in splits.values() for name in dataset.class_names}
    assert kept in names
    assert copy not in names


def test_compatibility_characters_and_modifiers_are_left_out(splits):
    for dataset in splits.values():
        for name in dataset.class_names:
            character = unicodedata.lookup(name)
            assert unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo")
            assert not unicodedata.decomposition(character).startswith("<")
            assert not any(word in name for word in ("LIGATURE", "MATHEMATICAL", "MODIFIER"))


def test_pictures_that_are_not_the_letter_are_left_out():
    # The TeX fonts have a pair of dots at U+00C4; DejaVu Sans Mono Oblique another letter at U+04CB.
    dots = codepoint_of("LATIN CAPITAL LETTER A WITH DIAERESIS")
    assert glyph_rendering.coverage("cmr10", dots) is None
    assert glyph_rendering.coverage("DejaVuSans", dots) is not None
    che = codepoint_of("CYRILLIC CAPITAL LETTER KHAKASSIAN CHE")
    wrong = glyph_rendering.coverage("DejaVuSansMono-Oblique", che)
    assert not any(np.array_equal(glyph, wrong) for glyph in glyph_rendering._real_glyphs(che, 1))
    # A character that the font does not have, and one that has no ink.
    assert glyph_rendering.coverage("DejaVuSans", codepoint_of("HIRAGANA LETTER A")) is None
    assert glyph_rendering.coverage("DejaVuSans", ord(" ")) is None


def test_a_letter_rendered_alone_is_the_same_as_in_the_set(splits):
    for split, name in [
        ("train", "LATIN CAPITAL LETTER A"),
        ("train", "CANADIAN SYLLABICS E"),
        ("validation", "ARABIC LETTER SHEEN"),
        ("test", "GEORGIAN LETTER AN"),
        ("test", "TIFINAGH LETTER YAZ"),
    ]:
        alone = glyph_rendering.render_letter(codepoint_of(name))
        np.testing.assert_array_equal(splits[split].class_examples(name)[..., 0], alone)


def test_letters_come_in_several_styles():
    for name, styles in [("LATIN CAPITAL LETTER A", 16), ("GEORGIAN LETTER AN", 8), ("TIFINAGH LETTER YAZ", 2)]:
        assert len(glyph_rendering._real_glyphs(codepoint_of(name), 1)) >= styles


@pytest.mark.parametrize("image_size", [14, 56])
def test_other_sizes_show_the_same_examples(image_size):
    codepoint = codepoint_of("GEORGIAN LETTER GHAN")
    small, large = sorted((28, image_size))
    factor = large // small
    shrunk = glyph_rendering.render_letter(codepoint, large).reshape(20, small, factor, small, factor).mean((2, 4))
    drawn = glyph_rendering.render_letter(codepoint, small)
    assert drawn.shape == (20, small, small)
    # Hairlines, thinner than a pixel, are drawn darker than they average to: hence not 1.
    same = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(shrunk, drawn)]
    shuffled = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(shrunk, drawn[::-1])]
    assert min(same) > max(0.8, *shuffled)


def test_images_vary_as_handwriting_does(splits):
    """The nearest neighbour in pixels gets 43 % of 5-way 1-shot tasks on Omniglot right, and 61 % here."""
    images = splits["test"].examples.reshape(-1, 20, 784).astype("float32") / 255
    random = np.random.default_rng(0)
    hits = []
    for _ in range(200):
        task = images[random.choice(len(images), 5, replace=False)][:, random.permutation(20)]
        distances = np.linalg.norm(task[:, 1:, None] - task[:, 0], axis=-1)
        hits.append(np.mean(distances.argmin(-1) == np.arange(5)[:, None]))
    assert 0.5 < np.mean(hits) < 0.8


def test_cache_is_read_and_rebuilt_when_cut_short(splits, cache_dir, monkeypatch, caplog):
    letters = [codepoint_of(name) for name in ("GEORGIAN LETTER AN", "LATIN CAPITAL LETTER B")]
    monkeypatch.setattr(glyphs, "choose_letters", lambda: letters)
    assert load_glyphs("test", cache_dir=cache_dir).num_classes == splits["test"].num_classes  # read, not rendered
    (whole,) = cache_dir.glob("*.npz")
    copies = cache_dir / "copies"
    copies.mkdir()
    (copies / whole.name).write_bytes(whole.read_bytes()[:100_000])
    assert load_glyphs("test", cache_dir=copies).class_names == ["GEORGIAN LETTER AN"]
    assert whole.name in caplog.text


def test_each_size_has_its_own_cache_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(glyphs, "choose_letters", lambda: [codepoint_of("GEORGIAN LETTER AN")])
    assert load_glyphs("test", image_size=14, cache_dir=tmp_path).example_shape == (14, 14, 1)
    assert load_glyphs("test", image_size=20, cache_dir=tmp_path).example_shape == (20, 20, 1)
    assert len(list(tmp_path.glob("*.npz"))) == 2


@pytest.mark.parametrize("split", ["valid", None, "Train"])
def test_unknown_split_is_refused(split, tmp_path):
    with pytest.raises(ValueError, match=r"`split` must be one of \['train', 'validation', 'test'\]. Received: split="):
        load_glyphs(split, cache_dir=tmp_path)


@pytest.mark.parametrize("image_size", [0, 7, 28.0, True, "28"])
def test_bad_image_size_is_refused(image_size, tmp_path):
    with pytest.raises(ValueError, match="`image_size` must be an integer of at least 8"):
        load_glyphs("test", image_size=image_size, cache_dir=tmp_path)
