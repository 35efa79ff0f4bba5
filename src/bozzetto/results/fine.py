"""The canonical albedo once more, as fine as the photo: what exports paint the object with.

Depth, light and trust are known at the generator's size alone, and so is what the photo hides. So the fine picture is
the small albedo enlarged, and on it the photo's own detail: what it shows more of each point than the small photo
does. Where the photo is believed this is the photo itself, unshaded; where it is not, detail fades into the albedo.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from bozzetto.export.matting import resample_smooth
from bozzetto.geometry import shade
from bozzetto.geometry.camera import project, to_normalised, unproject
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.pose import move
from bozzetto.geometry.warp import resize_grid, sample
from bozzetto.results.carried import DARKEST, lift
from bozzetto.results.reconstruction import Reconstruction
from bozzetto.types import Camera

# Trust in a point and all about it: below the first it has no detail, above the second all of it. Beside a point that
# is not trusted the small photo holds the backdrop's colours and the large one does not, which is no detail.
_UNSURE, _SURE = 0.1, 0.4
# The own side's share of both sides' trust: below the first the mirror side gives the detail, above the second the own
# one. No two sides of a face match in a hair or a lash, so that both together would show everything twice.
_MIRROR, _OWN = 0.4, 0.6


@torch.no_grad()
def photo_texture(photo: UInt8[Tensor, "3 t t"], result: Reconstruction) -> UInt8[Tensor, "3 t t"]:
    """The albedo at a larger size, of a result whose albedo is `photo_albedo`.

    Args:
        photo: the same square of the photo as the result's, T > S pixels a side.
        result: a batch of one's record; its albedo is what the texture is where the photo shows nothing.

    Returns:
        0 to 255, T a side; corner pixel centres lie where the small albedo's do, as the camera's convention asks.
    """
    size, small = photo.shape[-1], result.factors()
    own = lift(result.image[None], result.mask[None], small, result.camera, result.depth_range)

    camera = Camera(size, result.camera.fov_deg)
    depth = resample_smooth(small.depth, size)
    points = move(unproject(depth, camera).flatten(1, 2), small.view)
    grid = to_normalised(project(points, camera), camera).reshape(1, size, size, 2).clamp(-1, 1)
    shading = shade.shading(shade.diffuse(normals(depth, camera), small.light), small.light)
    seen = sample(photo[None] / 255, grid * _same_place(result.size, size))
    colour = (seen / shading.clamp(min=DARKEST)).clamp(0, 1)

    detail = colour - resize_grid(own.colour, size)
    mine, other = _shares(own.trust)
    detail = resize_grid(mine, size) * detail + resize_grid(other, size) * detail.flip(3)
    fine = resize_grid(small.albedo, size) + detail
    return (fine[0].clamp(0, 1) * 255).round().to(torch.uint8)


def _same_place(small: int, large: int) -> float:
    """Factor from a place in the small photo to the same in the large one, both [-1, 1] with corner pixel centres at
    the ends: two pictures of one square have their outer edges in common and not those centres."""
    return (small - 1) / small * large / (large - 1)


def _shares(trust: Float[Tensor, "1 1 s s"]) -> tuple[Float[Tensor, "1 1 s s"], Float[Tensor, "1 1 s s"]]:
    """How much detail each point takes from its own side and from the mirror side; the rest is none."""
    total = trust + (1 - trust) * trust.flip(3)
    own = ((trust / total.clamp(min=1e-6) - _MIRROR) / (_OWN - _MIRROR)).clamp(0, 1)
    least = -F.max_pool2d(-trust, 3, stride=1, padding=1)
    sure = ((least - _UNSURE) / (_SURE - _UNSURE)).clamp(0, 1)
    return own * sure, (1 - own) * sure.flip(3)
