"""A result's texture as a PNG file and back, bit for bit."""

from __future__ import annotations

import io

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from bozzetto.disk import UNREADABLE

MOST_PX = 4096  # a side; ours are far smaller, and a damaged file shall not fill the memory

_UNREADABLE: tuple[type[Exception], ...] = (Image.DecompressionBombError, *UNREADABLE)


def texture_bytes(texture: UInt8[Tensor, "3 t t"]) -> bytes:
    """The texture, 0 to 255, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(texture.permute(1, 2, 0).contiguous().numpy()).save(buffer, format="PNG")
    return buffer.getvalue()


def texture_of(content: bytes) -> UInt8[Tensor, "3 t t"]:
    """The texture of a PNG file. Raises ValueError for what is none of ours."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
            width, height, mode = *opened.size, opened.mode
            fitting = mode == "RGB" and width == height and width <= MOST_PX
            values = np.array(opened) if fitting else np.zeros((0, 0, 3), np.uint8)
    except _UNREADABLE as error:
        raise ValueError(f"the texture cannot be read: {error}") from error
    if not fitting:
        raise ValueError(f"a texture is no {mode} picture of {width} x {height} pixels")
    return torch.from_numpy(values).permute(2, 0, 1).contiguous()
