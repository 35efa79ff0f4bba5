"""The object from other sides and under other lights, cut out on a neutral background, at any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.export.colours import BACKGROUND
from bozzetto.export.images import over
from bozzetto.export.matting import at_size, cut_out, object_mask, push_back, soft_edge
from bozzetto.export.paint import painted
from bozzetto.export.piece import drawn_mask
from bozzetto.export.scene import Scene, factors_of
from bozzetto.geometry import shade
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.render import FAR_MARGIN, look
from bozzetto.geometry.warp import resize_grid, sample
from bozzetto.types import Camera, Factors


def _prepare(scene: Scene, size: int, cut: bool = True) -> tuple[Factors, Camera, Float[Tensor, "1 1 t t"]]:
    far = scene.depth_range.far + FAR_MARGIN  # the renderer masks what lies there
    whole = object_mask(scene.canonical_mask[None], scene.normal[None])
    mask = drawn_mask(scene) if cut else whole
    fine, camera = at_size(cut_out(factors_of(scene), whole), scene.camera, size)
    fine = replace(fine, depth=push_back(fine.depth, mask, far), albedo=painted(scene, size))
    return fine, camera, soft_edge(resize_grid(mask, size))


@torch.no_grad()
def turned(
    scene: Scene,
    views: Float[Tensor, "n 6"],
    size: int,
    light: Float[Tensor, "4"] | Float[Tensor, "n 4"] | None = None,
    background: tuple[float, ...] = BACKGROUND,
    cut: bool = True,
) -> Iterator[Float[Tensor, "3 t t"]]:
    """A picture [3, size, size] in [0, 1] for each view, drawn when asked for.

    Args:
        light: the photo's own if not given, another for all views, or one for each.
        cut: in one piece, cut at jumps in depth as the mesh and the viewer are; otherwise jumps are spanned.
    """
    factors, camera, mask = _prepare(scene, size, cut)
    normal = normals(factors.depth, camera)
    lamps = (scene.light if light is None else light).expand(len(views), 4)
    shone: Tensor | None = None
    for view, lamp in zip(views, lamps, strict=True):
        if shone is None or not torch.equal(lamp, shone):
            lit = factors.albedo * shade.shading(shade.diffuse(normal, lamp[None]), lamp[None])
            layers, shone = torch.cat((lit, mask), dim=1), lamp
        sight = look(factors.depth, view[None], camera, scene.depth_range)
        seen = sample(layers, sight.grid)
        yield over(seen[:, :3], seen[:, 3:] * sight.mask, background)[0]


@torch.no_grad()
def unlit(
    scene: Scene, size: int, view: Float[Tensor, "6"] | None = None, cut: bool = True
) -> tuple[Float[Tensor, "1 3 t t"], Float[Tensor, "1 3 t t"], Float[Tensor, "1 1 t t"]]:
    """What a light falls on, in the photo's pose or another: albedo, unit normals, and 1 where the object covers it.

    The normals are of the object's own frame, as the lamps of `relit` are.
    """
    factors, camera, mask = _prepare(scene, size, cut)
    pose = (scene.view if view is None else view)[None]
    sight = look(factors.depth, pose, camera, scene.depth_range)
    seen = sample(torch.cat((factors.albedo, normals(factors.depth, camera), mask), dim=1), sight.grid)
    return seen[:, :3], F.normalize(seen[:, 3:6], dim=1), seen[:, 6:] * sight.mask


@torch.no_grad()
def relit(
    scene: Scene,
    lights: Float[Tensor, "n 4"],
    size: int,
    view: Float[Tensor, "6"] | None = None,
    background: tuple[float, ...] = BACKGROUND,
) -> Iterator[Float[Tensor, "3 t t"]]:
    """A picture [3, size, size] in [0, 1] for each light, in the photo's pose or another, drawn when asked for."""
    albedo, normal, alpha = unlit(scene, size, view)
    for light in lights:
        shading = shade.shading(shade.diffuse(normal, light[None]), light[None])
        yield over(albedo * shading, alpha, background)[0]
