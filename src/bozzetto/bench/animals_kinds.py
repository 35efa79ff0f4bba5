"""The measures of animals' heads: what each kind is like in the mean, and how single animals vary.

Lengths are in half widths of the skull; x to the viewer's right, y up, z toward the viewer, the skull's middle at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

Ears = Literal["pricked", "round", "hanging"]


@dataclass(frozen=True)
class AnimalShape:
    """The measures of one head."""

    kind: str
    ears: Ears
    skull: tuple[float, float, float]  # semi-axes
    muzzle_length: float  # from the skull's front to the nose
    muzzle_width: float  # half, of the muzzle's middle
    muzzle_height: float  # half
    muzzle_y: float  # of its axis, at the nose
    lips: float  # how far upper lips stand out and hang
    chin: float
    cheeks: float  # width of the fur at the jaw's corners, beyond the skull
    brow: float  # strength of the ridges over the eyes
    bridge: float  # half width of the bridge of the nose
    eye_x: float
    eye_y: float
    eye_radius: float
    nose: float  # half width
    ear_height: float
    ear_width: float  # half
    ear_x: float  # of its root
    ear_y: float
    ear_spread_deg: float  # outward lean
    ear_turn_deg: float  # of the opening, outward
    neck: float


# Means; `sample_shape` varies them.
KINDS: dict[str, AnimalShape] = {
    "cat": AnimalShape(
        kind="cat",
        ears="pricked",
        skull=(1.0, 0.86, 0.92),
        muzzle_length=0.34,
        muzzle_width=0.36,
        muzzle_height=0.24,
        muzzle_y=-0.36,
        lips=0.23,
        chin=0.22,
        cheeks=0.12,
        brow=0.5,
        bridge=0.20,
        eye_x=0.43,
        eye_y=0.06,
        eye_radius=0.215,
        nose=0.15,
        ear_height=0.82,
        ear_width=0.42,
        ear_x=0.62,
        ear_y=0.62,
        ear_spread_deg=17.0,
        ear_turn_deg=22.0,
        neck=0.85,
    ),
    "tiger": AnimalShape(
        kind="tiger",
        ears="round",
        skull=(1.0, 0.88, 0.95),
        muzzle_length=0.55,
        muzzle_width=0.44,
        muzzle_height=0.34,
        muzzle_y=-0.38,
        lips=0.31,
        chin=0.30,
        cheeks=0.26,
        brow=0.7,
        bridge=0.28,
        eye_x=0.40,
        eye_y=0.12,
        eye_radius=0.17,
        nose=0.21,
        ear_height=0.36,
        ear_width=0.32,
        ear_x=0.70,
        ear_y=0.66,
        ear_spread_deg=32.0,
        ear_turn_deg=15.0,
        neck=1.0,
    ),
    "dog": AnimalShape(
        kind="dog",
        ears="hanging",
        skull=(0.95, 0.88, 0.95),
        muzzle_length=0.90,
        muzzle_width=0.40,
        muzzle_height=0.34,
        muzzle_y=-0.36,
        lips=0.25,
        chin=0.24,
        cheeks=0.0,
        brow=0.6,
        bridge=0.26,
        eye_x=0.41,
        eye_y=0.12,
        eye_radius=0.175,
        nose=0.19,
        ear_height=0.95,
        ear_width=0.38,
        ear_x=0.82,
        ear_y=0.50,
        ear_spread_deg=12.0,
        ear_turn_deg=10.0,
        neck=0.8,
    ),
    "fox": AnimalShape(
        kind="fox",
        ears="pricked",
        skull=(0.96, 0.80, 0.92),
        muzzle_length=0.92,
        muzzle_width=0.27,
        muzzle_height=0.25,
        muzzle_y=-0.36,
        lips=0.14,
        chin=0.17,
        cheeks=0.34,
        brow=0.45,
        bridge=0.20,
        eye_x=0.40,
        eye_y=0.09,
        eye_radius=0.175,
        nose=0.13,
        ear_height=0.90,
        ear_width=0.40,
        ear_x=0.56,
        ear_y=0.62,
        ear_spread_deg=16.0,
        ear_turn_deg=20.0,
        neck=0.85,
    ),
    "bear": AnimalShape(
        kind="bear",
        ears="round",
        skull=(1.0, 0.88, 0.95),
        muzzle_length=0.62,
        muzzle_width=0.38,
        muzzle_height=0.34,
        muzzle_y=-0.36,
        lips=0.20,
        chin=0.24,
        cheeks=0.18,
        brow=0.35,
        bridge=0.30,
        eye_x=0.37,
        eye_y=0.10,
        eye_radius=0.125,
        nose=0.21,
        ear_height=0.36,
        ear_width=0.34,
        ear_x=0.72,
        ear_y=0.66,
        ear_spread_deg=36.0,
        ear_turn_deg=12.0,
        neck=1.0,
    ),
}
SHARES = {"cat": 0.28, "dog": 0.30, "fox": 0.16, "bear": 0.14, "tiger": 0.12}
SD = 0.09  # of every measure, in shares of it; clipped at two
FIXED = ("kind", "ears", "skull", "muzzle_y", "eye_y")  # not scaled


def sample_shape(rng: np.random.Generator, kind: str) -> AnimalShape:
    """One animal of a kind; dogs vary most: long or short muzzles, hanging or pricked ears."""
    mean = KINDS[kind]
    names = [field.name for field in fields(AnimalShape) if field.name not in FIXED]
    factors = 1 + SD * np.clip(rng.standard_normal(len(names)), -2, 2)
    measures: dict[str, Any] = {
        name: getattr(mean, name) * float(factor) for name, factor in zip(names, factors, strict=True)
    }
    tall, deep = (1 + 0.05 * np.clip(rng.standard_normal(2), -2, 2)).tolist()
    muzzle_up, eyes_up = (0.035 * np.clip(rng.standard_normal(2), -2, 2)).tolist()
    long, pricked = float(rng.uniform(0.55, 1.2)), bool(rng.random() < 0.4)
    measures["skull"] = (mean.skull[0], mean.skull[1] * tall, mean.skull[2] * deep)
    measures["muzzle_y"], measures["eye_y"] = mean.muzzle_y + muzzle_up, mean.eye_y + eyes_up
    if kind == "dog":
        measures["muzzle_length"] *= long
        if pricked:
            measures |= {"ears": "pricked", "ear_height": 0.82 * measures["ear_height"], "ear_width": 0.36}
            measures |= {"ear_x": 0.66, "ear_y": 0.60, "ear_spread_deg": 14.0}
    return replace(mean, **measures)
