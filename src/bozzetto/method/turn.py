"""How the object is turned in the photo, found from the generator alone.

The straight line in latent space from the photo's w to its mirror image's passes, halfway, a picture of the object
seen from the front under even light: whatever the mirror swaps (yaw, roll, the light's side) cancels there. Its
pictures show the object turning from one side to the other. `turn` lays the prior shape under the halfway picture and
tracks it along the line, which gives each picture a view and a light, and the fit its canonical frame.

A photo that looks straight ahead has no turn of its own to show. So the halfway latent is also moved along the
direction in which the generator turns its objects, the same for all photos (`find_yaw`); these pictures are tracked
likewise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.config import TurnConfig
from bozzetto.gan.generator import Gan
from bozzetto.gan.odd import odd_directions
from bozzetto.gan.start import StartTable
from bozzetto.gan.whiten import Whitening, whitening
from bozzetto.geometry import shade
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.pose import mirror_view
from bozzetto.geometry.render import look
from bozzetto.geometry.warp import sample
from bozzetto.method.initialise import even_albedo
from bozzetto.method.problem import Turned
from bozzetto.priors.registry import prior_depth
from bozzetto.types import Camera, DepthRange

# A view is tracked in steps of what it usually is: pitch, yaw, roll [rad], shifts [scene units]; depth stays.
STEP = (0.15, 0.3, 0.1, 0.006, 0.006, 0.0)
ODD = (0.0, 1.0, 1.0, 1.0, 0.0, 0.0)  # what changes sign under the mirror grows with the way from halfway
REST_WEIGHT = 0.003  # pull toward no turn, per squared step
LIGHT_ITERATIONS = 150
PROBES = 3  # pictures to either side
PROBE = 3.0  # standard deviations to either side, at which `find_yaw` looks
TURNS = 0.06  # radians a standard deviation; a generator that turns less is not asked to
FARTHEST = 4.0  # standard deviations; beyond, pictures are no longer of the kind


@dataclass(frozen=True)
class Path:
    """Pictures of the way, each in two versions that show the same view: from this side, and mirrored back."""

    share: Float[Tensor, "k"]  # of the way: 0 would be halfway, 1 is the photo
    images: Float[Tensor, "k 2 b 3 s s"]  # [0, 1]
    masks: Float[Tensor, "k b 1 s s"]
    halfway: Float[Tensor, "b 3 s s"]  # symmetric


def blur(image: Float[Tensor, "b c h w"], sigma_px: float) -> Float[Tensor, "b c h w"]:
    """Gaussian blur with repeated edges."""
    radius = int(3 * sigma_px)
    ticks = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-(ticks**2) / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum()).expand(image.shape[1], 1, 1, -1)
    padded = F.pad(image, (radius,) * 4, mode="replicate")
    padded = F.conv2d(padded, kernel, groups=image.shape[1])
    return F.conv2d(padded, kernel.transpose(2, 3), groups=image.shape[1])


def local_contrast(image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
    """What stands out of its neighbourhood, in units of the neighbourhood's own contrast: blind to light."""
    unit = image.shape[-1] / 64
    fine = image - blur(image, 4 * unit)
    return fine / (blur(fine.square(), 8 * unit).sum(1, keepdim=True).sqrt() + 0.02)


@torch.no_grad()
def make_path(
    photo: Float[Tensor, "b 3 s s"],
    mask: Float[Tensor, "b 1 s s"],
    latent: Float[Tensor, "b l d"],
    mirror_latent: Float[Tensor, "b l d"],
    gan: Gan,
    steps: int,
) -> Path:
    """Pictures from halfway (not included) to the photo, which takes the place of its own inversion at the end."""
    share = torch.arange(1, steps + 1, device=photo.device, dtype=photo.dtype) / steps
    b = len(photo)
    middle, half = (latent + mirror_latent) / 2, (latent - mirror_latent) / 2
    ways = torch.cat((torch.zeros_like(share[:1]), share, -share))
    w = middle + ways[:, None, None, None] * half
    images = (gan.image_from_w(w.flatten(0, 1)) / 2 + 0.5).clamp(0, 1).unflatten(0, (len(ways), b))
    this_side, other_side = images[1 : steps + 1].clone(), images[steps + 1 :].flip(-1)
    this_side[-1] = photo
    towards = (0.5 + share / 2)[:, None, None, None, None]
    masks = mask * towards + mask.flip(3) * (1 - towards)
    halfway = (images[0] + images[0].flip(-1)) / 2
    return Path(share, torch.stack((this_side, other_side), 1), masks, halfway)


def _misfit(
    view: Float[Tensor, "n 6"],
    halfway: Float[Tensor, "n 3 s s"],
    target: Float[Tensor, "n 3 s s"],
    mask: Float[Tensor, "n 1 s s"],
    depth: Float[Tensor, "n 1 s s"],
    camera: Camera,
    depth_range: DepthRange,
    sigma_px: float,
) -> Float[Tensor, "n"]:
    """Mean difference of local contrast between the halfway picture turned on the prior and a target."""
    sight = look(depth, view, camera, depth_range)
    weight = sight.mask * mask
    away = blur(sample(halfway, sight.grid), sigma_px) - blur(target, sigma_px)
    error = (away.abs().mean(1, keepdim=True) * weight).sum((1, 2, 3))
    return error / weight.sum((1, 2, 3)).clamp(min=1)


def track(
    path: Path, depth: Float[Tensor, "b 1 s s"], camera: Camera, depth_range: DepthRange, iterations: int
) -> Float[Tensor, "b 6"]:
    """The photo's view: the path's first pictures are aligned one after another, then all of it at once.

    Pictures near the photo differ from the halfway one by more than pose, so the way there is taken as straight: yaw,
    roll and sideways shift grow in proportion, pitch and height with the square.
    """
    unit = camera.size / 64
    step = depth.new_tensor(STEP)
    odd = depth.new_tensor(ODD)
    source = local_contrast(path.halfway)
    b, k = len(depth), len(path.share)
    targets = local_contrast(path.images.flatten(0, 2)).unflatten(0, (k, 2, b))

    def descend(start: Tensor, which: list[int]) -> Tensor:
        way = path.share[which][:, None, None, None]  # [k', 1, 1, 1]
        slope = start.clone().requires_grad_()
        optimiser = torch.optim.Adam([slope], lr=0.05)
        n = len(which) * 2
        target = targets[which].flatten(0, 2)
        mask = path.masks[which][:, None].expand(-1, 2, -1, -1, -1, -1).flatten(0, 2)
        repeated = [t.repeat(n, 1, 1, 1) for t in (source, depth)]
        for i in range(iterations):
            optimiser.param_groups[0]["lr"] = 0.05 if i < 0.6 * iterations else 0.015
            sigma = (1.5 if i < iterations // 2 else 0.8) * unit
            views = (slope * step * (odd * way + (1 - odd) * way**2)).expand(-1, 2, -1, -1).flatten(0, 2)
            error = _misfit(views, repeated[0], target, mask, repeated[1], camera, depth_range, sigma)
            loss = error.sum() * 2 / n + REST_WEIGHT * slope.square().sum()
            optimiser.zero_grad()
            torch.autograd.backward([loss], inputs=[slope])
            optimiser.step()
        return slope.detach()

    slope = torch.zeros((b, 6), dtype=depth.dtype, device=depth.device)
    for last in range(min(3, k)):
        slope = descend(slope, list(range(last + 1)))
    return descend(slope, list(range(k))) * step


@dataclass(frozen=True)
class Yaw:
    """The direction of whitened latents in which a generator turns its objects."""

    direction: Float[Tensor, " d"]  # unit; forward is a positive yaw
    rad: float  # yaw of one standard deviation, as tracked

    @property
    def turns(self) -> bool:
        """Whether that is a turn worth following."""
        return self.rad >= TURNS

    @torch.no_grad()
    def path(
        self,
        middle: Float[Tensor, "b l d"],
        mask: Float[Tensor, "b 1 s s"],
        gan: Gan,
        cloud: Whitening,
        config: TurnConfig,
    ) -> Path:
        """From latents that look straight ahead to either side, as far as the settings say and the generator can."""
        far = min(math.radians(config.wide_deg) / max(self.rad, 1e-9), FARTHEST) * self.direction
        start = cloud.from_w(middle)
        this_side, other_side = cloud.to_w(start + far), cloud.to_w(start - far)
        end = (gan.image_from_w(this_side) / 2 + 0.5).clamp(0, 1)
        return make_path(end, mask, this_side, other_side, gan, config.wide_steps)


@torch.no_grad()
def find_yaw(
    odd: Float[Tensor, "k d"],
    prior: Float[Tensor, "1 1 s s"],
    gan: Gan,
    camera: Camera,
    depth_range: DepthRange,
    config: TurnConfig,
) -> Yaw:
    """Which way of the odd directions turns the object: the prior is tracked along each of them from the mean latent,
    and they are added up in proportion to the yaws that are found.

    Args:
        odd: see `gan.odd`.
        prior: a symmetric shape for the whole picture, scene units.
    """
    probe = replace(config, wide_deg=math.degrees(PROBE), wide_steps=PROBES)
    cloud = whitening(gan)
    middle = cloud.to_w(torch.zeros_like(odd[:1]))[:, None].expand(-1, gan.info.num_ws, -1)
    everything = torch.ones_like(prior)

    def tracked(direction: Tensor) -> Tensor:  # one at a time: no more memory than a photo's own turn takes
        path = Yaw(direction, 1.0).path(middle, everything, gan, cloud, probe)
        with torch.enable_grad():
            return track(path, prior, camera, depth_range, config.iterations)[0, 1]

    sum_of = sum((tracked(one) * one for one in odd), torch.zeros_like(odd[0]))
    direction = sum_of / torch.linalg.vector_norm(sum_of).clamp(min=1e-12)
    reached = float(tracked(direction))
    return Yaw(direction if reached >= 0 else -direction, abs(reached) / PROBE)


def yaw_of_generator(
    category: str,
    table: StartTable,
    gan: Gan,
    camera: Camera,
    depth_range: DepthRange,
    config: TurnConfig,
) -> Yaw:
    """`find_yaw` with samples of the generator and the category's ellipsoid for a whole picture.

    It belongs to the generator and not to a fit: flat priors, such as a box that fills the picture, show no turn.
    """
    everything = torch.ones(1, 1, camera.size, camera.size)
    prior = prior_depth("ellipsoid", everything, depth_range, category)
    odd = odd_directions(table, config.directions)
    return find_yaw(odd, ((prior + prior.flip(3)) / 2).to(gan.device), gan, camera, depth_range, config)


def estimate_light(
    image: Float[Tensor, "n 3 s s"],
    albedo: Float[Tensor, "n 3 s s"],
    mask: Float[Tensor, "n 1 s s"],
    normal: Float[Tensor, "n 3 s s"],
    view: Float[Tensor, "n 6"],
    depth: Float[Tensor, "n 1 s s"],
    camera: Camera,
    depth_range: DepthRange,
) -> Float[Tensor, "n 4"]:
    """Ambient, diffuse and direction that turn the albedo, on the prior's normals, into each image."""
    unit = camera.size / 64
    sight = look(depth, view, camera, depth_range)
    weight = mask * sight.mask
    raw = torch.zeros((len(image), 4), dtype=image.dtype, device=image.device, requires_grad=True)
    optimiser = torch.optim.Adam([raw], lr=0.05)
    target = blur(image, 2 * unit)
    for _ in range(LIGHT_ITERATIONS):
        light = bounded_light(raw)
        lit = albedo * shade.shading(shade.diffuse(normal, light), light)
        away = (blur(sample(lit, sight.grid), 2 * unit) - target).abs().mean(1, keepdim=True) * weight
        loss = (away.sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1)).sum() + 0.002 * raw.square().sum()
        optimiser.zero_grad()
        torch.autograd.backward([loss], inputs=[raw])
        optimiser.step()
    return bounded_light(raw).detach()


def bounded_light(raw: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """Strengths in (0, 1), direction in (-1, 1), as the light network can put them out."""
    return torch.cat((raw[:, :2].tanh() / 2 + 0.5, raw[:, 2:].tanh()), 1)


def turn(
    photo: Float[Tensor, "b 3 s s"],
    mask: Float[Tensor, "b 1 s s"],
    latent: Float[Tensor, "b l d"],
    mirror_latent: Float[Tensor, "b l d"],
    prior: Float[Tensor, "b 1 s s"],
    gan: Gan,
    camera: Camera,
    depth_range: DepthRange,
    config: TurnConfig,
    yaw: Yaw | None = None,
) -> Turned:
    """Pictures of the object with view and light: from halfway to the photo, to its mirror image, and halfway itself.

    Args:
        prior: a symmetric depth, scene units; the shape that is laid under the halfway picture.
        yaw: how the generator turns its objects; None, or one of little turn, for no pictures beyond these.

    Returns:
        2 k + 1 pictures for k = config.steps: number k - 1 is the photo, number k + i mirrors the view of number i,
        and the last, halfway, has the view of zeros. With `yaw` 2 config.wide_steps more before that one, turned to
        either side.
    """
    path = make_path(photo, mask, latent, mirror_latent, gan, config.steps)
    own = _tracked(path, prior, camera, depth_range, config.iterations)
    if yaw is None or not yaw.turns:
        return own
    wider = yaw.path((latent + mirror_latent) / 2, (mask + mask.flip(-1)) / 2, gan, whitening(gan), config)
    beyond = _tracked(wider, prior, camera, depth_range, config.iterations).part(0, 2 * config.wide_steps)
    return own.part(0, 2 * config.steps).joined(beyond).joined(own.part(2 * config.steps, None))


def _tracked(
    path: Path, prior: Float[Tensor, "b 1 s s"], camera: Camera, depth_range: DepthRange, iterations: int
) -> Turned:
    """The path's pictures from this side, from the other and from halfway, with view and light."""
    slope = track(path, prior, camera, depth_range, iterations)
    odd = slope.new_tensor(ODD)
    way = path.share[:, None, None]
    views = slope * (odd * way + (1 - odd) * way**2)  # [k, b, 6]
    halfway_view = torch.zeros_like(views[:1])
    images = torch.cat((path.images[:, 0], path.images[:, 1].flip(-1), path.halfway[None]))
    view = torch.cat((views, mirror_view(views.flatten(0, 1)).unflatten(0, views.shape[:2]), halfway_view))
    even = (path.masks[-1] + path.masks[-1].flip(-1)) / 2
    masks = torch.cat((path.masks, path.masks.flip(-1), even[None]))
    n = len(images)
    repeat = lambda t: t.repeat(n, 1, 1, 1)  # noqa: E731
    light = estimate_light(
        images.flatten(0, 1),
        repeat(even_albedo(path.halfway)),
        masks.flatten(0, 1),
        repeat(normals(prior, camera)),
        view.flatten(0, 1),
        repeat(prior),
        camera,
        depth_range,
    ).unflatten(0, (n, -1))
    return Turned(images, view, light)
