"""Photos of every kind are read upright, in sRGB and square; everything else is refused in one sentence."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from bozzetto.crop import middle_square
from bozzetto.errors import InputError
from bozzetto.photo import ORIENTATIONS, read_photo
from bozzetto.photo_list import list_photos

SIZE = 16


def pattern(height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """uint8 [H,W,3] that tells every corner and channel apart."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 127 // (height + width - 2)], axis=2)


def as_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32) / 255).permute(2, 0, 1)


def save(tmp_path: Path, image: Image.Image, name: str = "photo.png", **options: object) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


def rgb(height: int = SIZE, width: int = SIZE) -> Image.Image:
    return Image.fromarray(pattern(height, width).astype(np.uint8))


def assert_refused(path: Path, match: str, size: int = SIZE) -> None:
    with pytest.raises(InputError, match=match) as caught:
        read_photo(path, size)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message


def test_a_photo_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    path = save(tmp_path, rgb())
    photo = read_photo(path, SIZE)
    assert torch.equal(photo.image, as_tensor(pattern()))
    assert photo.alpha is None
    assert photo.original_size == (SIZE, SIZE)
    assert photo.path == path
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert photo.image.is_contiguous()


@pytest.mark.parametrize(("height", "width"), [(16, 31), (31, 16), (16, 16), (16, 400)])
def test_the_middle_square_is_kept(height: int, width: int, tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path, rgb(height, width)), min(height, width))
    left, top, right, bottom = middle_square(width, height).box
    assert torch.equal(photo.image, as_tensor(pattern(height, width)[top:bottom, left:right]))
    assert photo.original_size == (width, height)


def test_reducing_is_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((256, 256, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    photo = read_photo(save(tmp_path, Image.fromarray(stripes)), 32)
    assert float((photo.image - 0.5).abs().max()) < 0.05


@pytest.mark.parametrize("size", [8, 100])
def test_a_constant_stays_constant_at_any_size(size: int, tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path, Image.new("RGB", (40, 30), (10, 100, 200))), size)
    expected = torch.tensor([10.0, 100.0, 200.0]).view(3, 1, 1).expand(3, size, size) / 255
    torch.testing.assert_close(photo.image, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["photo.png", "photo.tif", "photo.jpg"])
def test_exif_orientation(orientation: int, name: str, tmp_path: Path) -> None:
    """The stored pixels are the upright ones turned back; reading turns them upright again."""
    upright = rgb(16, 32)
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    step = back.get(orientation, ORIENTATIONS.get(orientation))
    stored = upright if step is None else upright.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict = {"quality": 100, "subsampling": 0} if name.endswith("jpg") else {}
    photo = read_photo(save(tmp_path, stored, name, exif=exif, **options), 16)
    assert photo.original_size == (32, 16)
    assert float((photo.image - as_tensor(pattern(16, 32)[:, 8:24])).abs().max()) <= (0.03 if options else 0)


def test_damaged_exif_is_passed_over(tmp_path: Path) -> None:
    path = save(tmp_path, rgb(), exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert torch.equal(read_photo(path, SIZE).image, as_tensor(pattern()))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA"])
def test_colour_modes(mode: str, tmp_path: Path) -> None:
    grey = Image.new("RGB", (SIZE, SIZE), (255, 255, 255))
    grey.paste((0, 0, 0), (0, 0, 8, SIZE))
    name = "photo.tif" if mode in ("CMYK", "YCbCr") else "photo.png"
    photo = read_photo(save(tmp_path, grey.convert(mode), name), SIZE)
    expected = torch.zeros(3, SIZE, SIZE)
    expected[..., 8:] = 1
    assert float((photo.image - expected).abs().max()) <= 1.5 / 255
    assert photo.alpha is None  # opaque everywhere


def test_sixteen_bit_grey_keeps_its_levels(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, SIZE * SIZE).astype(np.uint16).reshape(SIZE, SIZE)
    for name in ("photo.png", "photo.tif"):
        photo = read_photo(save(tmp_path, Image.fromarray(levels), name), SIZE)
        expected = torch.from_numpy(levels.astype(np.float32) / 65535).expand(3, -1, -1)
        torch.testing.assert_close(photo.image, expected, rtol=0, atol=1e-6)


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    """A 16-bit RGB PNG, which Pillow does not write: made by hand."""
    rows = pattern().astype(">u2") * 257
    raw = b"".join(b"\x00" + row.tobytes() for row in rows)

    path = tmp_path / "deep.png"
    path.write_bytes(png(SIZE, SIZE, 16, raw))
    torch.testing.assert_close(read_photo(path, SIZE).image, as_tensor(pattern()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_float_grey(top: float, tmp_path: Path) -> None:
    levels = np.linspace(0, top, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
    photo = read_photo(save(tmp_path, Image.fromarray(levels), "photo.tif"), SIZE)
    torch.testing.assert_close(photo.image[1], torch.from_numpy(levels / np.float32(top)), rtol=0, atol=1e-6)


def test_float_values_that_are_no_grey_are_refused(tmp_path: Path) -> None:
    for value in (-1.0, float("nan"), 1e9):
        levels = np.full((SIZE, SIZE), value, dtype=np.float32)
        assert_refused(save(tmp_path, Image.fromarray(levels), "photo.tif"), "grey levels")


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """An RGB PNG file of unchecked rows."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def half_transparent() -> Image.Image:
    image = rgb()
    alpha = np.full((SIZE, SIZE), 255, dtype=np.uint8)
    alpha[:, :8] = 0
    image.putalpha(Image.fromarray(alpha))
    return image


def test_alpha_is_read_and_transparent_parts_are_white(tmp_path: Path) -> None:
    photo = read_photo(save(tmp_path, half_transparent()), SIZE)
    assert photo.alpha is not None
    expected = torch.ones(1, SIZE, SIZE)
    expected[..., :8] = 0
    assert torch.equal(photo.alpha, expected)
    assert (photo.image[..., :8] == 1).all()
    assert torch.equal(photo.image[..., 8:], as_tensor(pattern())[..., 8:])


def test_colours_under_transparency_do_not_bleed(tmp_path: Path) -> None:
    """A white disc on transparent black stays white at every size."""
    white = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    white.paste((255, 255, 255, 255), (16, 16, 48, 48))
    photo = read_photo(save(tmp_path, white), 15)
    assert float(photo.image.min()) > 0.999
    assert photo.alpha is not None
    assert 0 < float(photo.alpha.mean()) < 1


def test_transparent_palette_and_colour(tmp_path: Path) -> None:
    palette = Image.new("P", (SIZE, SIZE), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (0, 0, 8, SIZE))
    for name, image, options in (
        ("photo.png", palette, {"transparency": 0}),
        ("photo.gif", palette, {"transparency": 0}),
        ("tRNS.png", palette.convert("RGB"), {"transparency": (255, 0, 0)}),
    ):
        photo = read_photo(save(tmp_path, image, name, **options), SIZE)
        assert photo.alpha is not None
        assert (photo.alpha[..., :8] == 1).all()
        assert (photo.alpha[..., 8:] == 0).all()
        assert (photo.image[:2, :, :8] == 0).all()


def test_wholly_transparent_is_refused(tmp_path: Path) -> None:
    assert_refused(save(tmp_path, Image.new("RGBA", (SIZE, SIZE))), "transparent all over")


def swapped_profile() -> bytes:
    """An RGB profile that shares sRGB's curves and white but whose red and blue primaries are exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    places = {}
    for k in range(count):
        at = 132 + 12 * k
        tag, offset, _ = struct.unpack(">4sII", profile[at : at + 12])
        places[tag] = (at, offset)
    for tag, other in ((b"rXYZ", b"bXYZ"), (b"bXYZ", b"rXYZ")):
        at = places[tag][0]
        profile[at + 4 : at + 8] = struct.pack(">I", places[other][1])
    return bytes(profile)


@pytest.mark.parametrize("transparent", [False, True])
def test_colour_profiles_are_converted(transparent: bool, tmp_path: Path) -> None:
    image = half_transparent() if transparent else rgb()
    photo = read_photo(save(tmp_path, image, icc_profile=swapped_profile()), SIZE)
    expected = as_tensor(pattern()).flip(0)
    columns = slice(8, None) if transparent else slice(None)
    assert float((photo.image - expected)[..., columns].abs().max()) <= 2 / 255
    assert (photo.alpha is not None) == transparent


def test_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = read_photo(save(tmp_path, rgb(), icc_profile=profile), SIZE)
    assert float((photo.image - as_tensor(pattern())).abs().max()) <= 1.01 / 255


@pytest.mark.parametrize("profile", [b"not a profile", b"\x00" * 200])
def test_damaged_profiles_are_passed_over(profile: bytes, tmp_path: Path) -> None:
    assert torch.equal(read_photo(save(tmp_path, rgb(), icc_profile=profile), SIZE).image, as_tensor(pattern()))


def test_profiles_of_another_mode_are_passed_over(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = rgb().convert("L")
    photo = read_photo(save(tmp_path, grey, icc_profile=profile), SIZE)
    assert torch.equal(photo.image, as_tensor(np.asarray(grey.convert("RGB"))))


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (SIZE, SIZE), c) for c in ("black", "white")]
    path = save(tmp_path, frames[0], "photo.gif", save_all=True, append_images=frames[1:])
    assert float(read_photo(path, SIZE).image.max()) == 0


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path, rgb(), "photo.jpg", format="PNG")
    assert torch.equal(read_photo(path, SIZE).image, as_tensor(pattern()))


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.tif", "photo.bmp", "photo.gif", "photo.webp"])
def test_cut_off_files_are_refused(name: str, tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    noise = Image.fromarray(g.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = save(tmp_path, noise, name).read_bytes()
    for share in (0.02, 0.3, 0.7):
        path = tmp_path / f"cut_{share}_{name}"
        path.write_bytes(whole[: max(1, int(len(whole) * share))])
        assert_refused(path, "damaged|cut off|not an image", size=32)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_files_never_end_in_a_traceback(seed: int, tmp_path: Path) -> None:
    g = np.random.default_rng(seed)
    for name in ("photo.png", "photo.jpg", "photo.tif", "photo.gif"):
        body = bytearray(save(tmp_path, rgb(32, 32), name).read_bytes())
        for place in g.integers(0, len(body), 8):
            body[place] = g.integers(0, 256)
        path = tmp_path / f"damaged_{name}"
        path.write_bytes(bytes(body))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                photo = read_photo(path, SIZE)
            except InputError:
                continue
        assert photo.image.shape == (3, SIZE, SIZE)
        assert ((photo.image >= 0) & (photo.image <= 1)).all()


def test_what_is_no_photo_is_refused(tmp_path: Path) -> None:
    text, empty, folder = tmp_path / "text.jpg", tmp_path / "empty.jpg", tmp_path / "folder.jpg"
    text.write_text("hello")
    empty.touch()
    folder.mkdir()
    program = tmp_path / "page.eps"
    program.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\nshowpage\n")
    assert_refused(text, "not an image")
    assert_refused(empty, "is empty")
    assert_refused(folder, "is a folder")
    assert_refused(program, "not an image")
    assert_refused(tmp_path / "none.jpg", "no image file")


def test_links_in_circles_and_pipes_are_refused(tmp_path: Path) -> None:
    loop, pipe = tmp_path / "loop.jpg", tmp_path / "pipe.jpg"
    try:
        loop.symlink_to(loop)
        os.mkfifo(pipe)
    except (OSError, AttributeError, NotImplementedError):
        pytest.skip("this system has no such files")
    assert_refused(loop, "no image file")
    assert_refused(pipe, "no image file")
    with pytest.raises(InputError, match="no photos"):
        list_photos([tmp_path])


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path, rgb())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert_refused(path, "permissions")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 100), (100, 7)])
def test_too_small_is_refused(width: int, height: int, tmp_path: Path) -> None:
    assert_refused(save(tmp_path, Image.new("RGB", (width, height))), "at least 8")


@pytest.mark.parametrize(("width", "height"), [(20_001, 16), (16, 30_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_too_large_is_refused_by_the_header_alone(width: int, height: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width, height, 8, bytes(100)))
    assert_refused(path, "smaller|at most 20000")
