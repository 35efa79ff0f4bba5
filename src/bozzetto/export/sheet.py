"""One picture with the whole story: photo, mask, inversion, reconstruction, the factors, five turns, five lights.

Where the result keeps pictures through the GAN, a row of them stands below the turns and below the lights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bozzetto.export.files import writing
from bozzetto.export.images import depth_rgb, normal_rgb, over, picture, shown_depth_range
from bozzetto.export.matting import soft_edge
from bozzetto.export.paths import relight_row, turn_row
from bozzetto.export.scene import Scene
from bozzetto.export.turn import relit, turned

_PAGE, _INK, _SOFT_INK = (250, 249, 246), (38, 38, 42), (120, 118, 114)
_BIG, _SMALL = 213, 168  # tile sides: four big ones and five small ones with their gaps are equally wide
_GAP, _MARGIN, _LABEL, _TITLE, _SECTION = 12, 24, 22, 44, 12
_WIDTH = 2 * _MARGIN + 4 * _BIG + 3 * _GAP
_OVERSAMPLE = 2  # turns and lights are drawn this much larger and shrunk: smooth edges


@dataclass(frozen=True)
class Tile:
    label: str
    image: Image.Image


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def tile(label: str, image: Float[Tensor, "c h w"], side: int, smooth: bool = True) -> Tile:
    """An image in [0, 1] as a labelled square of `side` pixels: bicubic, or nearest for masks."""
    small = picture(image).convert("RGB")
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return Tile(label, small.resize((side, side), method))


def factor_tiles(scene: Scene, side: int = _BIG) -> list[Tile]:
    """The two rows of what went in and what came out: pictures in the photo's pose, then canonical factors."""
    alpha = soft_edge(scene.canonical_mask[None])[0]
    shown = shown_depth_range(scene.depth, scene.canonical_mask, scene.depth_range)
    brightest = max(1.0, float(torch.nan_to_num(scene.shading).max()))
    return [
        tile("Photo", scene.image, side),
        tile("Object mask", scene.mask, side, smooth=False),
        tile("No inversion" if _is_preview(scene) else "GAN inversion", scene.inversion, side),
        tile("Reconstruction", over(scene.recon, scene.recon_mask * scene.mask), side),
        tile("Depth", depth_rgb(scene.depth, shown.near, shown.far, alpha), side),
        tile("Normals", normal_rgb(scene.normal, alpha), side),
        tile("Albedo", over(scene.albedo, alpha), side),
        tile("Shading", over((scene.shading / brightest).expand(3, -1, -1), alpha), side),
    ]


def _is_preview(scene: Scene) -> bool:
    """Whether the rendering stands in the inversion's place, as in what a general model sees at once."""
    return torch.equal(scene.inversion, scene.recon.clamp(0, 1))


def turn_tiles(scene: Scene, side: int = _SMALL, count: int = 5) -> list[Tile]:
    views = turn_row(count)
    images = turned(scene, views, _OVERSAMPLE * side)
    return [tile(degrees(yaw), image, side) for yaw, image in zip(views[:, 1], images, strict=True)]


def degrees(yaw_rad: Float[Tensor, ""]) -> str:
    """An angle in whole degrees with its sign, for a label."""
    whole = round(math.degrees(float(yaw_rad)))
    return f"{whole:+d}\u00b0" if whole else "0\u00b0"


_LIGHTS = ("from the left", "upper left", "from above", "upper right", "from the right")


def relight_tiles(scene: Scene, side: int = _SMALL) -> list[Tile]:
    images = relit(scene, relight_row(scene.light, len(_LIGHTS)), _OVERSAMPLE * side)
    return [tile(label, image, side) for label, image in zip(_LIGHTS, images, strict=True)]


def gan_rows(scene: Scene, side: int = _SMALL) -> list[list[Tile]]:
    """Two rows of the generator's own pictures of the turned and of the relit object; none where none are kept."""
    kept = scene.through_gan
    if kept is None:
        return []
    turns, lights = (_spread(len(pictures)) for pictures in (kept.turn, kept.relight))
    named = [f"GAN, {degrees(kept.turn_view[i, 1])}" for i in turns], [f"GAN, {name}" for name in _LIGHTS]
    chosen = kept.turn[turns], kept.relight[lights]
    return [
        [tile(label, image.float() / 255, side) for label, image in zip(labels, images, strict=True)]
        for labels, images in zip(named, chosen, strict=True)
    ]


def _spread(count: int) -> list[int]:
    """Five places out of so many, evenly from the first to the last."""
    return torch.linspace(0, count - 1, len(_LIGHTS)).round().long().tolist()


def _rounded(image: Image.Image, radius: int = 7) -> Image.Image:
    """Mask with round corners, drawn four times larger and shrunk."""
    large = Image.new("L", (4 * image.width, 4 * image.height), 0)
    ImageDraw.Draw(large).rounded_rectangle((0, 0, large.width - 1, large.height - 1), 4 * radius, fill=255)
    return large.resize(image.size, Image.Resampling.LANCZOS)


def _row(page: Image.Image, top: int, tiles: list[Tile]) -> int:
    """Paste one row of tiles with their labels below; returns where the next row begins."""
    draw, left = ImageDraw.Draw(page), _MARGIN
    for one in tiles:
        page.paste(one.image, (left, top), _rounded(one.image))
        middle = left + one.image.width / 2
        draw.text((middle, top + one.image.height + 4), one.label, fill=_INK, font=_font(13), anchor="ma")
        left += one.image.width + _GAP
    return top + tiles[0].image.height + _LABEL + _GAP


def draw_sheet(scene: Scene, title: str = "", note: str = "") -> Image.Image:
    """The contact sheet as an RGB picture; `title` and a small `note` (right) stand on top when given."""
    factors = factor_tiles(scene)
    turns, lights = turn_tiles(scene), relight_tiles(scene)
    sections = [[factors[:4], factors[4:]], [turns], [lights]]
    for section, row in zip(sections[1:], gan_rows(scene), strict=False):  # what the GAN shows below what it should
        section.append(row)
    return page_of(sections, title, note)


def page_of(sections: list[list[list[Tile]]], title: str = "", note: str = "") -> Image.Image:
    """Sections of rows of tiles on one page, a thin line between sections; `title` and `note` on top when given."""
    head = _TITLE if title or note else 0
    rows = [row for section in sections for row in section]
    body = sum(row[0].image.height + _LABEL + _GAP for row in rows) - _GAP + (len(sections) - 1) * _SECTION
    page = Image.new("RGB", (_WIDTH, 2 * _MARGIN + head + body), _PAGE)
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((_MARGIN, _MARGIN - 4), title, fill=_INK, font=_font(20), anchor="la")
    if note:
        draw.text((_WIDTH - _MARGIN, _MARGIN + 2), note, fill=_SOFT_INK, font=_font(13), anchor="ra")
    top = _MARGIN + head
    for index, section in enumerate(sections):
        for row in section:
            top = _row(page, top, row)
        if index < len(sections) - 1:  # a thin line between what was found and what it is good for
            line = top - _GAP + _SECTION // 2 + 3
            draw.line((_MARGIN, line, _WIDTH - _MARGIN, line), fill=(226, 223, 216))
            top += _SECTION
    return page


def write_sheet(scene: Scene, path: Path, title: str = "", note: str = "") -> Path:
    """Draw the contact sheet and write it as PNG, whole or not at all; returns `path`. Raises OutputError."""
    page = draw_sheet(scene, title, note)
    with writing(path) as temporary:
        page.save(temporary, format="PNG")
    return path
