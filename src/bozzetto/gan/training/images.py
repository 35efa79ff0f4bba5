"""The pictures a generator is trained on: a folder or a tar, decoded once, kept in memory as bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from bozzetto.disk import UNREADABLE, require_plain
from bozzetto.errors import InputError
from bozzetto.photo import FORMATS, SUFFIXES, decode_upright, split_alpha, to_srgb

MIN_IMAGES = 64  # fewer cannot teach a generator anything
BAD: tuple[type[Exception], ...] = (InputError, Image.DecompressionBombError, *UNREADABLE)
MAX_SOURCE_PIXELS = 64_000_000  # of one picture; more is refused before it is decoded


def load_images(
    source: Path,
    size: int,
    limit: int | None = None,
    on_image: Callable[[int], None] | None = None,
    on_bad: Callable[[str], None] | None = None,
    least: int = MIN_IMAGES,
    needs: str = "a generator",
) -> UInt8[Tensor, "n 3 s s"]:
    """All pictures of a folder (and its folders) or tar, in the order of their names, the middle square resized.

    They are read as photos are: upright, in sRGB, transparent parts laid on white.

    Pictures that cannot be read are left out, one call of `on_bad` with a sentence each.

    Args:
        least: pictures that there have to be; `needs` is what needs them.

    Raises:
        InputError: the source cannot be read, or has fewer than `least` pictures.
    """
    Image.init()  # the formats are listed before the first file is opened
    out: list[np.ndarray] = []
    for name, data in _files(source):
        if limit is not None and len(out) >= limit:
            break
        try:
            out.append(_decode(data(), name, size))
        except BAD as error:
            if on_bad is not None:
                why = str(error) if isinstance(error, InputError) else f"{name} cannot be read as a picture ({error})."
                on_bad(f"{why} It is left out.")
            continue
        if on_image is not None:
            on_image(len(out))
    if len(out) < max(least, 1):
        raise InputError(f"{source} holds {len(out)} pictures, and {needs} needs at least {least}.")
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).contiguous()


def _files(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
            yield str(path), path.read_bytes
        return
    try:
        require_plain(source)
        with tarfile.open(source, "r:*") as tar:
            members = [m for m in tar.getmembers() if m.isfile() and Path(m.name).suffix.lower() in SUFFIXES]
            for member in sorted(members, key=lambda m: m.name):
                file = tar.extractfile(member)
                assert file is not None
                yield member.name, file.read
    except (OSError, tarfile.TarError, EOFError) as error:
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise InputError(
            f"{source} is neither a folder of pictures nor a tar file of them{reason}; check the path."
        ) from None


def _decode(data: bytes, name: str, size: int) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=[f for f in FORMATS if f in Image.OPEN]) as opened:
        if opened.size[0] * opened.size[1] > MAX_SOURCE_PIXELS:
            raise ValueError(f"{opened.size[0]} x {opened.size[1]} pixels are too many")
    path = Path(name)
    colours, _ = split_alpha(to_srgb(decode_upright(io.BytesIO(data), path), path))
    if colours.mode == "F":  # grey of 16 bits, in [0, 1]
        colours = Image.fromarray((np.asarray(colours) * 255).round().astype(np.uint8))
    width, height = colours.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    image = colours.convert("RGB").resize(
        (size, size),
        Image.Resampling.BOX if side % size == 0 else Image.Resampling.LANCZOS,
        box=(left, top, left + side, top + side),
    )
    return np.asarray(image)


def to_network(images: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """Bytes to [-1, 1]."""
    return images.float() / 127.5 - 1
