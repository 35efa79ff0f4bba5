"""A problem of 16 px and a schedule of a dozen iterations: everything the method does, in a blink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from bozzetto.config import FitConfig, OptimConfig, PriorConfig, ProjectConfig, Stage
from bozzetto.gan import Gan
from bozzetto.losses.discriminator import DiscriminatorFeatures
from bozzetto.method.problem import Problem
from bozzetto.method.sampling import SceneDistribution
from bozzetto.types import Camera, DepthRange

SIZE = 16
MakeProblem = Callable[..., Problem]

SHORT = FitConfig(
    stages=(Stage(2, 2, 2, samples=2, mirror=True, mirror_albedo=True), Stage(1, 1, 1, samples=3)),
    optim=OptimConfig(lr=1e-4, prior_lr=3e-4),
    project=ProjectConfig(collect_batches=2),
    prior=PriorConfig(iterations=2, threshold=0.0),
)


def disc(radius: float) -> torch.Tensor:
    """Soft mask [1, 1, S, S]."""
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, SIZE)] * 2, indexing="ij")
    return torch.sigmoid((radius - (u**2 + v**2).sqrt()) * 10)[None, None]


def dome(height: float) -> torch.Tensor:
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, SIZE)] * 2, indexing="ij")
    return (1.03 - height * torch.exp(-2 * (u**2 + v**2)))[None, None]


@pytest.fixture(scope="session")
def make_problem(random_gan: Gan) -> MakeProblem:
    def make(photos: int = 1, config: FitConfig = SHORT, **changes: object) -> Problem:
        latent = random_gan.w_samples(photos, seed=1)[:, None].expand(-1, random_gan.info.num_ws, -1)
        with torch.no_grad():
            photo = (random_gan.image_from_w(latent) / 2 + 0.5).clamp(0, 1)
        noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(3))
        problem = Problem(
            photo=0.8 * photo + 0.2 * noise,
            mask=torch.cat([disc(0.9 - 0.1 * i) for i in range(photos)]),
            latent=latent,
            prior=torch.cat([dome(0.05 + 0.02 * i) for i in range(photos)]),
            gan=random_gan,
            perceptual=DiscriminatorFeatures(random_gan),
            scenes=SceneDistribution(),
            camera=Camera(SIZE),
            depth_range=DepthRange(),
            config=config,
        )
        return replace(problem, **changes)  # type: ignore[arg-type]

    return make
