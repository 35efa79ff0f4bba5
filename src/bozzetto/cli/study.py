"""`bozzetto study NAME | page`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from bozzetto.cli.parse import parse
from bozzetto.cli.progress import Shown
from bozzetto.config import FitConfig
from bozzetto.export.files import check_writable, write_text
from bozzetto.keep import Progress
from bozzetto.method.schedule import phases
from bozzetto.studies.desk import Desk
from bozzetto.studies.job import StudyJob
from bozzetto.studies.plots import figures
from bozzetto.studies.registry import STUDIES, find_study
from bozzetto.studies.report import page_of, record_of, write_record

PAGE = "page"


@dataclass(frozen=True)
class Page:
    """Gather a folder's studies on one page."""

    results: Path = Path("results/studies")  # where the studies' JSON files lie
    out: Path = Path("docs/studies.md")  # the page; figures are linked from where they lie


@dataclass(frozen=True)
class Arguments:
    name: Annotated[str, tyro.conf.Positional]  # which study
    job: Annotated[StudyJob, tyro.conf.arg(name="")] = field(default_factory=StudyJob)


def study(argv: Sequence[str]) -> int:
    """Run one study, or gather them."""
    if list(argv[:1]) == [PAGE]:
        return page(argv[1:])
    args = parse(Arguments, argv, "study", f"One of the papers' experiments: {', '.join(STUDIES)}; or `page`.")
    found = find_study(args.name)
    figures()  # complains now and not at the end
    path = args.job.out / f"{found.name}.json"
    check_writable(path)
    desk = Desk(found, args.job, say, shown)
    outcome = found.run(desk)
    write_record(path, record_of(desk, outcome, "bozzetto study " + shlex.join(told(argv))))
    for name, _ in outcome.figures:
        sys.stdout.write(f"{path.with_name(name)}\n")
    sys.stdout.write(f"{path}\n{path.with_suffix('.md')}\n")
    return 0


def told(argv: Sequence[str]) -> list[str]:
    """The arguments as others may give them: without place and note, and of absolute paths the name alone."""
    words: list[str] = []
    for flag, word in zip(["", *argv], argv, strict=False):
        if not {word, flag} & {"--out", "--note"} and not word.startswith(("--out=", "--note=")):
            name, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
            words.append(name + equals + (Path(value).name if Path(value).is_absolute() else value))
    return words


def page(argv: Sequence[str]) -> int:
    """Write the page of all studies."""
    args = parse(Page, argv, "study page", "Gather studies on one page.")
    figures_at = Path(os.path.relpath(args.results.resolve(), args.out.parent.resolve()))
    write_text(args.out, page_of(args.results, list(STUDIES), f"{figures_at.as_posix()}/"))
    sys.stdout.write(f"{args.out}\n")
    return 0


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def shown(config: FitConfig, title: str) -> AbstractContextManager[Progress]:
    """The bar of a fit."""
    return Shown(phases(config, config.prior.shape != "none"), title, terse=True)


COMMANDS = {"study": study}
