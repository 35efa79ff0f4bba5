"""The animals' fur, eyes and noses: linear albedo at points of a solid, from where they lie on the head."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numba import njit

from bozzetto.bench.animals_kinds import AnimalShape
from bozzetto.bench.animals_sample import AnimalSample, Coat
from bozzetto.bench.animals_shape import Solid
from bozzetto.bench.heads_map import step
from bozzetto.bench.heads_texture import SIDE, Textures, look_up
from bozzetto.bench.implicit import openness, part_fields

MOUTH = np.array([0.035, 0.022, 0.020], dtype=np.float32)
STRANDS_AROUND = 2 * SIDE  # texels around the nose: whole repeats, so that the fur has no seam
STRAND_TEXEL = 0.007  # length along the strands
OPEN_REACHES = (0.06, 0.14, 0.30, 0.55)  # how far from the surface the head's hollows are looked for


def paint(
    sample: AnimalSample,
    solid: Solid,
    table: np.ndarray,
    points: Float[np.ndarray, "m 3"],
    outward: Float[np.ndarray, "m 3"],
    textures: Textures,
) -> Float[np.ndarray, "m 3"]:
    """Linear albedo, float32; hollows are darker, as in `heads_map`.

    Args:
        points: on the surface, the solid's axes.
        outward: unit normals, the same axes.
    """
    coat, shape = sample.coat, sample.shape
    near = part_fields(table, points)
    x, y, z = points.T.astype(np.float32)
    strand = _strands(coat, solid, points, textures)
    colour = _fur(coat, shape, solid, near, points, strand)
    colour = _ears(coat, solid, near, colour, strand)
    colour = _mouth(solid, near, colour, x, y, z)
    colour *= np.exp(coat.strand * np.clip(strand, -2.5, 2.2))[:, None]
    colour = _mix(colour, coat.nose, step(0.018, -0.004, near[:, solid.nose]))
    colour *= (1 - 0.8 * _nostrils(shape, solid, near, x, y, z))[:, None]
    for side, part in zip((-1, 1), solid.eyes, strict=True):
        colour = _eye(coat, shape, table[part], side, near[:, part], points, colour)
    open_ = np.clip(0.25 + 0.75 * openness(table, points, outward, OPEN_REACHES), 0.25, 1.0)
    return (colour * open_[:, None]).clip(0.004, 0.95).astype(np.float32)


def _fur(
    coat: Coat,
    shape: AnimalShape,
    solid: Solid,
    near: np.ndarray,
    points: np.ndarray,
    strand: np.ndarray,
) -> np.ndarray:
    x, y, z = points.T.astype(np.float32)
    ax = np.abs(x)
    slow = noise(points * (1, 1, 1) * 2.2, coat.noise_seed)
    fine = noise(points * 6.0, coat.noise_seed + 1)
    ragged = 0.06 * strand + 0.10 * fine
    colour = np.broadcast_to(coat.main.astype(np.float32), (len(points), 3)).copy()
    colour *= np.exp(coat.mottle * (slow + 0.7 * fine))[:, None]
    if coat.patches > 0:
        mirrored = np.stack([ax, y, z], 1)
        where = (1 - coat.uneven) * noise(mirrored * 1.1, coat.noise_seed + 2)
        where = where + coat.uneven * noise(points * 1.1, coat.noise_seed + 3)
        colour = _mix(colour, coat.patch, step(-0.10, 0.10, where + 0.25 * ragged - (0.55 - 1.1 * coat.patches)))
    muzzle = near[:, list(solid.muzzle)].min(1)
    eyes = near[:, list(solid.eyes)].min(1)
    if coat.tabby > 0 or coat.tiger > 0:
        colour = _mix(colour, coat.dark, _stripes(coat, shape, points, muzzle, eyes, fine, strand))
    if coat.points > 0:
        dark = step(0.32, -0.02, muzzle + ragged) + 0.5 * step(0.30, 0.05, eyes + ragged)
        colour = _mix(colour, coat.dark, coat.points * np.clip(dark, 0, 1))
    if coat.cheeks > 0:
        edge = y - (shape.eye_y - 0.10 - 0.55 * step(0.15, 0.0, ax - 0.08) + 0.10 * ax)
        colour = _mix(colour, coat.light, coat.cheeks * step(0.10, -0.16, edge + ragged))
    if coat.lower > 0:
        low = step(0.14, -0.04, muzzle + ragged + 0.55 * np.maximum(0, y - shape.muzzle_y - 0.08))
        low = np.maximum(low, step(-0.55, -0.85, y + ragged) * step(0.75, 0.35, ax))
        colour = _mix(colour, coat.light, coat.lower * low)
    if coat.blaze > 0:
        width = coat.blaze * (1 + 0.35 * np.clip(y, -0.6, 1))
        colour = _mix(colour, coat.light, step(0.05, -0.05, ax - width + 0.4 * ragged) * step(0.95, 0.6, y) * (z > 0))
    if coat.spots > 0:
        spot = np.hypot((ax - 0.92 * shape.eye_x) / 1.3, y - shape.eye_y - 1.25 * shape.eye_radius - 0.14)
        colour = _mix(colour, coat.light, coat.spots * step(0.16, 0.06, spot + 0.5 * ragged) * (z > 0))
    if coat.goggles > 0:
        down = np.hypot((ax - 1.12 * shape.eye_x) / 0.95, (y - shape.eye_y + 0.06) / 1.25)
        colour = _mix(colour, coat.dark, coat.goggles * step(0.34, 0.24, down + 0.4 * ragged) * (z > 0))
    # Short light fur under the eyes, and dark lines from their inner corners, as most have.
    inner = np.hypot(ax - 0.62 * shape.eye_x, y - shape.eye_y + 0.8 * shape.eye_radius)
    return colour * (1 - 0.35 * step(0.16, 0.02, inner) * (z > 0.3))[:, None]


def _stripes(
    coat: Coat,
    shape: AnimalShape,
    points: np.ndarray,
    muzzle: np.ndarray,
    eyes: np.ndarray,
    fine: np.ndarray,
    strand: np.ndarray,
) -> np.ndarray:
    """Opacity: along the forehead, and round the cheeks away from the nose."""
    x, y, _ = points.T.astype(np.float32)
    ax = np.abs(x)
    bold = coat.tiger > 0
    mirrored = np.stack([ax, y, points[:, 2]], 1)
    wander = noise(mirrored * 2.0, coat.noise_seed + 4)
    brow = shape.eye_y + 1.3 * shape.eye_radius
    forehead = step(brow - 0.10, brow + 0.10, y)
    across = ax * (9.0 if bold else 13.0) / (0.75 + 0.35 * np.clip(y - brow, 0, 1)) + 0.9 * wander
    if bold:  # arches over the brow instead of lines
        across = (y - brow + 0.55 * ax) * 13 + 1.3 * wander
    away = np.hypot(ax - 0.1, 1.15 * (y - shape.muzzle_y))
    around = away * (11.0 if bold else 13.0) + 2.2 * (y - shape.muzzle_y) + 1.4 * wander
    wave = forehead * np.cos(across) + (1 - forehead) * np.cos(around) * step(0.55, 0.85, away)
    sharp = (0.15, 0.55) if bold else (0.0, 0.8)
    opacity = step(*sharp, wave + 0.22 * fine + 0.08 * strand) * step(0.06, 0.22, muzzle) * step(0.03, 0.12, eyes)
    return (coat.tiger if bold else 0.8 * coat.tabby) * opacity


def _ears(coat: Coat, solid: Solid, near: np.ndarray, colour: np.ndarray, strand: np.ndarray) -> np.ndarray:
    if solid.ears:
        outer = near[:, list(solid.ears)].min(1)
        colour = _mix(colour, coat.dark, coat.ears * step(0.12, 0.02, outer + 0.02 * strand))
    if solid.hollows:
        hollow = np.abs(near[:, list(solid.hollows)]).min(1)
        inside = step(0.07, 0.02, hollow + 0.012 * strand)
        colour = _mix(colour, coat.inner_ear * 0.9, 0.85 * inside * (1 - 0.55 * (coat.goggles > 0)))
    return colour


def _mouth(
    solid: Solid, near: np.ndarray, colour: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    """The dark line between lips and chin, and the one from there up to the nose."""
    lip, chin = near[:, list(solid.lips)].min(1), near[:, solid.chin]
    line = step(0.045, 0.005, np.abs(lip - chin)) * step(0.09, 0.03, np.maximum(lip, chin))
    left, right = near[:, solid.lips[0]], near[:, solid.lips[1]]
    tip_y, tip_z = solid.nose_tip[1], solid.nose_tip[2]
    middle = step(0.030, 0.006, np.abs(left - right)) * step(0.06, 0.02, lip) * (y < tip_y) * (z > tip_z - 0.5)
    return _mix(colour, MOUTH, np.maximum(0.85 * line * (z > 0), 0.75 * middle))


def _nostrils(
    shape: AnimalShape, solid: Solid, near: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray
) -> np.ndarray:
    _, tip_y, _ = solid.nose_tip
    away = np.hypot((np.abs(x) - 0.50 * shape.nose) / 1.3, y - tip_y + 0.22 * shape.nose)
    return step(0.30 * shape.nose, 0.16 * shape.nose, away) * (near[:, solid.nose] < 0.03)


def _eye(
    coat: Coat,
    shape: AnimalShape,
    part: np.ndarray,
    side: int,
    near: np.ndarray,
    points: np.ndarray,
    colour: np.ndarray,
) -> np.ndarray:
    """A ball whose lids are painted: an almond that shows white, iris, pupil and a catch light, with a dark rim."""
    rows = np.flatnonzero(near < 0.16)
    if not len(rows):
        return colour
    r = shape.eye_radius
    x, y, z = ((points[rows] - part[:3]) / r).T.astype(np.float32)
    # Seen a little from outside: the eyes of animals look apart.
    turn = np.radians(14.0) * side
    out = side * (np.cos(turn) * x - np.sin(turn) * z)
    up = y - coat.slant * out
    width = 0.93
    lid = coat.opening * np.sqrt(np.clip(1 - (out / width) ** 2, 0, 1)) * np.where(up > 0, 1.0, 0.85)
    inside = np.where(np.abs(out) < width, lid - np.abs(up), -0.3 - np.abs(out) + width)
    on_ball = step(0.05, 0.012, near[rows])
    look_x, look_y = out - side * coat.gaze[0], y - coat.gaze[1]
    radius = np.hypot(look_x, look_y)
    ball = np.broadcast_to(np.array([0.56, 0.52, 0.48], dtype=np.float32), (len(rows), 3)).copy()
    iris = coat.iris * (0.72 + 0.5 * step(0.2, 0.7, radius / coat.iris_share))[:, None]
    ball = _mix(ball, iris, step(coat.iris_share + 0.05, coat.iris_share - 0.05, radius))
    rim = step(0.82, 1.0, radius / coat.iris_share) * (radius < coat.iris_share + 0.05)
    ball = _mix(ball, 0.25 * coat.iris, 0.8 * rim)
    pupil = np.hypot(look_x / coat.pupil[0], look_y / coat.pupil[1]) / coat.iris_share
    ball = _mix(ball, np.array([0.010, 0.010, 0.011]), step(1.12, 0.90, pupil))
    ball *= (1 - 0.45 * step(0.30, 0.0, lid - up))[:, None]  # the upper lid's shadow
    catch = np.hypot(x + 0.26, y - 0.30)
    ball = _mix(ball, np.full(3, 0.92), coat.catch_light * step(0.20, 0.11, catch))
    lids = colour[rows]
    lids = _mix(lids, coat.rim, 0.92 * step(-0.34, -0.10, inside) * step(0.12, 0.03, near[rows]))
    colour[rows] = _mix(lids, ball, step(-0.06, 0.05, inside) * on_ball)
    return colour


def _strands(coat: Coat, solid: Solid, points: np.ndarray, textures: Textures) -> np.ndarray:
    """Light and dark strands that run away from the nose, in tufts; mean 0, variance about 1."""
    x, y, z = points.T.astype(np.float32)
    tip = np.array(solid.nose_tip, dtype=np.float32)
    along = np.sqrt((x - tip[0]) ** 2 + (y - tip[1]) ** 2 + (z - tip[2]) ** 2)
    around = np.arctan2(x, -(y - tip[1]) + 1e-6) * np.float32(STRANDS_AROUND / (2 * np.pi))
    around = around + 4 * noise(points * 2.6, coat.noise_seed + 5) + 1.5 * noise(points * 7, coat.noise_seed + 6)
    strand = look_up(textures.strand, around, along / np.float32(STRAND_TEXEL))
    return strand * step(0.0, 0.5, along)


def _mix(under: np.ndarray, over: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Lay colours (one, or one a row) over the rows of `under`."""
    return np.asarray(under + np.asarray(opacity, dtype=np.float32)[:, None] * (over.astype(np.float32) - under))


def noise(points: Float[np.ndarray, "m 3"], seed: int) -> Float[np.ndarray, " m"]:
    """Smooth noise in space with waves of about one unit, mean 0, mostly within -1 to 1, float32."""
    return np.asarray(_noise(np.ascontiguousarray(points, dtype=np.float64), seed % 2**31))


@njit(cache=True)
def _noise(points: np.ndarray, seed: int) -> np.ndarray:
    out = np.empty(points.shape[0], dtype=np.float32)
    mask = np.uint64(0xFFFFFFFF)
    for m in range(points.shape[0]):
        total = 0.0
        cell = np.floor(points[m])
        t = points[m] - cell
        t = t * t * (3.0 - 2.0 * t)
        for corner in range(8):
            weight = 1.0
            code = np.uint64(seed)
            for axis in range(3):
                upper = (corner >> axis) & 1
                weight *= t[axis] if upper else 1.0 - t[axis]
                place = np.uint64(np.int64(cell[axis]) + upper + 1000003)
                code = ((code ^ place) * np.uint64(2654435761)) & mask
                code = (code ^ (code >> np.uint64(15))) & mask
            code = (code * np.uint64(2246822519)) & mask
            code = (code ^ (code >> np.uint64(13))) & mask
            total += weight * (np.float64(code) / 2147483648.0 - 1.0)
        out[m] = 1.6 * total
    return out
