"""Picture files of every kind that people have, small, made with Pillow; and by hand where Pillow cannot."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RANDOM = np.random.default_rng(0)


def picture(width=40, height=32, channels=3):
    """Smooth waves with other colours in each corner, so that no turn or mirror image looks like another."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [128 + 110 * np.sin(rows / 7 + n) * np.cos(columns / (5 + n)) for n in range(channels)]
    image = np.stack(waves, -1)
    image[: height // 2, : width // 2] *= 0.5
    return image.clip(0, 255).astype("uint8")


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation, endian="<"):
    block = Image.Exif()
    block.endian = endian
    block[0x010F], block[0x0112] = "a camera", orientation
    return block


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels, bits, kind, more=b"", interlaced=False):
    """A PNG file of any kind; rows are bytes `(height, row)` as they are packed in the file."""
    height, width = pixels.shape[0], pixels.shape[1] * 8 // (bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind])
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = [chunk(b"IHDR", header), more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def interlaced_png(image):
    """Seven pictures in one, as Adam7 says: RGB of 8 bits."""
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
    rows = b"".join(
        b"\0" + row.tobytes() for top, down, left, right in passes for row in image[top::down, left::right] if row.size
    )
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 2, 0, 0, 1)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep(channels):
    """Sixteen bits a channel, as bytes of rows with the high byte first."""
    values = picture(40, 32, channels) * 256.0 + RANDOM.integers(0, 256, (32, 40, channels))
    return values.astype(">u2").reshape(32, -1).view("uint8")


def with_other_segments_first(file):
    """A JPEG file whose Exif segment comes after a comment and a large colour profile."""
    comment = b"\xff\xfe" + struct.pack(">H", 7) + b"hello"
    profile = b"\xff\xe2" + struct.pack(">H", 65000) + bytes(64998)
    return file[:2] + comment + 3 * profile + file[2:]


def in_bits(image, bits):
    """Grey values packed into bytes, several in one."""
    levels = (image[..., 0].astype(int) * 2**bits // 256).astype("uint8")
    unpacked = np.unpackbits(levels[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(unpacked.reshape(len(levels), -1), axis=1)


COLOUR = Image.fromarray(picture())
GREY = Image.fromarray(picture(channels=1)[..., 0])
OPACITY = Image.fromarray(np.tile(np.linspace(0, 255, 40).astype("uint8"), (32, 1)))
CLEAR = COLOUR.copy()
CLEAR.putalpha(OPACITY)
PALETTE = COLOUR.quantize(16)
DEEP = deep(1)
LARGE = Image.fromarray(picture(900, 700))


def png_files():
    yield "RGB", saved(COLOUR, "PNG")
    yield "grey", saved(GREY, "PNG")
    yield "alpha", saved(CLEAR, "PNG")
    yield "grey and alpha", saved(CLEAR.convert("LA"), "PNG")
    yield "all transparent", saved(Image.new("RGBA", (40, 32), (200, 30, 60, 0)), "PNG")
    yield "1 bit", saved(GREY.convert("1"), "PNG")
    yield "1 bit, transparent", saved(GREY.convert("1"), "PNG", transparency=0)
    for bits in (1, 2, 4, 8):
        yield f"palette of {bits} bits", saved(COLOUR.quantize(2**bits), "PNG", bits=bits)
        yield (
            f"palette of {bits} bits, a colour transparent",
            saved(COLOUR.quantize(2**bits), "PNG", bits=bits, transparency=0),
        )
        every = bytes([(2**bits - 1) & 255] * 2**bits)
        yield (
            f"palette of {bits} bits, all colours as transparent as few bits are opaque",
            saved(COLOUR.quantize(2**bits), "PNG", bits=bits, transparency=every),
        )
    for bits in (2, 4):
        yield f"grey of {bits} bits", png(in_bits(picture(), bits), bits, 0)
        yield (
            f"grey of {bits} bits, a value transparent",
            png(in_bits(picture(), bits), bits, 0, chunk(b"tRNS", b"\0\1")),
        )
    yield "grey, a value transparent", saved(GREY, "PNG", transparency=int(np.asarray(GREY)[5, 5]))
    yield "RGB, a colour transparent", saved(COLOUR, "PNG", transparency=COLOUR.getpixel((30, 20)))
    yield "16 bits grey", png(DEEP, 16, 0)
    yield "16 bits grey, a value transparent", png(DEEP, 16, 0, chunk(b"tRNS", DEEP[3, 4:6].tobytes()))
    yield "16 bits grey and alpha", png(deep(2), 16, 4)
    yield "16 bits RGB", png(deep(3), 16, 2)
    yield "16 bits RGB and alpha", png(deep(4), 16, 6)
    yield "interlaced", interlaced_png(picture())
    yield "gamma and profile", png(picture().reshape(32, -1), 8, 2, chunk(b"gAMA", struct.pack(">I", 220000)))
    yield "animated", saved(COLOUR, "PNG", save_all=True, append_images=[Image.new("RGB", COLOUR.size, "red")])
    for orientation in range(1, 9):
        yield f"turned {orientation}", saved(COLOUR, "PNG", exif=exif(orientation))
    yield "turned, with alpha", saved(CLEAR, "PNG", exif=exif(6, ">"))
    block = exif(8).tobytes()[6:]
    turned_at_the_end = saved(COLOUR, "PNG")
    yield "turned at its end", turned_at_the_end[:-12] + chunk(b"eXIf", block) + turned_at_the_end[-12:]
    yield "large", saved(LARGE, "PNG")
    yield "wide", saved(Image.fromarray(picture(400, 4)), "PNG")
    yield "tall", saved(Image.fromarray(picture(3, 300)), "PNG")
    yield "one pixel", saved(Image.new("RGB", (1, 1), (10, 200, 30)), "PNG")
    yield "of the size itself", saved(Image.fromarray(picture(20, 20)), "PNG")
    yield "smaller", saved(Image.fromarray(picture(7, 9)), "PNG")


def jpeg_files():
    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        yield f"JPEG {sampling}", saved(COLOUR, "JPEG", quality=92, subsampling=sampling)
        yield f"progressive JPEG {sampling}", saved(COLOUR, "JPEG", quality=92, subsampling=sampling, progressive=True)
    yield "odd sides", saved(Image.fromarray(picture(41, 33)), "JPEG", subsampling="4:2:0")
    yield "grey JPEG", saved(GREY, "JPEG")
    yield "bad quality", saved(COLOUR, "JPEG", quality=5)
    yield "RGB inside", saved(COLOUR, "JPEG", keep_rgb=True)
    for orientation in range(1, 9):
        yield f"JPEG turned {orientation}", saved(COLOUR, "JPEG", exif=exif(orientation))
        yield f"JPEG turned {orientation}, big-endian", saved(COLOUR, "JPEG", exif=exif(orientation, ">"))
    yield "turned, after other segments", with_other_segments_first(saved(COLOUR, "JPEG", exif=exif(6)))
    yield (
        "turned by an editor's note alone",
        saved(COLOUR, "JPEG", xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'),
    )
    yield "several pictures in one", saved(COLOUR, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 32))])
    yield "large JPEG", saved(LARGE, "JPEG", quality=90)
    yield "wide JPEG", saved(Image.fromarray(picture(400, 9)), "JPEG", quality=95)


# Both decoders give these, within 1/255.
SERVED = dict([*png_files(), *jpeg_files()])

# Python reads these; a served model says what is wrong with them.
REFUSED = {
    "CMYK": (saved(COLOUR.convert("CMYK"), "JPEG"), "hold JPEG files in grey or RGB; save this one, in CMYK, as RGB"),
    "GIF": (saved(PALETTE, "GIF"), "be PNG or JPEG files"),
    "animated GIF": (saved(PALETTE, "GIF", save_all=True, append_images=[Image.new("L", (40, 32))]), "be PNG or JPEG"),
    "WebP": (saved(COLOUR, "WEBP"), "be PNG or JPEG files"),
    "BMP": (saved(COLOUR, "BMP"), "be PNG or JPEG files"),
    "TIFF": (saved(COLOUR, "TIFF"), "be PNG or JPEG files"),
}
