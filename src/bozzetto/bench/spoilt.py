"""The truth with one thing wrong: what a score says of a blur, of a wrong pose, of a relief too deep or too flat.

A score alone does not say what it would take to better it. These rows do: the truth's frontal height field, posed by
the true view, loses nothing but what a height field cannot hold; blurred, tilted, turned or stretched it loses that and
one thing more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.bench.datasets import HeadTruth
from bozzetto.bench.makers import Made
from bozzetto.bench.rows import FAULTS
from bozzetto.bench.score import perfect_shape
from bozzetto.geometry.render import look
from bozzetto.keep import Progress
from bozzetto.method.turn import blur
from bozzetto.types import Camera, DepthRange

Depth = Float[Tensor, "1 1 s s"]  # canonical, scene units, without holes
View = Float[Tensor, " 6"]  # that poses it


def blurred(depth: Depth, view: View, known: Depth, sigma: float) -> tuple[Depth, View]:
    """The depth blurred by a Gaussian of `sigma` pixels of 64 a side. known: 1 where the truth is known, else 0."""
    return (blur(depth, sigma * depth.shape[-1] / 64) if sigma else depth), view


def _off(view: View, axis: int, degrees: float) -> View:
    return view + math.radians(degrees) * torch.eye(6)[axis]


def tilted(depth: Depth, view: View, known: Depth, degrees: float) -> tuple[Depth, View]:
    """rx is `degrees` more than the true one."""
    return depth, _off(view, 0, degrees)


def turned(depth: Depth, view: View, known: Depth, degrees: float) -> tuple[Depth, View]:
    """ry is `degrees` more than the true one."""
    return depth, _off(view, 1, degrees)


def stretched(depth: Depth, view: View, known: Depth, factor: float) -> tuple[Depth, View]:
    """The relief is `factor` times as deep about the mean of the known depth."""
    middle = depth[known > 0].mean()
    return middle + factor * (depth - middle), view


WAYS: dict[str, Callable[[Depth, View, Depth, float], tuple[Depth, View]]] = {
    "blurred": blurred,
    "tilted": tilted,
    "turned": turned,
    "stretched": stretched,
}


@dataclass(frozen=True)
class Spoilt:
    """The truth with the fault that a row names."""

    row: str

    def settings(self, heads: HeadTruth, seed: int | None) -> dict[str, Any]:
        return {"fault": self.row}

    def make(self, heads: HeadTruth, seed: int | None, folder: Path, progress: Progress) -> Made:
        way, amount = FAULTS[self.row]
        shape, camera = perfect_shape(heads), Camera(heads.image.shape[-1])
        known = (~heads.canonical_depth.isnan()).to(torch.float32)
        depth, view = WAYS[way](shape.depth[None], shape.view, known, amount)
        sight = look(depth, view[None], camera, DepthRange())
        return Made(
            replace(
                shape, depth=depth[0], depth_posed=sight.depth[0], covered=sight.mask[0], view=view, normal_posed=None
            ),
            0.0,
        )
