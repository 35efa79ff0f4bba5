"""Heads of animals as solids: which ellipsoids make them. Axes and lengths are those of `animals_kinds`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bozzetto.bench.animals_kinds import AnimalShape
from bozzetto.bench.implicit import Ellipsoid


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


def build(shape: AnimalShape) -> Solid:
    """The solid of a head."""
    parts = _Parts()

    add = parts.add
    sx, sy, sz = shape.skull
    front = 0.80 * sz
    tip = front + shape.muzzle_length  # of the muzzle, under the nose
    my, mw, mh = shape.muzzle_y, shape.muzzle_width, shape.muzzle_height
    add((0.0, 0.0, 0.0), (sx, sy, sz))
    body = [add((0.0, -1.1, -0.75), (shape.neck, 1.2, 0.75), 0.4)]
    body.append(add((0.0, -2.5, -0.75), (1.75 * shape.neck, 1.35, 0.9), 0.4))
    cheek = 0.44 + 0.25 * shape.cheeks
    for side in (-1.0, 1.0):
        add((side * 0.48, -0.30, 0.20), (cheek, 0.44, 0.52), 0.3)
    if shape.cheeks > 0.2:  # ruffs that end in a point
        for side in (-1.0, 1.0):
            out = rotation(0.0, side * 25.0, side * -112.0)
            place = (side * (0.72 + 0.3 * shape.cheeks), -0.36, -0.02)
            add(place, (0.26, 0.30 + 0.62 * shape.cheeks, 0.30), 0.25, out, taper=0.8)
    # The bridge runs from between the eyes to the nose; the muzzle's body lies under it.
    along = (0.0, my - 0.02 - 0.20, tip - front)
    slope = float(np.degrees(np.arctan2(-(along[1]), along[2] + 0.35)))
    length = 0.5 * float(np.hypot(along[1], along[2])) + 0.12
    muzzle = [
        add((0.0, my, 0.5 * (front + tip) - 0.10), (mw, mh, 0.5 * shape.muzzle_length + 0.12), 0.22),
        add(
            (0.0, 0.5 * (0.24 + my + 0.10), 0.5 * (front + tip) - 0.02),
            (shape.bridge, 0.22, length),
            0.22,
            rotation(slope, 0.0, 0.0),
        ),
    ]
    jaw_y, jaw_z = my - 0.82 * mh - 0.03, tip - 0.5 * shape.lips - 0.12
    middle_z = 0.5 * (front + jaw_z)
    add((0.0, jaw_y, middle_z), (0.72 * mw, 0.55 * shape.chin, 0.5 * (jaw_z - front) + 0.32), 0.2)
    chin = add((0.0, jaw_y, jaw_z), (0.9 * shape.chin, 0.62 * shape.chin, shape.chin), 0.12)
    pads = [
        add(
            (side * 0.62 * shape.lips, my - 0.34 * mh, tip - 0.55 * shape.lips),
            (0.92 * shape.lips, 0.84 * shape.lips, 1.02 * shape.lips),
            0.04,
        )
        for side in (-1.0, 1.0)
    ]
    nose_at = (0.0, my + 0.40 * mh, tip + 0.06)
    for side in (-1.0, 1.0):
        add(
            (side * shape.eye_x, shape.eye_y + 1.0 * shape.eye_radius, 0.66 * sz),
            (0.34, 0.20 + 0.08 * shape.brow, 0.20 + 0.08 * shape.brow),
            0.22,
            rotation(0.0, side * 22.0, side * 8.0),
        )
    depth = _eye_depth(shape)
    for side in (-1.0, 1.0):  # sockets
        r = 1.22 * shape.eye_radius
        add((side * shape.eye_x, shape.eye_y, depth + 0.95 * r), (r, 0.8 * r, 0.55 * r), 0.16, cut=True)
    # Ears come late: what comes later need not ask whether they are joined to it.
    ears, hollows = _ears(shape, parts)
    ball = shape.eye_radius
    eyes = [add((side * shape.eye_x, shape.eye_y, depth), (ball, ball, ball), 0.015) for side in (-1.0, 1.0)]
    nose = add(nose_at, (shape.nose, 0.72 * shape.nose, 0.62 * shape.nose), 0.05, rotation(18.0, 0.0, 0.0), taper=-0.35)
    return Solid(
        parts=parts.found,
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


class _Parts:
    """A list that grows."""

    def __init__(self) -> None:
        self.found: list[Ellipsoid] = []

    def add(
        self,
        centre: Sequence[float] | np.ndarray,
        semi: Sequence[float],
        blend: float = 0.0,
        rotation: np.ndarray | None = None,
        taper: float = 0.0,
        cut: bool = False,
    ) -> int:
        """Append a part; returns its place."""
        (x, y, z), (a, b, c) = map(float, centre), map(float, semi)
        self.found.append(Ellipsoid((x, y, z), (a, b, c), rotation, taper, blend, cut))
        return len(self.found) - 1


def _eye_depth(shape: AnimalShape) -> float:
    """z of the eyes' centres: set so that a third of the ball stands out of the skull."""
    sx, sy, sz = shape.skull
    inside = max(0.05, 1.0 - (shape.eye_x / sx) ** 2 - (shape.eye_y / sy) ** 2)
    return float(sz * np.sqrt(inside) - 0.50 * shape.eye_radius + 0.02)


def _ears(shape: AnimalShape, parts: _Parts) -> tuple[list[int], list[int]]:
    """Places of the ears' parts and of what is cut out of them."""
    ears, hollows, add = [], [], parts.add
    h, w = shape.ear_height, shape.ear_width
    for side in (-1.0, 1.0):
        turn, lean = side * shape.ear_turn_deg, -side * shape.ear_spread_deg
        if shape.ears == "pricked":
            own = rotation(-8.0, turn, lean)
            middle = np.array([side * shape.ear_x, shape.ear_y, -0.10]) + own @ (0.0, 0.42 * h, 0.0)
            ears.append(add(middle, (0.62 * w, 0.66 * h, 0.40 * w), 0.07, own, taper=0.62))
            inner = middle + own @ (0.0, 0.02 * h, 0.36 * w)
            hollows.append(add(inner, (0.44 * w, 0.54 * h, 0.36 * w), 0.05, own, taper=0.62, cut=True))
        elif shape.ears == "round":
            own = rotation(-6.0, turn, lean)
            middle = np.array([side * shape.ear_x, shape.ear_y, -0.12]) + own @ (0.0, 0.40 * h, 0.0)
            ears.append(add(middle, (w, h, 0.42 * w), 0.10, own))
            inner = middle + own @ (0.0, 0.0, 0.40 * w)
            hollows.append(add(inner, (0.68 * w, 0.66 * h, 0.34 * w), 0.08, own, cut=True))
        else:
            own = rotation(10.0, side * 30.0, side * (4.0 + 0.5 * shape.ear_spread_deg))
            middle = np.array([side * (shape.ear_x + 0.20), shape.ear_y - 0.50 * h, -0.02])
            ears.append(add(middle, (0.74 * w, 0.72 * h, 0.13), 0.06, own, taper=-0.3))
            root = (side * (shape.ear_x - 0.06), shape.ear_y + 0.02, -0.10)
            ears.append(add(root, (0.30, 0.17, 0.30), 0.16, rotation(0.0, 0.0, side * -25.0)))
    return ears, hollows


def rotation(pitch_deg: float, yaw_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """Rz(roll) Ry(yaw) Rx(pitch) in the head's axes."""
    (cx, cy, cz), (sx, sy, sz) = (f(np.radians((pitch_deg, yaw_deg, roll_deg))) for f in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
