"""What the gallery knows of one result, and the pictures that it shows of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.export.images import depth_rgb, normal_rgb, shown_depth_range
from bozzetto.export.paths import contrast_light
from bozzetto.export.turn import relit, turned
from bozzetto.geometry.warp import resize_grid
from bozzetto.results import Reconstruction
from bozzetto.results.facts import duration, preset_of, scores_of, seconds_of, start_of, text_at

PICTURE_PX = 320
TURN_DEG = 30.0
UNKNOWN = "unknown"

# The pictures of each result, as files are called and as they are called on the page.
PICTURES = {
    "pose": "As in the photo",
    "photo": "Photo",
    "left": "Turned left",
    "right": "Turned right",
    "relit": "Light from the left",
    "normals": "Normals",
    "depth": "Depth",
}


@dataclass(frozen=True)
class Card:
    slug: str  # what its files' names begin with: a-z, 0-9 and -
    name: str
    category: str
    prior: str
    preset: str
    scores: Mapping[str, str]  # title to value
    seconds: str

    def to_json(self) -> dict[str, Any]:
        """What the page's script is told."""
        return {
            "slug": self.slug,
            "name": self.name,
            "category": self.category,
            "prior": self.prior,
            "preset": self.preset,
            "line": self.line,
        }

    @property
    def line(self) -> str:
        """Scores and time in one line."""
        told = [f"{title} {value}" for title, value in self.scores.items()]
        return " · ".join([*told, self.seconds] if self.seconds else told)


def slugs(names: Iterable[str]) -> list[str]:
    """A part of a file name for each: a-z, 0-9 and -, each once."""
    made: list[str] = []
    for name in names:
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "object"
        count = 1
        while (slug := stem if count == 1 else f"{stem}-{count}") in made:
            count += 1
        made.append(slug)
    return made


def card_of(result: Reconstruction, slug: str, folder_name: str) -> Card:
    """What the page says of a result, titled by its folder, which tells results of one photo apart."""
    provenance = result.provenance
    seconds = seconds_of(provenance)
    return Card(
        slug,
        folder_name or result.title,
        text_at(provenance, "category") or UNKNOWN,
        start_of(provenance) or UNKNOWN,
        preset_of(provenance) or UNKNOWN,
        scores_of(provenance),
        duration(seconds) if seconds > 0 else "",
    )


def pictures_of(result: Reconstruction) -> dict[str, Float[Tensor, "3 t t"]]:
    """The pictures [3, t, t] in [0, 1] by name; see `PICTURES`."""
    yaw = math.radians(TURN_DEG)
    # ry > 0 moves the near side to the left
    views = torch.stack((result.view, torch.tensor([0, yaw, 0, 0, 0, 0]), torch.tensor([0, -yaw, 0, 0, 0, 0])))
    pose, left, right = turned(result, views, PICTURE_PX)
    lamp = torch.tensor([[*contrast_light(result.light), 1.0, 0.0]])
    (lit,) = relit(result, lamp, PICTURE_PX, view=torch.zeros(6))
    shown = shown_depth_range(result.depth, result.canonical_mask, result.depth_range)

    def large(image: Tensor) -> Tensor:
        return resize_grid(image[None], PICTURE_PX)[0]

    return {
        "pose": pose,
        "photo": large(result.image),
        "left": left,
        "right": right,
        "relit": lit,
        "normals": large(normal_rgb(result.normal, result.canonical_mask)),
        "depth": large(depth_rgb(result.depth, shown.near, shown.far, result.canonical_mask)),
    }
