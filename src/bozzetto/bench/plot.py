"""The table as a picture: a dot a row for SIDE and MAD, its spread over heads as a line, its seeds as ticks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from bozzetto.export.images import write_png

_PAGE, _INK, _SOFT, _RULE, _DOT, _TICK = (
    (250, 249, 246),
    (38, 38, 42),
    (120, 118, 114),
    (226, 223, 216),
    (63, 99, 162),
    (70, 170, 157),
)
_SCALE = 2  # drawn so much larger, so that it stays sharp
_LABELS, _PANEL, _GAP, _LINE, _TOP, _BOTTOM = 150.0, 330.0, 40.0, 30.0, 46.0, 40.0
PANELS = (("side", "SIDE x 100"), ("mad", "MAD, degrees"))


def nice_step(limit: float, count: int = 5) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides [0, limit] into about `count` parts."""
    raw = max(limit, 1e-9) / count
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))


def draw_plot(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """The picture, RGB."""
    width, height = _LABELS + 2 * _PANEL + 2 * _GAP, _TOP + _LINE * len(rows) + _BOTTOM
    page = Image.new("RGB", (round(_SCALE * width), round(_SCALE * height)), _PAGE)
    draw = ImageDraw.Draw(page)
    for i, row in enumerate(rows):
        _text(draw, _LABELS - 12, _TOP + _LINE * (i + 0.5), row["name"], "rm")
    for i, (name, title) in enumerate(PANELS):
        _panel(draw, rows, name, title, _LABELS + i * (_PANEL + _GAP))
    note = "dot: mean, line: standard deviation over heads, ticks: single seeds"
    _text(draw, _LABELS, height - 12, note, "lm", _SOFT, 11)
    return page


def _panel(draw: ImageDraw.ImageDraw, rows: Sequence[Mapping[str, Any]], name: str, title: str, left: float) -> None:
    reach = [(row[f"{name}_mean"] or 0) + (row[f"{name}_sd"] or 0) for row in rows]
    limit = 1.05 * max([*reach, 1e-9])
    bottom = _TOP + _LINE * len(rows)
    _text(draw, left, _TOP - 24, title, "lm", _INK, 14)
    step, at = nice_step(limit), 0.0
    while at <= limit:
        x = left + _PANEL * at / limit
        draw.line(_scaled(x, _TOP, x, bottom), fill=_RULE, width=_SCALE)
        _text(draw, x, bottom + 10, f"{at:g}", "mm", _SOFT, 11)
        at = round(at + step, 9)
    for i, row in enumerate(rows):
        mean, sd = row[f"{name}_mean"], row[f"{name}_sd"] or 0
        if mean is None:
            continue
        y = _TOP + _LINE * (i + 0.5)
        x, low, high = (left + _PANEL * max(v, 0.0) / limit for v in (mean, mean - sd, mean + sd))
        draw.line(_scaled(low, y, high, y), fill=_DOT, width=_SCALE * 2)
        draw.ellipse(_scaled(x - 4, y - 4, x + 4, y + 4), fill=_DOT)
        for value in seed_means(row, name):
            tick = left + _PANEL * value / limit
            draw.line(_scaled(tick, y - 8, tick, y + 8), fill=_TICK, width=_SCALE)


def seed_means(row: Mapping[str, Any], name: str) -> list[float]:
    """The mean over heads of each seed."""
    pieces = [[p[name] for p in row["heads"] if p["seed"] == seed] for seed in row["seeds"]]
    return [statistics.fmean(values) for values in pieces if values]


def _scaled(*values: float) -> list[float]:
    return [_SCALE * value for value in values]


def _text(
    draw: ImageDraw.ImageDraw,
    x: float,
    y: float,
    text: str,
    anchor: str,
    fill: tuple[int, int, int] = _INK,
    size: int = 12,
) -> None:
    draw.text((_SCALE * x, _SCALE * y), text, fill=fill, font=ImageFont.load_default(size=_SCALE * size), anchor=anchor)


def write_plot(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the table and write it as PNG, whole or not at all; returns `path`. Raises OutputError."""
    return write_png(draw_plot(rows), path)
