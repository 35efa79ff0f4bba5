"""Depth as a 16-bit grey PNG with its scale written into the file, and back.

Code 0 means "no surface here". Codes 1 to 65535 are depths: depth = near + (code - 1) / 65534 * (far - near), in scene
units. Near and far stand in the PNG's own text chunk `bozzetto-depth` and in `reconstruction.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt16
from PIL import Image, PngImagePlugin
from torch import Tensor

from bozzetto.disk import UNREADABLE
from bozzetto.errors import OutputError
from bozzetto.export.files import writing
from bozzetto.types import DepthRange

_CHUNK = "bozzetto-depth"
_STEPS = 65534  # codes 1..65535

_PICTURE: tuple[type[Exception], ...] = (Image.DecompressionBombError, *UNREADABLE)


@dataclass(frozen=True)
class Depth16Scale:
    """The depths, in scene units, that codes 1 and 65535 stand for."""

    near: float
    far: float

    @property
    def quantum(self) -> float:
        """Scene units from one code to the next; a stored depth is within half of it."""
        return (self.far - self.near) / _STEPS

    def to_json(self) -> dict[str, float | str]:
        return {
            "near": self.near,
            "far": self.far,
            "formula": "depth = near + (code - 1) / 65534 * (far - near); code 0: no surface",
        }


def scale_for(
    depth: Float[Tensor, "1 h w"], limits: DepthRange, mask: Float[Tensor, "1 h w"] | None = None
) -> Depth16Scale:
    """The depth range, widened where depths inside the mask go beyond it (a turned object can)."""
    valid = torch.isfinite(depth) if mask is None else torch.isfinite(depth) & (mask > 0.5)
    inside = depth[valid].double()
    if inside.numel() == 0:
        return Depth16Scale(limits.near, limits.far)
    return Depth16Scale(min(limits.near, inside.min().item()), max(limits.far, inside.max().item()))


def encode(
    depth: Float[Tensor, "1 h w"], scale: Depth16Scale, mask: Float[Tensor, "1 h w"] | None = None
) -> UInt16[np.ndarray, "h w"]:
    """Depth to codes; 0 where the mask is at most 0.5 or the depth is not finite."""
    metres = depth[0].double().cpu().numpy()
    valid = np.isfinite(metres) if mask is None else np.isfinite(metres) & (mask[0].cpu().numpy() > 0.5)
    code = 1 + np.rint((np.where(valid, metres, scale.near) - scale.near) / scale.quantum)
    return np.where(valid, np.clip(code, 1, 65535), 0).astype(np.uint16)


def decode(code: UInt16[np.ndarray, "h w"], scale: Depth16Scale) -> Float[Tensor, "1 h w"]:
    """Codes to float64 depth in scene units, NaN where the code is 0."""
    depth = scale.near + (code.astype(np.float64) - 1) * scale.quantum
    return torch.from_numpy(np.where(code == 0, np.nan, depth))[None]


def write_depth16(
    depth: Float[Tensor, "1 h w"], path: Path, scale: Depth16Scale, mask: Float[Tensor, "1 h w"] | None = None
) -> Path:
    """Write the 16-bit PNG with its scale inside; returns `path`. Raises OutputError."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text(_CHUNK, json.dumps(scale.to_json()))
    with writing(path) as temporary:
        Image.fromarray(encode(depth, scale, mask)).save(temporary, format="PNG", pnginfo=notes)
    return path


def read_depth16(path: Path) -> tuple[Float[Tensor, "1 h w"], Depth16Scale]:
    """Depth (float64, scene units, NaN: no surface) and scale of a PNG that `write_depth16` wrote.

    Raises:
        OutputError: the file is missing, is no such PNG, or carries no scale.
    """
    try:
        with Image.open(path) as image:
            stored = json.loads(image.text[_CHUNK])  # type: ignore[attr-defined]
            code = np.array(image).astype(np.uint16)
        scale = Depth16Scale(float(stored["near"]), float(stored["far"]))
    except _PICTURE as error:
        raise OutputError(f"{path} is not a 16-bit depth picture of bozzetto; export it again.") from error
    return decode(code, scale), scale
