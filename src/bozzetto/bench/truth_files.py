"""Anybody's own truth: depth maps in PNG, NumPy and OpenEXR files, brought to a result's size.

| file | depth |
|---|---|
| .png, 16 bit grey | ours with its scale inside, or any whose depth is a multiple of the code; code 0: not known |
| .npz | array `depth` [H, W]; optional `mask` [H, W] and `normal` [H, W, 3], unit, toward the camera, camera frame |
| .npy | [H, W] |
| .exr | channel Z (also of a layer: View Layer.Depth.Z), else Y, R or V; needs the extra `exr` |

Values that are not finite, not above 0, or 1e9 and more (what renderers write where there is nothing) are not known.
Files of another size than the result are cut to their middle square and shrunk, as photos are.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from bozzetto.bench.npz import read_npz
from bozzetto.disk import UNREADABLE, require_plain
from bozzetto.errors import InputError, MissingExtraError, OutputError
from bozzetto.export.depth16 import read_depth16
from bozzetto.metrics.truth import Truth

NOTHING = 1e9  # depths from here on are what renderers write where there is no surface
SUFFIXES = (".npz", ".npy", ".exr", ".png")
INSTALL = 'pip install "bozzetto[exr]"'
ADVICE = "give a depth map: 16-bit PNG, NPZ, NPY or EXR"

_PICTURE: tuple[type[Exception], ...] = (Image.DecompressionBombError, *UNREADABLE)


@dataclass(frozen=True)
class DepthFile:
    """What a file says. Not known: NaN."""

    depth: Float[np.ndarray, "h w"]
    normal: Float[np.ndarray, "h w 3"] | None = None


def find_truth(truth: Path, name: str) -> Path:
    """The file itself, or in a folder the one for the photo of that name.

    Tried in a folder, with each suffix: the photo's name, the same with `_depth`, then `depth`.

    Raises:
        InputError: there is none.
    """
    if truth.is_file():
        return truth
    if not truth.is_dir():
        raise InputError(f"There is no file or folder {truth}; {ADVICE}, or a folder of such.")
    stem = Path(name).stem
    stems = [stem, f"{stem}_depth", "depth"] if stem else ["depth"]
    tried = [truth / f"{one}{suffix}" for one in stems for suffix in SUFFIXES]
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        names = " or ".join(f"{one}.png" for one in stems)
        raise InputError(
            f"{truth} holds no truth for the photo '{name}'; put it there as {names} (or .npz, .npy, .exr)."
        )
    return found


def read_depth_file(path: Path) -> DepthFile:
    """Depth, and normals if there are any.

    Raises:
        InputError: the file is not understood.
        MissingExtraError: an EXR file without the library for it.
    """
    readers = {".png": _read_png, ".npz": _read_npz, ".npy": _read_npy, ".exr": _read_exr}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is no depth map; {ADVICE}.")
    found = readers[path.suffix.lower()](path)
    depth = found.depth
    known = np.isfinite(depth) & (depth > 0) & (depth < NOTHING)
    if not known.any():
        raise InputError(f"{path} holds no depth: every value is 0, beyond {NOTHING:g} or not a number.")
    return DepthFile(np.where(known, depth, np.nan), found.normal)


def truth_from(file: DepthFile, size: int) -> Truth:
    """The file as truth of a result of `size` pixels.

    A pixel of the result is known where more than half of what it covers is; its depth is the mean of that.

    Raises:
        InputError: the file is smaller than the result.
    """
    height, width = file.depth.shape
    side = min(height, width)
    if side < size:
        raise InputError(f"The truth is {width} x {height} px and the result {size}; give a larger one.")
    top, left = (height - side) // 2, (width - side) // 2
    depth = torch.from_numpy(file.depth[top : top + side, left : left + side].astype(np.float64))[None, None]
    share, mean = _shrink(depth, ~depth.isnan(), size)
    small = torch.where(share > 0.5, mean, torch.nan).to(torch.float32)
    if file.normal is None:
        return Truth(small[0])
    square = torch.from_numpy(file.normal[top : top + side, left : left + side].astype(np.float64))
    _, normal = _shrink(square.permute(2, 0, 1)[None], ~depth.isnan(), size)
    return Truth(small[0], F.normalize(normal, dim=1).nan_to_num()[0].to(torch.float32))


def _shrink(
    values: Float[Tensor, "1 c s s"], known: Tensor, size: int
) -> tuple[Float[Tensor, "1 1 t t"], Float[Tensor, "1 c t t"]]:
    """Share of each new pixel that is known, and the mean of its known values."""
    weight = known.to(values.dtype)
    share = _area(weight, size)
    total = _area(torch.where(known, values.nan_to_num(), torch.zeros_like(values)), size)
    return share, total / share.clamp(min=1e-12)


def _area(values: Float[Tensor, "1 c s s"], size: int) -> Float[Tensor, "1 c t t"]:
    """Mean over each new pixel's square of old ones, parts of pixels counted by their area."""
    side = values.shape[-1]
    edges = torch.arange(size + 1, dtype=values.dtype) * side / size
    old = torch.arange(side, dtype=values.dtype)
    overlap = torch.minimum(edges[1:, None], old + 1) - torch.maximum(edges[:-1, None], old)
    matrix = overlap.clamp(min=0) * size / side
    return matrix @ values @ matrix.T


def _read_png(path: Path) -> DepthFile:
    try:
        return DepthFile(read_depth16(path)[0][0].numpy())
    except OutputError:
        pass  # not one of ours
    try:
        with Image.open(path) as image:
            mode, code = image.mode, np.asarray(image)
    except _PICTURE as error:
        raise InputError(f"{path} cannot be read as a picture; {ADVICE}.") from error
    if not mode.startswith("I") or code.ndim != 2:
        raise InputError(f"{path} is a picture of 8 bit or of colours, too coarse for depth; {ADVICE}.")
    return DepthFile(code.astype(np.float64))


def _read_npz(path: Path) -> DepthFile:
    arrays = read_npz(path, ADVICE)
    if "depth" not in arrays:
        raise InputError(f"{path} has no array `depth` (it has {', '.join(sorted(arrays)) or 'none'}); name it so.")
    depth = _depth(arrays["depth"], path)
    normal = _numbers(arrays["normal"], path) if "normal" in arrays else None
    if normal is not None and normal.shape != (*depth.shape, 3):
        raise InputError(f"{path} holds normals of shape {list(normal.shape)}; {[*depth.shape, 3]} is needed.")
    if "mask" in arrays:
        mask = np.squeeze(arrays["mask"])
        if mask.shape != depth.shape:
            raise InputError(f"{path} holds a mask of shape {list(mask.shape)} beside depth of {list(depth.shape)}.")
        depth = np.where(mask > 0, depth, np.nan)
    return DepthFile(depth, normal)


def _read_npy(path: Path) -> DepthFile:
    try:
        require_plain(path)
        # Mapped: what a file only claims to hold is never allocated.
        return DepthFile(_depth(np.load(path, mmap_mode="r", allow_pickle=False), path))
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as a NumPy file; {ADVICE}.") from error


def _depth(values: np.ndarray, path: Path) -> np.ndarray:
    """Depth as [H, W], axes of length 1 dropped."""
    depth = np.squeeze(_numbers(values, path))
    if depth.ndim != 2:
        raise InputError(f"{path} holds depth of shape {list(values.shape)}; [H, W] is needed.")
    return depth


def _numbers(values: np.ndarray, path: Path) -> np.ndarray:
    if values.dtype.kind not in "fui":
        raise InputError(f"{path} holds {values.dtype} instead of numbers; {ADVICE}.")
    return values.astype(np.float64)


def _read_exr(path: Path) -> DepthFile:
    try:
        library = importlib.import_module("OpenEXR")
    except ImportError as error:
        raise MissingExtraError(f"Reading {path} needs OpenEXR; install it with `{INSTALL}`.") from error
    try:
        with library.File(str(path), separate_channels=True) as file:
            channels = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    except Exception as error:  # the library raises RuntimeError and its own kinds
        raise InputError(f"{path} cannot be read as an EXR file; {ADVICE}.") from error
    name = depth_channel(list(channels))
    if name is None:
        raise InputError(f"{path} has no channel Z, Y, R or V (it has {', '.join(channels)}); name the depth Z.")
    return DepthFile(channels[name].astype(np.float64))


def depth_channel(names: list[str]) -> str | None:
    """The channel that holds depth: Z before Y, R and V, without a layer before with one."""
    for wanted in ("Z", "Y", "R", "V"):
        fitting = [name for name in names if name.rpartition(".")[2].upper() == wanted]
        if fitting:
            return min(fitting, key=len)
    return None
