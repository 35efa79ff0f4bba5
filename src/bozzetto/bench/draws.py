"""What is drawn alike for heads of every family: the generator of a head, pose, light and background."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SPLITS = ("train", "val", "test")  # the order is part of the seed


def head_generator(seed: int, split: str, index: int) -> np.random.Generator:
    """The generator of one head; depends on nothing but (seed, split, index)."""
    return np.random.default_rng(np.random.SeedSequence((seed, SPLITS.index(split), index)))


def sample_pose_rad(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """Pitch, yaw, roll: normal with 8, 20, 4 degrees, clipped at 25, 50, 12."""
    return np.radians(np.clip(rng.standard_normal(3) * (8, 20, 4), (-25, -50, -12), (25, 50, 12)))


def sample_light(rng: np.random.Generator) -> Float[np.ndarray, " 4"]:
    """Ambient, diffuse, dx, dy, uniform: 0.3 to 0.65, 0.35 to 0.8, -1 to 1, -0.4 to 0.9 (above)."""
    return rng.uniform((0.3, 0.35, -1.0, -0.4), (0.65, 0.8, 1.0, 0.9))


def sample_background(rng: np.random.Generator) -> tuple[Float[np.ndarray, "2 3"], Float[np.ndarray, "k 6"]]:
    """Display RGB at the gradient's two ends; and blurred blobs: x, y, radius (picture widths), RGB added."""
    hue, value = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.92)
    saturation = rng.uniform(0.12, 0.24) if rng.random() < 0.1 else 0.13 * rng.beta(1.2, 2.2)
    ends = []
    for _ in range(2):
        angle = hue + 0.3 * rng.standard_normal() + np.array([0, -2.1, 2.1])
        tone = value * (1 + 0.7 * saturation * (np.cos(angle) - 0.2))
        ends.append(np.clip(tone + 0.08 * rng.standard_normal(), 0.02, 0.98))
    count = rng.integers(0, 4)
    place = rng.uniform((-0.1, -0.1, 0.15), (1.1, 1.1, 0.5), (count, 3))
    added = 0.09 * rng.standard_normal((count, 1)) + 0.025 * rng.standard_normal((count, 3))
    return np.stack(ends), np.concatenate([place, added], 1)
