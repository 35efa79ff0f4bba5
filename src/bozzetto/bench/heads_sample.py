"""Everything that varies from head to head, drawn from one seeded generator per head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bozzetto.bench.draws import sample_background, sample_light, sample_pose_rad
from bozzetto.bench.heads_looks import (
    Beard,
    Brow,
    HairStyle,
    sample_beard,
    sample_brow,
    sample_hair_colour,
    sample_hair_style,
    sample_iris,
    sample_lips,
    sample_skin,
)


@dataclass(frozen=True)
class HeadSample:
    """One head's numbers. Colours are linear RGB in [0, 1]."""

    identity: Float[np.ndarray, " modes"]  # standard deviations
    expression: dict[str, float]  # weight per shape name
    scale_per_cm: float  # scene units per centimetre
    pose_rad: Float[np.ndarray, " 3"]  # rx, ry, rz about the pivot
    shift: Float[np.ndarray, " 3"]  # scene units
    light: Float[np.ndarray, " 4"]  # ambient, diffuse, dx, dy in the camera's frame
    skin: Float[np.ndarray, " 3"]
    melanin: float  # 0 light to 1 dark
    tint: Float[np.ndarray, "k 6"]  # waves of colour: 3 wave numbers per cm, phase, log amplitudes of light and of red
    blush: float  # redness of cheeks, nose and ears
    sockets: float  # darkness around the eyes
    mottle: float  # uneven skin
    freckles: float
    texture_offset: Float[np.ndarray, " 2"]  # texels, where the skin's noise begins
    lips: Float[np.ndarray, " 4"]  # RGB and opacity
    lip_softness_cm: float
    brow: Brow
    beard: Beard
    hair: HairStyle
    hair_colour: Float[np.ndarray, " 3"]
    hair_contrast: float  # between strands
    lashes: Float[np.ndarray, " 2"]  # opacity of the upper and the lower
    iris: Float[np.ndarray, " 3"]
    pupil_cm: float
    catch_light: float
    clothes: Float[np.ndarray, " 3"]
    background: Float[np.ndarray, "2 3"]  # display RGB at the two ends of the gradient
    background_blobs: Float[np.ndarray, "blobs 6"]  # x, y, radius in picture widths, display RGB added
    background_angle_rad: float


def sample_head(rng: np.random.Generator, modes: int) -> HeadSample:
    """Draw one head. Shape, pose and light come first, so that other looks leave the face as it is."""
    identity = np.clip(rng.standard_normal(modes), -2.5, 2.5)
    expression = _expression(rng)
    scale_per_cm = 0.0103 * (1 + 0.03 * float(np.clip(rng.standard_normal(), -2, 2)))
    pose_rad = sample_pose_rad(rng)
    shift = np.append(0.005 * np.clip(rng.standard_normal(2), -2.5, 2.5), 0.0)
    light = sample_light(rng)
    masculine, old = bool(rng.random() < 0.5), bool(rng.random() < 0.2)
    skin, melanin = sample_skin(rng)
    hair, grey = sample_hair_colour(rng, melanin)
    hair_style = sample_hair_style(rng, masculine, melanin, old or grey)
    background, blobs = sample_background(rng)
    return HeadSample(
        identity=identity,
        expression=expression,
        scale_per_cm=scale_per_cm,
        pose_rad=pose_rad,
        shift=shift,
        light=light,
        skin=skin,
        melanin=melanin,
        tint=_tint(rng),
        blush=float(rng.uniform(0.15, 0.75) * (1 - 0.5 * melanin)),
        sockets=float(rng.uniform(0.2, 1.0)),
        mottle=float(rng.uniform(0.4, 1.2)),
        freckles=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.2 * (1 - melanin) else 0.0,
        texture_offset=rng.uniform(0, 512, 2),
        lips=sample_lips(rng, skin, melanin, masculine),
        lip_softness_cm=float(rng.uniform(0.12, 0.26)),
        brow=sample_brow(rng, hair, masculine, grey, skin),
        beard=sample_beard(rng, hair, masculine),
        hair=hair_style,
        hair_colour=hair,
        hair_contrast=float(rng.uniform(0.22, 0.45)),
        lashes=rng.uniform((0.25, 0.05), (0.5, 0.15)) if masculine else rng.uniform((0.45, 0.1), (0.9, 0.3)),
        iris=sample_iris(rng, melanin),
        pupil_cm=float(rng.uniform(0.17, 0.27)),
        catch_light=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.7 else 0.0,
        clothes=rng.uniform(0.03, 0.6) * (1 + 0.2 * rng.standard_normal(3)).clip(0.4, 1.6),
        background=background,
        background_blobs=blobs,
        background_angle_rad=float(rng.uniform(0, 2 * np.pi)),
    )


def _expression(rng: np.random.Generator) -> dict[str, float]:
    weights: dict[str, float] = {}

    def both(name: str, weight: float, uneven: float = 0.15) -> None:
        for side in ("_L", "_R"):
            weights[name + side] = float(np.clip(weight * (1 + uneven * rng.standard_normal()), 0, 1))

    if rng.random() < 0.35:
        weights["jawOpen"] = float(rng.beta(1.2, 4.0))
    if rng.random() < 0.45:
        both("mouthSmile", rng.uniform(0.1, 0.9))
    elif rng.random() < 0.25:
        both("mouthFrown", rng.uniform(0.1, 0.7))
    if rng.random() < 0.15:
        weights["mouthPucker"] = float(rng.uniform(0.1, 0.7))
    if rng.random() < 0.2:
        both("mouthUpperUp", rng.uniform(0.1, 0.6))
    if rng.random() < 0.2:
        both("mouthLowerDown", rng.uniform(0.1, 0.6))
    if rng.random() < 0.35:
        both("browInnerUp", rng.uniform(0.1, 0.9))
    elif rng.random() < 0.35:
        both("browDown", rng.uniform(0.1, 0.8))
    if rng.random() < 0.25:
        both("browOuterUp", rng.uniform(0.1, 0.8))
    both("eyeBlink", float(rng.beta(1.2, 9.0)), 0.05)
    if rng.random() < 0.2:
        both("eyeWide", rng.uniform(0.1, 0.8), 0.05)
    if rng.random() < 0.2:
        both("cheekSquint", rng.uniform(0.1, 0.8))
    look_x, look_y = rng.uniform(-0.5, 0.5), rng.uniform(-0.3, 0.3)
    weights["eyeLookOut_L" if look_x > 0 else "eyeLookIn_L"] = abs(float(look_x))
    weights["eyeLookIn_R" if look_x > 0 else "eyeLookOut_R"] = abs(float(look_x))
    for side in ("_L", "_R"):
        weights[("eyeLookUp" if look_y > 0 else "eyeLookDown") + side] = abs(float(look_y))
    return weights


def _tint(rng: np.random.Generator, waves: int = 4) -> Float[np.ndarray, "k 6"]:
    """Slow waves of colour over the head, wave lengths of 8 to 30 cm: a little lighter or darker, a little redder."""
    direction = rng.standard_normal((waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    number = direction * (2 * np.pi / rng.uniform(8, 30, (waves, 1)))
    amplitude = (0.03, 0.02) * rng.standard_normal((waves, 2))
    return np.concatenate([number, rng.uniform(0, 2 * np.pi, (waves, 1)), amplitude], 1)
