"""The hair's outer surface: a shell over the skull, laid out once on the mean head, that follows every person's skull.

A grid of directions from a point in the skull, azimuth (0 = front, positive to the subject's left) by polar angle
(0 = up). Every grid point rides on the skin vertices around its direction; a hair style lifts it off the skin, sinks it
below where there is no hair, and lets the rows under the widest part of the skull hang down where hair is long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bozzetto.bench.heads_looks import HairStyle
from bozzetto.bench.heads_texture import STRAND_TEXEL_CM, Textures, look_up

CENTRE_CM = np.array([0.0, 4.5, 0.5])
AZIMUTH_CM, POLAR_CM = 9.0, 10.0  # centimetres a radian, of the two surface coordinates
COLUMNS, SKULL_ROWS, ROWS = 193, 31, 46  # the first and last column lie on the back of the head
POLAR_RAD = np.radians(np.linspace(10.0, 130.0, SKULL_ROWS))
FALL_ROW = 18  # polar angle 82 degrees: from here long hair hangs
FACE_POLAR_RAD, FACE_AZIMUTH_RAD = np.radians(85.0), 0.9
NEIGHBOURS = 12
SUNK_CM = 0.9


@dataclass(frozen=True)
class HairShell:
    """The shell on the mean head; G = COLUMNS x ROWS points, a column's rows from the crown down."""

    carrier: Int[np.ndarray, "g n"]  # skin vertices each point rides on
    weight: Float[np.ndarray, "g n"]
    outward: Float[np.ndarray, "g 3"]
    azimuth_rad: Float[np.ndarray, "c r"]
    polar_cm: Float[np.ndarray, "c r"]
    over_line_cm: Float[np.ndarray, "c r"]  # height over the mean hair line
    triangles: Int[np.ndarray, "t 3"]  # counted from the shell's first vertex, outside seen counter-clockwise


def surface_coordinates_cm(position_cm: Float[np.ndarray, "v 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth and polar angle about CENTRE_CM, each [V], as lengths: the coordinates of all textures."""
    x, y, z = (position_cm - CENTRE_CM).T
    return AZIMUTH_CM * np.arctan2(x, z), POLAR_CM * np.arctan2(np.hypot(x, z), y)


def make_hair_shell(position_cm: Float[np.ndarray, "v 3"], skin: np.ndarray, over_line_cm: np.ndarray) -> HairShell:
    """Lay the grid over the mean head.

    Args:
        skin: boolean [V].
        over_line_cm: [V], height over the mean hair line.
    """
    azimuth = np.linspace(-np.pi, np.pi, COLUMNS)
    polar = np.concatenate([POLAR_RAD, np.full(ROWS - SKULL_ROWS, POLAR_RAD[-1])])
    azimuth, polar = (a.copy() for a in np.meshgrid(azimuth, polar, indexing="ij"))
    outward = np.stack([np.sin(azimuth) * np.sin(polar), np.cos(polar), np.cos(azimuth) * np.sin(polar)], -1)
    outward = outward.reshape(-1, 3)

    x, y, z = position_cm.T
    ear = (np.abs(x) > 6.6) & (y > -3) & (y < 6) & (z > -2.2) & (z < 3.2)
    cavity = (z > 2) & (y < 8) & (np.abs(x) < 6.5) & (np.linalg.norm(position_cm - CENTRE_CM, axis=1) < 8.5)
    usable = np.flatnonzero(skin & ~ear & ~cavity & (y > -12))
    ray = position_cm[usable] - CENTRE_CM
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    count = min(NEIGHBOURS, len(usable))
    carrier = np.empty((len(outward), count), dtype=np.int64)
    weight = np.empty((len(outward), count))
    for rows in np.array_split(np.arange(len(outward)), 40):  # in parts, so that little memory is used
        cosine = outward[rows] @ ray.T
        best = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        angle = np.arccos(np.clip(np.take_along_axis(cosine, best, 1), -1, 1))
        carrier[rows] = usable[best]
        weight[rows] = np.exp(-((angle / (angle.mean(1, keepdims=True) + 0.01)) ** 2))
    weight /= weight.sum(1, keepdims=True)

    corner = np.arange(COLUMNS * ROWS).reshape(COLUMNS, ROWS)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([c, b, d], -1).reshape(-1, 3)])
    # None over the face: one would see it through an open mouth.
    face = (polar > FACE_POLAR_RAD) & (np.abs(azimuth) < FACE_AZIMUTH_RAD)
    triangles = triangles[~face.ravel()[triangles].all(1)]
    return HairShell(
        carrier=carrier,
        weight=weight,
        outward=outward,
        azimuth_rad=azimuth,
        polar_cm=POLAR_CM * polar,
        over_line_cm=(over_line_cm[carrier] * weight).sum(1).reshape(COLUMNS, ROWS),
        triangles=triangles.astype(np.int32),
    )


def over_hair_line_cm(hair_cm: np.ndarray, azimuth_rad: np.ndarray, style: HairStyle) -> np.ndarray:
    """Height over a person's hair line from that over the mean one."""
    a = np.abs(azimuth_rad)
    line = style.line_cm + style.temple_cm * np.exp(-(((a - 0.62) / 0.24) ** 2))
    line -= style.peak_cm * np.exp(-((azimuth_rad / 0.18) ** 2))
    line -= style.sideburn_cm * np.exp(-(((a - 1.30) / 0.12) ** 2))
    return hair_cm - line


def shell_points(
    shell: HairShell, style: HairStyle, shape_cm: Float[np.ndarray, "v 3"], textures: Textures
) -> tuple[Float[np.ndarray, "g 3"], Float[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """One person's shell: points in cm, length along the strands from the crown in cm, height over the skin in cm."""
    azimuth, polar_cm = shell.azimuth_rad, shell.polar_cm
    lock = _noise(textures, style, AZIMUTH_CM * azimuth * style.lock_scale, 0.15 * polar_cm)
    curl = _noise(textures, style, AZIMUTH_CM * azimuth * 0.22, 2.2 * polar_cm) if style.curl_cm > 0 else 0.0

    over = over_hair_line_cm(shell.over_line_cm, azimuth, style) + style.ragged_cm * lock
    height = _rise(over, style.ramp_cm)
    top = _rise(over - 1.5, 5.0)
    part = 1 - 0.45 * np.exp(-(((azimuth - style.part_rad) / 0.07) ** 2)) * (style.fall_cm > 0)
    lift = style.thickness_cm * height * (style.side_share + (1 - style.side_share) * top) * part
    lift = lift + (style.curl_cm * curl + style.lock_cm * lock) * height
    if style.fall_cm == 0:
        lift = lift * (1 - 0.75 * np.clip((polar_cm / POLAR_CM - 1.5) / 0.4, 0, 1))  # cut short under the ears
    if style.fringe_cm > 0:
        side = np.clip(1 - (np.abs(azimuth) / style.fringe_rad) ** 4, 0, None)
        length = style.fringe_cm * (1 + style.fringe_tilt * azimuth) * side
        over_fringe = over + length + 0.15 * lock * np.minimum(length, 1.5)
        thick = _rise(over_fringe, 0.7) * (0.45 + 0.25 * np.clip(lock, -1, 1.5)) * (side > 0)
        lift, over = np.maximum(lift, thick), np.maximum(over, np.where(side > 0, over_fringe, -9))
    lift = np.where(over > 0, lift, -SUNK_CM * _rise(-over, 0.5))

    base = (shape_cm[shell.carrier] * shell.weight[..., None]).sum(1).reshape(COLUMNS, ROWS, 3)
    outward = shell.outward.reshape(COLUMNS, ROWS, 3)
    along = polar_cm.copy()
    if style.fall_cm > 0:
        edge = style.open_rad + 0.025 * lock[:, FALL_ROW]
        hangs = np.abs(azimuth[:, 0]) > edge
        body = style.thickness_cm * (style.side_share + 0.1 * lock) + style.curl_cm * curl
        skull = np.arange(ROWS) <= FALL_ROW
        lift = np.where(hangs[:, None] & skull, np.maximum(lift, body * _rise(over + 6, 4.0)), lift)
        points = base + outward * lift[..., None]
        count = ROWS - 1 - FALL_ROW
        drop = np.arange(1, count + 1) / count * style.fall_cm * (1 + 0.12 * lock[:, FALL_ROW : FALL_ROW + 1])
        start, direction = points[:, FALL_ROW], outward[:, FALL_ROW] * (1, 0, 1)
        flare = style.flare_cm * np.sin(np.minimum(drop / 14, 1.0) * np.pi * style.flare_turn)
        wave = style.curl_cm * np.broadcast_to(curl, lift.shape)[:, FALL_ROW + 1 :] + style.lock_cm * lock[:, -1:]
        hung = start[:, None] + direction[:, None] * (flare + wave)[..., None] - drop[..., None] * np.array([0, 1, 0])
        points[:, FALL_ROW + 1 :] = np.where(hangs[:, None, None], hung, points[:, FALL_ROW + 1 :])
        hung_cm = polar_cm[:, FALL_ROW : FALL_ROW + 1] + drop
        along[:, FALL_ROW + 1 :] = np.where(hangs[:, None], hung_cm, along[:, FALL_ROW + 1 :])
        lift[:, FALL_ROW + 1 :] = np.where(hangs[:, None], style.thickness_cm, lift[:, FALL_ROW + 1 :])
    else:
        points = base + outward * lift[..., None]
    return points.reshape(-1, 3), along.ravel(), lift.ravel()


def _noise(textures: Textures, style: HairStyle, across_cm: np.ndarray, along_cm: np.ndarray) -> np.ndarray:
    across, along = across_cm.ravel() / STRAND_TEXEL_CM[0], along_cm.ravel() / STRAND_TEXEL_CM[1]
    values = look_up(textures.strand, across + style.offset[0], along + style.offset[1])
    return np.clip(values, -2.5, 2.5).reshape(across_cm.shape).astype(np.float64)


def _rise(value: np.ndarray, over: float) -> np.ndarray:
    """0 up to 0, then a quarter circle's rise to 1 at `over`."""
    t = 1 - np.clip(value / over, 0, 1)
    return np.sqrt(1 - t * t)
