"""Packed heads in little space: pictures as WebP, depth and normals in fewer bits as differences from their neighbours.

What is lost is chosen when squeezing: depth and normals are rounded to `depth_bits` and `normal_bits`, pictures are
lossless or of a WebP quality. `bozzetto.bench.datasets.read_arrays` expands squeezed files on its own.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

LOSSLESS = 101
DEPTHS, PICTURES = ("depth", "canonical_depth", "average_depth"), ("image", "albedo", "turned_image", "relit_image")
OFF = 65535  # the depth code off the mask


@dataclass(frozen=True)
class Squeeze:
    """How much is kept."""

    depth_bits: int = 16  # of [0.9, 1.1]: 14 round to within 6.1e-6 scene units
    normal_bits: int = 16  # a coordinate: 10 round to within 0.2 degrees, 9 to within 0.4
    image: int = LOSSLESS  # WebP quality, or LOSSLESS
    albedo: int = 95
    novel: int = 90  # other sides and other lights


def squeeze(arrays: Mapping[str, np.ndarray], how: Squeeze) -> dict[str, np.ndarray]:
    """The compact arrays of N heads (see `datasets`) in little space."""
    quality = {"image": how.image, "albedo": how.albedo, "turned_image": how.novel, "relit_image": how.novel}
    out: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if name in PICTURES:
            out |= {f"{name}.webp.{part}": value for part, value in _to_webp(array, quality[name]).items()}
        elif name in DEPTHS:
            shift = 16 - how.depth_bits
            code = np.minimum(array >> shift, (OFF >> shift) - 1) if shift else array
            out[f"{name}.steps"] = _to_steps(np.where(array == OFF, OFF >> shift, code).astype(np.uint16))
            out[f"{name}.shift"] = np.array(shift)
        elif name == "normal":
            shift = 16 - how.normal_bits
            code = (array.astype(np.int32) + 32768) >> shift
            out["normal.steps"] = _to_steps(np.moveaxis(code, -1, -3).astype(np.uint16))
            out["normal.shift"] = np.array(shift)
        else:
            out[name] = array
    return out


def expand(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `squeeze`; what is not squeezed stays as it is."""
    out = {name: array for name, array in arrays.items() if "." not in name}
    for name in {name.split(".")[0] for name in arrays if "." in name}:
        if f"{name}.webp.bytes" in arrays:
            out[name] = _from_webp(arrays[f"{name}.webp.bytes"], arrays[f"{name}.webp.ends"])
            continue
        shift = int(arrays[f"{name}.shift"])
        code = _from_steps(arrays[f"{name}.steps"]).astype(np.int32)
        middle = (code << shift) + ((1 << shift) >> 1)
        if name == "normal":
            out[name] = np.moveaxis(middle - 32768, -3, -1).clip(-32767, 32767).astype(np.int16)
        else:
            out[name] = np.where(code == OFF >> shift, OFF, middle).astype(np.uint16)
    return out


def _to_steps(code: np.ndarray) -> np.ndarray:
    """uint16 [.., H, W] to uint8 [2, .., H, W]: high and low byte of what left + above - left above leaves."""
    left = np.concatenate([np.zeros_like(code[..., :1]), code[..., :-1]], -1)
    across = code - left  # wraps modulo 2^16, as all here
    above = np.concatenate([np.zeros_like(across[..., :1, :]), across[..., :-1, :]], -2)
    rest = (across - above).astype(np.int16).astype(np.int32)
    folded = np.where(rest >= 0, 2 * rest, -2 * rest - 1).astype(np.uint16)
    return np.stack([folded >> 8, folded & 255]).astype(np.uint8)


def _from_steps(steps: np.ndarray) -> np.ndarray:
    folded = (steps[0].astype(np.int64) << 8) | steps[1]
    rest = np.where(folded & 1, -(folded + 1) // 2, folded // 2)
    return (rest.cumsum(-1).cumsum(-2) & 65535).astype(np.uint16)


def _to_webp(pictures: np.ndarray, quality: int) -> dict[str, np.ndarray]:
    """uint8 [.., H, W, 3] to one run of bytes and where each picture ends in it, [..]."""
    kept = []
    for picture in pictures.reshape(-1, *pictures.shape[-3:]):
        stream = io.BytesIO()
        lossless = quality == LOSSLESS
        Image.fromarray(picture).save(stream, "WEBP", lossless=lossless, quality=min(quality, 100), method=6)
        kept.append(np.frombuffer(stream.getvalue(), dtype=np.uint8))
    ends = np.cumsum([len(k) for k in kept]).reshape(pictures.shape[:-3])
    return {"bytes": np.concatenate(kept), "ends": ends.astype(np.int64)}


def _from_webp(stream: np.ndarray, ends: np.ndarray) -> np.ndarray:
    pictures = [
        np.asarray(Image.open(io.BytesIO(part.tobytes())).convert("RGB"))
        for part in np.split(stream, ends.ravel()[:-1])
    ]
    return np.stack(pictures).reshape(*ends.shape, *pictures[0].shape)
