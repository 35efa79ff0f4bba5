"""People's heads as a family: `bozzetto bench make-heads --model FILE --out DIR`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bozzetto.bench.heads_model import load_head_model
from bozzetto.bench.heads_render import HeadRenderer
from bozzetto.bench.make_set import SetConfig


@dataclass(frozen=True)
class HeadsConfig(SetConfig):
    """Heads of people, from the head model; see SetConfig."""

    model: Path = field(kw_only=True)  # the head model, .npz of ICT-FaceKit

    def load_renderer(self) -> HeadRenderer:
        return HeadRenderer(load_head_model(self.model), self.size, self.supersample)

    def look(self) -> dict[str, Any]:
        return {"format": 2}
