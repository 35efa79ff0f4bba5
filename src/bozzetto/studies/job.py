"""What a study is asked for, and what every study is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bozzetto.gan.invert import InvertConfig

if TYPE_CHECKING:
    from bozzetto.studies.desk import Desk

Verdict = Literal["holds", "does not hold", "undecided", "not tested"]


@dataclass(frozen=True)
class StudyJob:
    """One study's run."""

    gan: str = "heads"  # a built-in generator's name, or a file
    photos: Path | None = None  # folder, list or tar; the package's test heads, whose true depth is known, if not given
    test_heads: Path | None = None  # packed heads (.npz) instead of those in the package
    n: int | None = None  # photos; the study's own number if not given
    start: int = 0  # the first of them
    yaw_over: float = 0.0  # degrees: only heads that are turned further to a side
    seeds: str | None = None  # with commas between, as in 0,1,2; the study's own if not given
    preset: str = "quick"  # schedule that the study changes one thing of
    scale: float = 1.0  # share of the iterations of steps 1 to 3
    scale_prior: bool = False  # the same share of step 0's
    mask: str = "auto"  # a segmenter's name, or "truth"
    category: str | None = None  # what the photos show; what the generator's file says if not given
    # Folder of `bozzetto bench make-heads`, for `generalize` and the average depth; packaged heads if not given.
    train_heads: Path | None = None
    others: tuple[str, ...] = ()  # generators to compare with --gan, for `stylegan3`
    maps: Path | None = None  # folder of the replication's published maps (.npz), for `published`
    note: str = ""  # what a reader of the results should know of this run
    out: Path = Path("results/studies")  # tables, figures, and the fits that all studies share
    device: str = "auto"  # auto, cpu or cuda
    inversion: InvertConfig = field(default_factory=InvertConfig)


@dataclass(frozen=True)
class Table:
    """Columns of text and numbers; None is not known."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence of the papers, and what the study's numbers say of it."""

    text: str
    source: str  # e.g. "Rep 4.2"
    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Outcome:
    """What a study found."""

    tables: tuple[Table, ...]
    claims: tuple[Claim, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()  # file's name beside the JSON, caption
    notes: tuple[str, ...] = ()
    pieces: tuple[dict[str, Any], ...] = ()  # the single fits' scores


@dataclass(frozen=True)
class Study:
    """A question, where it comes from, and what answers it."""

    name: str
    question: str
    paper: str
    n: int  # photos, so that two cores need about an hour
    seeds: str
    run: Callable[[Desk], Outcome]
