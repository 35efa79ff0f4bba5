"""A synthetic object of known geometry: a dome with a nose and a checker texture, in its own pose and light."""

from __future__ import annotations

import dataclasses
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bozzetto.geometry.render import look
from bozzetto.geometry.warp import sample
from bozzetto.results import Provenance, Reconstruction, assemble
from bozzetto.types import Camera, DepthRange, Factors


def dome(size: int = 32, view: tuple[float, ...] = (0.05, 0.2, 0.03, 0.004, -0.003, 0.0)) -> Reconstruction:
    """Radius 0.8 of the half picture, apex near 0.93, rim at 1, backdrop at 1.06; red left, blue right, bright top."""
    ticks = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    r2 = (x**2 + y**2) / 0.8**2
    inside = r2 < 1
    depth = torch.where(inside, 1.0 - 0.06 * (1 - r2).clamp(min=0).sqrt(), torch.full_like(x, 1.06))
    depth = depth - 0.015 * torch.exp(-((x**2 + (y - 0.1) ** 2) / 0.02))
    checker = ((torch.floor((x + 1) * 4) + torch.floor((y + 1) * 4)) % 2) * 0.25
    albedo = torch.stack((0.75 - 0.3 * (x > 0), 0.5 + 0 * x, 0.45 + 0.3 * (x > 0))) - checker + 0.15 * (y < 0)
    factors = Factors(
        depth=depth[None, None],
        albedo=albedo.clamp(0, 1)[None],
        view=torch.tensor([view]),
        light=torch.tensor([[0.45, 0.5, 0.3, 0.4]]),
    )
    camera, limits = Camera(size), DepthRange()
    disc = ((1 - r2) * 6).clamp(0, 1)[None, None]
    sight = look(factors.depth, factors.view, camera, limits)
    mask = sample(disc, sight.grid) * sight.mask
    generator = torch.Generator().manual_seed(7)
    noise = torch.rand(1, 3, size, size, generator=generator) * 0.05
    latent = torch.randn(4, 16, generator=generator)
    provenance = Provenance(input_name="dome.png", config={"steps": [3, 2, 1]}, seed=7, seconds={"prior": 1.5})
    plain = assemble(noise, noise, mask, factors, latent, camera, limits, provenance)
    photo = plain.recon[None].clamp(0, 1)
    return assemble(photo, (photo + noise).clamp(0, 1), mask, factors, latent, camera, limits, provenance)


def stepped(size: int = 32) -> Reconstruction:
    """A wall over the whole picture whose right two fifths lie behind a jump in depth, with an island of the near
    depth in their midst; seen and lit from the front."""
    scene = dome(size, (0.0,) * 6)
    depth = torch.full_like(scene.depth, 0.98)
    far = slice(3 * size // 5, size)
    depth[..., far] = 1.04
    depth[0, size // 2 : size // 2 + 4, -6:-2] = 0.98
    flat = torch.zeros_like(scene.normal)
    flat[2] = -1
    whole = torch.ones_like(scene.canonical_mask)
    return dataclasses.replace(scene, depth=depth, normal=flat, canonical_mask=whole)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Within the block the system refuses, in earnest, to let any file of this process grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
