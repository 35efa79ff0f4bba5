from __future__ import annotations

import dataclasses

import pytest
import torch
from synthetic_dome import dome

from bozzetto.export.paths import gan_lights, gan_views
from bozzetto.results import Reconstruction
from bozzetto.types import ThroughGan


@pytest.fixture(scope="session")
def scene() -> Reconstruction:
    return dome()


@pytest.fixture(scope="session")
def gan_scene(scene: Reconstruction) -> Reconstruction:
    """The scene with pictures through a GAN: flat greys, so that each picture is known by its number."""
    views, lights = gan_views(), gan_lights(scene.light)
    shape = (3, scene.size, scene.size)
    turn = torch.stack([torch.full(shape, 10 * i, dtype=torch.uint8) for i in range(len(views))])
    relight = torch.stack([torch.full(shape, 15 * i, dtype=torch.uint8) for i in range(len(lights))])
    return dataclasses.replace(scene, through_gan=ThroughGan(turn, views, relight, lights))
