"""Reading photos: any file a camera or an editor writes -> a square RGB tensor."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageCms, UnidentifiedImageError
from torch import Tensor

from bozzetto.crop import MIN_SIDE_PX, Square, cut, middle_square
from bozzetto.disk import UNREADABLE
from bozzetto.download import sha256_of
from bozzetto.errors import InputError
from bozzetto.tarred import read_member, tar_around

MAX_SIDE_PX = 20_000
# Formats that hold pixels alone; Pillow also opens EPS and the like, which start other programs.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "TGA", "JPEG2000")
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".tif", ".tiff"),
    *(".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2"),
)
ORIENTATION_TAG = 0x0112
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders raise for files that are cut off or damaged.
DECODER_ERRORS = UNREADABLE
PROFILE_ERRORS: tuple[type[Exception], ...] = (ImageCms.PyCMSError, ImportError, *DECODER_ERRORS)


@dataclass(frozen=True)
class Photo:
    """One photo, upright, cropped to a square and resized."""

    image: Float[Tensor, "3 s s"]  # sRGB in [0, 1]; transparent parts laid on white
    alpha: Float[Tensor, "1 s s"] | None  # [0, 1]; None if the file has none or is opaque everywhere
    original_size: tuple[int, int]  # width and height in pixels, upright, before the crop
    path: Path
    sha256: str  # of the file's bytes


@dataclass(frozen=True)
class Upright:
    """A whole photo: upright, in sRGB, transparent parts laid on white."""

    planes: tuple[Image.Image, ...]  # one of mode RGB, L or F (grey in [0, 1]), or three of mode F
    alpha: Image.Image | None
    path: Path  # or a name, where there is no file

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.planes[0].size


def read_photo(path: str | Path, size: int, square: Square | None = None) -> Photo:
    """Read a photo as a size x size image.

    EXIF orientation is applied, embedded colour profiles are converted to sRGB, transparency becomes `alpha`, and
    the square (the middle one if none is given) is resized in one step (Lanczos, antialiased; untouched when it
    already has the size).

    Raises:
        InputError: not there, not readable, not a whole image, or of a size that cannot be worked with.
    """
    photo = open_photo(Path(path))
    square = middle_square(*photo.size) if square is None else square
    image, alpha = cut_photo(photo, square, size)
    return Photo(image, alpha, photo.size, photo.path, photo_sha256(photo.path))


def open_photo(path: Path) -> Upright:
    """A photo's pixels, upright and in sRGB, not cropped or resized. Raises InputError as `read_photo` does."""
    colours, alpha = split_alpha(to_srgb(open_upright(path), path))
    return Upright((colours,), alpha, path)


def cut_photo(
    photo: Upright, square: Square, size: int
) -> tuple[Float[Tensor, "3 s s"], Float[Tensor, "1 s s"] | None]:
    """Colours and alpha (None where it is opaque) of a square of a photo. Raises InputError if nothing is seen."""
    rgb = torch.cat([cut(plane, square, size, photo.path) for plane in photo.planes])
    coverage = None if photo.alpha is None else cut(photo.alpha, square, size, photo.path)
    if coverage is not None:
        if float(coverage.max()) == 0:
            where = "its middle square" if square == middle_square(*photo.size) else "its crop"
            raise InputError(f"{photo.path} is transparent all over in {where}; nothing of it can be seen.")
        coverage = coverage if float(coverage.min()) < 1 else None
    return rgb.expand(3, -1, -1).contiguous(), coverage


def open_upright(path: Path) -> Image.Image:
    """The first frame of an image file, decoded and turned upright; its size was checked before decoding.

    Raises InputError as `read_photo` does.
    """
    if tar_around(path):
        return decode_upright(io.BytesIO(read_member(path)), path)
    check_readable(path)
    return decode_upright(path, path)


def decode_upright(source: Path | io.BytesIO, path: Path) -> Image.Image:
    """As `open_upright`, from a file or from its bytes; `path` is what messages call it."""
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is raised; large photos are checked below
            with Image.open(source, formats=[f for f in FORMATS if f in Image.OPEN]) as opened:
                check_size(path, *opened.size)
                opened.load()
                image = opened.copy()
                image.info = dict(opened.info)
                orientation = read_orientation(opened)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image that can be read; save it as PNG or JPEG.") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise InputError(f"{path} has too many pixels; make it smaller than {most} million first.") from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory; make it smaller first.") from error
    except DECODER_ERRORS as error:
        raise InputError(f"{path} is damaged or cut off and cannot be decoded; save or copy it again.") from error
    if orientation in ORIENTATIONS:
        info = image.info
        image = image.transpose(ORIENTATIONS[orientation])
        image.info = info
    return image


def photo_sha256(path: Path) -> str:
    """SHA-256 of a photo's bytes, of one in a tar too. Raises InputError or OSError where it cannot be read."""
    return hashlib.sha256(read_member(path)).hexdigest() if tar_around(path) else sha256_of(path)


def check_readable(path: Path) -> None:
    """Raise InputError unless the path is a regular, readable, non-empty file."""
    if path.is_dir():
        raise InputError(f"{path} is a folder, not an image.")
    if not os.path.isfile(path):  # also false for links that lead nowhere or in circles, devices and pipes
        raise InputError(f"There is no image file {path}; check the path.")
    try:
        with path.open("rb") as stream:
            first = stream.read(1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    if not first:
        raise InputError(f"{path} is empty.")


def check_size(path: Path, width: int, height: int) -> None:
    """Raise InputError for images too small or too large to work with."""
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(f"{path} is {width} x {height} pixels; a photo needs at least {MIN_SIDE_PX} on each side.")
    if max(width, height) > MAX_SIDE_PX:
        raise InputError(f"{path} is {width} x {height} pixels; make it at most {MAX_SIDE_PX} on each side.")


def read_orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1, upright, if the file has none or its EXIF block is damaged."""
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except DECODER_ERRORS:
        return 1


def to_srgb(image: Image.Image, path: Path) -> Image.Image:
    """Image of mode RGB, RGBA, L, LA, or F (grey in [0, 1]), in sRGB where the file names its colour space."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return deep_grey(image, path)
    # Palettes and single transparent colours become an alpha channel; grey stays grey for its profile's sake.
    transparent = "transparency" in image.info or image.mode in ("PA", "LA", "La", "RGBA", "RGBa")
    if image.mode in ("1", "L", "LA", "La"):
        plain = image.convert("LA" if transparent else "L")
    elif image.mode == "CMYK":
        plain = image
    else:
        try:
            plain = image.convert("RGBA" if transparent else "RGB")
        except ValueError as error:
            raise InputError(f"{path} has the colour mode {image.mode}; save it as RGB.") from error
    converted = apply_profile(plain, image.info.get("icc_profile"))
    return converted.convert("RGB") if converted.mode == "CMYK" else converted


def deep_grey(image: Image.Image, path: Path) -> Image.Image:
    """Grey images of more than 8 bits as mode F in [0, 1]; the range is told by the mode or by the largest value."""
    values = np.asarray(image, dtype=np.float32)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path} holds values that are not grey levels of 8 or 16 bits; save it as PNG or JPEG.")
    if image.mode == "F":
        top = 1.0 if values.max() <= 1 else 255.0 if values.max() <= 255 else 65535.0
    else:
        top = 65535.0
    return Image.fromarray(values / top)


def apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB, its alpha untouched. Profiles that are damaged or fit another mode are passed over."""
    if not profile:
        return image
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert(image.mode[:-1]) if alpha is not None else image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except PROFILE_ERRORS:
        return image
    if converted is None:
        return image
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours, laid on white where they are transparent, and alpha."""
    if image.mode not in ("LA", "RGBA"):
        return image, None
    alpha = image.getchannel("A")
    colours = image.convert(image.mode[:-1])
    white = Image.new(colours.mode, colours.size, "white")
    return Image.composite(colours, white, alpha), alpha
