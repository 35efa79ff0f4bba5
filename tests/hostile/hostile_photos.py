"""Photos as they come: damaged, disguised, odd, oddly named."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from corpus import Case, content, nowhere
from PIL import Image, ImageCms, features

from tiny_run import photo

SIZE = 16
ROWS = (photo().permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)  # a disc, [16, 16, 3]
RGB = Image.fromarray(ROWS)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file's bytes."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def saved(image: Image.Image, kind: str, **options: Any) -> Callable[[Path], None]:
    """A maker of an image file."""
    return content(encoded(image, kind, **options))


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, checksums right."""
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


def header(width: int, height: int, depth: int = 8, kind: int = 2) -> tuple[bytes, bytes]:
    """The first chunk of a PNG."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)


def bomb(width: int, height: int) -> bytes:
    """A whole PNG of one bit a pixel, all black: some kilobytes that want to be gigabytes."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join([*(packer.compress(row * 100) for _ in range(height // 100)), packer.flush()])
    return png(header(width, height, 1, 0), (b"IDAT", data), (b"IEND", b""))


def deep_rgb() -> bytes:
    """A PNG of 16 bits a channel."""
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in ROWS)
    return png(header(SIZE, SIZE, 16, 2), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def unreadable(path: Path) -> None:
    """A photo without permission to read it."""
    RGB.save(path)
    path.chmod(0)


def turned(orientation: int) -> Case:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Case(f"EXIF orientation {orientation}", f"turned{orientation}.jpg", saved(RGB, "JPEG", exif=exif), True)


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("photo.png", encoded(RGB, "PNG"))
    return stream.getvalue()


PNG, JPEG, WHITE = encoded(RGB, "PNG"), encoded(RGB, "JPEG", quality=95), Image.new("RGB", (SIZE, SIZE), "white")
CLEAR = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
CUT = RGB.convert("RGBA")
CUT.putalpha(Image.fromarray((ROWS.mean(2) > 60).astype(np.uint8) * 255))
PALETTE = RGB.quantize(16)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
NAN_TIFF = Image.fromarray(np.full((SIZE, SIZE), np.nan, np.float32))
NOISE = np.random.default_rng(1).integers(0, 256, 4000, dtype=np.uint8).tobytes()

BAD = [
    *nowhere(".png"),
    Case("empty", "empty.png", content(b"")),
    Case("text named .png", "text.png", content(b"Dear Sir or Madam,\n" * 9)),
    Case("a web page named .jpg", "page.jpg", content(b"<!doctype html><script>alert(1)</script>")),
    Case("an SVG named .png", "svg.png", content(b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
    Case("PostScript named .png", "ps.png", content(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n")),
    Case("a PDF named .jpg", "pdf.jpg", content(b"%PDF-1.4\n%%EOF\n")),
    Case("an archive named .png", "zip.png", content(archive())),
    Case("noise named .jpg", "noise.jpg", content(NOISE)),
    Case("a byte of zero", "zero.png", content(b"\0")),
    Case("PNG cut in half", "half.png", content(PNG[: len(PNG) // 2])),
    Case("PNG of its first 8 bytes", "magic.png", content(PNG[:8])),
    Case("PNG without pixels", "header.png", content(png(header(SIZE, SIZE), (b"IEND", b"")))),
    Case("PNG with a wrong checksum", "crc.png", content(PNG[:30] + b"\xff" + PNG[31:])),
    Case("PNG of noise in place of pixels", "deflate.png", content(png(header(16, 16), (b"IDAT", NOISE)))),
    Case("PNG with a text chunk of 64 MB", "ztxt.png", content(
        png(header(16, 16), (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**26)))) + PNG[33:])),
    Case("PNG of 0 x 0", "0x0.png", content(png(header(0, 0), (b"IEND", b"")))),
    Case("PNG that says 2^31 px", "claims.png", content(png(header(2**31 - 1, 2**31 - 1), (b"IEND", b"")))),
    Case("PNG that says 20,000 x 20,000", "claims20k.png", content(png(header(20000, 20000), (b"IDAT", b"x")))),
    Case("decompression bomb of 20,000 x 20,000", "bomb.png", lambda path: content(bomb(20000, 20000))(path)),
    Case("30,000 x 20", "long.png", saved(Image.new("1", (30000, 20)), "PNG")),
    Case("1 x 1", "1x1.png", saved(Image.new("RGB", (1, 1)), "PNG")),
    Case("1 x 5000", "1x5000.png", saved(Image.new("RGB", (1, 5000)), "PNG")),
    Case("5000 x 1", "5000x1.png", saved(Image.new("RGB", (5000, 1)), "PNG")),
    Case("transparent all over", "clear.png", saved(CLEAR, "PNG")),
    Case("JPEG cut in half", "half.jpg", content(JPEG[: len(JPEG) // 2])),
    Case("JPEG of start and end alone", "soi.jpg", content(b"\xff\xd8\xff\xd9")),
    Case("GIF cut off", "half.gif", content(encoded(RGB, "GIF")[:30])),
    Case("WebP cut off", "half.webp", content(encoded(RGB, "WEBP")[:40])),
    Case("TIFF that leads to itself", "loop.tif", content(b"II*\0\x08\0\0\0\0\0\x08\0\0\0")),
    Case("TIFF of NaN", "nan.tif", saved(NAN_TIFF, "TIFF")),
    Case("BMP that says 2^30 px", "big.bmp", content(
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0))),
    Case("PPM without end", "short.ppm", content(b"P6 16 16 255\n" + b"x" * 9)),
    Case("PPM of minus one", "minus.ppm", content(b"P6 -1 -1 255\n" + b"x" * 9)),
]  # fmt: skip

ODD = [
    *(turned(orientation) for orientation in range(1, 9)),
    Case("damaged EXIF", "exif.jpg", saved(RGB, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), True),
    Case("animated GIF", "moving.gif", saved(RGB, "GIF", save_all=True, append_images=[WHITE] * 3), True),
    Case("animated PNG", "moving.png", saved(RGB, "PNG", save_all=True, append_images=[WHITE] * 3), True),
    Case("CMYK", "cmyk.jpg", saved(RGB.convert("CMYK"), "JPEG"), True),
    Case("palette", "palette.png", saved(PALETTE, "PNG"), True),
    Case("palette with a clear colour", "clear_palette.png", saved(PALETTE, "PNG", transparency=3), True),
    Case("16-bit grey", "grey16.png", saved(Image.fromarray(ROWS[..., 0].astype(np.uint16) * 257), "PNG"), True),
    Case("16-bit colours", "deep.png", content(deep_rgb()), True),
    Case("float TIFF", "float.tif", saved(Image.fromarray(ROWS[..., 0] / np.float32(255)), "TIFF"), True),
    Case("alpha", "alpha.png", saved(CUT, "PNG"), True),
    Case("grey and alpha", "la.png", saved(CUT.convert("LA"), "PNG"), True),
    Case("black and white", "bw.png", saved(RGB.convert("1"), "PNG"), True),
    Case("grey JPEG", "grey.jpg", saved(RGB.convert("L"), "JPEG"), True),
    Case("progressive JPEG", "progressive.jpg", saved(RGB, "JPEG", progressive=True), True),
    Case("Lab TIFF", "lab.tif", saved(ImageCms.profileToProfile(
        RGB, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"), "TIFF"), True),
    Case("ICC profile", "icc.jpg", saved(RGB, "JPEG", icc_profile=ICC), True),
    Case("ICC profile of another kind", "lab_icc.png", saved(RGB, "PNG", icc_profile=LAB_ICC), True),
    Case("ICC profile of noise", "bad_icc.png", saved(RGB, "PNG", icc_profile=NOISE), True),
    Case("JPEG named .png", "jpeg.png", content(JPEG), True),
    Case("capital suffix", "LOUD.PNG", content(PNG), True),
    Case("no suffix", "bare", content(PNG), True),
    Case("hidden", ".hidden.png", content(PNG), True),
    Case("20 x 300", "thin.png", saved(RGB.resize((20, 300)), "PNG"), True),
    Case("with rubbish behind", "tail.png", content(PNG + NOISE), True),
    Case("spaces in the name", "  my holiday  photo .png", content(PNG), True),
    Case("a newline in the name", "two\nlines.png", content(PNG), True),
    Case("unicode in the name", "Æsthetik 東京 🙂 \u202egnp.png", content(PNG), True),
    Case("terminal codes in the name", "red\x1b[31m\x07.png", content(PNG), True),
    Case("HTML in the name", "<img src=x onerror=alert(1)>&quot;'.png", content(PNG), True),
    Case("a format string for a name", "%s{0}$(touch x)`id`.png", content(PNG), True),
    Case("dots for a name", "...png", content(PNG), True),
]  # fmt: skip
BAD.append(Case("no picture, terminal codes in its name", "bad\x1b[2J\n\u202egpj.png", content(b"no picture")))
if os.geteuid() != 0:  # root reads everything
    BAD.append(Case("unreadable", "unreadable.png", unreadable))
if features.check("jpg_2000"):
    ODD.append(Case("JPEG 2000", "two.jp2", saved(RGB, "JPEG2000"), True))
if os.name == "posix":
    NOT_TEXT = os.fsdecode(b"caf\xe9.png")  # a name from a system that was not set to UTF-8
    ODD.append(Case("a name that is no UTF-8", NOT_TEXT, content(PNG), True))

LONG = Case("a name as long as names may be", "n" * 251 + ".png", content(PNG))  # its result's name would be too long
PHOTOS = [*BAD, LONG, *ODD]
