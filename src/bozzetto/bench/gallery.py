"""Where it goes wrong: best, median and worst head of a row, with depth, normals and maps of both errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bozzetto.bench.datasets import HeadTruth
from bozzetto.bench.novel import scale_between
from bozzetto.bench.units import Unit, read_pictures, unit_path
from bozzetto.export.colours import apply_table, depth_table
from bozzetto.export.images import depth_rgb, normal_rgb, over, picture, shown_depth_range, write_png
from bozzetto.metrics.normals import angle_between_deg
from bozzetto.types import DepthRange

_PAGE, _INK, _SOFT = (250, 249, 246), (38, 38, 42), (120, 118, 114)
_SIDE, _GAP, _MARGIN, _LABEL, _TITLE = 168, 12, 24, 22, 40
DEPTH_ERROR_PERCENT, NORMAL_ERROR_DEG = 5.0, 60.0  # the bright end of the error maps


def choose(units: Sequence[Unit]) -> list[tuple[str, Unit]]:
    """Best, median and worst piece by MAD; fewer where there are fewer."""
    ranked = sorted(units, key=lambda unit: unit.scores["mad_depth_deg"])
    places = {"best": 0, "median": (len(ranked) - 1) // 2, "worst": len(ranked) - 1}
    found: dict[int, str] = {}
    for name, place in places.items():
        found.setdefault(place, name)
    return [(name, ranked[place]) for place, name in found.items()]


def tiles_of(
    heads: HeadTruth, depth: Float[Tensor, "1 s s"], normal: Float[Tensor, "3 s s"]
) -> list[tuple[str, Float[Tensor, "3 s s"]]]:
    """The pictures of one head: photo, then depth and normals, true, predicted and their difference."""
    mask = heads.mask[0].to(torch.float32)
    true, truth_normal = heads.depth[0], heads.normal[0]
    depth = depth / scale_between(depth[None], heads.depth, mask[None])
    shown = shown_depth_range(true, mask, DepthRange())
    relative = 100 * (depth / true - 1).abs()
    angle = angle_between_deg(normal[None], truth_normal[None])[0]
    return [
        ("photo", heads.image[0]),
        ("true depth", depth_rgb(true, shown.near, shown.far, mask)),
        ("depth, to scale", depth_rgb(depth, shown.near, shown.far, mask)),
        (f"error, 0 to {DEPTH_ERROR_PERCENT:g} %", error_rgb(relative / DEPTH_ERROR_PERCENT, mask)),
        ("true normals", normal_rgb(truth_normal, mask)),
        ("normals", normal_rgb(normal, mask)),
        (f"error, 0 to {NORMAL_ERROR_DEG:g}°", error_rgb(angle / NORMAL_ERROR_DEG, mask)),
    ]


def error_rgb(share: Float[Tensor, "1 s s"], mask: Float[Tensor, "1 s s"]) -> Float[Tensor, "3 s s"]:
    """An error in colours: 0 dark, 1 and more bright; the neutral background off the mask."""
    return over(apply_table(share, depth_table()), mask)


def draw_gallery(
    row: str, chosen: Sequence[tuple[str, Unit]], heads: HeadTruth, numbers: Sequence[int], folder: Path
) -> Image.Image:
    """One page: a line a head.

    Args:
        heads: those of the run.
        numbers: theirs, as the pieces have them.
        folder: that of the bench's pieces.
    """
    lines = []
    for name, unit in chosen:
        pictures = read_pictures(unit_path(folder, row, unit.head, unit.seed))
        lines.append((name, unit, tiles_of(heads.take(list(numbers).index(unit.head)), *pictures)))
    count = len(lines[0][2])
    line_height = _TITLE + _SIDE + _LABEL + _GAP
    size = 2 * _MARGIN + count * _SIDE + (count - 1) * _GAP, 2 * _MARGIN + 28 + len(lines) * line_height
    page = Image.new("RGB", size, _PAGE)
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN - 6), row, fill=_INK, font=ImageFont.load_default(size=20))
    top = _MARGIN + 28
    for name, unit, tiles in lines:
        draw.text((_MARGIN, top + 8), told(name, unit), fill=_INK, font=ImageFont.load_default(size=14))
        left = _MARGIN
        for label, image in tiles:
            tile = picture(image).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            page.paste(tile, (left, top + _TITLE))
            place = (left + _SIDE / 2, top + _TITLE + _SIDE + 4)
            draw.text(place, label, fill=_SOFT, font=ImageFont.load_default(size=13), anchor="ma")
            left += _SIDE + _GAP
        top += line_height
    return page


def told(name: str, unit: Unit) -> str:
    """A head's line: which it is, and its scores."""
    seed = "" if unit.seed is None else f", seed {unit.seed}"
    scores = {"SIDE x100": "side_x100", "MAD": "mad_depth_deg", "MAD to the true surface": "mad_mesh_deg"}
    values = [f"{title} {unit.scores.get(key, math.nan):.2f}" for title, key in scores.items()]
    return f"{name}: head {unit.head}{seed}, yaw {unit.yaw_deg:+.0f}°   {'   '.join(values)}"


def write_gallery(
    row: str, units: Sequence[Unit], heads: HeadTruth, numbers: Sequence[int], folder: Path, path: Path
) -> Path:
    """Choose among a row's pieces of the first seed, draw and write; returns `path`. Raises OutputError."""
    first = [unit for unit in units if unit.seed == units[0].seed]
    return write_png(draw_gallery(row, choose(first), heads, numbers, folder), path)
