"""Endless noise for the paint of heads: made once from a fixed seed, looked up per pixel.

Each texture has mean 0 and variance 1 and repeats, so that a head can begin anywhere in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numba import njit

SIDE = 512  # texels
SEED = 20210403
TEXEL_CM = 0.05  # of grain, blotch and freckle


@dataclass(frozen=True)
class Textures:
    """Noise by what it is for; texels are TEXEL_CM wide but for `strand`."""

    grain: Float[np.ndarray, "s s"]  # pores and stubble, 0.1 to 0.4 cm
    blotch: Float[np.ndarray, "s s"]  # uneven skin, 1 to 5 cm
    freckle: Float[np.ndarray, "s s"]  # spots of 0.2 to 0.5 cm
    strand: Float[np.ndarray, "s s"]  # hair: texels 0.04 cm across (first axis) and 0.3 cm along the strands


STRAND_TEXEL_CM = (0.04, 0.3)


def make_textures() -> Textures:
    """The same textures at every call."""
    rng = np.random.default_rng(SEED)
    strand = (
        1.0 * band(rng, (0.10, 0.24), (3.0, 90.0), STRAND_TEXEL_CM)
        + 0.8 * band(rng, (0.24, 0.9), (5.0, 90.0), STRAND_TEXEL_CM)
        + 0.6 * band(rng, (0.9, 3.0), (6.0, 90.0), STRAND_TEXEL_CM)
    )
    square = (TEXEL_CM, TEXEL_CM)
    return Textures(
        grain=band(rng, (0.1, 0.4), (0.1, 0.4), square),
        blotch=band(rng, (1.0, 6.0), (1.0, 6.0), square),
        freckle=band(rng, (0.22, 0.6), (0.22, 0.6), square),
        strand=(strand / strand.std()).astype(np.float32),
    )


def band(
    rng: np.random.Generator,
    first_cm: tuple[float, float],
    second_cm: tuple[float, float],
    texel_cm: tuple[float, float],
) -> Float[np.ndarray, "s s"]:
    """White noise held to wave lengths between two bounds; equal bounds on both axes mean a ring, else a block."""
    wave = [np.abs(np.fft.fftfreq(SIDE, texel)) for texel in texel_cm]
    if first_cm == second_cm:
        radius = np.hypot(wave[0][:, None], wave[1][None, :])
        keep = _pass(radius, first_cm)
    else:
        keep = _pass(wave[0], first_cm)[:, None] * _pass(wave[1], second_cm)[None, :]
    keep[0, 0] = 0
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * keep).real
    return (noise / noise.std()).astype(np.float32)


def _pass(frequency: np.ndarray, bounds_cm: tuple[float, float]) -> np.ndarray:
    low, high = 1 / bounds_cm[1], 1 / bounds_cm[0]
    inside = np.exp(-((frequency / high) ** 4)) * (1 - np.exp(-((frequency / low) ** 4)))
    # Natural textures have less of the fine than of the coarse.
    return inside / np.sqrt(np.maximum(frequency, low))


@njit(cache=True)
def look_up(texture: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Values between four texels at texel coordinates [M], [M]; the texture repeats."""
    n, m = texture.shape
    out = np.empty(first.shape[0], dtype=np.float32)
    for k in range(first.shape[0]):
        a, b = np.floor(first[k]), np.floor(second[k])
        fa, fb = first[k] - a, second[k] - b
        i, j = int(a) % n, int(b) % m
        i1, j1 = (i + 1) % n, (j + 1) % m
        near = texture[i, j] * (1 - fb) + texture[i, j1] * fb
        far = texture[i1, j] * (1 - fb) + texture[i1, j1] * fb
        out[k] = near * (1 - fa) + far * fa
    return out
