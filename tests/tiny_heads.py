"""Heads that are exact and small: spheres about the pivot, which look the same from every side but for the light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bozzetto.bench.datasets import encode_depth, encode_normal, to_bytes
from bozzetto.bench.npz import write_npz
from bozzetto.bench.scenes import sphere
from bozzetto.bench.stage import GAMMA
from bozzetto.geometry.pose import rotation_matrix
from bozzetto.geometry.shade import light_direction
from bozzetto.types import Camera

YAWS_DEG = (-30.0, 0.0, 30.0)
ALBEDO = torch.tensor([0.6, 0.5, 0.4])
BACKGROUND = 0.2


def lit_sphere(normal: torch.Tensor, mask: torch.Tensor, light: torch.Tensor, toward: torch.Tensor) -> np.ndarray:
    """Display picture, uint8 [H, W, 3]."""
    shading = light[0] + light[1] * (normal * toward[:, None, None]).sum(0).clamp(min=0)
    image = (ALBEDO[:, None, None] * shading) ** (1 / GAMMA)
    return to_bytes(torch.where(mask, image, torch.tensor(BACKGROUND)).permute(1, 2, 0).numpy())


def head_arrays(size: int, seed: int, yaw_deg: float) -> dict[str, np.ndarray]:
    """The compact arrays of one head; its radius and light are drawn."""
    rng = torch.Generator().manual_seed(seed)
    radius = 0.04 + 0.03 * torch.rand(1, generator=rng)
    scene = sphere(Camera(size), torch.tensor([[0.0, 0.0, 1.0]]), radius)
    normal, mask = scene.normal[0], scene.mask[0, 0]
    view = torch.zeros(6)
    view[1] = np.radians(yaw_deg)
    lights = torch.cat((torch.full((4, 1), 0.4), torch.full((4, 1), 0.5), torch.rand(4, 2, generator=rng) - 0.5), 1)
    directions = light_direction(lights)
    turned = []
    for yaw in YAWS_DEG:
        angles = torch.stack((view[:3], torch.tensor([0.0, np.radians(yaw), 0.0], dtype=torch.float32)))
        old, new = rotation_matrix(angles)
        turned.append(lit_sphere(normal, mask, lights[0], new @ old.T @ directions[0]))
    depth = torch.where(mask, scene.depth[0, 0], torch.nan).numpy()
    albedo = torch.where(mask, ALBEDO[:, None, None] ** (1 / GAMMA), torch.zeros(()))
    return {
        "image": lit_sphere(normal, mask, lights[0], directions[0]),
        "depth": encode_depth(depth),
        "canonical_depth": encode_depth(depth),
        "normal": encode_normal(normal.permute(1, 2, 0).numpy()),
        "albedo": to_bytes(albedo.permute(1, 2, 0).numpy()),
        "view": view.numpy(),
        "light": lights[0].numpy(),
        "turned_image": np.stack(turned),
        "turned_yaw_deg": np.array(YAWS_DEG, dtype=np.float32),
        "relit_image": np.stack(
            [lit_sphere(normal, mask, light, way) for light, way in zip(lights[1:], directions[1:], strict=True)]
        ),
        "relit_light": lights[1:].numpy(),
    }


def write_heads(path: Path, count: int = 4, size: int = 16, average: bool = True) -> Path:
    """A packed file of heads, every second one turned by 40 degrees."""
    heads = [head_arrays(size, seed, 40.0 * (seed % 2)) for seed in range(count)]
    arrays = {name: np.stack([head[name] for head in heads]) for name in heads[0]}
    if average:
        arrays["average_depth"] = encode_depth(np.full((size, size), 0.97, dtype=np.float32))
    write_npz(path, arrays)
    return path


def write_training(folder: Path, count: int = 6, size: int = 16) -> Path:
    """A folder as `bozzetto bench make-heads` makes it."""
    (folder / "train").mkdir(parents=True)
    for seed in range(count):
        write_npz(folder / "train" / f"{seed:06d}.npz", head_arrays(size, 100 + seed, 0.0))
    return folder
