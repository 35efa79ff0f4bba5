"""Procedural paint for the head model: colours from distances measured once on the neutral mean head.

Sharp features (lips, brows, iris, hair line) are stored as distances in cm, carried to the pixels and thresholded
there, so their edges stay crisp at any size; slow features (skin, blush, beard) are colours per vertex.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from bozzetto.bench.heads_model import HeadModel
from bozzetto.bench.heads_sample import HeadSample

FAR_CM = 9.0
EYE_CENTRE_CM = (3.19, 3.614)  # x (mirrored for the other eye), y of the pupil in the mean head
IRIS_RADIUS_CM, PUPIL_RADIUS_CM = 0.57, 0.23
SCLERA, TEETH = np.array([0.80, 0.77, 0.74]), np.array([0.78, 0.74, 0.66])
GUMS, MOUTH, LASH = np.array([0.30, 0.07, 0.07]), np.array([0.10, 0.02, 0.02]), np.array([0.012, 0.011, 0.012])

# Columns of what is interpolated to the pixels.
NORMAL, BASE, LIP, BROW, BROW_ALONG, EYE, HAIR, INSIDE, FLAT = slice(0, 3), slice(3, 6), 6, 7, 8, 9, 10, 11, 12
COLUMNS = 13


@dataclass(frozen=True)
class PaintMap:
    """Distances on the mean head, one per vertex; the same for every head because the mesh is."""

    position_cm: Float[np.ndarray, "v 3"]
    lip_cm: Float[np.ndarray, " v"]  # signed distance to the lips' outline, positive inside
    brow_cm: Float[np.ndarray, " v"]  # distance to the nearer brow's line
    brow_along: Float[np.ndarray, " v"]  # 0 at the nose end of the brow, 1 at the temple
    eye_cm: Float[np.ndarray, " v"]  # distance to the gaze axis on the eyeballs, else far
    hair_cm: Float[np.ndarray, " v"]  # height over the mean hair line, positive under hair
    inside: Float[np.ndarray, " v"]  # 1 in the mouth, 0 on the skin
    blush: Float[np.ndarray, " v"]
    beard: Float[np.ndarray, " v"]
    is_skin: Float[np.ndarray, " v"]
    fixed_rgb: Float[np.ndarray, "v 3"]  # colour of what is not skin
    lash_along: Float[np.ndarray, "v 1"]  # 0 where a lash leaves the lid, 1 at its tip


def make_paint_map(model: HeadModel) -> PaintMap:
    """Measure the mean head."""
    position = model.mean_cm.astype(np.float64)
    x, y, z = position.T
    mark = position[model.landmarks]
    face, skull = model.material_vertices("M_Face"), model.material_vertices("M_BackHead")
    skin = face | skull
    eyes = model.material_vertices("M_ScleraLeft", "M_ScleraRight")
    gums, teeth = model.material_vertices("M_GumsTongue"), model.material_vertices("M_Teeth")

    front = face & (z > 7.5) & (np.abs(x) < 4) & (y < 0)
    lip = np.full(len(position), -FAR_CM)
    lip[front] = _signed_distance(position[front, :2], mark[48:60, :2])
    inside = np.where(front & (lip > 0), _step(10.35, 9.4, z + 0.12 * x**2), 0.0)

    upper = face & (z > 4) & (y > 3.5)
    brow, along = np.full(len(position), FAR_CM), np.zeros(len(position))
    for line in (mark[[21, 20, 19, 18, 17]], mark[22:27]):
        distance, t = _distance_to_line(position[upper, :2], line[:, :2] - (0, 0.15))
        nearer = distance < brow[upper]
        brow[upper] = np.where(nearer, distance, brow[upper])
        along[upper] = np.where(nearer, t, along[upper])

    eye = np.where(eyes & (z > 8), np.hypot(np.abs(x) - EYE_CENTRE_CM[0], y - EYE_CENTRE_CM[1]), FAR_CM)
    fixed = np.zeros_like(position)
    fixed[eyes], fixed[gums], fixed[teeth] = SCLERA, GUMS, TEETH
    fixed[gums | teeth] *= (0.25 + 0.75 * _step(5.0, 9.5, z))[gums | teeth, None]  # darker toward the throat
    return PaintMap(
        position_cm=position,
        lip_cm=lip,
        brow_cm=brow,
        brow_along=along,
        eye_cm=eye,
        hair_cm=np.where(skin, _over_hair_line(position), -FAR_CM),
        inside=inside,
        blush=np.exp(-(((np.abs(x) - 4.3) / 1.9) ** 2) - ((y - 0.3) / 1.6) ** 2)
        + 0.5 * np.exp(-((x / 1.0) ** 2) - ((y - 0.0) / 1.2) ** 2),
        beard=_beard(position) * skin,
        is_skin=skin.astype(np.float64),
        fixed_rgb=fixed,
        lash_along=_lash_along(position, face, model.material_vertices("M_EyeLashes"))[:, None],
    )


def paint_vertices(sample: HeadSample, paint: PaintMap) -> Float[np.ndarray, "v 10"]:
    """Columns BASE to FLAT of what is interpolated, for one head."""
    waves = np.cos(paint.position_cm @ sample.tint[:, :3].T + sample.tint[:, 3]) @ sample.tint[:, 4:]
    skin = sample.skin * np.exp(waves)
    skin = skin * (1 - sample.blush * paint.blush[:, None] * np.array([0.02, 0.30, 0.24]))
    beard = (sample.beard * paint.beard)[:, None]
    skin = skin * (1 - beard) + beard * (0.6 * sample.brow[:3] + 0.25 * skin)
    base = np.where(paint.is_skin[:, None] > 0, skin, paint.fixed_rgb)
    columns = np.stack(
        [paint.lip_cm, paint.brow_cm, paint.brow_along, paint.eye_cm, paint.hair_cm, paint.inside, paint.is_skin], 1
    )
    return np.concatenate([base, columns], 1)


def paint_pixels(sample: HeadSample, seen: Float[np.ndarray, "n n k"]) -> Float[np.ndarray, "n n 3"]:
    """Linear albedo of every sample from the interpolated columns."""
    albedo = seen[..., BASE]
    skin = seen[..., FLAT] > 0.5

    hair = sample.hair[3] * _step(-0.35, 0.45, seen[..., HAIR] - sample.hairline_cm) * skin
    albedo = _over(albedo, sample.hair[:3], hair)

    width = sample.brow_width_cm * (1.05 - 0.55 * seen[..., BROW_ALONG] ** 2)
    brow = sample.brow[3] * _step(width + 0.12, width - 0.10, seen[..., BROW]) * skin
    albedo = _over(albedo, sample.brow[:3], brow)

    lips = _step(-sample.lip_softness_cm, sample.lip_softness_cm, seen[..., LIP]) * skin
    albedo = _over(albedo, sample.lips, lips)
    albedo = _over(albedo, MOUTH, seen[..., INSIDE] * skin)

    iris = _step(IRIS_RADIUS_CM + 0.05, IRIS_RADIUS_CM - 0.05, seen[..., EYE])
    rim = 1 - 0.55 * _step(0.40, IRIS_RADIUS_CM, seen[..., EYE])[..., None]
    albedo = _over(albedo, sample.iris * rim, iris)
    return _over(albedo, LASH, _step(PUPIL_RADIUS_CM + 0.04, PUPIL_RADIUS_CM - 0.04, seen[..., EYE]))


def _over(under: np.ndarray, colour: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    return under + opacity[..., None] * (np.asarray(colour, dtype=under.dtype) - under)


def _step(low: float | np.ndarray, high: float | np.ndarray, value: np.ndarray) -> np.ndarray:
    """Smooth step from 0 at `low` to 1 at `high`; `low` > `high` falls instead of rising."""
    t = np.clip((value - low) / (np.asarray(high) - low), 0, 1)
    return t * t * (3 - 2 * t)


def _over_hair_line(position: np.ndarray) -> np.ndarray:
    """Height in cm over a hair line that runs over the forehead, down the temples, round the ears to the nape."""
    x, y, z = position.T
    # At the forehead (z = 9) the line is at y = 9.6; toward the temples it falls to the ears' top and behind them.
    line = np.interp(z, (-9.0, -3.0, 0.5, 2.5, 4.5, 6.5, 8.0, 9.5), (-5.0, -3.0, 3.5, 5.0, 6.5, 8.6, 9.3, 9.8))
    ear = np.exp(-(((z - 0.0) / 2.8) ** 2) - ((y - 2.0) / 3.6) ** 2) * (np.abs(x) > 6.5)
    return y - line - 6 * ear


def _lash_along(position: np.ndarray, face: np.ndarray, lash: np.ndarray) -> np.ndarray:
    """0 where a lash leaves the lid, 1 from 0.6 cm on; 0 off the lashes."""
    lid = position[face & (np.abs(position[:, 0]) < 6) & (position[:, 1] > 1) & (position[:, 1] < 6)]
    square = (position[lash] ** 2).sum(1)[:, None] + (lid**2).sum(1) - 2 * position[lash] @ lid.T
    along = np.zeros(len(position))
    along[lash] = _step(0.1, 0.6, np.sqrt(np.maximum(square, 0).min(1)))
    return along


def _beard(position: np.ndarray) -> np.ndarray:
    """Where a beard grows, 0 to 1: jaw, chin, upper lip and side burns, fading out on the neck."""
    x, y, z = position.T
    ax = np.abs(x)
    edge = np.interp(ax, (0.0, 2.4, 3.2, 4.5, 6.0, 7.0, 8.0), (-1.3, -1.3, -2.4, -3.2, -1.5, 2.5, 3.5))
    return _step(0.7, -1.1, y - edge) * _step(-11.5, -8.5, y) * _step(1.5, 5.5, z)


def _signed_distance(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Distance in the plane to a closed polygon's outline, positive inside (even-odd rule)."""
    closed = np.concatenate([polygon, polygon[:1]])
    distance, _ = _distance_to_line(points, closed)
    inside = np.zeros(len(points), dtype=bool)
    for (ax, ay), (bx, by) in pairwise(closed):
        if ay == by:
            continue
        crosses = (ay > points[:, 1]) != (by > points[:, 1])
        inside ^= crosses & (points[:, 0] < (bx - ax) * (points[:, 1] - ay) / (by - ay) + ax)
    return np.where(inside, distance, -distance)


def _distance_to_line(points: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance in the plane to a polyline, and where along it (0 to 1 by segments) the nearest point lies."""
    best, along = np.full(len(points), np.inf), np.zeros(len(points))
    for k, (a, b) in enumerate(pairwise(line)):
        edge = b - a
        t = np.clip((points - a) @ edge / max(edge @ edge, 1e-12), 0, 1)
        distance = np.linalg.norm(points - a - t[:, None] * edge, axis=1)
        nearer = distance < best
        best, along = np.where(nearer, distance, best), np.where(nearer, (k + t) / (len(line) - 1), along)
    return best, along
