"""A study's record as JSON, and as Markdown made of nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bozzetto.bench.steps import machine
from bozzetto.errors import InputError
from bozzetto.export.files import write_text
from bozzetto.precision import resolve
from bozzetto.results.provenance import plain, versions
from bozzetto.studies.desk import Desk
from bozzetto.studies.job import Outcome, StudyJob

KIND, VERSION = "bozzetto-study", 1


def record_of(desk: Desk, found: Outcome, command: str) -> dict[str, Any]:
    """Everything that the Markdown needs."""
    study, job = desk.study, desk.job
    return {
        "kind": KIND,
        "version": VERSION,
        "study": study.name,
        "question": study.question,
        "paper": study.paper,
        "command": command,
        "generator": {"name": desk.gan.info.name, "sha256": desk.gan.info.sha256},
        "photos": [subject.name for subject in desk.subjects],
        "source": source_of(job),
        "size": desk.size,
        "seeds": desk.seeds,
        "preset": job.preset,
        "scale": job.scale,
        "scale_prior": job.scale_prior,
        "mask": job.mask,
        "machine": {
            **{name: value for name, value in machine(desk.device.type).items() if name != "cpu"},
            "precision": resolve(desk.base.compute.precision, desk.device),
        },
        "versions": versions(),
        "failed": desk.failed,
        "note": job.note,
        **asdict(found),
    }


def source_of(job: StudyJob) -> str:
    """Where the photos are from, without the place on this disk."""
    given = job.photos or job.test_heads
    if given is None:
        return "packaged test heads"
    # Of a folder of heads the split's name alone would tell little.
    return f"{given.absolute().parent.name}/{given.name}" if job.photos is None and given.is_dir() else given.name


def write_record(path: Path, record: dict[str, Any]) -> None:
    """JSON and, beside it, Markdown. Raises OutputError."""
    write_text(path, json.dumps(plain(record), indent=1, allow_nan=False) + "\n")
    write_text(path.with_suffix(".md"), markdown(json.loads(path.read_text("utf-8"))))


def read_record(path: Path) -> dict[str, Any]:
    """A study's JSON. Raises InputError for anything else."""
    try:
        record = json.loads(path.read_text("utf-8"))
        if record["kind"] != KIND or record["version"] != VERSION:
            raise ValueError("another kind")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no study of this version; run `bozzetto study` again.") from error
    return record


def markdown(record: dict[str, Any], level: int = 2, figures: str = "") -> str:
    """One study's page, or part of a page.

    Args:
        level: of its heading.
        figures: folder of the figures as seen from the page, with a slash at its end; none for the same folder.
    """
    host, seeds, count = record["machine"], record["seeds"], len(record["photos"])
    parts = "steps 0 to 3" if record.get("scale_prior") else "steps 1 to 3"
    lines = [f"{'#' * level} {record['study']}", "", record["question"], ""]
    photos = f"{count} {'photo' if count == 1 else 'photos'} ({record['source']}), {record['size']} px"
    drawn = f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
    lines += [
        f"Source: {record['paper']}. Here: {photos}, {drawn}, generator `{record['generator']['name']}`, preset "
        f"`{record['preset']}` at {100 * record['scale']:g} % of the iterations of {parts}, {told_machine(host)}.",
        "",
        f"```\n{record['command']}\n```",
        "",
    ]
    if record["claims"]:
        lines += ["| claim | source | verdict | evidence |", "|---|---|---|---|"]
        lines += [f"| {c['text']} | {c['source']} | **{c['verdict']}** | {c['evidence']} |" for c in record["claims"]]
        lines.append("")
    for table in record["tables"]:
        if table["title"]:
            lines += [f"*{table['title']}*", ""]
        lines += table_lines(table["header"], table["rows"])
        lines += ["", table["note"], ""] if table["note"] else [""]
    for note in (*record["notes"], *record["failed"], record["note"]):
        lines += [note, ""] if note else []
    for name, caption in record["figures"]:
        lines += [f"![{caption}]({figures}{name})", "", caption, ""]
    return "\n".join(lines).rstrip() + "\n"


def told_machine(host: dict[str, Any]) -> str:
    """A machine in a few words."""
    where = host.get("gpu") or f"CPU with {host['cores']} cores"
    computed = {"fp32": ", float32", "bf16": ", bfloat16"}.get(
        host.get("precision", ""), ""
    )  # older records are silent
    return f"{where}, {host['threads']} {'thread' if host['threads'] == 1 else 'threads'}{computed}"


def table_lines(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A Markdown table; what is not known is a dash."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        cells = ["-" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in row]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def page_of(folder: Path, order: Sequence[str], figures: str) -> str:
    """All studies of a folder as one page: the verdicts first. Raises InputError where there are none.

    A study run again on other things lies in a folder of its own, such as `cats/priors.json`, and is called
    `priors-cats` on the page.
    """
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for name in order:
        for path in (folder / f"{name}.json", *sorted(folder.glob(f"*/{name}.json"))):
            if path.is_file():
                within = "" if path.parent == folder else path.parent.name
                called = re.sub(r"[^a-z0-9]+", "-", f"{name}-{within}".lower()).strip("-")  # an anchor, too
                found[called] = (
                    read_record(path) | {"study": called},
                    f"{figures}{quote(within)}/" if within else figures,
                )
    if not found:
        raise InputError(f"There are no studies in {folder}; run `bozzetto study NAME` first.")
    lines = [
        "# The papers' experiments, run again",
        "",
        "*Pan* is Pan et al., ICLR 2021; *Rep* is its replication, Galatolo & Nilsson, ReScience C 2022. Each part is",
        "made by the command that it names, and this page by `bozzetto study page`. Verdicts follow one rule: a mean",
        "difference over the same photos decides where 0 lies outside its 95 % interval (Student's t, three photos or",
        "more); otherwise the matter is undecided, which says nothing for either side. Claims of another kind name",
        "their rule.",
        "After a difference ± is its standard error over photos, in the tables the standard deviation. A fit differs",
        "from machine to machine, above all between bfloat16 and float32: compare within a part, not across parts.",
        "",
        "| study | claim | verdict | evidence |",
        "|---|---|---|---|",
    ]
    for name, (record, _) in found.items():
        for c in record["claims"]:
            lines.append(f"| [{name}](#{name}) | {c['text']} ({c['source']}) | **{c['verdict']}** | {c['evidence']} |")
    return "\n".join(lines) + "\n\n" + "\n".join(markdown(record, 2, where) for record, where in found.values())
