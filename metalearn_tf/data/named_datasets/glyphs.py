"""The embedded dataset: letters of thirteen scripts, rendered from Matplotlib's fonts and distorted as if by hand."""

import unicodedata

import matplotlib
import numpy as np
import PIL.features

from metalearn_tf.checks.whole_numbers import check_whole
from metalearn_tf.data.class_dataset import ClassDataset
from metalearn_tf.data.named_datasets.glyph_rendering import (
    BOX,
    CANVAS,
    EXAMPLES_PER_CLASS,
    FAMILIES,
    FONTS,
    VERSION,
    coverage,
    font_codepoints,
    forget_drawings,
    render_letter,
    signed_distance,
)
from metalearn_tf.files.cache import cached_arrays

SCRIPTS = {
    "train": ("Latin", "Greek", "Cyrillic", "Canadian Syllabics"),
    "validation": ("Arabic", "Armenian", "Hebrew", "Nko", "Ogham"),
    "test": ("Georgian", "Lao", "Old Italic", "Tifinagh"),
}

# Two letters are look-alikes if less than this many pixels of their ink lie apart (`unmatched_ink`), about a quarter of
# a dot on a letter 20 pixels high. A prototypical network trained for two minutes, with 10 examples of each letter,
# classifies 8 of 10 (Arabic, which differs by dots) to 9 of 10 images of the closest pairs correctly. A letter that
# Unicode composes of another letter and an accent must differ by more: Latin and Greek have hundreds of these, and they
# are hard to tell apart at 28 pixels.
# In the other font families only exact copies count, such as the K of three scripts in DejaVu Sans Mono. Its narrow
# D, which resembles O, does not count.
MIN_APART, MIN_APART_ACCENTED, MIN_APART_IN_FAMILIES = 0.77, 3.0, 0.5


def load_glyphs(split, image_size=28, cache_dir=None):
    """Letters of thirteen scripts, 20 distorted examples of each. Each script is in one split only.

    The letters are those of the fonts that come with Matplotlib, so nothing is downloaded. Each example takes one of
    the fonts that have the letter (2 to 21 of them), and is rotated, sheared, scaled, shifted and bent, and its
    strokes are made thinner or thicker. The first call renders all splits, in about 10 seconds on 2 cores, and keeps
    them in the cache (17 MB); later calls read them from there.

    | split | classes | scripts |
    |---|---|---|
    | train | 782 | Latin 313, Canadian Syllabics 305, Cyrillic 96, Greek 68 |
    | validation | 156 | Arabic 65, Armenian 44, Hebrew 19, Nko 15, Ogham 13 |
    | test | 163 | Georgian 87, Lao 31, Tifinagh 31, Old Italic 14 |

    Not included are letters that look like another letter of any script (Latin `A` also stands for the Greek and the
    Cyrillic letter), compatibility characters, ligatures, modifier letters, and scripts of fewer than 10 letters.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        image_size: height and width in pixels, at least 8. The examples are drawn at this size, not resized; they are
            the same at every size.
        cache_dir: folder of the cache, see `cached_arrays`.

    Returns:
        A `ClassDataset` of `uint8` images `(n, image_size, image_size, 1)`, white ink (255) on black (0). The class
        names are Unicode's, such as `"GEORGIAN LETTER AN"`, and the parents are the scripts, such as `"Georgian"`.

    Raises:
        ValueError: if `split` is unknown or `image_size` is not an integer of at least 8.
    """
    if split not in tuple(SCRIPTS):
        raise ValueError(f"`split` must be one of {list(SCRIPTS)}. Received: split={split!r}")
    check_whole(least=8, image_size=image_size)
    versions = f"matplotlib{matplotlib.__version__}_freetype{PIL.features.version('freetype2')}"
    name = f"glyphs_v{VERSION}_{image_size}_{versions}"
    arrays = cached_arrays(name, lambda: _render_all(image_size), cache_dir)
    scripts = [script_of(codepoint) for codepoint in arrays["codepoints"].tolist()]
    chosen = np.flatnonzero([script in SCRIPTS[split] for script in scripts])
    names = [unicodedata.name(chr(arrays["codepoints"][index])) for index in chosen]
    return ClassDataset(
        arrays["images"][chosen].reshape(-1, image_size, image_size, 1),
        np.repeat(np.arange(len(chosen)), EXAMPLES_PER_CLASS),
        class_names=names,
        parents={name: scripts[index] for name, index in zip(names, chosen)},
        domain="glyphs",
    )


def _render_all(image_size):
    codepoints = choose_letters()
    images = np.stack([render_letter(codepoint, image_size) for codepoint in codepoints])
    forget_drawings()
    return {"codepoints": np.asarray(codepoints, "int32"), "images": images}


def script_of(codepoint):
    """The name of a letter's script, such as `"Georgian"`; `None` for scripts that are in no split."""
    name = unicodedata.name(chr(codepoint), "")
    scripts = (script for split in SCRIPTS.values() for script in split)
    return next((script for script in scripts if name.startswith(f"{script.upper()} ")), None)


# === Letters ===


def choose_letters():
    """The code points of all classes: letters of the base font, no two of which look alike in any font family."""
    scripts = [script for split in SCRIPTS.values() for script in split]
    letters = [codepoint for codepoint in sorted(font_codepoints(FONTS[0])) if _is_letter(codepoint)]
    accented = {codepoint for codepoint in letters if unicodedata.decomposition(chr(codepoint))}
    # The first of several look-alikes stays: a letter without an accent, then one of a training script.
    letters.sort(key=lambda codepoint: (codepoint in accented, scripts.index(script_of(codepoint)), codepoint))
    # The base font first: comparing all letters of all families would take a minute.
    least = [MIN_APART_ACCENTED if codepoint in accented else MIN_APART for codepoint in letters]
    letters = _without_look_alikes(letters, unmatched_ink(letters, FAMILIES[:1]), least)
    return sorted(_without_look_alikes(letters, unmatched_ink(letters), [MIN_APART_IN_FAMILIES] * len(letters)))


def _without_look_alikes(letters, apart, least):
    kept = np.zeros(len(letters), bool)
    for row in range(len(letters)):
        kept[row] = not np.any(apart[row, kept] < least[row])
    return [codepoint for codepoint, keep in zip(letters, kept) if keep]


def _is_letter(codepoint):
    character = chr(codepoint)
    return (
        unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo")
        and script_of(codepoint) is not None
        # Copies of other letters: mathematical alphabets, then presentation forms, then those that only the name shows.
        and not unicodedata.decomposition(character).startswith("<")
        and not 0xFB00 <= codepoint <= 0xFEFF
        and not any(word in unicodedata.name(character) for word in ("LIGATURE", "DIGRAPH", "SMALL CAPITAL"))
        and coverage(FONTS[0], codepoint) is not None
    )


def unmatched_ink(codepoints, fonts=FAMILIES):
    """How much of the ink of two letters does not overlap, for all pairs of letters.

    Two letters, 20 pixels high or wide, are laid over each other. The ink of each that is far from all ink of the other
    is added up: nothing within 1 pixel counts, everything from 2.5 pixels on counts fully. The result is the smallest
    sum over the fonts of both, over shifts by a pixel, and over the letters as they are and stretched to squares. A
    correlation would be worse: it would call a letter and its bold or narrow form different, and two large letters that
    differ in a small mark equal.

    Returns:
        `float32` array `(n, n)` in pixels for `n` code points, symmetric, 0 for equal letters.
    """
    glyphs = [[name for name in fonts if coverage(name, codepoint) is not None] for codepoint in codepoints]
    starts = np.cumsum([0] + [len(names) for names in glyphs[:-1]])
    glyphs = [(name, codepoint) for codepoint, names in zip(codepoints, glyphs) for name in names]
    least = np.full((len(glyphs), len(glyphs)), np.inf, "float32")
    margin = (CANVAS - BOX) // 2 - 4
    for aspect in (1.0, 0.0):
        pictures = [coverage(*glyph, aspect)[margin:-margin, margin:-margin] for glyph in glyphs]
        parts = [np.stack(pictures[start : start + 32]) for start in range(0, len(pictures), 32)]
        distance = np.concatenate([signed_distance(part) for part in parts])
        # Small integers: sums are exact in float32, and the choice of letters the same on every machine.
        ink = _pool(distance > 0).reshape(len(glyphs), -1)
        far = np.rint(8 * np.clip((-_pool(distance) / 4 - 2) / 3, 0, 1))
        for shift in ((0, 0), (1, 0), (0, 1)):
            forth = ink @ np.roll(far, shift, (1, 2)).reshape(len(glyphs), -1).T
            opposite = (-shift[0], -shift[1])
            back = forth if shift == opposite else ink @ np.roll(far, opposite, (1, 2)).reshape(len(glyphs), -1).T
            np.minimum(least, forth + back.T, out=least)
            np.minimum(least, back + forth.T, out=least)
    return np.minimum.reduceat(np.minimum.reduceat(least, starts, axis=0), starts, axis=1) / (4 * 8)


def _pool(images):
    """Sums of 2 × 2 pixels."""
    count, height, width = images.shape
    return images.reshape(count, height // 2, 2, width // 2, 2).sum((2, 4), dtype="float32")
