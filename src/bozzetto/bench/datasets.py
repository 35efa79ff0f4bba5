"""Heads with their true depth as tensors, and the compact arrays they are stored in.

One layout serves a single head's file and a packed file of N heads (leading N): plain .npz, no pickles. A packed file
may be squeezed (`bozzetto.bench.squeeze`); it is expanded to this layout when read.

| array | type | meaning |
|---|---|---|
| image | uint8 [.., H, W, 3] | display RGB, 255 = 1 |
| depth | uint16 [.., H, W] | z = 0.9 + 0.2 q / 65534; 65535 off the mask |
| canonical_depth | uint16 [.., H, W] | the same for the view of zeros |
| normal | int16 [.., H, W, 2] | stereographic p = n_xy / (1 - n_z), p = 1.25 q / 32767 |
| albedo | uint8 [.., H, W, 3] | linear albedo ^ (1 / 1.6), 255 = 1 |
| view, light | float32 [.., 6], [.., 4] | |
| turned_image, turned_yaw_deg | uint8 [.., K, H, W, 3], float32 [.., K] | optional: yawed only, light turns along |
| relit_image, relit_light | uint8 [.., K, H, W, 3], float32 [.., K, 4] | optional: same pose, other lights |
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bozzetto.bench.npz import read_npz, write_npz
from bozzetto.bench.squeeze import Squeeze, expand, squeeze
from bozzetto.bench.stage import GAMMA, HeadView
from bozzetto.errors import InputError
from bozzetto.geometry.pose import rotation_matrix
from bozzetto.geometry.shade import diffuse, light_direction, shading
from bozzetto.types import DepthRange

OFF_MASK, DEPTH_STEPS = 65535, 65534
RANGE = DepthRange()
STEREO_LIMIT = 1.25


@dataclass(frozen=True)
class HeadTruth:
    """Heads and what they were made of; every field carries the same batch size B."""

    image: Float[Tensor, "b 3 h w"]  # display RGB, [0, 1] = (albedo x shading) ^ (1 / 1.6) on the mask
    mask: Bool[Tensor, "b 1 h w"]  # where the truth is known
    depth: Float[Tensor, "b 1 h w"]  # z in the photo's view, scene units, [0.9, 1.1]; NaN off the mask
    canonical_depth: Float[Tensor, "b 1 h w"]  # the same for the view of zeros
    normal: Float[Tensor, "b 3 h w"]  # of the mesh, unit, toward the camera, photo's view; 0 off the mask
    albedo: Float[Tensor, "b 3 h w"]  # linear RGB, [0, 1]; 0 off the mask
    shading: Float[Tensor, "b 1 h w"]  # ambient + diffuse x max(0, n . l); 0 off the mask
    view: Float[Tensor, "b 6"]  # rx, ry, rz [rad], tx, ty, tz [scene units]
    light: Float[Tensor, "b 4"]  # ambient, diffuse, dx, dy in the camera's frame
    turned_image: Float[Tensor, "b k 3 h w"]  # yawed only, light fixed to the head; K may be 0
    turned_yaw_deg: Float[Tensor, "b k"]
    relit_image: Float[Tensor, "b l 3 h w"]  # same pose, other lights; L may be 0
    relit_light: Float[Tensor, "b l 4"]

    def __len__(self) -> int:
        return self.image.shape[0]

    def take(self, index: int | slice) -> HeadTruth:
        """Some of the heads; an integer keeps the batch dimension, of size 1."""
        part = slice(index, index + 1 or None) if isinstance(index, int) else index
        return HeadTruth(*(getattr(self, f.name)[part] for f in fields(self)))

    def pick(self, numbers: Sequence[int]) -> HeadTruth:
        """The heads of these numbers, in this order."""
        return HeadTruth(*(getattr(self, f.name)[list(numbers)] for f in fields(self)))


def encode_head(view: HeadView, canonical: HeadView) -> dict[str, np.ndarray]:
    """A rendered head as the compact arrays of one file."""
    return {
        "image": to_bytes(view.image),
        "depth": encode_depth(view.depth),
        "canonical_depth": encode_depth(canonical.depth),
        "normal": encode_normal(view.normal),
        "albedo": to_bytes(view.albedo ** (1 / GAMMA)),
        "view": view.view,
        "light": view.light,
    }


def decode_heads(arrays: Mapping[str, np.ndarray]) -> HeadTruth:
    """Tensors from the compact arrays of N heads (leading N)."""
    image = from_bytes(arrays["image"])
    depth = torch.from_numpy(decode_depth(arrays["depth"]))[:, None]
    mask = ~depth.isnan()
    normal = torch.from_numpy(decode_normal(arrays["normal"])).permute(0, 3, 1, 2) * mask
    light = torch.from_numpy(arrays["light"].astype(np.float32))
    lit = shading(diffuse(normal, light), light)
    n, size = image.shape[0], image.shape[-1]
    no_yaw, no_light = np.zeros((n, 0), np.float32), np.zeros((n, 0, 4), np.float32)
    no_image = np.zeros((n, 0, size, size, 3), np.uint8)
    return HeadTruth(
        image=image,
        mask=mask,
        depth=depth,
        canonical_depth=torch.from_numpy(decode_depth(arrays["canonical_depth"]))[:, None],
        normal=normal,
        albedo=from_bytes(arrays["albedo"]) ** GAMMA * mask,
        shading=lit * mask,
        view=torch.from_numpy(arrays["view"].astype(np.float32)),
        light=light,
        turned_image=from_bytes(arrays.get("turned_image", no_image)),
        turned_yaw_deg=torch.from_numpy(arrays.get("turned_yaw_deg", no_yaw)),
        relit_image=from_bytes(arrays.get("relit_image", no_image)),
        relit_light=torch.from_numpy(arrays.get("relit_light", no_light)),
    )


def canonical_light_direction(heads: HeadTruth) -> Float[Tensor, "b 3"]:
    """Unit vectors toward the lights in the canonical frame: R^T l, R the view's rotation."""
    rotation = rotation_matrix(heads.view[:, :3])
    return (rotation.transpose(-1, -2) @ light_direction(heads.light)[:, :, None])[..., 0]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The compact arrays of a head file.

    Raises:
        InputError: no such file, or not one of ours.
    """
    arrays = expand(read_npz(path, "make it again with `bozzetto bench make-heads` or make-animals"))
    if not {"image", "depth", "canonical_depth", "normal", "albedo", "view", "light"} <= arrays.keys():
        raise InputError(f"{path} is not a head file; make one with `bozzetto bench make-heads` or make-animals.")
    return arrays


def head_files(folder: Path) -> list[Path]:
    """The heads of a split's folder in order.

    Raises:
        InputError: there are none.
    """
    files = sorted(folder.glob("[0-9]*.npz"))
    if not files:
        raise InputError(f"{folder} holds no heads; make some with `bozzetto bench make-heads` or make-animals.")
    return files


def load_head(folder: Path, index: int) -> HeadTruth:
    """One head of a split's folder, batch size 1.

    Raises:
        InputError: no such head.
    """
    return decode_heads({name: a[None] for name, a in read_arrays(folder / f"{index:06d}.npz").items()})


def iterate_heads(folder: Path) -> Iterator[HeadTruth]:
    """The heads of a split's folder, one by one, batch size 1 each."""
    for file in head_files(folder):
        yield decode_heads({name: a[None] for name, a in read_arrays(file).items()})


def pack_heads(
    folder: Path,
    packed: Path,
    count: int | None = None,
    leave_out: tuple[str, ...] = (),
    average: Float[Tensor, "1 1 h w"] | None = None,
    how: Squeeze | None = None,
) -> None:
    """Put the first `count` heads of a split's folder (all if not given) into one file.

    Args:
        leave_out: names of optional arrays that are not packed.
        average: an `average_depth` of other heads to keep beside.
        how: what may be lost to save space; nothing is if not given.
    """
    heads = [read_arrays(file) for file in head_files(folder)[:count]]
    arrays = {name: np.stack([h[name] for h in heads]) for name in heads[0] if name not in leave_out}
    if average is not None:
        arrays["average_depth"] = encode_depth(average[0, 0].numpy())
    if how is None:
        write_npz(packed, arrays)
    else:
        write_npz(packed, squeeze(arrays, how), compression=zipfile.ZIP_LZMA)


def load_packed_heads(packed: Path, novel: bool = True) -> HeadTruth:
    """All heads of a packed file, batch size N; without `novel` no other sides and lights: they fill the memory."""
    arrays = read_arrays(packed)
    if not novel:
        arrays = {name: array for name, array in arrays.items() if not name.startswith(("turned_", "relit_"))}
    return decode_heads(arrays)


def load_folder_heads(folder: Path) -> HeadTruth:
    """All heads of a split's folder, batch size N.

    Raises:
        InputError: there are none, or one of them differs in size or in what it holds.
    """
    heads = [read_arrays(file) for file in head_files(folder)]
    for file, head in zip(head_files(folder), heads, strict=True):
        if {name: a.shape for name, a in head.items()} != {name: a.shape for name, a in heads[0].items()}:
            raise InputError(f"{file} differs from the other heads of its folder; make them all with one command.")
    return decode_heads({name: np.stack([head[name] for head in heads]) for name in heads[0]})


def average_depth(folder: Path, count: int | None = None) -> Float[Tensor, "1 1 h w"]:
    """Mean true depth per pixel over (the first `count`) heads of a folder: the baseline that looks at no photo.

    Pixels that no head covers get the range's far end.
    """
    depths = np.stack([decode_depth(read_arrays(file)["depth"]) for file in head_files(folder)[:count]])
    known = ~np.isnan(depths)
    total = np.where(known, depths, 0).sum(0, dtype=np.float64)
    mean = np.where(known.any(0), total / np.maximum(known.sum(0), 1), RANGE.far)
    return torch.from_numpy(mean.astype(np.float32))[None, None]


def packed_average_depth(packed: Path) -> Float[Tensor, "1 1 h w"]:
    """The `average_depth` of training heads that was packed beside test heads.

    Raises:
        InputError: the file carries none.
    """
    arrays = read_arrays(packed)
    if "average_depth" not in arrays:
        raise InputError(f"{packed} carries no average depth; pack one with `pack_heads(..., average=...)`.")
    return torch.from_numpy(decode_depth(arrays["average_depth"]))[None, None]


def encode_depth(depth: Float[np.ndarray, "..."]) -> np.ndarray:
    """Depth in [0.9, 1.1] or NaN to uint16: 0.9 + 0.2 q / 65534, 65535 for NaN; a step is 3e-6."""
    known = ~np.isnan(depth)
    steps = np.round(
        (np.where(known, depth, RANGE.near).astype(np.float64) - RANGE.near) / (2 * RANGE.half) * DEPTH_STEPS
    )
    return np.where(known, np.clip(steps, 0, DEPTH_STEPS), OFF_MASK).astype(np.uint16)


def decode_depth(code: np.ndarray) -> Float[np.ndarray, "..."]:
    """The inverse of `encode_depth`, float32."""
    depth = RANGE.near + 2 * RANGE.half * code.astype(np.float64) / DEPTH_STEPS
    return np.where(code == OFF_MASK, np.nan, depth).astype(np.float32)


def encode_normal(normal: Float[np.ndarray, "... 3"]) -> np.ndarray:
    """Unit normals to two int16 by stereographic projection from (0, 0, 1): p = n_xy / (1 - n_z); within 0.005 deg."""
    plane = normal[..., :2] / (1 - normal[..., 2:])
    return np.round(np.clip(plane / STEREO_LIMIT, -1, 1) * 32767).astype(np.int16)


def decode_normal(code: np.ndarray) -> Float[np.ndarray, "... 3"]:
    """The inverse of `encode_normal`: n = (2 p, |p|^2 - 1) / (1 + |p|^2), float32."""
    plane = code.astype(np.float64) * (STEREO_LIMIT / 32767)
    square = (plane**2).sum(-1, keepdims=True)
    return (np.concatenate([2 * plane, square - 1], -1) / (1 + square)).astype(np.float32)


def to_bytes(image: Float[np.ndarray, "..."]) -> np.ndarray:
    """[0, 1] to uint8."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def from_bytes(image: np.ndarray) -> Float[Tensor, "... 3 h w"]:
    """uint8 [.., H, W, 3] to float32 [.., 3, H, W] in [0, 1]."""
    return torch.from_numpy(image.astype(np.float32) / 255).movedim(-1, -3)
