"""Heads of animals as a family, out of our own numbers alone: `bozzetto bench make-animals --out DIR`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bozzetto.bench.animals_render import AnimalRenderer
from bozzetto.bench.make_set import SetConfig


@dataclass(frozen=True)
class AnimalsConfig(SetConfig):
    """Heads of cats, dogs, foxes, bears and tigers; see SetConfig."""

    def load_renderer(self) -> AnimalRenderer:
        return AnimalRenderer(self.size, self.supersample)

    def look(self) -> dict[str, Any]:
        return {"family": "animals", "format": 1}
