"""A toy head model: an egg with two eyeballs and a lash, enough for every step of the head renderer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

NAMES = (
    *("jawOpen", "mouthPucker"),
    *(
        stem + side
        for stem in (
            *("mouthSmile", "mouthFrown", "mouthUpperUp", "mouthLowerDown", "browInnerUp", "browDown", "browOuterUp"),
            *("eyeBlink", "eyeWide", "cheekSquint", "eyeLookOut", "eyeLookIn", "eyeLookUp", "eyeLookDown"),
        )
        for side in ("_L", "_R")
    ),
)
MATERIALS = ("M_Face", "M_BackHead", "M_GumsTongue", "M_Teeth", "M_ScleraLeft", "M_ScleraRight", "M_EyeLashes")


def ball(centre: tuple[float, float, float], radius: float, rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and outward triangles of a latitude-longitude sphere."""
    polar = np.linspace(0, np.pi, rings + 1)[:, None]
    round_ = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)[None]
    unit = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.cos(round_), np.sin(polar) * np.sin(round_), np.cos(polar)), -1
    )
    index = np.arange((rings + 1) * 2 * rings).reshape(rings + 1, 2 * rings)
    a, b = index[:-1], index[1:]
    right_a, right_b = np.roll(a, -1, 1), np.roll(b, -1, 1)
    triangles = np.concatenate(
        [np.stack([a, b, right_a], -1).reshape(-1, 3), np.stack([right_a, b, right_b], -1).reshape(-1, 3)]
    )
    return np.array(centre) + radius * unit.reshape(-1, 3), triangles


@pytest.fixture(scope="session")
def make_ball() -> Callable[[tuple[float, float, float], float, int], tuple[np.ndarray, np.ndarray]]:
    return ball


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = [("M_Face", *ball((0, 0, 4), 8.0, 48))]
    parts += [("M_ScleraLeft", *ball((3.1, 3.6, 10), 1.5, 8)), ("M_ScleraRight", *ball((-3.1, 3.6, 10), 1.5, 8))]
    parts += [("M_EyeLashes", *ball((3.1, 4.6, 11), 0.4, 4)), ("M_Teeth", *ball((0, -3, 8), 0.4, 4))]
    vertices, triangles, material, count = [], [], [], 0
    for name, v, t in parts:
        vertices.append(v)
        triangles.append(t + count)
        material.append(np.full(len(t), MATERIALS.index(name), dtype=np.uint8))
        count += len(v)
    mean = np.concatenate(vertices).astype(np.float32)
    marks = np.zeros((68, 2))
    marks[17:22] = [(-5.8, 5.2), (-4.9, 5.9), (-3.8, 6.2), (-2.4, 6.2), (-1.2, 5.9)]
    marks[22:27] = marks[17:22][::-1] * (-1, 1)
    turn = np.linspace(np.pi, -np.pi, 12, endpoint=False)
    marks[48:60] = np.stack([2.5 * np.cos(turn), -3.4 + 0.9 * np.sin(turn)], 1)
    face = mean[: len(vertices[0])]
    landmarks = [int(np.argmin(np.hypot(*(face[:, :2] - m).T) + 100 * (face[:, 2] < 4))) for m in marks]
    rng = np.random.default_rng(0)
    identity = np.stack([0.05 * rng.standard_normal(3) * mean for _ in range(3)])
    path = tmp_path_factory.mktemp("model") / "toy.npz"
    np.savez(
        path,
        mean=mean,
        triangles=np.concatenate(triangles).astype(np.int32),
        triangle_material=np.concatenate(material),
        material_names=np.array(MATERIALS),
        identity=identity.astype(np.float16),
        expression=(0.1 * rng.standard_normal((len(NAMES), *mean.shape))).astype(np.float16) * 0,
        expression_names=np.array(NAMES),
        landmarks68=np.array(landmarks, dtype=np.int32),
    )
    return path
