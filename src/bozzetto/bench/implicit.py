"""Surfaces made of blended ellipsoids, and the first point of each that a ray meets; in numba.

A solid is a list of ellipsoids that are added to or cut out of what stands before them in the list. An ellipsoid may
taper along its y axis: at height y its x and z semi-axes are scaled by 1 - taper * y / a_y, not below TAPER_FLOOR. With
q the point in the ellipsoid's own axes over its (tapered) semi-axes, the ellipsoid is |q| = 1 and its field is

    g(p) = |q| (|q| - 1) / |q / a|

which is 0 on it, negative inside and near the distance close by. Fields are joined by a smooth minimum (and cut by a
smooth maximum) of width k, the polynomial one:

    smin(a, b) = min(a, b) - h^2 k / 4,   h = max(0, 1 - |a - b| / k)

so on the surface an ellipsoid is not felt where its field is above the widths of the joins it takes part in. As
|q / a| <= |q| / min(a), the field is at least (|q| - 1) min(a): outside of |q| = 1 + 2 k / min(a) it is not asked.
Lengths are the solid's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numba import njit

TAPER_FLOOR = 0.12

# Columns of the table that the compiled functions read.
CENTRE, AXES, SEMI, TAPER, BLEND, CUT, BOUND, INVERSE, LEAST, FELT, COLUMNS = 0, 3, 12, 15, 16, 17, 18, 19, 22, 23, 24


@dataclass(frozen=True)
class Ellipsoid:
    """One part of a solid."""

    centre: tuple[float, float, float]
    semi: tuple[float, float, float]  # semi-axes
    rotation: Float[np.ndarray, "3 3"] | None = None  # its columns are the own axes; the solid's if not given
    taper: float = 0.0  # -1 to 1; positive: thinner toward +y of its own
    blend: float = 0.0  # width k of the smooth join with all that stands before it
    cut: bool = False  # taken away instead of added


def pack(parts: list[Ellipsoid]) -> Float[np.ndarray, "p columns"]:
    """The table of a solid. The first part must not be a cut.

    Raises:
        ValueError: the first part is a cut, or there is none.
    """
    if not parts or parts[0].cut:
        raise ValueError("a solid begins with a part that is added")
    table = np.zeros((len(parts), COLUMNS))
    for row, part in zip(table, parts, strict=True):
        row[CENTRE:AXES] = part.centre
        row[AXES:SEMI] = (np.eye(3) if part.rotation is None else part.rotation.T).ravel()
        row[SEMI:TAPER] = part.semi
        row[INVERSE:LEAST] = 1 / np.array(part.semi)
        row[TAPER], row[BLEND], row[CUT] = part.taper, part.blend, part.cut
        x, y, z = part.semi
        row[BOUND] = np.hypot(max(x, z) * (1 + abs(part.taper)), y) if part.taper else max(x, y, z)
        row[LEAST] = min(x, y, z) * max(TAPER_FLOOR, 1 - abs(part.taper))
    for i, row in enumerate(table):  # a later part may be joined to this one by a wider blend than its own
        later = table[i:]
        reach = row[BOUND] + later[:, BOUND] + 2 * later[:, BLEND]
        meets = np.linalg.norm(later[:, CENTRE:AXES] - row[CENTRE:AXES], axis=1) < reach
        row[FELT] = 2 * later[meets, BLEND].max()
    return table


@njit(cache=True)
def _field_of(part: np.ndarray, x: float, y: float, z: float, floor: float) -> float:
    dx, dy, dz = x - part[0], y - part[1], z - part[2]
    u = part[3] * dx + part[4] * dy + part[5] * dz
    v = part[6] * dx + part[7] * dy + part[8] * dz
    w = part[9] * dx + part[10] * dy + part[11] * dz
    a, b, c = part[19], part[20], part[21]
    if part[15] != 0.0:
        s = 1.0 / max(floor, 1.0 - part[15] * min(1.5, max(-1.5, v * b)))
        a *= s
        c *= s
    u *= a
    v *= b
    w *= c
    k0 = np.sqrt(u * u + v * v + w * w)
    u *= a
    v *= b
    w *= c
    k1 = np.sqrt(u * u + v * v + w * w)
    if k1 == 0.0:
        return -min(part[12], min(part[13], part[14]))
    return k0 * (k0 - 1.0) / k1


@njit(cache=True)
def _field(table: np.ndarray, chosen: np.ndarray, count: int, x: float, y: float, z: float, floor: float) -> float:
    found = 1e9
    for i in range(count):
        part = table[chosen[i]]
        value = _field_of(part, x, y, z, floor)
        k = part[16]
        if part[17] > 0.0:
            value = -value
            h = max(0.0, 1.0 - abs(found - value) / k) if k > 0.0 else 0.0
            found = max(found, value) + 0.25 * h * h * k
        else:
            h = max(0.0, 1.0 - abs(found - value) / k) if k > 0.0 else 0.0
            found = min(found, value) - 0.25 * h * h * k
    return found


@njit(cache=True)
def _fields(table: np.ndarray, points: np.ndarray, floor: float) -> np.ndarray:
    chosen = np.arange(table.shape[0])
    out = np.empty(points.shape[0])
    for m in range(points.shape[0]):
        out[m] = _field(table, chosen, len(chosen), points[m, 0], points[m, 1], points[m, 2], floor)
    return out


@njit(cache=True)
def _part_fields(table: np.ndarray, points: np.ndarray, floor: float) -> np.ndarray:
    out = np.empty((points.shape[0], table.shape[0]), dtype=np.float32)
    for m in range(points.shape[0]):
        for p in range(table.shape[0]):
            out[m, p] = _field_of(table[p], points[m, 0], points[m, 1], points[m, 2], floor)
    return out


@njit(cache=True)
def _trace(table: np.ndarray, origin: np.ndarray, directions: np.ndarray, floor: float, all_parts: bool) -> np.ndarray:
    stride, least, turns, gap = 0.85, 4e-3, 40, 1e-12
    out = np.full(directions.shape[0], np.inf)
    inside, chosen = np.empty(table.shape[0], dtype=np.int64), np.empty(table.shape[0], dtype=np.int64)
    enter, leave = np.empty(table.shape[0]), np.empty(table.shape[0])
    for m in range(directions.shape[0]):
        d = directions[m]
        count = 0
        begin, end = np.inf, 0.0
        for p in range(table.shape[0]):
            if _crosses(table[p], origin, d, enter, leave, count):
                begin, end = min(begin, enter[count]), max(end, leave[count])
                chosen[count] = p
                count += 1
        if all_parts and count > 0:
            count = table.shape[0]
            for p in range(count):
                chosen[p], enter[p], leave[p] = p, begin, end
        t = max(begin, 0.0)
        last, before = t, least
        while t < end:
            asked, ahead = 0, end - t + least
            for i in range(count):
                if t < enter[i]:
                    ahead = min(ahead, enter[i] - t)
                elif t <= leave[i]:
                    inside[asked] = chosen[i]
                    asked += 1
            if asked == 0:
                last, before = t, least
                t += ahead
                continue
            value = _field(
                table, inside, asked, origin[0] + t * d[0], origin[1] + t * d[1], origin[2] + t * d[2], floor
            )
            if value <= 0.0:
                # Illinois method: false position, but an end that stays twice counts half.
                kept = 0
                low, above, high, below = last, before, t, value
                middle = t
                for _ in range(turns):
                    middle = (low * below - high * above) / (below - above)
                    x, y, z = origin[0] + middle * d[0], origin[1] + middle * d[1], origin[2] + middle * d[2]
                    found = _field(table, inside, asked, x, y, z, floor)
                    if abs(found) < gap or high - low < gap:
                        break
                    if found <= 0.0:
                        high, below = middle, found
                        above *= 0.5 if kept == 1 else 1.0
                        kept = 1
                    else:
                        low, above = middle, found
                        below *= 0.5 if kept == -1 else 1.0
                        kept = -1
                out[m] = middle
                break
            last, before = t, value
            # Up to where the next part is to be asked, too, but never less than the least.
            t += max(least, min(stride * value, ahead))
    return out


@njit(cache=True)
def _crosses(
    part: np.ndarray,
    origin: np.ndarray,
    d: np.ndarray,
    enter: np.ndarray,
    leave: np.ndarray,
    place: int,
) -> bool:
    """Whether a ray crosses the part's ellipsoid grown as far as it is felt, and from where to where."""
    ox, oy, oz = origin[0] - part[0], origin[1] - part[1], origin[2] - part[2]
    wide, grown = 1.0 + abs(part[15]), 1.0 + part[23] / part[22] + 1e-6
    radius = part[18] * grown
    along = ox * d[0] + oy * d[1] + oz * d[2]
    if ox * ox + oy * oy + oz * oz - along * along > radius * radius:
        return False
    square, product, rest = 0.0, 0.0, -1.0
    for axis in range(3):
        semi = part[12 + axis] * (1.0 if axis == 1 else wide) * grown
        k = 3 + 3 * axis
        o = (part[k] * ox + part[k + 1] * oy + part[k + 2] * oz) / semi
        v = (part[k] * d[0] + part[k + 1] * d[1] + part[k + 2] * d[2]) / semi
        square += v * v
        product += o * v
        rest += o * o
    under = product * product - square * rest
    if under <= 0.0:
        return False
    root = np.sqrt(under)
    enter[place], leave[place] = (-product - root) / square, (-product + root) / square
    return True


@njit(cache=True)
def _normals(table: np.ndarray, points: np.ndarray, floor: float) -> np.ndarray:
    h = 1e-5
    chosen = np.empty(table.shape[0], dtype=np.int64)
    out = np.empty_like(points)
    for m in range(points.shape[0]):
        x, y, z = points[m, 0], points[m, 1], points[m, 2]
        count = _near(table, x, y, z, 1e-3, floor, chosen)
        gx = _field(table, chosen, count, x + h, y, z, floor) - _field(table, chosen, count, x - h, y, z, floor)
        gy = _field(table, chosen, count, x, y + h, z, floor) - _field(table, chosen, count, x, y - h, z, floor)
        gz = _field(table, chosen, count, x, y, z + h, floor) - _field(table, chosen, count, x, y, z - h, floor)
        length = max(np.sqrt(gx * gx + gy * gy + gz * gz), 1e-300)
        out[m, 0], out[m, 1], out[m, 2] = gx / length, gy / length, gz / length
    return out


@njit(cache=True)
def _near(table: np.ndarray, x: float, y: float, z: float, margin: float, floor: float, chosen: np.ndarray) -> int:
    """Put the parts whose field is up to which they are felt, and the margin, into `chosen`; returns how many."""
    count = 0
    for p in range(table.shape[0]):
        dx, dy, dz = x - table[p, 0], y - table[p, 1], z - table[p, 2]
        radius = table[p, 18] * (1.0 + (table[p, 23] + margin) / table[p, 22])
        close = dx * dx + dy * dy + dz * dz < radius * radius
        if close and _field_of(table[p], x, y, z, floor) < table[p, 23] + margin:
            chosen[count] = p
            count += 1
    return count


@njit(cache=True)
def _openness(
    table: np.ndarray, points: np.ndarray, outward: np.ndarray, reaches: np.ndarray, floor: float
) -> np.ndarray:
    chosen = np.empty(table.shape[0], dtype=np.int64)
    out = np.empty(points.shape[0])
    for m in range(points.shape[0]):
        x, y, z = points[m, 0], points[m, 1], points[m, 2]
        free = 0.0
        for r in reaches:
            a, b, c = x + r * outward[m, 0], y + r * outward[m, 1], z + r * outward[m, 2]
            count = _near(table, a, b, c, r, floor, chosen)
            free += min(1.0, max(0.0, _field(table, chosen, count, a, b, c, floor) / r))
        out[m] = free / len(reaches)
    return out


def trace(
    table: Float[np.ndarray, "p columns"],
    origin: Float[np.ndarray, " 3"],
    directions: Float[np.ndarray, "m 3"],
    all_parts: bool = False,
) -> Float[np.ndarray, " m"]:
    """Distance along each ray to the solid, infinity where it misses.

    Rays advance by a share of the field and at least by 4e-3, so that what is thinner along the ray may be missed;
    where the field changes sign the place is found by halving, to 1e-12.

    Args:
        origin: outside of the solid.
        directions: unit vectors.
        all_parts: ask every ellipsoid on every ray: the plain form, to test the other against.
    """
    return np.asarray(_trace(table, origin, directions, TAPER_FLOOR, all_parts))


def normals(table: Float[np.ndarray, "p columns"], points: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "m 3"]:
    """Unit outward normals of the solid at points of its surface: central differences of the field, 1e-5 wide."""
    return np.asarray(_normals(table, points, TAPER_FLOOR))


def field(table: Float[np.ndarray, "p columns"], points: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, " m"]:
    """The solid's field: 0 on the surface, negative inside."""
    return np.asarray(_fields(table, points, TAPER_FLOOR))


def openness(
    table: Float[np.ndarray, "p columns"],
    points: Float[np.ndarray, "m 3"],
    outward: Float[np.ndarray, "m 3"],
    reaches: tuple[float, ...],
) -> Float[np.ndarray, " m"]:
    """1 on open surface, less in folds and hollows: the field after steps outward as a share of their length, meaned.

    Args:
        outward: unit normals at the points.
        reaches: lengths of the steps.
    """
    return np.asarray(_openness(table, points, outward, np.array(reaches), TAPER_FLOOR))


def part_fields(table: Float[np.ndarray, "p columns"], points: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, "m p"]:
    """Every part's own field, float32."""
    return np.asarray(_part_fields(table, points, TAPER_FLOOR))
