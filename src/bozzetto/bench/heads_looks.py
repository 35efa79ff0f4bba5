"""How people look, drawn from a generator: skin, hair, brows, beards, lips, eyes, backgrounds.

Colours are written as they look on a display and kept linear: display ^ GAMMA, the renderer's convention.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

DISPLAY_GAMMA = 1.6


@dataclass(frozen=True)
class HairStyle:
    """Where hair grows and how it stands off the head. Lengths in cm; `thickness_cm` 0 = painted on the scalp alone."""

    opacity: float  # of the paint on the scalp; 0 = bald
    line_cm: float  # hair line over the mean one
    temple_cm: float  # how far it recedes at the temples
    peak_cm: float  # widow's peak
    sideburn_cm: float
    thickness_cm: float = 0.0  # on top
    side_share: float = 0.6  # of that at the hair's lower edge
    ramp_cm: float = 2.0  # from the hair line to the full height
    lock_cm: float = 0.08  # ridges
    lock_scale: float = 1.0  # finer with larger numbers
    ragged_cm: float = 0.25  # of the edges
    curl_cm: float = 0.0
    fringe_cm: float = 0.0  # hangs over the forehead by so much
    fringe_tilt: float = 0.0  # longer to one side
    fringe_rad: float = 0.9  # reaches so far to the sides
    fall_cm: float = 0.0  # hangs from the ears' height by so much; 0 = does not
    open_rad: float = 1.15  # azimuth from which hair hangs
    part_rad: float = 0.0
    flare_cm: float = 0.5
    flare_turn: float = 0.8
    shear: float = 0.0  # slant of the strands
    offset: tuple[float, float] = (0.0, 0.0)  # texels, where the noise begins


@dataclass(frozen=True)
class Brow:
    colour: Float[np.ndarray, " 3"]
    opacity: float
    half_width_cm: float
    raise_cm: float  # of the whole brow
    arch_cm: float  # of its outer half
    density: float  # 0 sparse to 1 solid


@dataclass(frozen=True)
class Beard:
    """Opacities of three parts; `length_cm` lifts the surface."""

    cheeks: float
    chin: float
    lip: float
    roughness: float  # 0 a shadow, 1 single hairs
    length_cm: float
    colour: Float[np.ndarray, " 3"]


def linear(display: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Display RGB to linear RGB."""
    return np.asarray(display, dtype=np.float64) ** DISPLAY_GAMMA


# Display colours of skin by how much melanin it holds.
_MELANIN = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
_SKIN = np.array(
    [
        [0.895, 0.735, 0.655],
        [0.850, 0.675, 0.585],
        [0.770, 0.575, 0.465],
        [0.630, 0.440, 0.335],
        [0.510, 0.345, 0.260],
        [0.385, 0.258, 0.198],
    ]
)


def sample_skin(rng: np.random.Generator) -> tuple[Float[np.ndarray, " 3"], float]:
    """Linear skin colour, and its melanin from 0 to 1."""
    melanin = float(rng.beta(1.0, 1.6))
    tone = np.array([np.interp(melanin, _MELANIN, _SKIN[:, c]) for c in range(3)])
    red, yellow, light = np.clip(rng.standard_normal(3), -1.6, 1.6) * (0.009, 0.009, 0.02)
    tone = tone * (1 + light) + np.array([red, -red, -red]) * tone.mean() + np.array([0, 0.2, -1]) * yellow
    return linear(np.clip(tone, 0.05, 0.93)), melanin


# Display colours of hair, and how often each comes with light, middle and dark skin.
_HAIR = np.array(
    [
        [0.115, 0.095, 0.090],  # black
        [0.195, 0.140, 0.110],  # dark brown
        [0.300, 0.205, 0.145],  # brown
        [0.430, 0.310, 0.210],  # light brown
        [0.620, 0.490, 0.330],  # blond
        [0.760, 0.650, 0.470],  # light blond
        [0.430, 0.215, 0.125],  # auburn
        [0.610, 0.340, 0.170],  # ginger
        [0.480, 0.465, 0.450],  # grey
        [0.740, 0.730, 0.710],  # white
    ]
)
_HAIR_SHARES = np.array(
    [
        [0.06, 0.20, 0.22, 0.16, 0.13, 0.06, 0.05, 0.04, 0.05, 0.03],
        [0.35, 0.33, 0.15, 0.06, 0.02, 0.00, 0.02, 0.00, 0.05, 0.02],
        [0.70, 0.20, 0.03, 0.00, 0.00, 0.00, 0.00, 0.00, 0.05, 0.02],
    ]
)


def sample_hair_colour(rng: np.random.Generator, melanin: float) -> tuple[Float[np.ndarray, " 3"], bool]:
    """Linear hair colour; and whether it is grey or white."""
    shares = _HAIR_SHARES[0 if melanin < 0.35 else 1 if melanin < 0.65 else 2]
    kind = int(rng.choice(len(_HAIR), p=shares / shares.sum()))
    tone = _HAIR[kind] * (1 + 0.10 * rng.standard_normal()) * (1 + 0.025 * rng.standard_normal(3))
    return linear(np.clip(tone, 0.05, 0.85)), kind >= 8


def sample_hair_style(rng: np.random.Generator, masculine: bool, melanin: float, old: bool) -> HairStyle:
    """A hair style; short ones are more usual for men, long ones for women."""
    names = ("bald", "buzz", "short", "receding", "swept", "curly", "afro", "fringe", "bob", "long", "tied")
    men = (0.07, 0.15, 0.27, 0.13, 0.12, 0.07, 0.02, 0.09, 0.01, 0.05, 0.02)
    women = (0.0, 0.02, 0.05, 0.0, 0.06, 0.06, 0.03, 0.09, 0.22, 0.30, 0.17)
    shares = np.array(men if masculine else women)
    if melanin > 0.6:
        shares = shares * (1, 2, 1, 1, 0.3, 1.5, 5, 0.3, 0.7, 0.7, 1.5)
    if old and masculine:
        shares = shares * (2, 1, 1, 2, 1, 1, 1, 0.5, 1, 1, 1)
    name = names[rng.choice(len(names), p=shares / shares.sum())]
    u = rng.uniform
    common = {
        "opacity": float(u(0.88, 0.98)),
        "line_cm": float(u(-0.3, 1.1)),
        "temple_cm": float(u(0.2, 1.6) if masculine else u(-0.2, 0.5)),
        "peak_cm": float(u(0, 0.7) if rng.random() < 0.3 else 0),
        "sideburn_cm": float(u(0.0, 3.5) if masculine else u(0.0, 1.5)),
        "offset": tuple(u(0, 512, 2).tolist()),
        "shear": float(u(-0.35, 0.35)),
        "part_rad": float(rng.choice((0.0, -0.35, 0.35))),
    }
    tilt, curl = float(u(-0.7, 0.7)), float(u(0.15, 0.4))
    shape: dict[str, float] = {}
    if name == "bald":
        shape = {"opacity": 0.0 if rng.random() < 0.4 else float(u(0.1, 0.3)), "line_cm": float(u(0.5, 3))}
    elif name == "buzz":
        shape = {"opacity": float(u(0.45, 0.85)), "thickness_cm": 0.0}
    elif name == "short":
        shape = {"thickness_cm": float(u(0.7, 1.8)), "side_share": float(u(0.25, 0.6)), "ramp_cm": float(u(1, 2))}
    elif name == "receding":
        shape = {"thickness_cm": float(u(0.4, 1.0)), "side_share": float(u(0.5, 0.9)), "opacity": float(u(0.6, 0.9))}
        shape |= {"line_cm": float(u(1.0, 2.2)), "temple_cm": float(u(2.0, 3.8)), "ragged_cm": 0.45}
    elif name == "swept":
        shape = {"thickness_cm": float(u(1.4, 2.6)), "side_share": float(u(0.3, 0.6)), "ramp_cm": float(u(1.2, 2.2))}
    elif name == "curly":
        shape = {"thickness_cm": float(u(1.4, 2.8)), "side_share": float(u(0.6, 0.9)), "curl_cm": curl}
        shape |= {"ragged_cm": 0.5, "fringe_cm": float(u(0.3, 2.0)) if rng.random() < 0.5 else 0.0}
    elif name == "afro":
        shape = {"thickness_cm": float(u(2.5, 5.5)), "side_share": float(u(0.8, 1.0)), "curl_cm": curl}
        shape |= {"ramp_cm": float(u(2.0, 3.5)), "lock_scale": 2.0}
    elif name == "fringe":
        shape = {"thickness_cm": float(u(1.0, 1.8)), "side_share": float(u(0.4, 0.8))}
        shape |= {"fringe_cm": float(u(1.0, 3.2)), "fringe_tilt": tilt, "lock_scale": 0.45}
    elif name in ("bob", "long"):
        shape = {"thickness_cm": float(u(1.2, 2.0)), "side_share": float(u(0.75, 1.0)), "lock_cm": 0.1}
        shape |= {"fall_cm": float(u(7, 13) if name == "bob" else u(16, 26)), "flare_cm": float(u(-0.6, 1.2))}
        behind = rng.random() < 0.3
        shape |= {"open_rad": float(u(1.75, 2.1) if behind else u(0.95, 1.35)), "flare_turn": float(u(0.4, 1.0))}
        if behind:
            shape["side_share"] = float(u(0.4, 0.6))
        if rng.random() < 0.35:
            shape |= {"fringe_cm": float(u(1.5, 3.4)), "fringe_tilt": tilt, "fringe_rad": 1.0, "lock_scale": 0.5}
        if rng.random() < 0.3:
            shape["curl_cm"] = curl
    else:
        shape = {"thickness_cm": float(u(0.5, 1.0)), "side_share": float(u(0.5, 0.9)), "ragged_cm": 0.15}
    return HairStyle(**(common | shape))  # type: ignore[arg-type]


def sample_brow(
    rng: np.random.Generator, hair: Float[np.ndarray, " 3"], masculine: bool, grey: bool, skin: np.ndarray
) -> Brow:
    """Brows: near the hair's colour, but neither much lighter than brown nor darker than the hair."""
    dark = linear(np.array([0.20, 0.15, 0.12]))
    mix = rng.uniform(0.2, 0.7) if grey or hair.mean() > 0.2 else rng.uniform(0, 0.25)
    return Brow(
        colour=np.minimum((1 - mix) * hair + mix * dark, 0.75 * skin),
        opacity=float(rng.uniform(0.5, 0.85) if masculine else rng.uniform(0.45, 0.8)),
        half_width_cm=float(rng.uniform(0.30, 0.48) if masculine else rng.uniform(0.2, 0.34)),
        raise_cm=float(rng.uniform(-0.25, 0.05) if masculine else rng.uniform(-0.1, 0.2)),
        arch_cm=float(rng.uniform(-0.2, 0.1) if masculine else rng.uniform(-0.05, 0.3)),
        density=float(rng.uniform(0.2, 0.8)),
    )


def sample_beard(rng: np.random.Generator, hair: Float[np.ndarray, " 3"], masculine: bool) -> Beard:
    """No beard for women; for men clean shaven, a shadow, stubble, moustache, goatee or full."""
    cheeks = chin = lip = roughness = length = 0.0
    colour = hair * rng.uniform(0.7, 1.1)
    kind = rng.choice(6, p=(0.36, 0.18, 0.20, 0.05, 0.08, 0.13))
    u = rng.uniform
    if masculine and kind == 1:
        cheeks = float(u(0.08, 0.22))
        chin, lip, roughness = cheeks * 1.2, cheeks, 0.2
    elif masculine and kind == 2:
        cheeks, roughness = float(u(0.25, 0.5)), float(u(0.5, 1.0))
        chin, lip = cheeks * 1.15, cheeks * 1.1
    elif masculine and kind == 3:
        lip, roughness, length = float(u(0.6, 0.9)), 0.7, 0.12
    elif masculine and kind == 4:
        chin, lip, roughness, length = float(u(0.6, 0.9)), float(u(0.5, 0.85)), 0.7, float(u(0.05, 0.35))
        cheeks = float(u(0.0, 0.25))
    elif masculine and kind == 5:
        cheeks = float(u(0.65, 0.92))
        chin, lip, roughness, length = cheeks * 1.05, float(u(0.6, 0.9)), 0.6, float(u(0.1, 0.7))
    return Beard(cheeks, min(chin, 0.95), lip, roughness, length, colour)


def sample_lips(rng: np.random.Generator, skin: np.ndarray, melanin: float, masculine: bool) -> np.ndarray:
    """Linear RGB and opacity of the lips: natural, or now and then lipstick."""
    if not masculine and rng.random() < 0.22:
        shades = np.array([[0.62, 0.20, 0.22], [0.70, 0.34, 0.34], [0.52, 0.20, 0.24], [0.74, 0.42, 0.40]])
        shade = shades[rng.integers(len(shades))] * (1 + 0.06 * rng.standard_normal(3)) * (1 - 0.25 * melanin)
        return np.append(linear(np.clip(shade, 0.1, 0.9)), rng.uniform(0.6, 0.9))
    light, dark = np.array([0.82, 0.50, 0.52]), np.array([0.88, 0.70, 0.74])
    natural = skin * ((1 - melanin) * light + melanin * dark) * (1 + 0.05 * rng.standard_normal(3))
    return np.append(np.clip(natural, 0.01, 0.9), rng.uniform(0.5, 0.95))


def sample_iris(rng: np.random.Generator, melanin: float) -> Float[np.ndarray, " 3"]:
    """Linear iris colour."""
    tones = np.array(
        [[0.20, 0.12, 0.08], [0.33, 0.20, 0.11], [0.40, 0.30, 0.18], [0.37, 0.44, 0.51], [0.36, 0.40, 0.31]]
    )
    shares = (0.18, 0.24, 0.16, 0.26, 0.16) if melanin < 0.35 else (0.55, 0.35, 0.08, 0.01, 0.01)
    return linear(np.clip(tones[rng.choice(len(tones), p=shares)] * (1 + 0.05 * rng.standard_normal(3)), 0.03, 0.9))
