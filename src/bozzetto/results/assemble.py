"""From the factors a fit ends with to the whole record: everything that follows from them is rendered here, once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.render import render
from bozzetto.geometry.warp import sample, turned_with
from bozzetto.results.carried import carry, fill_alike, shown_well
from bozzetto.results.provenance import Provenance
from bozzetto.results.reconstruction import Reconstruction
from bozzetto.types import BORDER_COLUMNS, Camera, DepthRange, Factors

# Of trust (0..1, `shown_well`): where the mirror point has so much more of it than the own one, its mask alone counts.
_MIRRORED = 0.5


def mask_to_canonical(
    mask: Float[Tensor, "b 1 s s"],
    depth: Float[Tensor, "b 1 s s"],
    depth_posed: Float[Tensor, "b 1 s s"],
    view: Float[Tensor, "b 6"],
    camera: Camera,
    even: bool = False,
) -> Float[Tensor, "b 1 s s"]:
    """The photo's object mask carried to the canonical frame: each canonical point reads it where the photo shows it.

    Points the photo hides (behind `depth_posed`) or does not hold take the mask of the nearest points it shows,
    those of like depth first: a cheek behind the nose stays object, the backdrop behind the ear stays backdrop.

    Args:
        even: the object's two sides are alike. About points that the photo shows less well than their mirror points, at
            a grazing angle or not at all, that side's mask is mixed in, and from a difference in trust of `_MIRRORED`
            on it counts alone: at a far cheek a small error of the shape would otherwise leave the outline in rags.
            Where both are shown alike, well or badly, each keeps its own.
    """
    grid, unsure = carry(depth, depth_posed, view, camera)
    own = fill_alike(sample(mask, grid.clamp(-1, 1)), ~unsure, depth * camera.focal_px)
    if not even:
        return own
    trust = shown_well(depth, normals(depth, camera), view, unsure, camera)
    share = ((trust.flip(3) - trust) / _MIRRORED).clamp(0, 1)
    # The surface ripples from row to row at the rim, and trust with it: not to change sides with every row.
    share = F.avg_pool2d(F.max_pool2d(share, 5, 1, 2), 5, 1, 2, count_include_pad=False)
    return own + share * (own.flip(3) - own)


def normals_to_view(
    normal: Float[Tensor, "b 3 s s"], grid: Float[Tensor, "b s s 2"], view: Float[Tensor, "b 6"]
) -> Float[Tensor, "b 3 s s"]:
    """Canonical normals read at the view's grid and turned with the object: unit, in the view's camera frame.

    Where the grid leaves the canonical picture the normal is (0, 0, -1), straight at the camera.
    """
    read = turned_with(view, sample(normal, grid))
    length = torch.linalg.vector_norm(read, dim=1, keepdim=True)
    facing = torch.tensor((0.0, 0.0, -1.0), dtype=read.dtype, device=read.device).view(1, 3, 1, 1)
    return torch.where(length > 1e-6, read / length.clamp(min=1e-6), facing)


@torch.no_grad()
def assemble(
    image: Float[Tensor, "1 3 s s"],
    inversion: Float[Tensor, "1 3 s s"],
    mask: Float[Tensor, "1 1 s s"],
    factors: Factors,
    latent: Float[Tensor, "l d"],
    camera: Camera,
    depth_range: DepthRange = DepthRange(),  # noqa: B008  frozen
    provenance: Provenance | None = None,
    even: bool = False,
) -> Reconstruction:
    """Render a batch of one in its own view and light and gather the record.

    Args:
        image: the photo, [0, 1].
        inversion: the generator's picture of it, [0, 1].
        mask: the object in the photo's pose, soft, 0..1.
        factors: depth [1, 1, S, S], albedo [1, 3, S, S], view [1, 6], light [1, 4], on any device.
        latent: w, one row a layer, or one row for all.
        even: see `mask_to_canonical`.
    """
    seen = render(factors, camera, depth_range)
    outline = mask_to_canonical(mask, factors.depth, seen.depth, factors.view, camera, even).clone()
    outline[..., :BORDER_COLUMNS] = 0  # the depth there is no shape, and would stand out as a wall
    outline[..., -BORDER_COLUMNS:] = 0

    def item(batch: Tensor) -> Tensor:
        return batch[0].detach().to("cpu", torch.float32, copy=True).contiguous()

    return Reconstruction(
        image=item(image),
        inversion=item(inversion),
        recon=item(seen.image),
        recon_mask=item(seen.mask),
        mask=item(mask),
        canonical_mask=item(outline),
        depth=item(factors.depth),
        depth_posed=item(seen.depth),
        normal=item(seen.normal),
        normal_posed=item(normals_to_view(seen.normal, seen.grid, factors.view)),
        albedo=item(factors.albedo),
        diffuse=item(seen.diffuse),
        shading=item(seen.shading),
        view=item(factors.view),
        light=item(factors.light),
        latent=item(latent[None]),
        camera=camera,
        depth_range=depth_range,
        provenance=provenance or Provenance(),
    )
