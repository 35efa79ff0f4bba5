"""Everything that varies from animal to animal, drawn from one seeded generator per head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bozzetto.bench.animals_kinds import KINDS, SHARES, AnimalShape, sample_shape
from bozzetto.bench.draws import sample_background, sample_light, sample_pose_rad
from bozzetto.bench.heads_looks import linear

# Display colours of fur. Main colours of each kind with their shares; a lighter one goes to muzzle, chin and chest.
_FUR: dict[str, tuple[tuple[tuple[float, float, float], float], ...]] = {
    "cat": (
        ((0.79, 0.53, 0.30), 0.20),
        ((0.52, 0.50, 0.48), 0.20),
        ((0.16, 0.15, 0.15), 0.12),
        ((0.50, 0.40, 0.30), 0.26),
        ((0.86, 0.76, 0.62), 0.10),
        ((0.90, 0.88, 0.85), 0.12),
    ),
    "dog": (
        ((0.80, 0.62, 0.39), 0.26),
        ((0.42, 0.28, 0.19), 0.20),
        ((0.15, 0.14, 0.14), 0.18),
        ((0.70, 0.50, 0.32), 0.16),
        ((0.90, 0.87, 0.82), 0.12),
        ((0.50, 0.48, 0.46), 0.08),
    ),
    "fox": (((0.78, 0.44, 0.20), 0.72), ((0.62, 0.38, 0.22), 0.12), ((0.36, 0.35, 0.36), 0.16)),
    "bear": (((0.42, 0.29, 0.19), 0.46), ((0.15, 0.13, 0.12), 0.22), ((0.90, 0.87, 0.80), 0.32)),
    "tiger": (((0.83, 0.54, 0.25), 0.85), ((0.86, 0.82, 0.76), 0.15)),
}
_IRIS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "cat": ((0.62, 0.66, 0.26), (0.78, 0.62, 0.22), (0.46, 0.62, 0.42), (0.45, 0.62, 0.76), (0.80, 0.52, 0.20)),
    "dog": ((0.30, 0.18, 0.10), (0.38, 0.24, 0.12), (0.22, 0.13, 0.08), (0.50, 0.62, 0.72)),
    "fox": ((0.72, 0.48, 0.16), (0.62, 0.42, 0.18)),
    "bear": ((0.22, 0.13, 0.08), (0.16, 0.10, 0.07)),
    "tiger": ((0.78, 0.66, 0.26), (0.70, 0.60, 0.30), (0.50, 0.64, 0.72)),
}
WHITE, BLACK = np.array([0.90, 0.88, 0.85]), np.array([0.10, 0.09, 0.09])


@dataclass(frozen=True)
class Coat:
    """Fur, eyes and nose. Colours are linear RGB, strengths 0 to 1."""

    main: Float[np.ndarray, " 3"]
    light: Float[np.ndarray, " 3"]  # of the light parts
    dark: Float[np.ndarray, " 3"]  # of stripes, tips and points
    lower: float  # light muzzle, chin and chest
    cheeks: float  # light cheeks, as a fox has
    blaze: float  # light stripe up the forehead; its half width
    tabby: float  # stripes that follow the head's form
    tiger: float  # bold ones
    points: float  # dark muzzle, ears and round the eyes
    patches: float  # share of the head under large patches of the second colour
    patch: Float[np.ndarray, " 3"]
    uneven: float  # of the patches between left and right
    goggles: float  # dark round the eyes
    ears: float  # dark backs and rims of the ears
    spots: float  # light spots over the eyes
    strand: float  # contrast of the strands
    mottle: float
    inner_ear: Float[np.ndarray, " 3"]
    nose: Float[np.ndarray, " 3"]
    rim: Float[np.ndarray, " 3"]  # of the lids
    iris: Float[np.ndarray, " 3"]
    iris_share: float  # of the ball's radius
    pupil: tuple[float, float]  # half width and height, in shares of the iris
    opening: float  # of the lids, half height in shares of the ball's radius
    slant: float  # of the eyes, rise to the outside
    gaze: tuple[float, float]  # to the right, up; in shares of the ball's radius
    catch_light: float
    noise_seed: int


@dataclass(frozen=True)
class AnimalSample:
    """One head's numbers."""

    shape: AnimalShape
    coat: Coat
    share: float  # of the picture's width that the head's larger extent takes
    pose_rad: Float[np.ndarray, " 3"]  # rx, ry, rz about the pivot
    shift: Float[np.ndarray, " 3"]  # scene units
    light: Float[np.ndarray, " 4"]  # ambient, diffuse, dx, dy in the camera's frame
    background: Float[np.ndarray, "2 3"]  # display RGB at the two ends of the gradient
    background_blobs: Float[np.ndarray, "blobs 6"]  # x, y, radius in picture widths, display RGB added
    background_angle_rad: float


def sample_animal(rng: np.random.Generator) -> AnimalSample:
    """Draw one head. Shape, pose and light come first, so that other looks leave the form as it is."""
    kind = list(KINDS)[rng.choice(len(KINDS), p=[SHARES[name] for name in KINDS])]
    shape = sample_shape(rng, kind)
    share = 0.90 * (1 + 0.03 * float(np.clip(rng.standard_normal(), -2, 2)))
    pose_rad = sample_pose_rad(rng)
    shift = np.append(0.004 * np.clip(rng.standard_normal(2), -2.5, 2.5), 0.0)
    light = sample_light(rng)
    background, blobs = sample_background(rng)
    return AnimalSample(
        shape=shape,
        coat=sample_coat(rng, kind),
        share=share,
        pose_rad=pose_rad,
        shift=shift,
        light=light,
        background=background,
        background_blobs=blobs,
        background_angle_rad=float(rng.uniform(0, 2 * np.pi)),
    )


def sample_coat(rng: np.random.Generator, kind: str) -> Coat:
    """Fur, eyes and nose of a kind."""
    u, chance = rng.uniform, rng.random

    def some(share: float, low: float, high: float) -> float:
        """Between the bounds with a chance, else 0; the same number of draws either way."""
        drawn, value = chance() < share, float(u(low, high))
        return value if drawn else 0.0

    colours = _FUR[kind]
    pick = int(rng.choice(len(colours), p=[share for _, share in colours]))
    display = np.clip(
        np.array(colours[pick][0]) * (1 + 0.06 * rng.standard_normal()) + 0.015 * rng.standard_normal(3), 0.06, 0.94
    )
    brightness = float(display.mean())
    pale, black = brightness > 0.8, brightness < 0.22
    light = np.clip(0.35 * display + 0.65 * WHITE * u(0.94, 1.04), 0.05, 0.96)
    dark = np.clip(display * u(0.30, 0.5) + 0.1 * BLACK, 0.05, 0.5)
    second = int(rng.integers(3))
    patch = (WHITE * u(0.95, 1.03), BLACK * u(1.0, 1.6), np.array([0.76, 0.52, 0.30]) * u(0.85, 1.1))[second]
    values = {
        "lower": some(0.65, 0.6, 1.0),
        "cheeks": 0.0,
        "blaze": some(0.2, 0.05, 0.14),
        "tabby": some(0.6, 0.5, 1.0),
        "tiger": 0.0,
        "points": some(0.12, 0.6, 1.0),
        "patches": some(0.22, 0.25, 0.55),
        "goggles": 0.0,
        "ears": some(0.2, 0.4, 0.9),
        "spots": 0.0,
    }
    if kind == "dog":
        values |= {"tabby": 0.0, "ears": some(0.45, 0.4, 1.0), "spots": some(0.25, 0.6, 1.0)}
        values |= {"blaze": some(0.35, 0.06, 0.2), "points": some(0.22, 0.6, 1.0)}
    elif kind == "fox":
        values |= {"lower": 0.95, "cheeks": float(u(0.8, 1.0)), "tabby": 0.0, "ears": float(u(0.5, 1.0))}
        values |= {"patches": 0.0, "points": 0.0, "blaze": 0.0}
    elif kind == "bear":
        panda = pale and chance() < 0.6
        values |= {"tabby": 0.0, "blaze": 0.0, "points": 0.0, "patches": 0.0, "spots": 0.0}
        values |= {"lower": 0.0 if pale else some(0.8, 0.25, 0.7), "goggles": 0.97 * panda, "ears": 0.97 * panda}
        if panda:
            dark = BLACK * u(0.9, 1.5)
    elif kind == "tiger":
        values |= {"tabby": 0.0, "tiger": float(u(0.85, 1.0)), "lower": 0.95, "cheeks": float(u(0.6, 0.9))}
        values |= {
            "blaze": 0.0,
            "points": 0.0,
            "patches": 0.0,
            "ears": float(u(0.6, 0.95)),
            "spots": float(u(0.8, 1.0)),
        }
        dark = BLACK * u(1.0, 1.6)
    if black:
        values |= {"tabby": 0.0, "points": 0.0}
        if chance() < 0.5:
            values["lower"] = 0.0
    pink = kind in ("cat", "tiger") and chance() < (0.3 if black else 0.7)
    nose = np.array([0.72, 0.46, 0.42]) * u(0.75, 1.1) if pink else np.array([0.13, 0.11, 0.11]) * u(0.8, 1.5)
    slit = kind in ("cat", "fox")
    irises = _IRIS[kind]
    iris = irises[int(rng.integers(len(irises)))] if chance() < 0.85 else irises[0]
    if kind == "dog" and chance() < 0.85:
        iris = irises[int(rng.integers(3))]
    pupil_height = float(u(0.62, 0.85) if slit else u(0.42, 0.62))
    return Coat(
        main=linear(display),
        light=linear(light),
        dark=linear(dark),
        patch=linear(np.clip(patch, 0.05, 0.95)),
        uneven=float(u(0.1, 0.45)),
        strand=float(u(0.10, 0.20)),
        mottle=float(u(0.05, 0.14)),
        inner_ear=linear(np.clip(np.array([0.80, 0.58, 0.53]) * u(0.7, 1.05) * (0.6 if black else 1.0), 0.05, 0.9)),
        nose=linear(nose),
        rim=linear(np.array([0.13, 0.10, 0.09]) * u(0.8, 1.4)),
        iris=linear(np.clip(np.array(iris) * (1 + 0.08 * rng.standard_normal(3)), 0.04, 0.9)),
        iris_share=float(u(0.74, 0.86) if kind in ("cat", "dog", "bear") else u(0.66, 0.78)),
        pupil=(pupil_height * float(u(0.35, 0.9) if slit else u(0.9, 1.0)), pupil_height),
        opening=float(u(0.55, 0.85)),
        slant=float(u(0.12, 0.32) if kind in ("cat", "fox", "tiger") else u(-0.08, 0.12)),
        gaze=(float(u(-0.12, 0.12)), float(u(-0.06, 0.10))),
        catch_light=float(u(0.5, 0.95)),
        noise_seed=int(rng.integers(2**31)),
        **values,
    )
