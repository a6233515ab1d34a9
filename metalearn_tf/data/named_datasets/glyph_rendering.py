"""How the embedded dataset's letters are drawn: glyphs from Matplotlib's fonts, and their distortion."""

import functools
import os

import matplotlib
import numpy as np
from matplotlib import ft2font
from PIL import Image, ImageDraw, ImageFont

# Must be raised with every change that alters a class or a pixel: it is part of the cache's key and of each seed.
VERSION = 2
EXAMPLES_PER_CLASS = 20

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

# A glyph is drawn into the middle BOX pixels of a canvas. At scale 1 it takes LETTER pixels of an example of 28.
CANVAS, BOX, LETTER = 64, 40, 20.0
REACH = 5  # distances to the outline are known up to this many canvas pixels

# The least correlation with the base font's glyph. Below it are glyphs of another letter (DejaVu Sans Mono Oblique
# shows U+04F6 for U+04CB) and forms that have little in common with the others, such as some cursive Cyrillic ones.
MIN_RESEMBLANCE = 0.3

# The distortion: degrees, then factors, and pixels in an example of 28.
ROTATION, SHEAR, SCALE, SHIFT = 12.0, 0.15, (0.8, 1.1), 1.0
KNOTS, BEND = 7, 1.4
# Half of a stroke's width, and the most by which it is changed, so that thin strokes and gaps do not vanish.
PEN, WIDEN = (0.65, 1.2), (-0.35, 0.5)


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


def font_codepoints(name):
    """The code points that a font has a glyph for."""
    return _font(name)[1]


def forget_drawings():
    """Frees the pictures that were kept while letters were compared and rendered."""
    _draw.cache_clear()


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


def coverage(name, codepoint, aspect=1.0, zoom=1):
    """A letter in the middle of a canvas, its longer side `BOX * zoom` pixels; `None` where the font has no glyph.

    The ratio of the sides is raised to the power `aspect`: 1 keeps it, 0 makes a square.
    """
    if codepoint not in font_codepoints(name):
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
    glyphs = {name: coverage(name, codepoint) for name in FONTS}
    glyphs = {name: glyph for name, glyph in glyphs.items() if glyph is not None}
    coarse = [glyph.reshape(16, CANVAS // 16, 16, CANVAS // 16).mean((1, 3)).ravel() for glyph in glyphs.values()]
    resemblance = np.corrcoef(coarse[:1], coarse)[0, 1:]
    names = [name for name, value in zip(glyphs, resemblance) if value >= MIN_RESEMBLANCE]
    return np.stack([glyphs[name] if zoom == 1 else coverage(name, codepoint, zoom=zoom) for name in names])


# === Examples ===


def signed_distance(coverages, zoom=1):
    """Distance of each pixel to the outline, positive inside, exact up to `REACH * zoom` pixels: `float32`."""
    inside = coverages >= 128
    outward, inward = (_distance_to(mask, REACH * zoom) for mask in (inside, ~inside))
    return np.where(inside, inward - 0.5, 0.5 - outward)


def _distance_to(mask, reach):
    """Distance to the nearest pixel of a mask. One axis after the other, because squares of distances add up."""
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
    """All examples of one letter. They do not depend on what else is rendered.

    Returns:
        `uint8` array `(20, image_size, image_size)`, ink 255 on 0, distorted in the same way at every size.
    """
    random = np.random.default_rng([VERSION, codepoint])
    zoom = -(-image_size // 42)
    glyphs = _real_glyphs(codepoint, zoom)
    rounds = -(-EXAMPLES_PER_CLASS // len(glyphs))
    styles = np.concatenate([random.permutation(len(glyphs)) for _ in range(rounds)])[:EXAMPLES_PER_CLASS]
    distance = signed_distance(glyphs, zoom) * (LETTER / (BOX * zoom))
    # Distances to the outline are spread evenly over a stroke, so that their mean is a quarter of its width.
    half_width = 2 * np.array([glyph[glyph > 0].mean() for glyph in distance])
    pen = random.uniform(*PEN, EXAMPLES_PER_CLASS)
    widen = np.clip(pen - half_width[styles], *WIDEN)[:, None, None]
    source, scale = _warp(random, image_size)
    values = _sample(distance[styles], source * (BOX * zoom / LETTER) + (CANVAS * zoom - 1) / 2)
    ink = 0.5 + (values * scale + widen) * (image_size / 28)
    return np.rint(255 * np.clip(ink, 0, 1)).astype("uint8")


def _warp(random, image_size):
    """The source of each pixel, relative to the middle, in pixels of an image of 28: `(n, 2, size, size)`."""
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
