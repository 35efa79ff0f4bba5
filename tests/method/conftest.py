"""A problem of 16 px and a schedule of a dozen iterations: everything the method does, in a blink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny_problem import SHORT, SIZE, disc, dome, some_turned

from bozzetto.config import FitConfig
from bozzetto.gan import Gan
from bozzetto.losses.discriminator import DiscriminatorFeatures
from bozzetto.method.problem import Problem
from bozzetto.method.sampling import SceneDistribution
from bozzetto.types import Camera, DepthRange

MakeProblem = Callable[..., Problem]


@pytest.fixture(scope="session")
def make_problem(random_gan: Gan) -> MakeProblem:
    def make(photos: int = 1, config: FitConfig = SHORT, **changes: object) -> Problem:
        """With turned pictures where the settings ask for them."""
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
            turned=some_turned(photos) if config.turn.use else None,
        )
        return replace(problem, **changes)  # type: ignore[arg-type]

    return make
