"""Plots that can be read in black and white: marks and lines differ, not colours alone.

Drawn by matplotlib, an extra.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bozzetto.errors import MissingExtraError
from bozzetto.export.files import write_bytes

MARKS, LINES = ("o", "s", "^", "D", "v", "P", "X", "*"), ("-", "--", ":", "-.")
GREYS = ("0.0", "0.35", "0.55", "0.2", "0.65", "0.45", "0.1", "0.7")
DPI = 110


def figures() -> Any:
    """matplotlib's Figure, which draws without a screen. Raises MissingExtraError."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "Plots of studies need matplotlib; install it with `pip install -e '.[study]'`."
        ) from error
    return Figure


def new_axes(width: float, height: float, columns: int = 1) -> tuple[Any, list[Any]]:
    """A figure (inches) and its axes side by side."""
    figure = figures()(figsize=(width, height), dpi=DPI, layout="constrained")
    axes = [figure.add_subplot(1, columns, i + 1) for i in range(columns)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
        ax.grid(True, color="0.9", linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def save(figure: Any, path: Path) -> Path:
    """Write as PNG, whole or not at all. Raises OutputError."""
    from PIL import Image

    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png")
    # Greys and a few tones of one map: 64 colours say the same in a third of the bytes.
    Image.open(raw).convert("RGB").quantize(64).save(small, format="PNG", optimize=True)
    return write_bytes(path, small.getvalue())


def dots(path: Path, panels: Sequence[tuple[str, Mapping[str, Sequence[float]]]]) -> Path:
    """A panel a score: a line an arm, every photo a small dot, the mean a bar with its standard deviation."""
    import statistics

    names = list(panels[0][1])
    figure, axes = new_axes(1.6 + 2.9 * len(panels), 0.9 + 0.34 * len(names), len(panels))
    for column, (ax, (title, arms)) in enumerate(zip(axes, panels, strict=True)):
        for row, values in enumerate(arms.values()):
            ax.plot(values, [row] * len(values), "o", color="0.6", markersize=3, markerfacecolor="none")
            if len(values):
                spread = statistics.stdev(values) if len(values) > 1 else 0
                ax.errorbar(statistics.fmean(values), row, xerr=spread, fmt="D", color="0", markersize=5, capsize=3)
        ax.set_yticks(range(len(names)), names if column == 0 else [""] * len(names), fontsize=8)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlabel(title, fontsize=8)
    return save(figure, path)


def curves(
    path: Path,
    x_label: str,
    panels: Sequence[tuple[str, Mapping[str, Sequence[tuple[float, float, float]]]]],
    log_x: bool = False,
) -> Path:
    """A panel a score: lines of (x, mean, sd) by name."""
    figure, axes = new_axes(3.4 * len(panels), 2.7, len(panels))
    for ax, (title, lines) in zip(axes, panels, strict=True):
        for i, (name, points) in enumerate(lines.items()):
            if not points:
                continue
            x, y, sd = zip(*points, strict=True)
            style = {
                "marker": MARKS[i % len(MARKS)],
                "linestyle": LINES[i % len(LINES)],
                "color": GREYS[i % len(GREYS)],
            }
            ax.errorbar(x, y, yerr=sd, label=name, markersize=4, capsize=2, linewidth=1.1, elinewidth=0.7, **style)
        if log_x:
            ax.set_xscale("log", base=2)
            ticks = sorted({point[0] for points in lines.values() for point in points})
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
            ax.minorticks_off()
        ax.set_xlabel(x_label, fontsize=8)
        ax.set_ylabel(title, fontsize=8)
        if len(lines) > 1:
            ax.legend(fontsize=7, frameon=False)
    return save(figure, path)


def scatter(path: Path, x_label: str, y_label: str, points: Mapping[str, tuple[float, float]]) -> Path:
    """Named points, the x axis logarithmic."""
    figure, (ax,) = new_axes(5.0, 3.2)
    for i, (name, (x, y)) in enumerate(points.items()):
        ax.plot([x], [y], MARKS[i % len(MARKS)], color=GREYS[i % len(GREYS)], markersize=6)
        ax.annotate(name, (x, y), textcoords="offset points", xytext=(6, 4), fontsize=7)
    ax.set_xscale("log")
    ax.set_xlabel(x_label, fontsize=8)
    ax.set_ylabel(y_label, fontsize=8)
    return save(figure, path)


def matrices(
    path: Path, panels: Sequence[tuple[str, Sequence[Sequence[float]]]], x_label: str, y_label: str, unit: str
) -> Path:
    """Matrices of numbers as shades of grey, each number written in."""
    figure, axes = new_axes(3.5 * len(panels) + 0.6, 3.2, len(panels))
    low = min(min(row) for _, matrix in panels for row in matrix)
    high = max(max(row) for _, matrix in panels for row in matrix)
    image = None
    for ax, (title, matrix) in zip(axes, panels, strict=True):
        ax.grid(False)
        image = ax.imshow(matrix, cmap="Greys", vmin=low - 0.25 * (high - low), vmax=high, aspect="auto")
        for i, row in enumerate(matrix):
            for j, value in enumerate(row):
                dark = value > low + 0.6 * (high - low)
                ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=7, color="1" if dark else "0")
        ax.set_title(title, fontsize=9)
        ax.set_xticks(range(len(matrix[0])), [str(i + 1) for i in range(len(matrix[0]))])
        ax.set_yticks(range(len(matrix)), [str(i + 1) for i in range(len(matrix))])
        ax.set_xlabel(x_label, fontsize=8)
        ax.set_ylabel(y_label, fontsize=8)
    figure.colorbar(image, ax=axes, label=unit, shrink=0.8)
    return save(figure, path)
