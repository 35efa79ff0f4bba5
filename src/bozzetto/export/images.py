"""Tensors to pictures: 8-bit RGB, grey, depth in colours, normals in colours.

Normals as colours: red = x to the right, green = up, blue = toward the viewer, each 0.5 + 0.5 n. With our axes (x
right, y down, z forward, normals toward the camera) that is RGB = 0.5 + 0.5 (nx, -ny, -nz): a face straight at the
camera is (0.5, 0.5, 1), light blue, as in the usual tangent-space normal maps.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from bozzetto.export.colours import BACKGROUND, apply_table, depth_table
from bozzetto.export.files import writing
from bozzetto.types import DepthRange


def to_uint8(image: Float[Tensor, "*b c h w"]) -> UInt8[np.ndarray, "*b h w c"]:
    """[0, 1] to the nearest of 0..255, channels last; values outside are clamped, NaN is black."""
    scaled = torch.nan_to_num(image.detach(), nan=0.0).clamp(0, 1) * 255
    return scaled.round().to(torch.uint8).movedim(-3, -1).contiguous().cpu().numpy()


def picture(image: Float[Tensor, "c h w"]) -> Image.Image:
    """An RGB (c = 3) or grey (c = 1) PIL picture of an image in [0, 1]."""
    array = to_uint8(image)
    return Image.fromarray(array[..., 0]) if array.shape[-1] == 1 else Image.fromarray(array)


def png_bytes(image: Float[Tensor, "c h w"]) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    picture(image).save(buffer, format="PNG")
    return buffer.getvalue()


def jpeg_bytes(image: Float[Tensor, "c h w"], quality: int = 90) -> bytes:
    """The picture as a JPEG file, its colours as fine as its lightness."""
    buffer = io.BytesIO()
    picture(image).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def write_png(image: Float[Tensor, "c h w"] | Image.Image, path: Path) -> Path:
    """Write a PNG, whole or not at all; returns `path`. Raises OutputError."""
    drawn = image if isinstance(image, Image.Image) else picture(image)
    with writing(path) as temporary:
        drawn.save(temporary, format="PNG", optimize=False)
    return path


def write_webp(image: Image.Image, path: Path) -> Path:
    """Write a still WebP of good quality, a third of a PNG's size, whole or not at all. Raises OutputError."""
    with writing(path) as temporary:
        image.convert("RGB").save(temporary, format="WEBP", quality=88, method=6)
    return path


def grid(images: Float[Tensor, "n c s s"]) -> Float[Tensor, "c _ _"]:
    """Pictures [N, 3, S, S] side by side in a square, row by row; what is left over is black."""
    n, channels, size, _ = images.shape
    columns = -(-int(n**0.5 * 1000) // 1000)
    rows = -(-n // columns)
    whole = images.new_zeros(rows * columns, channels, size, size)
    whole[:n] = images
    whole = whole.reshape(rows, columns, channels, size, size).permute(2, 0, 3, 1, 4)
    return whole.reshape(channels, rows * size, columns * size)


def over(
    image: Float[Tensor, "*b 3 h w"], alpha: Float[Tensor, "*b 1 h w"], background: tuple[float, ...] = BACKGROUND
) -> Float[Tensor, "*b 3 h w"]:
    """The image where alpha is 1, the background colour where it is 0, a blend between."""
    fill = torch.tensor(background, dtype=image.dtype).view(3, 1, 1)
    return torch.nan_to_num(image, nan=0.0).clamp(0, 1) * alpha + fill * (1 - alpha)


def depth_rgb(
    depth: Float[Tensor, "*b 1 h w"], near: float, far: float, mask: Float[Tensor, "*b 1 h w"] | None = None
) -> Float[Tensor, "*b 3 h w"]:
    """Depth in colours, near light and far dark; outside the mask, if one is given, the neutral background."""
    rgb = apply_table((far - depth) / max(far - near, 1e-12), depth_table())
    return rgb if mask is None else over(rgb, mask)


def normal_rgb(
    normal: Float[Tensor, "*b 3 h w"], mask: Float[Tensor, "*b 1 h w"] | None = None
) -> Float[Tensor, "*b 3 h w"]:
    """Unit normals in colours by the convention at the top of this file; outside the mask the neutral background."""
    sign = torch.tensor([1.0, -1.0, -1.0], dtype=normal.dtype).view(3, 1, 1)
    rgb = 0.5 + 0.5 * normal * sign
    return rgb if mask is None else over(rgb, mask)


def shown_depth_range(depth: Float[Tensor, "1 h w"], mask: Float[Tensor, "1 h w"], limits: DepthRange) -> DepthRange:
    """The depths inside the mask (2nd to 98th percentile, a twentieth of room), so that a shallow shape shows relief.

    Falls back to `limits` where the mask is empty or the depth is flat.
    """
    inside = depth[(mask > 0.5) & torch.isfinite(depth)]
    if inside.numel() < 2:
        return limits
    near, far = torch.quantile(inside.double(), torch.tensor([0.02, 0.98], dtype=torch.float64)).tolist()
    room = 0.05 * (far - near)
    return DepthRange(near - room, far + room) if far - near > 1e-6 else limits
