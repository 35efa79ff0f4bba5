"""Procedural paint for the head model: colours from distances measured on the mean head, and from noise.

Sharp features (lips, brows, iris, hair line) are carried to the pixels as distances in cm and thresholded there, so
their edges stay crisp at any size; slow features (skin, blush, beard) are one number or colour per vertex.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from bozzetto.bench.heads_hair import AZIMUTH_CM, over_hair_line_cm
from bozzetto.bench.heads_map import PaintMap, step
from bozzetto.bench.heads_sample import HeadSample
from bozzetto.bench.heads_texture import STRAND_TEXEL_CM, TEXEL_CM, Textures, look_up

IRIS_RADIUS_CM = 0.57
MOUTH, LASH, PUPIL = np.array([0.10, 0.02, 0.02]), np.array([0.035, 0.025, 0.022]), np.array([0.012, 0.011, 0.012])
GAP = np.array([0.012, 0.010, 0.010])  # between strands

# Columns of what is interpolated to the pixels.
NORMAL, BASE = slice(0, 3), slice(3, 6)
LIP, BROW, BROW_ALONG, EYE, CATCH, HAIR, INSIDE, FLAT, LID, BEARD, CLOTHES, OPEN, ACROSS, ALONG, SHELL = range(6, 21)
COLUMNS = 21


def paint_vertices(sample: HeadSample, paint: PaintMap) -> Float[np.ndarray, "v 18"]:
    """Columns BASE to SHELL of the head's vertices."""
    tint = sample.tint.astype(np.float32)
    waves = np.cos(paint.position_cm.astype(np.float32) @ tint[:, :3].T + tint[:, 3]) @ tint[:, 4:]
    log = waves[:, :1] + waves[:, 1:] * np.array([0.4, -1.0, -1.0])
    log = log - sample.blush * paint.blush[:, None] * np.array([0.03, 0.30, 0.30])
    log = log - sample.sockets * paint.socket[:, None] * np.array([0.20, 0.30, 0.22])
    log = log + paint.forehead[:, None] * np.array([0.0, 0.0, -0.05])
    base = np.where(paint.is_skin[:, None] > 0, sample.skin * np.exp(log), paint.fixed_rgb)
    parts = sample.beard
    beard = np.maximum(np.maximum(parts.cheeks * paint.beard, parts.chin * paint.chin), parts.lip * paint.moustache)
    columns = fixed_columns(paint).copy()
    columns[:, : LIP - BASE.start] = base
    columns[:, BEARD - BASE.start] = beard
    return columns


@lru_cache(maxsize=2)
def fixed_columns(paint: PaintMap) -> Float[np.ndarray, "v 18"]:
    """Columns BASE to SHELL with all that is the same for every head."""
    zero = np.zeros(len(paint.position_cm))
    columns = [zero, zero, zero, paint.lip_cm, paint.brow_cm, paint.brow_along, paint.eye_cm, paint.catch_cm]
    columns += [paint.hair_cm, paint.inside, paint.is_skin, paint.lid_cm, zero, paint.clothes_cm, paint.openness]
    columns += [paint.across_cm, paint.along_cm, zero]
    return np.stack(columns, 1).astype(np.float32)


def paint_shell(sample: HeadSample, across_cm: np.ndarray, along_cm: np.ndarray, lift_cm: np.ndarray) -> np.ndarray:
    """Columns BASE to SHELL of the hair shell's vertices, [G, 18]."""
    shell = np.zeros((len(across_cm), COLUMNS - BASE.start), dtype=np.float32)
    shell[:, :3] = sample.hair_colour
    for column, value in ((ACROSS, across_cm), (ALONG, along_cm), (SHELL, 1.0), (OPEN, step(-0.6, 1.0, lift_cm))):
        shell[:, column - BASE.start] = value
    return shell


def paint_pixels(sample: HeadSample, seen: Float[np.ndarray, "m k"], textures: Textures) -> Float[np.ndarray, "m 3"]:
    """Linear albedo of every sample from the interpolated columns."""
    skin = seen[:, FLAT] > 0.5
    texel = [
        seen[:, c] / np.float32(TEXEL_CM) + np.float32(o)
        for c, o in zip((ACROSS, ALONG), sample.texture_offset, strict=True)
    ]
    grain = look_up(textures.grain, texel[0], texel[1])
    strand = _strands(sample, seen, textures)

    albedo = _skin(sample, seen, textures, texel, grain)
    albedo = _over(albedo, sample.clothes * np.float32(1.0), step(-0.1, 0.1, seen[:, CLOTHES]) * skin)
    lips = sample.lips[3] * step(-sample.lip_softness_cm, sample.lip_softness_cm, seen[:, LIP]) * skin
    albedo = _over(albedo, sample.lips[:3] * (1 + 0.04 * grain[:, None]), lips)
    albedo = _over(albedo, MOUTH, seen[:, INSIDE] * skin)

    rough = sample.beard.roughness
    stubble = look_up(textures.grain, 2.1 * texel[0], 2.1 * texel[1]) if rough > 0 else 0.0
    beard = seen[:, BEARD] * (1 - rough * 0.45 + rough * 0.6 * stubble) * (seen[:, LIP] < -0.05) * skin
    colour = sample.beard.colour * (1 + 0.5 * sample.beard.length_cm * strand[:, None])
    shadow = np.float32(0.35) * albedo + 0.65 * np.clip(colour, 0.005, 1)
    albedo = _over(albedo, shadow, np.clip(beard, 0, 0.95))

    albedo = _over(albedo, sample.brow.colour, _brow_opacity(sample, seen, textures) * skin)
    albedo = _over(albedo, 0.25 * sample.skin + LASH, 0.75 * sample.lashes[0] * step(0.16, 0.03, seen[:, LID]) * skin)

    over = over_hair_line_cm(seen[:, HAIR], seen[:, ACROSS] / np.float32(AZIMUTH_CM), sample.hair)
    edge = over + 0.3 * strand + (0.25 * grain if sample.hair.thickness_cm == 0 else 0)
    hair = sample.hair_colour * np.exp(sample.hair_contrast * strand)[:, None]
    albedo = _over(albedo, hair, sample.hair.opacity * step(-0.5, 0.9, edge) * skin)

    eyes = np.flatnonzero(seen[:, EYE] < 4)
    albedo[eyes] = _eyes(sample, seen[eyes], albedo[eyes])
    shut = seen[:, OPEN, None]
    albedo *= np.concatenate([shut ** np.where(skin, 0.75, 1)[:, None].astype(np.float32), shut, shut], 1)
    shell = np.flatnonzero(seen[:, SHELL] > 0.5)
    albedo[shell] = _shell(sample, seen[shell], strand[shell])
    return albedo


def _skin(
    sample: HeadSample, seen: np.ndarray, textures: Textures, texel: list[np.ndarray], grain: np.ndarray
) -> np.ndarray:
    """The vertices' colour, mottled and freckled; what is not skin as it is."""
    blotch = look_up(textures.blotch, texel[0], texel[1])
    log = sample.mottle * (0.035 * blotch[:, None] * np.array([0.3, 1.0, 1.0]) + 0.018 * grain[:, None])
    if sample.freckles > 0:
        spots = step(1.2, 2.6, look_up(textures.freckle, texel[0], texel[1])) * step(
            5.0, 1.5, np.abs(seen[:, ALONG] - 17.8)
        )
        log = log - sample.freckles * spots[:, None] * np.array([0.2, 0.4, 0.5])
    return seen[:, BASE] * np.exp(log.astype(np.float32) * seen[:, FLAT, None])


def _strands(sample: HeadSample, seen: np.ndarray, textures: Textures) -> np.ndarray:
    """Light and dark strands of hair, mean 0, variance 1."""
    style = sample.hair
    across = (seen[:, ACROSS] + np.float32(style.shear) * seen[:, ALONG]) / np.float32(STRAND_TEXEL_CM[0])
    along = seen[:, ALONG] / np.float32(STRAND_TEXEL_CM[1])
    return look_up(textures.strand, across + np.float32(style.offset[0]), along + np.float32(style.offset[1]))


def _shell(sample: HeadSample, seen: np.ndarray, strand: np.ndarray) -> np.ndarray:
    """Strands, darker where the hair is thin, with a sheen over the forehead and at the sides of the crown."""
    sheen = 0.35 * np.exp(-(((seen[:, ALONG] - 8.0 - 0.5 * strand) / 2.2) ** 2))
    tone = np.exp(sample.hair_contrast * np.clip(strand, -2.5, 2.0)) * (1 + sheen) * (0.35 + 0.65 * seen[:, OPEN])
    through = step(0.56, 0.30, seen[:, OPEN] + 0.09 * strand)  # of the skin, at the edges
    if sample.hair.fall_cm > 0:  # but not where hair hangs free
        through = through * step(13.0, 11.0, seen[:, ALONG])
    return _over(
        GAP.astype(np.float32) + seen[:, BASE] * tone[:, None],
        0.8 * sample.skin,
        0.85 * through * step(0.02, 0.2, seen[:, OPEN]),
    )


def _brow_opacity(sample: HeadSample, seen: np.ndarray, textures: Textures) -> np.ndarray:
    brow = sample.brow
    along, above = seen[:, BROW_ALONG], seen[:, BROW]
    above = above - brow.raise_cm - brow.arch_cm * np.exp(-(((along - 0.68) / 0.28) ** 2))
    # Hairs stand up near the nose and lie down toward the temple.
    slant = np.float32(4.6) * along - above * (0.15 + 0.9 * along)
    hairs = look_up(
        textures.strand, slant / np.float32(0.018), above / np.float32(0.3) + np.float32(brow.raise_cm * 900)
    )
    width = brow.half_width_cm * (0.75 + 0.25 * step(-0.05, 0.3, along)) * (1 - 0.72 * step(0.45, 1.1, along))
    body = step(1.45 * width, 0.35 * width, np.abs(above) + 0.05 * hairs)
    ends = step(-0.12, 0.16, along + 0.02 * hairs) * step(1.14, 0.86, along)
    return np.clip(brow.opacity * body * ends * (1 + (1 - brow.density) * 0.3 * hairs), 0, 0.95)


def _eyes(sample: HeadSample, seen: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """White, redder outward; iris with a lighter ring round the pupil and a dark rim; a small catch light."""
    radius = seen[:, EYE]
    red = step(0.6, 1.6, radius)[:, None] * np.array([0.10, 0.38, 0.36], dtype=np.float32)
    albedo = albedo * (1 - red)
    glow = 0.75 + 0.6 * np.exp(-(((radius - sample.pupil_cm - 0.08) / 0.12) ** 2))
    rim = glow * (1 - 0.65 * step(0.40, IRIS_RADIUS_CM, radius))
    albedo = _over(albedo, sample.iris * rim[:, None], step(IRIS_RADIUS_CM + 0.07, IRIS_RADIUS_CM - 0.05, radius))
    albedo = _over(albedo, PUPIL, step(sample.pupil_cm + 0.05, sample.pupil_cm - 0.05, radius))
    return _over(albedo, np.full(3, 0.9), sample.catch_light * step(0.15, 0.05, seen[:, CATCH]))


def _over(under: np.ndarray, colour: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Lay one colour, or one a row, over the rows of `under`, in place."""
    rows = np.flatnonzero(opacity > 0)
    colour = np.asarray(colour, dtype=np.float32)
    there = under[rows]
    under[rows] = there + opacity[rows, None].astype(np.float32) * (
        (colour if colour.ndim == 1 else colour[rows]) - there
    )
    return under
