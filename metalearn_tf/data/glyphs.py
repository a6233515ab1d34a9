"""The embedded dataset: letters of thirteen scripts, rendered from Matplotlib's fonts and distorted as if by hand."""

import functools
import os
import unicodedata

import matplotlib
import numpy as np
import PIL.features
from matplotlib import ft2font
from PIL import Image, ImageDraw, ImageFont

from metalearn_tf.data.cache import cached_arrays
from metalearn_tf.data.class_dataset import ClassDataset

# Raised with every change that alters a class or a pixel: it is part of the cache's key and of every example's seed.
VERSION = 2
EXAMPLES_PER_CLASS = 20

SCRIPTS = {
    "train": ("Latin", "Greek", "Cyrillic", "Canadian Syllabics"),
    "validation": ("Arabic", "Armenian", "Hebrew", "Nko", "Ogham"),
    "test": ("Georgian", "Lao", "Old Italic", "Tifinagh"),
}

# The first font decides which letters there are. Matplotlib's other fonts have no letters (STIX sizes), or one picture
# for each block of Unicode (Last Resort).
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10", "cmti10"),
)
FAMILIES = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono")

# A glyph is drawn into the middle BOX pixels of a canvas, and takes LETTER pixels of an example of 28 at scale 1.
CANVAS, BOX, LETTER = 64, 40, 20.0
REACH = 5  # distances to the outline are known up to this many canvas pixels

# Two letters are look-alikes if less than this many pixels of their ink lie apart (`unmatched_ink`), about a quarter of
# a dot on a letter 20 pixels high. A prototypical network trained for two minutes, with 10 examples of each letter,
# tells 8 (Arabic, by its dots) to 9 of 10 images of the closest pairs apart. A letter that Unicode composes of another
# one and an accent must differ by more: Latin and Greek have hundreds, hard to tell apart at 28 pixels.
# In the other families only copies count, such as K in three scripts of DejaVu Sans Mono, not its narrow D beside O.
MIN_APART, MIN_APART_ACCENTED, MIN_APART_IN_FAMILIES = 0.77, 3.0, 0.5

# The least correlation with the base font's glyph. Below it are glyphs of another letter (DejaVu Sans Mono Oblique
# shows U+04F6 for U+04CB) and forms that have little in common with the others, such as some cursive Cyrillic ones.
MIN_RESEMBLANCE = 0.3

# The distortion: degrees, then factors, and pixels in an example of 28.
ROTATION, SHEAR, SCALE, SHIFT = 12.0, 0.15, (0.8, 1.1), 1.0
KNOTS, BEND = 7, 1.4
# Half of a stroke's width, and the most by which a glyph's own is changed, so that neither hairlines nor gaps vanish.
PEN, WIDEN = (0.65, 1.2), (-0.35, 0.5)


def load_glyphs(split, image_size=28, cache_dir=None):
    """Letters of thirteen scripts, 20 distorted examples of each; the scripts of one split are in no other.

    The letters are those of the fonts that come with Matplotlib, so nothing is downloaded. Each example takes one of
    the fonts that have the letter (2 to 21 of them), and is rotated, sheared, scaled, shifted and bent, and its
    strokes are made thinner or thicker. The first call renders all splits, in about 10 seconds on 2 cores, and keeps
    them in the cache (17 MB); later calls read them from there.

    | split | classes | scripts |
    |---|---|---|
    | train | 782 | Latin 313, Canadian Syllabics 305, Cyrillic 96, Greek 68 |
    | validation | 156 | Arabic 65, Armenian 44, Hebrew 19, Nko 15, Ogham 13 |
    | test | 163 | Georgian 87, Lao 31, Tifinagh 31, Old Italic 14 |

    Left out are letters that look like another one, of whatever script (`A` stands for the Greek and the Cyrillic
    letter too), compatibility characters, ligatures, modifier letters, and scripts of fewer than 10 letters.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        image_size: height and width in pixels, at least 8. The same examples at every size, not resized ones.
        cache_dir: folder of the cache, see `cached_arrays`.

    Returns:
        A `ClassDataset` of `uint8` images `(n, image_size, image_size, 1)`, white ink (255) on black (0). The class
        names are Unicode's, such as `"GEORGIAN LETTER AN"`, and the parents are the scripts, such as `"Georgian"`.

    Raises:
        ValueError: if `split` is unknown or `image_size` is not an integer of at least 8.
    """
    if split not in tuple(SCRIPTS):
        raise ValueError(f"`split` must be one of {list(SCRIPTS)}. Received: split={split!r}")
    if isinstance(image_size, bool) or not isinstance(image_size, (int, np.integer)) or image_size < 8:
        raise ValueError(f"`image_size` must be an integer of at least 8. Received: image_size={image_size!r}")
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
    _draw.cache_clear()
    return {"codepoints": np.asarray(codepoints, "int32"), "images": images}


def script_of(codepoint):
    """The name of a letter's script, such as `"Georgian"`; `None` for scripts that are in no split."""
    name = unicodedata.name(chr(codepoint), "")
    scripts = (script for split in SCRIPTS.values() for script in split)
    return next((script for script in scripts if name.startswith(f"{script.upper()} ")), None)


# === Letters ===


def choose_letters():
    """The code points of all classes: letters of the base font that do not look like one another in any family."""
    scripts = [script for split in SCRIPTS.values() for script in split]
    letters = [codepoint for codepoint in sorted(_font(FONTS[0])[1]) if _is_letter(codepoint)]
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
        # Copies: mathematical alphabets and the like, then presentation forms, then what only the name tells.
        and not unicodedata.decomposition(character).startswith("<")
        and not 0xFB00 <= codepoint <= 0xFEFF
        and not any(word in unicodedata.name(character) for word in ("LIGATURE", "DIGRAPH", "SMALL CAPITAL"))
        and _coverage(FONTS[0], codepoint) is not None
    )


def unmatched_ink(codepoints, fonts=FAMILIES):
    """How much ink of two letters lies apart, for all pairs of letters.

    Two letters 20 pixels high or wide are laid over each other, and the ink of either that is far from all ink of
    the other is added up: none of it within 1 pixel, all from 2.5 pixels on. The least sum counts, over the fonts of
    both, over shifts by a pixel, and with the letters as they are and stretched to squares. A correlation would take
    a letter and its bold or narrow twin for different ones, and two large letters that differ in a small mark for
    the same.

    Returns:
        `float32` array `(n, n)` in pixels for `n` code points, symmetric, 0 for equal letters.
    """
    glyphs = [[name for name in fonts if _coverage(name, codepoint) is not None] for codepoint in codepoints]
    starts = np.cumsum([0] + [len(names) for names in glyphs[:-1]])
    glyphs = [(name, codepoint) for codepoint, names in zip(codepoints, glyphs) for name in names]
    least = np.full((len(glyphs), len(glyphs)), np.inf, "float32")
    margin = (CANVAS - BOX) // 2 - 4
    for aspect in (1.0, 0.0):
        coverage = [_coverage(*glyph, aspect)[margin:-margin, margin:-margin] for glyph in glyphs]
        parts = [np.stack(coverage[start : start + 32]) for start in range(0, len(coverage), 32)]
        distance = np.concatenate([_signed_distance(part) for part in parts])
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


# === Fonts ===


@functools.cache
def _font(name, zoom=1):
    """A font and the code points that it has a glyph for."""
    path = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")
    codepoints = ft2font.FT2Font(path).get_charmap()
    # The TeX fonts have other pictures at the code points beyond ASCII, such as a pair of dots at U+00C4.
    last = 0x7F if name.startswith("cm") else 0x10FFFF
    font = ImageFont.truetype(path, 2 * BOX * zoom, layout_engine=ImageFont.Layout.BASIC)
    return font, frozenset(codepoint for codepoint in codepoints if codepoint <= last)


@functools.cache
def _missing(name, zoom):
    """The picture that a font shows for characters that it does not have."""
    return _draw(name, "\U0010ffff", zoom)


@functools.lru_cache(4096)
def _draw(name, character, zoom):
    """The ink of a character as an image without borders; `None` for a blank."""
    font, _ = _font(name, zoom)
    left, top, right, bottom = font.getbbox(character)
    if right <= left or bottom <= top:
        return None
    image = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(image).text((-left, -top), character, fill=255, font=font)
    box = image.getbbox()
    return image.crop(box) if box else None


def _coverage(name, codepoint, aspect=1.0, zoom=1):
    """A letter in the middle of a canvas, its longer side `BOX * zoom` pixels; `None` where the font has no glyph.

    The ratio of the sides is raised to the power `aspect`: 1 keeps it, 0 makes a square.
    """
    if codepoint not in _font(name)[1]:
        return None
    image = _draw(name, chr(codepoint), zoom)
    if image is None or image == _missing(name, zoom):
        return None
    sides = [max(1, round(BOX * zoom * (side / max(image.size)) ** aspect)) for side in image.size]
    canvas = Image.new("L", (CANVAS * zoom, CANVAS * zoom))
    canvas.paste(image.resize(sides, Image.Resampling.BOX), [(CANVAS * zoom - side) // 2 for side in sides])
    return np.asarray(canvas)


def _real_glyphs(codepoint, zoom):
    """The letter in every font that really has it: `(fonts, CANVAS * zoom, CANVAS * zoom)`."""
    glyphs = {name: _coverage(name, codepoint) for name in FONTS}
    glyphs = {name: glyph for name, glyph in glyphs.items() if glyph is not None}
    coarse = [glyph.reshape(16, CANVAS // 16, 16, CANVAS // 16).mean((1, 3)).ravel() for glyph in glyphs.values()]
    resemblance = np.corrcoef(coarse[:1], coarse)[0, 1:]
    names = [name for name, value in zip(glyphs, resemblance) if value >= MIN_RESEMBLANCE]
    return np.stack([glyphs[name] if zoom == 1 else _coverage(name, codepoint, zoom=zoom) for name in names])


# === Examples ===


def _signed_distance(coverage, zoom=1):
    """Distance of each pixel to the outline, positive inside, exact up to `REACH * zoom` pixels: `float32`."""
    inside = coverage >= 128
    outward, inward = (_distance_to(mask, REACH * zoom) for mask in (inside, ~inside))
    return np.where(inside, inward - 0.5, 0.5 - outward)


def _distance_to(mask, reach):
    """Distance to the nearest pixel of a mask, one axis after the other: squares add up."""
    squares = np.where(mask, 0, 2 * reach**2).astype("uint16")
    for axis in (1, 2):
        lines = np.moveaxis(squares, axis, 0)
        squares = squares.copy()
        nearest = np.moveaxis(squares, axis, 0)
        for step in range(1, reach + 1):
            np.minimum(nearest[step:], lines[:-step] + step**2, out=nearest[step:])
            np.minimum(nearest[:-step], lines[step:] + step**2, out=nearest[:-step])
    return np.sqrt(squares, dtype="float32")


def render_letter(codepoint, image_size=28):
    """All examples of one letter, the same whatever else is rendered.

    Returns:
        `uint8` array `(20, image_size, image_size)`, ink 255 on 0, distorted in the same way at every size.
    """
    random = np.random.default_rng([VERSION, codepoint])
    zoom = -(-image_size // 42)
    glyphs = _real_glyphs(codepoint, zoom)
    rounds = -(-EXAMPLES_PER_CLASS // len(glyphs))
    styles = np.concatenate([random.permutation(len(glyphs)) for _ in range(rounds)])[:EXAMPLES_PER_CLASS]
    distance = _signed_distance(glyphs, zoom) * (LETTER / (BOX * zoom))
    # Distances to the outline are spread evenly over a stroke, so that their mean is a quarter of its width.
    half_width = 2 * np.array([glyph[glyph > 0].mean() for glyph in distance])
    pen = random.uniform(*PEN, EXAMPLES_PER_CLASS)
    widen = np.clip(pen - half_width[styles], *WIDEN)[:, None, None]
    source, scale = _warp(random, image_size)
    values = _sample(distance[styles], source * (BOX * zoom / LETTER) + (CANVAS * zoom - 1) / 2)
    ink = 0.5 + (values * scale + widen) * (image_size / 28)
    return np.rint(255 * np.clip(ink, 0, 1)).astype("uint8")


def _warp(random, image_size):
    """Where each pixel of an example comes from, from the middle, in pixels of an image of 28: `(n, 2, size, size)`."""
    count = EXAMPLES_PER_CLASS
    angle = np.radians(random.uniform(-ROTATION, ROTATION, count))
    shear = random.uniform(-SHEAR, SHEAR, count)
    height, width = np.exp(random.uniform(*np.log(SCALE), (2, count)))
    shift = random.uniform(-SHIFT, SHIFT, (count, 2, 1, 1))
    bends = random.normal(0, BEND, (count, 2, KNOTS, KNOTS))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    slant = np.array([[np.ones(count), np.zeros(count)], [shear, np.ones(count)]]).transpose(2, 0, 1)
    matrix = slant / np.stack([height, width], -1)[:, :, None] @ rotation
    pixels = (np.arange(image_size) + 0.5) * (28 / image_size) - 14
    grid = np.stack(np.meshgrid(pixels, pixels, indexing="ij"))
    basis = _spline_basis(pixels / 28 + 0.5)
    elastic = basis @ bends @ basis.T
    source = np.einsum("nij,njyx->niyx", matrix, grid - shift) + elastic
    return source, np.sqrt(height * width)[:, None, None]


def _spline_basis(positions):
    """Weights of the uniform cubic B-splines `(positions, KNOTS)` on positions in `[0, 1]`."""
    offsets = np.abs(positions[:, None] * (KNOTS - 3) + 1 - np.arange(KNOTS))
    return np.where(offsets < 1, 2 / 3 - offsets**2 + offsets**3 / 2, np.clip(2 - offsets, 0, None) ** 3 / 6)


def _sample(values, positions):
    """Bilinear interpolation of `(n, S, S)` at `(n, 2, size, size)`."""
    side = values.shape[1]
    positions = np.clip(positions, 0, side - 1.001)
    corner = positions.astype("int32")
    down, right = np.moveaxis((positions - corner).astype("float32"), 1, 0)
    index = corner[:, 0] * side + corner[:, 1] + (np.arange(len(values)) * side**2)[:, None, None]
    flat = values.ravel()
    above = flat[index] * (1 - right) + flat[index + 1] * right
    below = flat[index + side] * (1 - right) + flat[index + side + 1] * right
    return above * (1 - down) + below * down
