"""Picture sheets of a study: a line a photo, a column an arm; normals in the frontal frame, and the object turned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bozzetto.export.colours import apply_table, depth_table
from bozzetto.export.images import normal_rgb, over, picture, write_png, write_webp
from bozzetto.results import Reconstruction
from bozzetto.studies.desk import Piece

_PAGE, _INK, _SOFT = (250, 249, 246), (38, 38, 42), (120, 118, 114)
_SIDE, _GAP, _MARGIN, _TITLE, _NAME = 104, 4, 10, 20, 16
TURN_DEG = 30.0


def looks_of(result: Reconstruction) -> list[Float[Tensor, "3 s s"]]:
    """Normals, and the object under its own light turned by 30 degrees on a plain ground."""
    drawn = result.render(view=[[0.0, math.radians(TURN_DEG), 0.0, 0.0, 0.0, 0.0]])
    return [normal_rgb(result.normal, result.canonical_mask), over(drawn.image[0].clamp(0, 1), drawn.mask[0])]


def write_sheet(path: Path, pieces: Sequence[Piece], arms: Sequence[str], seed: int, most: int = 4) -> Path:
    """The first photos, one seed. Raises OutputError."""
    found = {(p.arm, p.subject.name): p for p in pieces if p.seed == seed}
    names = list(dict.fromkeys(p.subject.name for p in pieces if p.seed == seed))[:most]
    lines = []
    for name in names:
        first = next(p for (_, photo), p in found.items() if photo == name)
        columns = [(name, [first.result.image, first.result.inversion])]
        columns += [(arm, looks_of(found[arm, name].result)) for arm in arms if (arm, name) in found]
        lines.append(columns)
    return write_webp(draw_lines(lines), path)


def write_maps(
    path: Path, maps: Sequence[tuple[str, Float[Tensor, "1 s s"]]], most: float, unit: str, columns: int = 6
) -> Path:
    """Maps of one value, 0 to `most`, with their names. Raises OutputError."""
    lines = []
    for at in range(0, len(maps), columns):
        some = maps[at : at + columns]
        lines.append([(name, [apply_table(value / most, depth_table())]) for name, value in some])
    return write_png(_small(draw_lines(lines, f"dark 0, bright {most:g} {unit} and more")), path)


def draw_lines(lines: Sequence[Sequence[tuple[str, Sequence[Float[Tensor, "3 s s"]]]]], note: str = "") -> Image.Image:
    """Lines of columns; a column is a name above pictures that stand one below the other."""
    deep = max(len(pictures) for line in lines for _, pictures in line)
    height = _TITLE + deep * (_SIDE + _GAP) + 4
    wide = max(len(line) for line in lines)
    size = 2 * _MARGIN + wide * (_SIDE + _GAP), 2 * _MARGIN + len(lines) * height + (_NAME if note else 0)
    page = Image.new("RGB", size, _PAGE)
    draw = ImageDraw.Draw(page)
    for i, line in enumerate(lines):
        for j, (name, pictures) in enumerate(line):
            left, top = _MARGIN + j * (_SIDE + _GAP), _MARGIN + i * height
            size_px = min(11, 11 * _SIDE / max(1, ImageFont.load_default(size=11).getlength(name)))
            draw.text((left, top + 3), name, fill=_INK, font=ImageFont.load_default(size=size_px))
            for k, image in enumerate(pictures):
                tile = picture(image.detach().clamp(0, 1)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
                page.paste(tile, (left, top + _TITLE + k * (_SIDE + _GAP)))
    if note:
        draw.text((_MARGIN, size[1] - _MARGIN - _NAME + 4), note, fill=_SOFT, font=ImageFont.load_default(size=11))
    return page


def _small(page: Image.Image) -> Image.Image:
    """The same in 256 colours, which takes a third of the bytes."""
    return page.quantize(256, method=Image.Quantize.MEDIANCUT)


def spread_map(results: Sequence[Reconstruction]) -> Float[Tensor, "1 s s"]:
    """Standard deviation (n - 1) over results of the frontal depth, each less its own mean on the common mask, in per
    cent of the depth range's half; 0 off the mask."""
    mask = torch.stack([r.canonical_mask for r in results]).amin(0) > 0.5
    depth = torch.stack([r.depth for r in results]).double()
    centred = depth - (depth * mask).sum((1, 2, 3), keepdim=True) / mask.sum()
    limits = results[0].depth_range
    return (100 * 2 * centred.std(0) / (limits.far - limits.near) * mask).float()
