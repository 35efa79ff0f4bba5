"""Pictures through the GAN as one JPEG for the viewer: tiles in a grid, row by row, turns before lights."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from bozzetto.types import ThroughGan

TILE_PX = 256  # of a picture in the page at most: forty of them stay below what any phone takes as one texture
_QUALITY = 92


def atlas_of(kept: ThroughGan) -> dict[str, Any]:
    """What the page is given, as JSON.

    `pictures` is the JPEG in base64, `columns` and `rows` its tiles, `tile` their side in pixels; `yaw` the turn of the
    first pictures in radians, rising; `around` the light of the others as an angle about the line of sight, rising: 0
    from the left, pi / 2 from above, pi from the right, with the tangent `reach` off that line.
    """
    yaw, lamp = kept.turn_view[:, 1], kept.relight_light[:, 2:].double()
    angle = torch.atan2(lamp[:, 1], lamp[:, 0])
    angle = torch.where(angle < -math.pi / 2, angle + 2 * math.pi, angle)  # from the right is the end, and no beginning
    turns, lights = yaw.argsort(), angle.argsort()
    pictures = torch.cat((kept.turn[turns], kept.relight[lights]))
    tile = min(pictures.shape[-1], TILE_PX)
    if tile < pictures.shape[-1]:
        small = F.interpolate(pictures.float(), size=(tile, tile), mode="bilinear", antialias=True, align_corners=False)
        pictures = small.round().to(torch.uint8)
    columns = math.ceil(math.sqrt(len(pictures)))
    whole = laid_out(pictures, columns)
    buffer = io.BytesIO()
    Image.fromarray(whole.permute(1, 2, 0).numpy()).save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)
    return {
        "pictures": base64.b64encode(buffer.getvalue()).decode("ascii"),
        "columns": columns,
        "rows": whole.shape[1] // tile,
        "tile": tile,
        "yaw": yaw[turns].tolist(),
        "around": angle[lights].tolist(),
        "reach": float(torch.linalg.vector_norm(lamp, dim=1).mean()),
    }


def laid_out(pictures: UInt8[Tensor, "n 3 s s"], columns: int) -> UInt8[Tensor, "3 h w"]:
    """Pictures row by row in a grid of so many columns; what is left over repeats the last one."""
    count, side = len(pictures), pictures.shape[-1]
    rows = -(-count // columns)
    index = torch.arange(rows * columns).clamp(max=count - 1)
    return pictures[index].reshape(rows, columns, 3, side, side).permute(2, 0, 3, 1, 4).reshape(3, rows * side, -1)
