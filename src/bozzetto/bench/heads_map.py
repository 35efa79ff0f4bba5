"""What the paint needs to know of the mean head: distances and regions per vertex, measured once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from bozzetto.bench.heads_hair import surface_coordinates_cm
from bozzetto.bench.heads_model import HeadModel
from bozzetto.bench.heads_raster import rasterise, vertex_normals

FAR_CM = 9.0
EYE_CENTRE_CM = (3.19, 3.614)  # x (mirrored for the other eye), y of the pupil in the mean head
CATCH_LIGHT_CM = (0.16, 0.24)  # from the pupil: to the viewer's left, up
SCLERA, TEETH = np.array([0.60, 0.545, 0.52]), np.array([0.70, 0.64, 0.55])
GUMS = np.array([0.30, 0.07, 0.07])


@dataclass(frozen=True, eq=False)
class PaintMap:
    """Distances on the mean head, one per vertex; the same for every head because the mesh is."""

    position_cm: Float[np.ndarray, "v 3"]
    outward: Float[np.ndarray, "v 3"]  # unit normals
    lip_cm: Float[np.ndarray, " v"]  # signed distance to the lips' outline, positive inside
    brow_cm: Float[np.ndarray, " v"]  # height over the nearer brow's line
    brow_along: Float[np.ndarray, " v"]  # 0 at the nose end of the brow, 1 at the temple, on beyond both
    eye_cm: Float[np.ndarray, " v"]  # distance to the gaze axis on the eyeballs, else far
    catch_cm: Float[np.ndarray, " v"]  # distance to the catch light on the eyeballs, else far
    lid_cm: Float[np.ndarray, " v"]  # distance to the upper lid's edge, a little more to the lower one's
    hair_cm: Float[np.ndarray, " v"]  # height over the mean hair line, positive under hair
    inside: Float[np.ndarray, " v"]  # 1 in the mouth, 0 on the skin
    blush: Float[np.ndarray, " v"]
    socket: Float[np.ndarray, " v"]  # around and under the eyes
    forehead: Float[np.ndarray, " v"]
    beard: Float[np.ndarray, " v"]  # cheeks, jaw and throat
    chin: Float[np.ndarray, " v"]
    moustache: Float[np.ndarray, " v"]
    clothes_cm: Float[np.ndarray, " v"]  # depth under the collar
    openness: Float[np.ndarray, " v"]  # 1 on open skin, less in folds and hollows
    is_skin: Float[np.ndarray, " v"]
    fixed_rgb: Float[np.ndarray, "v 3"]  # colour of what is not skin
    across_cm: Float[np.ndarray, " v"]  # surface coordinates of the textures
    along_cm: Float[np.ndarray, " v"]
    lash: Float[np.ndarray, "v 3"]  # 0 where a lash leaves the lid to 1 at its tip; 1 = upper; x in cm


def make_paint_map(model: HeadModel) -> PaintMap:
    """Measure the mean head."""
    position = model.mean_cm.astype(np.float64)
    x, y, z = position.T
    ax = np.abs(x)
    mark = position[model.landmarks]
    face, skull = model.material_vertices("M_Face"), model.material_vertices("M_BackHead")
    skin = face | skull
    eyes = model.material_vertices("M_ScleraLeft", "M_ScleraRight")
    gums, teeth = model.material_vertices("M_GumsTongue"), model.material_vertices("M_Teeth")

    front = face & (z > 7.5) & (ax < 4) & (y < 0)
    lip = np.full(len(position), -FAR_CM)
    lip[front] = _signed_distance(position[front, :2], mark[48:60, :2])

    upper = face & (z > 4) & (y > 3.5)
    brow, along = np.full(len(position), FAR_CM), np.zeros(len(position))
    for line in (mark[[21, 20, 19, 18, 17]], mark[22:27]):
        height, t = _over_line(position[upper, :2], line[:, :2] - (0, 0.15))
        nearer = np.abs(height) < np.abs(brow[upper])
        brow[upper] = np.where(nearer, height, brow[upper])
        along[upper] = np.where(nearer, t, along[upper])

    ball = eyes & (z > 8)
    pupil_x = np.sign(x) * EYE_CENTRE_CM[0]
    fixed = np.zeros_like(position)
    fixed[eyes], fixed[gums], fixed[teeth] = SCLERA, GUMS, TEETH
    fixed[gums | teeth] *= (0.25 + 0.75 * step(5.0, 9.5, z))[gums | teeth, None]  # darker toward the throat
    fixed[gums | teeth] *= (1 - 0.6 * step(1.0, 2.6, ax))[gums | teeth, None]  # and the cheeks
    across, along_cm = surface_coordinates_cm(position)
    openness = _openness(position, model)
    openness[gums | teeth] = 1.0  # measured with the mouth shut
    openness[eyes] = np.maximum(openness[eyes], 0.45)
    return PaintMap(
        position_cm=position,
        outward=vertex_normals(position, model.triangles, model.weld),
        lip_cm=lip,
        brow_cm=brow,
        brow_along=along,
        eye_cm=np.where(ball, np.hypot(x - pupil_x, y - EYE_CENTRE_CM[1]), FAR_CM),
        catch_cm=np.where(
            ball, np.hypot(x - pupil_x + CATCH_LIGHT_CM[0], y - EYE_CENTRE_CM[1] - CATCH_LIGHT_CM[1]), FAR_CM
        ),
        lid_cm=_lid_distance(position, face & skull, skin),
        hair_cm=np.where(skin, _over_hair_line(position), -FAR_CM),
        inside=np.where(front & (lip > 0), step(10.35, 9.4, z + 0.12 * x**2), 0.0),
        blush=np.exp(-(((ax - 4.2) / 2.0) ** 2) - ((y - 0.4) / 1.7) ** 2)
        + 0.9 * np.exp(-((x / 1.1) ** 2) - ((y - 0.3) / 1.0) ** 2) * (z > 9)
        + 0.35 * np.exp(-((x / 1.6) ** 2) - ((y + 6.5) / 1.2) ** 2) * (z > 5)
        + 0.9 * step(7.6, 8.8, ax) * (y > -3) * (y < 7),
        socket=(
            np.exp(-(((ax - 3.0) / 1.5) ** 2) - ((y - 2.3) / 0.8) ** 2)
            + 0.7 * np.exp(-(((ax - 3.1) / 1.6) ** 2) - ((y - 4.3) / 0.6) ** 2)
            + 0.6 * np.exp(-(((ax - 1.5) / 0.6) ** 2) - ((y - 3.4) / 0.9) ** 2)
        )
        * (z > 5),
        forehead=step(5.5, 8.0, y) * step(2.0, 6.0, z),
        beard=_beard(position) * skin,
        chin=step(3.4, 2.2, ax + 0.25 * np.maximum(0, y + 4.5)) * step(-3.9, -4.6, y - 0.08 * x**2) * _beard(position),
        moustache=step(3.3, 2.5, ax) * step(-1.1, -1.6, y + 0.12 * x**2) * step(-6.2, -4.2, y) * (z > 8) * face,
        clothes_cm=np.where(skin, -11.3 - y - 0.3 * np.maximum(z, 0) + 0.1 * ax, -FAR_CM),
        openness=openness,
        is_skin=skin.astype(np.float64),
        fixed_rgb=fixed,
        across_cm=across,
        along_cm=along_cm,
        lash=_lash(position, face & skull, model.material_vertices("M_EyeLashes")),
    )


def step(low: float | np.ndarray, high: float | np.ndarray, value: np.ndarray) -> np.ndarray:
    """Smooth step from 0 at `low` to 1 at `high`; `low` > `high` falls instead of rising."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _over_hair_line(position: np.ndarray) -> np.ndarray:
    """Height in cm over a hair line that runs over the forehead, down the temples, round the ears to the nape."""
    x, y, z = position.T
    # At the forehead (z = 9) the line is at y = 9.6; toward the temples it falls to the ears' top and behind them.
    line = np.interp(z, (-9.0, -3.0, 0.5, 2.5, 4.5, 6.5, 8.0, 9.5), (-5.0, -3.0, 3.5, 5.0, 6.5, 8.6, 9.3, 9.8))
    ear = np.exp(-(((z - 0.0) / 2.8) ** 2) - ((y - 2.0) / 3.6) ** 2) * (np.abs(x) > 6.5)
    return y - line - 6 * ear


def _beard(position: np.ndarray) -> np.ndarray:
    """Where a beard grows, 0 to 1: jaw, chin and side burns, fading out on the neck."""
    x, y, z = position.T
    ax = np.abs(x)
    edge = np.interp(ax, (0.0, 2.4, 3.2, 4.5, 6.0, 7.0, 8.0), (-4.2, -4.0, -2.9, -3.4, -1.9, 2.0, 3.5))
    return step(0.7, -1.0, y - edge) * step(-11.0, -8.5, y) * step(1.5, 4.5, z)


def _lid_edge(position: np.ndarray, seam: np.ndarray) -> np.ndarray:
    """Vertices where the face's skin meets the eye sockets' lining."""
    x, y, z = position.T
    return position[seam & (np.abs(x) > 1) & (np.abs(x) < 6) & (y > 1) & (y < 6) & (z > 6)]


def _lid_distance(position: np.ndarray, seam: np.ndarray, skin: np.ndarray) -> np.ndarray:
    edge = _lid_edge(position, seam)
    distance = np.full(len(position), FAR_CM)
    near = skin & (np.abs(position[:, 0]) < 6) & (position[:, 1] > 1) & (position[:, 1] < 6) & (position[:, 2] > 6)
    if len(edge):
        gap = np.linalg.norm(position[near, None] - edge, axis=2) + 0.07 * (edge[:, 1] < 3.4)
        distance[near] = gap.min(1)
    return distance


def _lash(position: np.ndarray, seam: np.ndarray, lash: np.ndarray) -> np.ndarray:
    """Along, upper, x per vertex; 0 off the lashes."""
    edge = _lid_edge(position, seam)
    out = np.zeros((len(position), 3))
    if len(edge) and lash.any():
        gap = np.linalg.norm(position[lash, None] - edge, axis=2)
        out[lash] = np.stack([step(0.05, 0.7, gap.min(1)), edge[gap.argmin(1), 1] > 3.4, position[lash, 0]], 1)
    return out


def _openness(position: np.ndarray, model: HeadModel, directions: int = 60, pixels: int = 256) -> np.ndarray:
    """Share of the sky over each vertex that the head leaves free, cosine-weighted, [V]; hollows are dark."""
    outward = vertex_normals(position, model.triangles, model.weld)
    k = np.arange(directions) + 0.5
    height, turn = 1 - 2 * k / directions, np.pi * (1 + 5**0.5) * k
    side = np.sqrt(1 - height**2)
    free, total = np.zeros(len(position)), np.full(len(position), 1e-9)
    solid = np.ascontiguousarray(model.triangles[model.material != _number(model, "M_EyeLashes")])
    far, reach = 5000.0, 21.0  # from so far away rays are parallel
    focal = far / reach * pixels / 2
    for toward in np.stack([side * np.cos(turn), height, side * np.sin(turn)], 1):
        right = np.cross(toward, (0.3, 0.9, 0.2))
        right /= np.linalg.norm(right)
        points = np.stack([position @ right, position @ np.cross(toward, right), far - position @ toward], 1)
        _, _, depth = rasterise(points, solid, focal, (pixels - 1) / 2, pixels, 1)
        column, row = (
            np.clip(np.rint(points[:, a] * focal / points[:, 2] + (pixels - 1) / 2), 0, pixels - 1) for a in (0, 1)
        )
        cosine = np.maximum(0, outward @ toward)
        total += cosine
        free += cosine * (points[:, 2] < depth[row.astype(int), column.astype(int)] + 0.35)
    return np.clip(free / total, 0.12, 1) ** 0.6


def _number(model: HeadModel, name: str) -> int:
    return model.material_names.index(name) if name in model.material_names else 255


def _signed_distance(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Distance in the plane to a closed polygon's outline, positive inside (even-odd rule)."""
    closed = np.concatenate([polygon, polygon[:1]])
    distance = np.full(len(points), np.inf)
    inside = np.zeros(len(points), dtype=bool)
    for a, b in pairwise(closed):
        edge = b - a
        t = np.clip((points - a) @ edge / max(edge @ edge, 1e-12), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(points - a - t[:, None] * edge, axis=1))
        if a[1] != b[1]:
            crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
            inside ^= crosses & (points[:, 0] < edge[0] * (points[:, 1] - a[1]) / edge[1] + a[0])
    return np.where(inside, distance, -distance)


def _over_line(points: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance in the plane to a polyline, positive above it, and where along it (0 to 1 by segments) the nearest
    point lies; the line runs on straight at both ends."""
    best, along = np.full(len(points), np.inf), np.zeros(len(points))
    last = len(line) - 2
    for k, (a, b) in enumerate(pairwise(line)):
        edge = b - a
        t = (points - a) @ edge / max(edge @ edge, 1e-12)
        t = np.clip(t, -0.8 if k == 0 else 0, 1.8 if k == last else 1)
        offset = points - a - t[:, None] * edge
        distance = np.linalg.norm(offset, axis=1)
        nearer = distance < np.abs(best)
        best = np.where(nearer, np.where(offset[:, 1] >= 0, distance, -distance), best)
        along = np.where(nearer, (k + t) / (last + 1), along)
    return best, along
