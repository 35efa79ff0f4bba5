"""Random pictures of a generator, and how far they are from real ones."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bozzetto.errors import MissingExtraError
from bozzetto.gan.protocol import GeneratorNet
from bozzetto.gan.training.images import to_network
from bozzetto.gan.training.trainer import step_generator
from bozzetto.losses.stlpips import MIN_SIZE, make_stlpips
from bozzetto.metrics.frechet import frechet_distance
from bozzetto.precision import resolve

LEAST_SIZE = MIN_SIZE  # px, of pictures whose distance can be measured
SAMPLES = 36  # pictures of a grid, always of the same latents
DISTANCE = "frechet_stlpips"
DISTANCE_SCALE = 1000.0  # features have unit length, so their distances are small


@torch.no_grad()
def draw_samples(net: GeneratorNet, seed: int, count: int = SAMPLES, stream: int = 3) -> Float[Tensor, "n 3 s s"]:
    """Pictures in [0, 1], always of the same latents for the same seed and stream, with the stored noise."""
    z = torch.randn(count, net.spec.z_dim, generator=step_generator(seed, 0, stream))
    parts = []
    for part in z.to(next(net.parameters()).device).split(32):
        w = net.mapping(part)[:, None].expand(-1, net.spec.num_ws, -1)
        parts.append(net.synthesis(w, net.synthesis.noises()).cpu())
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


@torch.no_grad()
def measure_distance(
    net: GeneratorNet, images: UInt8[Tensor, "n 3 s s"], count: int, seed: int = 0
) -> dict[str, float] | None:
    """The Frechet distance between real and generated pictures in the coarsest features of stlpips' network, averaged
    over the picture, times 1000. Not "FID": the network is another.

    Returns:
        frechet_stlpips, and frechet_stlpips_real: the same between two sets of real pictures, the least that can be
        expected of this count (only where there are twice as many). None where the network is not installed.
    """
    device = next(net.parameters()).device
    try:
        trunk = make_stlpips(device, resolve("auto", device))
    except MissingExtraError:
        return None

    def features(pictures: Tensor) -> Tensor:
        return torch.cat([trunk.features(p.to(device))[-1].mean((2, 3)).cpu() for p in pictures.split(64)])

    def real(index: Tensor) -> Tensor:
        return features(to_network(images[index]) / 2 + 0.5)

    order = torch.randperm(len(images), generator=step_generator(seed, 0, 4))
    first = real(order[:count])
    found = {DISTANCE: frechet_distance(first, features(draw_samples(net, seed, count, stream=5)))}
    if len(images) >= 2 * count:
        found[f"{DISTANCE}_real"] = frechet_distance(first, real(order[count : 2 * count]))
    return {name: round(DISTANCE_SCALE * value, 3) for name, value in found.items()}
