"""How well segmenters find the object of test heads, whose outline is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bozzetto.bench.run_heads import HeadsRun, load_test_heads
from bozzetto.errors import InputError
from bozzetto.inputs import parser_with_weights
from bozzetto.segment.categories import find_category
from bozzetto.segment.registry import MAKERS, make_segmenter, run_segmenter
from bozzetto.segment.segmenter import OBJECT_LEVEL


@dataclass(frozen=True)
class MasksConfig:
    """Which segmenters, on which heads."""

    masks: str = "selfie+border,selfie,border"  # with commas between; learned:FILE too
    n: int = 100  # heads
    start: int = 0  # the first of them
    size: int | None = None  # pixels of the packaged heads: 64 or 128; 64 if not given
    test_heads: Path | None = None  # packed heads (.npz), or a folder of heads, instead of those in the package
    category: str = "heads"  # what the segmenters are told the pictures show


def score_masks(config: MasksConfig) -> dict[str, Any]:
    """Intersection over union of each segmenter's masks (values of at least 0.7) and the true ones, a row a segmenter.

    Raises InputError for an unknown segmenter or heads that there are not, MissingExtraError or CheckpointError for
    what a segmenter needs.
    """
    names = [name.strip() for name in config.masks.split(",") if name.strip()]
    row = find_category(config.category)
    makers = []
    for name in names:
        kind, weights = parser_with_weights(name)
        if kind not in MAKERS:
            raise InputError(f"There is no segmenter {kind!r} to be scored; choose among {', '.join(MAKERS)}.")
        makers.append((name, make_segmenter(kind, weights)))
    if not makers:
        raise InputError("--masks names no segmenter.")
    chosen = load_test_heads(HeadsRun(n=config.n, start=config.start, test_heads=config.test_heads), config.size)
    rows = []
    for name, segmenter in makers:
        found = [run_segmenter(segmenter, image[None], row) for image in chosen.heads.image]
        masks = torch.cat([one.mask for one in found]) >= OBJECT_LEVEL
        overlaps = overlap(masks, chosen.heads.mask)
        rows.append(
            {
                "name": name,
                "n": len(overlaps),
                "iou_mean": float(overlaps.mean()),
                "iou_sd": float(overlaps.std()) if len(overlaps) > 1 else 0.0,
                "iou_worst": float(overlaps.min()),
                "unusable": sum(one.note is not None for one in found),
            }
        )
    return {"rows": rows, "heads": chosen.source, "size": chosen.heads.image.shape[-1]}


def overlap(found: Bool[Tensor, "b 1 h w"], true: Bool[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
    """Intersection over union of each pair; 1 where both are empty."""
    both = (found & true).flatten(1).sum(1).double()
    either = (found | true).flatten(1).sum(1).double()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(either))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = [f"{'masks':<40} {'IoU':>6} {'sd':>6} {'worst':>6} {'of no use':>10} {'n':>4}"]
    for row in rows:
        scores = f"{row['iou_mean']:6.3f} {row['iou_sd']:6.3f} {row['iou_worst']:6.3f} {row['unusable']:10d}"
        lines.append(f"{row['name'][-40:]:<40} {scores} {row['n']:4d}")
    return "\n".join(lines) + "\n"
