"""Settings, masks, shapes and turned pictures of a problem of 16 px."""

from __future__ import annotations

from dataclasses import replace

import torch

from bozzetto.config import (
    ComputeConfig,
    FitConfig,
    LossConfig,
    NetConfig,
    OptimConfig,
    PriorConfig,
    ProjectConfig,
    Stage,
    TurnConfig,
)
from bozzetto.method.problem import Turned

SIZE = 16


SHORT = FitConfig(
    stages=(Stage(2, 2, 2, samples=2, mirror=True, mirror_albedo=True), Stage(1, 1, 1, samples=3)),
    optim=OptimConfig(lr=1e-4, prior_lr=3e-4),
    project=ProjectConfig(collect_batches=2),
    prior=PriorConfig(iterations=2, threshold=0.0),
    nets=NetConfig(width=0.25),
)


def disc(radius: float) -> torch.Tensor:
    """Soft mask [1, 1, S, S]."""
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, SIZE)] * 2, indexing="ij")
    return torch.sigmoid((radius - (u**2 + v**2).sqrt()) * 10)[None, None]


def dome(height: float) -> torch.Tensor:
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, SIZE)] * 2, indexing="ij")
    return (1.03 - height * torch.exp(-2 * (u**2 + v**2)))[None, None]


# All that the papers do not have: turned pictures, V and L taught, the depth held to the prior, thin networks in
# bfloat16, and a learning rate of each step's own.
EVERYTHING = replace(
    SHORT,
    stages=(Stage(2, 3, 3, samples=4, mirror=True, mirror_albedo=True),),
    optim=OptimConfig(lr=2e-4, prior_lr=5e-4, project_lr=3e-4, final_lr=0.1),
    loss=LossConfig(smooth_depth_weight=6.0, prior_weight=0.5),
    project=ProjectConfig(collect_batches=2, teach=True),
    turn=TurnConfig(use=True, share=0.5),
    nets=NetConfig(width=0.5),
    compute=ComputeConfig(precision="bf16", gan_precision="bf16"),
)


def some_turned(photos: int, count: int = 3) -> Turned:
    """Pictures [count, photos, 3, S, S] with small views and moderate lights."""
    generator = torch.Generator().manual_seed(11)
    images, view, light = (torch.rand(count, photos, *n, generator=generator) for n in ((3, SIZE, SIZE), (6,), (4,)))
    scale = torch.tensor((0.3, 0.6, 0.2, 0.02, 0.02, 0.0))
    return Turned(images, (view - 0.5) * scale, light * torch.tensor((0.8, 0.8, 1.0, 1.0)))
