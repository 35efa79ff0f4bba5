"""Everything that varies from head to head, drawn from one seeded generator per head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SPLITS = ("train", "val", "test")  # the order is part of the seed


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
    tint: Float[np.ndarray, "k 7"]  # waves of colour: 3 wave numbers per cm, phase, RGB log amplitude
    blush: float
    lips: Float[np.ndarray, " 3"]
    lip_softness_cm: float
    brow: Float[np.ndarray, " 4"]  # RGB and opacity
    brow_width_cm: float
    beard: float  # opacity of the beard's shadow, 0 = none
    hair: Float[np.ndarray, " 4"]  # RGB and opacity, 0 = bald
    hairline_cm: float  # height of the hair line over the mean one
    lash_opacity: Float[np.ndarray, " 2"]  # at the lid, and at the tips as a share of that
    iris: Float[np.ndarray, " 3"]
    background: Float[np.ndarray, "2 3"]  # display RGB at the two ends of the gradient
    background_angle_rad: float


def head_generator(seed: int, split: str, index: int) -> np.random.Generator:
    """The generator of one head; depends on nothing but (seed, split, index)."""
    return np.random.default_rng(np.random.SeedSequence((seed, SPLITS.index(split), index)))


def sample_head(rng: np.random.Generator, modes: int) -> HeadSample:
    """Draw one head. Shape, pose and light come first, so that other paint leaves the true depth as it is."""
    identity = np.clip(rng.standard_normal(modes), -2.5, 2.5)
    expression = _expression(rng)
    scale_per_cm = 0.0103 * (1 + 0.03 * float(np.clip(rng.standard_normal(), -2, 2)))
    pose_rad = sample_pose_rad(rng)
    shift = np.append(0.005 * np.clip(rng.standard_normal(2), -2.5, 2.5), 0.0)
    light = sample_light(rng)
    skin = _skin(rng)
    hair = _hair_colour(rng, skin)
    return HeadSample(
        identity=identity,
        expression=expression,
        scale_per_cm=scale_per_cm,
        pose_rad=pose_rad,
        shift=shift,
        light=light,
        skin=skin,
        tint=_tint(rng),
        blush=float(rng.uniform(0.0, 0.5)),
        lips=_lips(rng, skin),
        lip_softness_cm=float(rng.uniform(0.08, 0.22)),
        brow=np.append(hair * rng.uniform(0.8, 1.2), rng.uniform(0.55, 0.95)),
        brow_width_cm=float(rng.uniform(0.26, 0.46)),
        beard=float(rng.uniform(0.15, 0.6)) if rng.random() < 0.25 else 0.0,
        hair=np.append(hair, rng.uniform(0.75, 0.95) if rng.random() < 0.2 else 0.0),
        hairline_cm=float(rng.uniform(-0.4, 1.6)),
        lash_opacity=rng.uniform((0.75, 0.2), (1.0, 1.0)),
        iris=_iris(rng),
        background=0.75 * rng.uniform(0, 1, (1, 3)) + 0.25 * rng.uniform(0, 1, (2, 3)),
        background_angle_rad=float(rng.uniform(0, 2 * np.pi)),
    )


def sample_pose_rad(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """Pitch, yaw, roll: normal with 8, 20, 4 degrees, clipped at 25, 50, 12."""
    return np.radians(np.clip(rng.standard_normal(3) * (8, 20, 4), (-25, -50, -12), (25, 50, 12)))


def sample_light(rng: np.random.Generator) -> Float[np.ndarray, " 4"]:
    """Ambient, diffuse, dx, dy, uniform: 0.3 to 0.65, 0.35 to 0.8, -1 to 1, -0.4 to 0.9 (above)."""
    return rng.uniform((0.3, 0.35, -1.0, -0.4), (0.65, 0.8, 1.0, 0.9))


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
    both("eyeBlink", float(rng.beta(1.2, 6.0)), 0.05)
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


def _linear(display: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Display RGB to linear RGB with the renderer's gamma of 1 / 1.6."""
    return np.asarray(display) ** 1.6


# Display colours of skin from light to dark; a head's tone lies between two neighbours.
_SKIN_TONES = np.array(
    [
        [0.97, 0.87, 0.82],
        [0.94, 0.80, 0.72],
        [0.86, 0.70, 0.61],
        [0.74, 0.57, 0.48],
        [0.58, 0.43, 0.36],
        [0.42, 0.31, 0.26],
    ]
)


def _skin(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    tone = rng.uniform(0, 1) ** 1.2 * (len(_SKIN_TONES) - 1.001)
    low = int(tone)
    display = _SKIN_TONES[low] + (tone - low) * (_SKIN_TONES[low + 1] - _SKIN_TONES[low])
    return _linear(np.clip(display * (1 + 0.03 * rng.standard_normal(3)), 0.05, 0.98))


# Display colours of hair: black, dark brown, brown, blond, grey; and how often each comes.
_HAIR_TONES = np.array(
    [[0.08, 0.07, 0.07], [0.20, 0.13, 0.09], [0.36, 0.23, 0.13], [0.55, 0.42, 0.25], [0.45, 0.44, 0.43]]
)
_HAIR_SHARES, _HAIR_SHARES_ON_DARK_SKIN = (0.35, 0.3, 0.2, 0.1, 0.05), (0.7, 0.2, 0.0, 0.0, 0.1)


def _hair_colour(rng: np.random.Generator, skin: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    shares = _HAIR_SHARES if skin[1] > 0.35 else _HAIR_SHARES_ON_DARK_SKIN
    tone = _HAIR_TONES[rng.choice(len(_HAIR_TONES), p=shares)]
    return _linear(np.clip(tone * (1 + 0.1 * rng.standard_normal(3)), 0.02, 0.9))


def _lips(rng: np.random.Generator, skin: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    if rng.random() < 0.25:  # lipstick
        return _linear(np.array([rng.uniform(0.6, 0.82), rng.uniform(0.16, 0.32), rng.uniform(0.2, 0.36)]))
    natural = skin * np.array([0.95, 0.55, 0.58])
    return np.clip(natural * (1 + 0.08 * rng.standard_normal(3)), 0.02, 0.95)


def _iris(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    tones = np.array(
        [[0.28, 0.16, 0.08], [0.40, 0.26, 0.12], [0.35, 0.52, 0.72], [0.42, 0.55, 0.38], [0.5, 0.55, 0.58]]
    )
    tone = tones[rng.choice(len(tones), p=(0.4, 0.2, 0.2, 0.1, 0.1))]
    return _linear(np.clip(tone * (1 + 0.1 * rng.standard_normal(3)), 0.03, 0.9))


def _tint(rng: np.random.Generator, waves: int = 4) -> Float[np.ndarray, "k 7"]:
    """Slow waves of colour over the head: wave lengths of 12 to 40 cm, up to some percent a wave."""
    direction = rng.standard_normal((waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    number = direction * (2 * np.pi / rng.uniform(12, 40, (waves, 1)))
    return np.concatenate([number, rng.uniform(0, 2 * np.pi, (waves, 1)), 0.032 * rng.standard_normal((waves, 3))], 1)
