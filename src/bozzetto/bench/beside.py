"""A reconstruction beside the truth: photo, ours and the true head, turning in the same light or under the same lamps.

Turning, what is drawn of the truth is its frontal height field with the true frontal picture on it, drawn as ours is:
what is hidden from the front is open in both, and nothing but shape and paint can differ. The light stays the photo's
and turns along with the head. Relit, both stay in the photo's pose, and the truth is its own albedo and normals there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from bozzetto.bench.datasets import HeadTruth
from bozzetto.bench.novel import scale_between, view_like
from bozzetto.bench.score import lit, perfect_shape
from bozzetto.bench.stage import GAMMA
from bozzetto.errors import InputError
from bozzetto.export.colours import BACKGROUND
from bozzetto.export.films import each_once, even
from bozzetto.export.images import depth_rgb, normal_rgb, over, shown_depth_range
from bozzetto.export.matting import carry_colours, extend, smooth_outline, soft_edge
from bozzetto.export.paths import relight_path, turn_path, turn_row
from bozzetto.export.sheet import Tile, degrees, page_of, tile
from bozzetto.export.turn import turned, unlit
from bozzetto.geometry.warp import resize_grid, turned_with
from bozzetto.metrics.truth import fill_open
from bozzetto.results import Reconstruction, assemble
from bozzetto.types import Camera, DepthRange, Factors

Motion = Literal["turn", "relight"]
LABELS = ("photo", "ours", "truth")
_STRIP, _INK = 20, (70, 68, 64)
_SMALL = 168  # side of a tile of the sheet, five to a row


def truth_scene(head: HeadTruth) -> Reconstruction:
    """A head (batch of one) as a record that can be drawn: its texture holds the photo's light.

    Raises:
        InputError: the head has no picture from the front.
    """
    shape = perfect_shape(head)
    if shape.texture is None:
        raise InputError("This head keeps no picture from the front; make it with --turned-yaws-deg 0 among others.")
    camera, known = Camera(head.image.shape[-1]), (~head.canonical_depth[0].isnan()).float()
    factors = Factors(
        depth=shape.depth[None],
        albedo=fill_open(shape.texture, known)[None],
        view=head.view,
        light=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
    )
    none = torch.zeros(1, 1)
    record = assemble(head.image, head.image, head.mask.float(), factors, none, camera, DepthRange())
    return replace(
        record,
        canonical_mask=known,
        depth_posed=shape.depth_posed,
        recon_mask=shape.covered,
        normal_posed=head.normal[0],
    )


def views_of(
    result: Reconstruction, head: HeadTruth, new: Float[Tensor, "n 6"]
) -> tuple[Float[Tensor, "n 6"], Float[Tensor, "n 6"]]:
    """Views of our object and of the true one that show both from the `new` sides of the true one."""
    filled = fill_open(result.depth_posed, result.recon_mask)[None]
    scale = scale_between(filled, head.depth, head.mask.to(filled.dtype))
    return view_like(new, head.view, result.view[None], scale), new


def check_same_photo(result: Reconstruction, head: HeadTruth) -> None:
    """Raise InputError where the result was made of another photo than the head's."""
    same = result.image.shape == head.image.shape[1:] and bool((result.image - head.image[0]).abs().max() < 0.01)
    if not same:
        raise InputError("This result was made of another photo than that head's; name the head that it shows.")


def pairs(
    result: Reconstruction, head: HeadTruth, new: Float[Tensor, "n 6"], size: int, large: HeadTruth | None = None
) -> Iterator[tuple[Float[Tensor, "3 t t"], Float[Tensor, "3 t t"]]]:
    """Ours and the truth from each of the new sides, drawn when asked for. Neither is cut: ears are part of a head.

    large: the same head at more pixels, which the truth is drawn from.
    """
    ours, true = views_of(result, head, new)
    scene = truth_scene(large or head)
    return zip(turned(result, ours, size, cut=False), turned(scene, true, size, cut=False), strict=True)


def lit_pairs(
    result: Reconstruction, head: HeadTruth, lights: Float[Tensor, "n 4"], size: int, large: HeadTruth | None = None
) -> Iterator[tuple[Float[Tensor, "3 t t"], Float[Tensor, "3 t t"]]]:
    """Ours and the truth in the photo's pose under each of the lamps, drawn when asked for.

    Both are shaded as the heads are, shading^(1 / 1.6) in display values. Albedo is known up to a factor: ours takes
    the one, of least squares, that brings it nearest to the photo under the photo's true light. large: as in `pairs`.
    """
    head = large or head
    albedo, own_normal, alpha = unlit(result, size, cut=False)
    normal = turned_with(result.view[None], own_normal)
    known = head.mask.to(head.albedo.dtype)
    true_albedo = resize_grid(carry_colours(head.albedo ** (1 / GAMMA), known), size)
    true_normal = F.normalize(resize_grid(extend(head.normal, known), size), dim=1)
    true_alpha = soft_edge(resize_grid(smooth_outline(known), size))

    ours, photo = lit(albedo, normal, head.light), resize_grid(head.image, size)
    counts = alpha * true_alpha
    albedo = albedo * (counts * ours * photo).sum() / (counts * ours.square()).sum().clamp(min=1e-12)
    for light in lights[:, None]:
        yield (
            over(lit(albedo, normal, light), alpha, BACKGROUND)[0],
            over(lit(true_albedo, true_normal, light), true_alpha, BACKGROUND)[0],
        )


def beside_frames(
    result: Reconstruction,
    head: HeadTruth,
    count: int,
    size: int,
    motion: Motion = "turn",
    large: HeadTruth | None = None,
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames of one swing, or of one round of the lamp: photo and both objects side by side with their names below.

    Loops without a jump. size: of each of the three pictures, pixels. large: the same head at more pixels, which photo
    and truth are drawn from.
    """
    side = even(size)
    photo = resize_grid((large or head).image, side)[0].clamp(0, 1)
    names = _names(side)
    rows, drawn = (turn_path(count), pairs) if motion == "turn" else (relight_path(count, head.light[0]), lit_pairs)

    def draw(rows: Float[Tensor, "m d"]) -> Iterator[Float[Tensor, "3 h w"]]:
        for ours, true in drawn(result, head, rows, side, large):
            yield torch.cat((torch.cat((photo, ours, true), dim=2), names), dim=1)

    return each_once(rows, draw)


def _names(side: int) -> Float[Tensor, "3 t w"]:
    strip = Image.new("RGB", (len(LABELS) * side, _STRIP), tuple(round(255 * value) for value in BACKGROUND))
    draw = ImageDraw.Draw(strip)
    for place, name in enumerate(LABELS):
        draw.text((side * (place + 0.5), 2), name, fill=_INK, font=ImageFont.load_default(size=13), anchor="ma")
    return torch.from_numpy(np.array(strip)).permute(2, 0, 1) / 255


def beside_sheet(
    result: Reconstruction, head: HeadTruth, title: str, note: str = "", large: HeadTruth | None = None
) -> Image.Image:
    """One page: the photo, depth and normals of both in its pose, and both from five sides. large: as in `pairs`."""
    mask = head.mask[0].to(torch.float32)
    scale = float(scale_between(fill_open(result.depth_posed, result.recon_mask)[None], head.depth, mask[None]))
    shown = shown_depth_range(head.depth[0], mask, DepthRange())
    inside = mask * result.recon_mask
    first = [
        tile("photo", (large or head).image[0], _SMALL),
        tile("depth, to scale", over(depth_rgb(result.depth_posed / scale, shown.near, shown.far), inside), _SMALL),
        tile("true depth", depth_rgb(head.depth[0], shown.near, shown.far, mask), _SMALL),
        tile("normals", normal_rgb(result.normal_posed, inside), _SMALL),
        tile("true normals", normal_rgb(head.normal[0], mask), _SMALL),
    ]
    new = turn_row()
    rows: tuple[list[Tile], list[Tile]] = [], []
    for yaw, pictures in zip(new[:, 1], pairs(result, head, new, 2 * _SMALL, large), strict=True):
        for row, name, image in zip(rows, LABELS[1:], pictures, strict=True):
            row.append(tile(f"{name}, {degrees(yaw)}", image, _SMALL))
    return page_of([[first], list(rows)], title, note)
