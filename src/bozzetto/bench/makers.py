"""What makes the rows of the table: each maker turns one head into a shape, and says what decides that shape."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from bozzetto.bench.datasets import HeadTruth
from bozzetto.bench.score import Shape, flat_shape, perfect_shape, shape_of
from bozzetto.bench.truth import truth_of
from bozzetto.export.formats import DEFAULT_FORMATS
from bozzetto.ingredients import Plan
from bozzetto.inputs import MaskLike, digest, find_mask, mask_identity, read_picture
from bozzetto.keep import Interrupted, Progress
from bozzetto.pipeline import run
from bozzetto.priors.registry import PRIORS, prior_depth
from bozzetto.results import is_result_folder
from bozzetto.results.partial import partial_folder
from bozzetto.types import DepthRange


@dataclass(frozen=True)
class Made:
    """A row's shape of one head."""

    shape: Shape
    seconds: float  # for this photo
    facts: dict[str, float] = field(default_factory=dict)  # scores of what was found on the way


@runtime_checkable
class Maker(Protocol):
    """Makes one row's shapes. Heads come as a batch of one; the seed is None for rows that no seed changes."""

    def settings(self, heads: HeadTruth, seed: int | None) -> dict[str, Any]:
        """What decides the shape, as plain JSON; cheap."""
        ...

    def make(self, heads: HeadTruth, seed: int | None, folder: Path, progress: Progress) -> Made:
        """The shape. `folder` is a name of its own, free to work under."""
        ...


def mask_for(choice: str, heads: HeadTruth) -> MaskLike:
    """The mask that a photo is cut out with: a segmenter's name, or the true one for "truth"."""
    return heads.mask[0].to(torch.float32) if choice == "truth" else choice


def mask_iou(mask: Tensor, heads: HeadTruth) -> float:
    """Intersection over union of a soft mask, cut at 0.5, with the true one."""
    found, true = mask.reshape(heads.mask.shape) > 0.5, heads.mask
    return float((found & true).sum() / (found | true).sum())


@dataclass(frozen=True)
class Perfect:
    """The truth itself."""

    def settings(self, heads: HeadTruth, seed: int | None) -> dict[str, Any]:
        return {}

    def make(self, heads: HeadTruth, seed: int | None, folder: Path, progress: Progress) -> Made:
        return Made(perfect_shape(heads), 0.0)


@dataclass(frozen=True)
class Fixed:
    """The same depth for every photo."""

    depth: Float[Tensor, "1 s s"]  # scene units

    def settings(self, heads: HeadTruth, seed: int | None) -> dict[str, Any]:
        return {"depth": digest(self.depth)}

    def make(self, heads: HeadTruth, seed: int | None, folder: Path, progress: Progress) -> Made:
        return Made(flat_shape(self.depth, heads.image[0]), 0.0)


@dataclass(frozen=True)
class PriorAlone:
    """A prior on the photo's own outline, in the photo's pose."""

    name: str
    mask: str
    category: str

    def settings(self, heads: HeadTruth, seed: int | None) -> dict[str, Any]:
        return {"prior": self.name, "category": self.category, "mask": mask_identity(mask_for(self.mask, heads))}

    def make(self, heads: HeadTruth, seed: int | None, folder: Path, progress: Progress) -> Made:
        start = time.perf_counter()
        picture = read_picture(heads.image[0], heads.image.shape[-1])
        masked = find_mask(mask_for(self.mask, heads), picture, self.category)
        outline = masked.score if PRIORS[self.name].reads == "score" else masked.mask
        depth = prior_depth(self.name, outline, DepthRange(), self.category)[0]
        seconds = time.perf_counter() - start
        return Made(flat_shape(depth, heads.image[0]), seconds, {"mask_iou": mask_iou(masked.mask, heads)})


@dataclass(frozen=True)
class Fit:
    """The method itself, with some settings."""

    plan: Callable[[Tensor, MaskLike, int], Plan]  # (photo [3, S, S], mask, seed)
    mask: str
    row: str
    keep: Path | None = None  # folder for the result folders, if they are to be kept
    overwrite: bool = False

    def settings(self, heads: HeadTruth, seed: int | None) -> dict[str, Any]:
        return self._plan(heads, seed).settings()

    def _plan(self, heads: HeadTruth, seed: int | None) -> Plan:
        return self.plan(heads.image[0], mask_for(self.mask, heads), seed or 0)

    def make(self, heads: HeadTruth, seed: int | None, folder: Path, progress: Progress) -> Made:
        job = self._plan(heads, seed)
        out = folder if self.keep is None else self.keep / self.row / f"seed_{seed}" / folder.name
        begun = is_result_folder(out) or partial_folder(out).exists()
        start = time.perf_counter()
        try:
            result = run(
                job,
                out,
                resume=True,
                overwrite=self.overwrite,
                progress=progress,
                truth=truth_of(heads),
                formats=() if self.keep is None else DEFAULT_FORMATS,
            )
        except Interrupted as stop:
            told = f"Stopped; {partial_folder(out)} keeps what is done: the same command goes on."
            raise Interrupted(told, stop.exit_code - 128) from stop
        # Of a fit that was begun earlier only the phases' own times are known.
        spent = sum(result.provenance.seconds.values()) if begun else time.perf_counter() - start
        facts = {"mask_iou": mask_iou(result.mask, heads)}
        psnr = result.provenance.config["found"]["inversion_psnr_db"]
        if psnr is not None:
            facts["inversion_psnr_db"] = psnr
        if self.keep is None:
            shutil.rmtree(out, ignore_errors=True)  # made above, and all that is asked of it is in the scores
        return Made(shape_of(result), spent, facts)
