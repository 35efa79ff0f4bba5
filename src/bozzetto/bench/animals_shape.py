"""Heads of animals as solids: which ellipsoids make a cat, a dog, a fox, a bear or a tiger, and how they vary.

Lengths are in half widths of the skull; x to the viewer's right, y up, z toward the viewer, the skull's middle at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from bozzetto.bench.implicit import Ellipsoid

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


@dataclass(frozen=True)
class Solid:
    """A head's parts and where in the list those are that the paint asks for."""

    parts: list[Ellipsoid]
    body: tuple[int, ...]  # neck and chest: they run out of the picture
    eyes: tuple[int, int]  # left and right as seen
    nose: int
    muzzle: tuple[int, ...]
    lips: tuple[int, ...]
    chin: int
    ears: tuple[int, ...]
    hollows: tuple[int, ...]
    nose_tip: tuple[float, float, float]


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
        ear_spread_deg=17,
        ear_turn_deg=22,
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
        ear_spread_deg=32,
        ear_turn_deg=15,
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
        ear_spread_deg=12,
        ear_turn_deg=10,
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
        ear_spread_deg=16,
        ear_turn_deg=20,
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
        ear_spread_deg=36,
        ear_turn_deg=12,
        neck=1.0,
    ),
}
SHARES = {"cat": 0.28, "dog": 0.30, "fox": 0.16, "bear": 0.14, "tiger": 0.12}
SD = 0.09  # of every measure, in shares of it; clipped at two
FIXED = ("kind", "ears", "skull", "muzzle_y", "eye_y")


def sample_shape(rng: np.random.Generator, kind: str) -> AnimalShape:
    """One animal of a kind; dogs vary most: long or short muzzles, hanging or pricked ears."""
    mean = KINDS[kind]
    names = [name for name in AnimalShape.__dataclass_fields__ if name not in FIXED]
    factors = 1 + SD * np.clip(rng.standard_normal(len(names)), -2, 2)
    sides, heights = 1 + (0.05, 0.035) * np.clip(rng.standard_normal((2, 2)), -2, 2)
    moved = 0.035 * np.clip(rng.standard_normal(2), -2, 2)
    long, pricked = rng.uniform(0.55, 1.2), rng.random() < 0.4
    shape = replace(
        mean,
        skull=(mean.skull[0], mean.skull[1] * sides[0], mean.skull[2] * sides[1]),
        muzzle_y=mean.muzzle_y + moved[0],
        eye_y=mean.eye_y + moved[1],
        **{name: float(getattr(mean, name) * factor) for name, factor in zip(names, factors, strict=True)},
    )
    shape = replace(shape, muzzle_height=shape.muzzle_height * heights[0], chin=shape.chin * heights[1])
    if kind == "dog":
        shape = replace(shape, muzzle_length=shape.muzzle_length * long)
        if pricked:
            tall = {"ear_height": 0.82 * shape.ear_height, "ear_x": 0.66, "ear_y": 0.60, "ear_width": 0.36}
            shape = replace(shape, ears="pricked", ear_spread_deg=14.0, **tall)
    return shape


def build(shape: AnimalShape) -> Solid:
    """The solid of a head."""
    parts: list[Ellipsoid] = []

    def add(
        centre: tuple[float, float, float],
        semi: tuple[float, float, float],
        blend: float = 0.0,
        rotation: np.ndarray | None = None,
        taper: float = 0.0,
        cut: bool = False,
    ) -> int:
        parts.append(Ellipsoid(centre, semi, rotation, taper, blend, cut))
        return len(parts) - 1

    sx, sy, sz = shape.skull
    front = 0.80 * sz
    tip = front + shape.muzzle_length  # of the muzzle, under the nose
    my, mw, mh = shape.muzzle_y, shape.muzzle_width, shape.muzzle_height
    add((0, 0, 0), (sx, sy, sz))
    body = [add((0, -1.1, -0.75), (shape.neck, 1.2, 0.75), 0.4)]
    body.append(add((0, -2.5, -0.75), (1.75 * shape.neck, 1.35, 0.9), 0.4))
    cheek = 0.44 + 0.25 * shape.cheeks
    for side in (-1, 1):
        add((side * 0.48, -0.30, 0.20), (cheek, 0.44, 0.52), 0.3)
    if shape.cheeks > 0.2:  # ruffs that end in a point
        for side in (-1, 1):
            out = rotation(0, side * 25, side * -112)
            place = (side * (0.72 + 0.3 * shape.cheeks), -0.36, -0.02)
            add(place, (0.26, 0.30 + 0.62 * shape.cheeks, 0.30), 0.25, out, taper=0.8)
    # The bridge runs from between the eyes to the nose; the muzzle's body lies under it.
    along = (0.0, my - 0.02 - 0.20, tip - front)
    slope = float(np.degrees(np.arctan2(-(along[1]), along[2] + 0.35)))
    length = 0.5 * float(np.hypot(along[1], along[2])) + 0.12
    muzzle = [
        add((0, my, 0.5 * (front + tip) - 0.10), (mw, mh, 0.5 * shape.muzzle_length + 0.12), 0.22),
        add(
            (0, 0.5 * (0.24 + my + 0.10), 0.5 * (front + tip) - 0.02),
            (shape.bridge, 0.22, length),
            0.22,
            rotation(slope, 0, 0),
        ),
    ]
    chin = add((0, my - mh - 0.09, tip - 0.52 * shape.lips - 0.16), (0.9 * shape.chin, 0.62 * shape.chin, shape.chin), 0.10)
    pads = [
        add(
            (side * 0.62 * shape.lips, my - 0.34 * mh, tip - 0.55 * shape.lips),
            (0.92 * shape.lips, 0.84 * shape.lips, 1.02 * shape.lips),
            0.04,
        )
        for side in (-1, 1)
    ]
    nose_at = (0.0, my + 0.40 * mh, tip + 0.06)
    for side in (-1, 1):
        add(
            (side * shape.eye_x, shape.eye_y + 1.0 * shape.eye_radius, 0.66 * sz),
            (0.34, 0.20 + 0.08 * shape.brow, 0.20 + 0.08 * shape.brow),
            0.22,
            rotation(0, side * 22, side * 8),
        )
    depth = _eye_depth(shape)
    for side in (-1, 1):  # sockets
        r = 1.22 * shape.eye_radius
        add((side * shape.eye_x, shape.eye_y, depth + 0.95 * r), (r, 0.8 * r, 0.55 * r), 0.16, cut=True)
    # Ears come late: what comes later need not ask whether they are joined to it.
    ears, hollows = _ears(shape, add)
    eyes = [add((side * shape.eye_x, shape.eye_y, depth), (shape.eye_radius,) * 3, 0.015) for side in (-1, 1)]
    nose = add(nose_at, (shape.nose, 0.72 * shape.nose, 0.62 * shape.nose), 0.05, rotation(18, 0, 0), taper=-0.35)
    return Solid(
        parts=parts,
        body=tuple(body),
        eyes=(eyes[0], eyes[1]),
        nose=nose,
        muzzle=(*muzzle, chin, *pads),
        lips=tuple(pads),
        chin=chin,
        ears=tuple(ears),
        hollows=tuple(hollows),
        nose_tip=nose_at,
    )


def _eye_depth(shape: AnimalShape) -> float:
    """z of the eyes' centres: set so that a third of the ball stands out of the skull."""
    sx, sy, sz = shape.skull
    inside = max(0.05, 1 - (shape.eye_x / sx) ** 2 - (shape.eye_y / sy) ** 2)
    return float(sz * np.sqrt(inside) - 0.50 * shape.eye_radius + 0.02)


def _ears(shape: AnimalShape, add: object) -> tuple[list[int], list[int]]:
    assert callable(add)
    ears, hollows = [], []
    h, w = shape.ear_height, shape.ear_width
    for side in (-1, 1):
        turn, lean = side * shape.ear_turn_deg, -side * shape.ear_spread_deg
        if shape.ears == "pricked":
            own = rotation(-8, turn, 0) if lean == 0 else rotation(-8, turn, lean)
            middle = np.array([side * shape.ear_x, shape.ear_y, -0.10]) + own @ (0, 0.42 * h, 0)
            ears.append(add(tuple(middle), (0.62 * w, 0.66 * h, 0.40 * w), 0.07, own, taper=0.62))
            inner = middle + own @ (0, 0.02 * h, 0.36 * w)
            hollows.append(add(tuple(inner), (0.44 * w, 0.54 * h, 0.36 * w), 0.05, own, taper=0.62, cut=True))
        elif shape.ears == "round":
            own = rotation(-6, turn, lean)
            middle = np.array([side * shape.ear_x, shape.ear_y, -0.12]) + own @ (0, 0.40 * h, 0)
            ears.append(add(tuple(middle), (w, h, 0.42 * w), 0.10, own))
            inner = middle + own @ (0, 0.0, 0.40 * w)
            hollows.append(add(tuple(inner), (0.68 * w, 0.66 * h, 0.34 * w), 0.08, own, cut=True))
        else:
            own = rotation(10, side * 30, side * (4 + 0.5 * shape.ear_spread_deg))
            middle = np.array([side * (shape.ear_x + 0.20), shape.ear_y - 0.50 * h, -0.02])
            ears.append(add(tuple(middle), (0.74 * w, 0.72 * h, 0.13), 0.06, own, taper=-0.3))
            root = (side * (shape.ear_x - 0.06), shape.ear_y + 0.02, -0.10)
            ears.append(add(root, (0.30, 0.17, 0.30), 0.16, rotation(0, 0, side * -25)))
    return ears, hollows


def rotation(pitch_deg: float, yaw_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """Rz(roll) Ry(yaw) Rx(pitch) in the head's axes."""
    (cx, cy, cz), (sx, sy, sz) = (f(np.radians((pitch_deg, yaw_deg, roll_deg))) for f in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
