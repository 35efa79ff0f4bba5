"""After the fit: the object turned and relit, and every rendering brought back to the generator's nearest picture.

As in step 2, E says where to go: w + f(E(I) - E(G(w)) + c_h) - c_w (Pan, Eq. 3 and 4). A short fit leaves E rough, so
the latents then go a few steps of their own (ours), in coordinates in which the generator's latents are a standard
normal cloud. The pictures nearest to the photo come first, and each next one sets out from its neighbour. Turned
pictures move the coarse layers alone (ours), which hold pose and shape; the finer ones keep the photo's colours. Where
the generator has a direction of its own in which objects turn, they follow that (ours): a short fit draws the far side
of an object too roughly for its renderings to be brought back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import zip_longest

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from bozzetto.config import ProjectConfig
from bozzetto.gan.generator import Gan
from bozzetto.gan.invert import InvertConfig
from bozzetto.gan.invert_loss import InvertLoss
from bozzetto.gan.whiten import Whitening, whitening
from bozzetto.geometry import shade
from bozzetto.geometry.heightfield import normals
from bozzetto.geometry.render import look
from bozzetto.geometry.warp import sample
from bozzetto.method.canonical_mask import canonical_mask
from bozzetto.method.step2_project import offsets, tail_ends
from bozzetto.method.turn import Yaw
from bozzetto.nets.offset_encoder import OffsetEncoder
from bozzetto.types import Camera, DepthRange, Factors, ThroughGan

KEY = 4  # one in so many pictures is projected; between two of them the latent moves on a straight line
STEPS = 8  # of every latent's own
RATE = 0.15  # Adam, in standard deviations of the latents; falls linearly
PULL = 0.02  # mean squared distance from the photo's latent, in standard deviations
COARSE = 4  # layers that a turn moves: pictures of 4 and 8 px (Karras et al. 2019: pose, hair, shape of the face)
SEEN = 0.7  # of an object's yaw is what its prior is tracked by (docs/log.md)
REACH = 3.5  # standard deviations that a turn goes from the photo
CHUNK = 4  # pictures at a time: no more memory than the fit takes


@torch.no_grad()
def renderings(
    factors: Factors,
    mask: Float[Tensor, "1 1 s s"],
    view: Float[Tensor, "m 6"],
    light: Float[Tensor, "m 4"],
    camera: Camera,
    depth_range: DepthRange,
) -> tuple[Float[Tensor, "m 3 s s"], Float[Tensor, "m 1 s s"]]:
    """The object under views and lights, [0, 1], as step 2 draws its pseudo images; and where it is seen.

    mask: the object in the photo's pose.
    """
    inside = canonical_mask(mask, factors.depth, factors.view, camera)
    shading = shade.shading(shade.diffuse(normals(factors.depth, camera), light), light)
    layers = torch.cat((factors.albedo * shading, inside.expand(len(light), -1, -1, -1)), dim=1)
    sight = look(factors.depth, view, camera, depth_range)
    seen = sample(layers, sight.grid)
    return seen[:, :3].clamp(0, 1), seen[:, 3:] * sight.mask


@torch.no_grad()
def first_guess(
    images: Float[Tensor, "m 3 s s"],
    latent: Float[Tensor, "l d"],
    encoder: OffsetEncoder | None,
    gan: Gan,
    cloud: Whitening,
    config: ProjectConfig,
) -> Float[Tensor, "m d"]:
    """Whitened latents that E points to; the photo's own where there is no E.

    An offset that is longer than two random latents are apart leads to where the generator was never taught to draw;
    it keeps its direction and is cut to that length.
    """
    if encoder is None:
        return cloud.from_w(latent.mean(dim=0)).expand(len(images), -1)
    before, after = tail_ends(gan, config.tail_layers)
    own = gan.image_from_w(latent[None]) / 2 + 0.5 if config.relative else None
    item = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    moved = gan.mapping_tail(offsets(encoder, images, own, item) + before, config.tail_layers) - after
    centre = latent.mean(dim=0)
    start = cloud.from_w(centre)
    way = cloud.from_w(centre + moved) - start
    length = torch.linalg.vector_norm(way, dim=1, keepdim=True)
    return start + way * (math.sqrt(2 * way.shape[1]) / length.clamp(min=1e-12)).clamp(max=1)


def outward(count: int, middle: int) -> list[list[tuple[int, int]]]:
    """The places of a row wave by wave from the middle one, each with the neighbour that it sets out from."""
    waves = [[(middle, middle)]]
    for way in range(1, count):
        steps = ((middle - way, middle - way + 1), (middle + way, middle + way - 1))
        waves.append([step for step in steps if 0 <= step[0] < count])
    return [wave for wave in waves if wave]


def walk(
    guess: Float[Tensor, "m d"],
    rows: Sequence[list[list[tuple[int, int]]]],
    refined: Callable[[Float[Tensor, "k d"], list[int]], Float[Tensor, "k d"]],
) -> Float[Tensor, "m d"]:
    """Whitened latents of rows of pictures, wave by wave: from the neighbour's, as far on as the guesses differ.

    rows: `outward` of each row, in places of the guess.
    """
    found: dict[int, Tensor] = {}
    for waves in zip_longest(*rows, fillvalue=[]):
        pairs = [pair for wave in waves for pair in wave]
        first = [found[b] + guess[a] - guess[b] if b in found else guess[a] for a, b in pairs]
        places = [a for a, _ in pairs]
        found.update(zip(places, refined(torch.stack(first), places), strict=True))
    return torch.stack([found[place] for place in range(len(guess))])


def refine(
    guess: Float[Tensor, "m d"],
    images: Float[Tensor, "m 3 s s"],
    mask: Float[Tensor, "m 1 s s"],
    latent: Float[Tensor, "l d"],
    moved: Bool[Tensor, "m l"],
    gan: Gan,
    cloud: Whitening,
    steps: int = STEPS,
    at_once: int = CHUNK,
) -> Float[Tensor, "m d"]:
    """Whitened latents after `steps` of their own toward images in [0, 1], inside their masks.

    moved: the layers that follow; see `layers_of`.
    """
    start = cloud.from_w(latent.mean(dim=0))
    config = InvertConfig(outside_weight=0.0)
    done = []
    parts = (part.split(at_once) for part in (guess, images, mask, moved))
    for part, image, inside, follow in zip(*parts, strict=True):
        distance = InvertLoss(gan, image * 2 - 1, inside, config, None)
        moving = part.detach().clone().requires_grad_(True)
        optimiser = torch.optim.Adam([moving], lr=RATE, betas=(config.beta1, config.beta2))
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = RATE * (1 - step / steps)
            w = layers_of(moving, latent, follow, cloud)
            loss = distance(w, None) + PULL * (moving - start).square().mean(dim=1)
            optimiser.zero_grad(set_to_none=True)
            loss.sum().backward()
            optimiser.step()
        done.append(moving.detach())
    return torch.cat(done)


def layers_of(
    whitened: Float[Tensor, "n d"], latent: Float[Tensor, "l d"], moved: Bool[Tensor, "n l"], cloud: Whitening
) -> Float[Tensor, "n l d"]:
    """w of every layer: the photo's own; moved layers go by as much as the whitened latent is away from its mean."""
    way = cloud.to_w(whitened) - latent.mean(dim=0)
    return latent + moved[:, :, None].to(way.dtype) * way[:, None]


def along(yaw: Yaw, latent: Float[Tensor, "l d"], view: Float[Tensor, "n 6"], cloud: Whitening) -> Float[Tensor, "n d"]:
    """Whitened latents of the photo's object turned by the yaws of views, as far as REACH lets it."""
    far = (SEEN * view[:, 1] / yaw.rad).clamp(-REACH, REACH)
    return cloud.from_w(latent.mean(dim=0)) + far[:, None] * yaw.direction


def between(keys: Float[Tensor, "k d"], count: int) -> Float[Tensor, "n d"]:
    """`count` rows on the straight lines from key to key, evenly spaced; the keys are among them where that fits."""
    place = torch.linspace(0, len(keys) - 1, count, dtype=torch.float64, device=keys.device)
    left = place.floor().long().clamp(max=max(len(keys) - 2, 0))
    right = (left + 1).clamp(max=len(keys) - 1)
    return torch.lerp(keys[left], keys[right], (place - left)[:, None].to(keys.dtype))


@torch.no_grad()
def drawn(
    whitened: Float[Tensor, "n d"],
    latent: Float[Tensor, "l d"],
    moved: Bool[Tensor, "n l"],
    gan: Gan,
    cloud: Whitening,
    at_once: int = CHUNK,
) -> UInt8[Tensor, "n 3 s s"]:
    """The generator's pictures of latents, 0 to 255, on the CPU; moved as in `refine`."""
    parts = [gan.image_from_w(w) for w in layers_of(whitened, latent, moved, cloud).split(at_once)]
    scaled = (torch.cat(parts) / 2 + 0.5).clamp(0, 1) * 255
    return scaled.round().to(torch.uint8).cpu()


def through_gan(
    factors: Factors,
    mask: Float[Tensor, "1 1 s s"],
    latent: Float[Tensor, "l d"],
    encoder: OffsetEncoder | None,
    gan: Gan,
    camera: Camera,
    depth_range: DepthRange,
    turn_view: Float[Tensor, "n 6"],
    relight_light: Float[Tensor, "m 4"],
    config: ProjectConfig,
    steps: int = STEPS,
    at_once: int = CHUNK,
    yaw: Yaw | None = None,
) -> ThroughGan:
    """The generator's pictures of one object along a row of views and a row of lights.

    Args:
        factors: of one photo; its view and light are those of the photo.
        mask: the object in the photo's pose.
        latent: w of the photo.
        encoder: E of the fit; None where none was trained: every latent sets out from the photo's or its neighbour's.
        turn_view: views, in the photo's light.
        relight_light: lights, in the photo's pose.
        config: how E's answer was used in step 2.
        steps: of every latent's own; 0 is E alone.
        at_once: pictures held at a time.
        yaw: how the generator turns its objects; None, or one of little turn: turned renderings are brought back.
    """
    device = gan.device
    factors = Factors(*(part.to(device) for part in vars(factors).values()))
    leads = yaw is not None and yaw.turns
    turns, lights = turn_view.to(device)[: 0 if leads else None : KEY], relight_light.to(device)[::KEY]
    view = torch.cat((turns, factors.view.expand(len(lights), -1)))
    light = torch.cat((factors.light.expand(len(turns), -1), lights))
    images, seen = renderings(factors, mask.to(device), view, light, camera, depth_range)
    latent, cloud = latent.to(device).expand(gan.info.num_ws, -1), whitening(gan)
    guess = first_guess(images, latent, encoder, gan, cloud, config)
    every = torch.ones(1, len(latent), dtype=torch.bool, device=device)
    coarse = every.cumsum(dim=1) <= COARSE
    moved = torch.cat((coarse.expand(len(turns), -1), every.expand(len(lights), -1)))
    # Where the photo itself stands in either row.
    way = (lights - factors.light)[:, 2:].norm(dim=1).argmin()
    rows = [[[(a + len(turns), b + len(turns)) for a, b in wave] for wave in outward(len(lights), int(way))]]
    if not leads:
        rows.insert(0, outward(len(turns), int((turns - factors.view)[:, 1].abs().argmin())))
    found = walk(
        guess,
        rows,
        lambda first, places: refine(
            first, images[places], seen[places], latent, moved[places], gan, cloud, steps, at_once
        ),
    )
    if yaw is not None and leads:
        turned = along(yaw, latent, turn_view.to(device) - factors.view, cloud)
    else:
        turned = between(found[: len(turns)], len(turn_view))
    relit = between(found[len(turns) :], len(relight_light))
    return ThroughGan(
        turn=drawn(turned, latent, coarse.expand(len(turned), -1), gan, cloud, at_once),
        turn_view=turn_view.cpu(),
        relight=drawn(relit, latent, every.expand(len(relit), -1), gan, cloud, at_once),
        relight_light=relight_light.cpu(),
    )
