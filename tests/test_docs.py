"""What README and docs name is there: files, functions, settings, commands, flags, the presets."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import io
import pkgutil
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import bozzetto
from bozzetto.cli.bench import Heads
from bozzetto.cli.invert import SHEET
from bozzetto.cli.main import COMMANDS, execute
from bozzetto.cli.settings import group_names
from bozzetto.config import FitConfig, PerceptualName
from bozzetto.export.formats import FORMATS
from bozzetto.presets import PRESETS
from bozzetto.priors.registry import PRIORS
from bozzetto.results import partial as unfinished
from bozzetto.results.folder import OUR_NAMES
from bozzetto.segment.categories import CATEGORIES
from bozzetto.segment.registry import MAKERS, NAMES

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bozzetto"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
SUFFIXES = (
    "py",
    "md",
    "png",
    "gif",
    "webp",
    "npz",
    "safetensors",
    "json",
    "jsonl",
    "glb",
    "obj",
    "mtl",
    "mp4",
    "toml",
    "txt",
)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def fenced(text: str) -> list[str]:
    """Lines of code blocks, fenced or indented."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()] + re.findall(r"(?m)^    (\S.*)$", text)


def spans(text: str) -> list[str]:
    """What stands in single backticks."""
    prose = re.sub(r"(?ms)^```.*?^```", "", text)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def section(page: Path, heading: str) -> str:
    """Text from the heading that begins so to the next one of any level."""
    parts = re.split(r"(?m)^(?=#+ )", page.read_text("utf-8"))
    return next(part for part in parts if re.match(rf"#+ {re.escape(heading)}", part))


# ---------------------------------------------------------------- files and names


def is_path(span: str) -> bool:
    """Whether a span is a file or folder, with or without a name in it: `nets/heads.py:ViewScale`."""
    stem, _, suffix = span.partition(":")[0].rpartition(".")
    plain = re.fullmatch(r"[\w.\-]+(/[\w.\-]+)*/?(:[\w.]+)?", span)
    return bool(plain) and ("/" in span or (stem != "" and suffix in SUFFIXES))


def find(path: str) -> Path | None:
    """A path as docs write it: from the root, from the package, a page of docs, or an asset."""
    places = [base / path for base in (ROOT, SOURCE, ROOT / "docs", SOURCE / "assets")]
    return next((place for place in places if place.exists()), None)


@cache
def defined(path: Path) -> set[str]:
    """Functions, classes, methods and constants of a module."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            inside = node.body if isinstance(node, ast.ClassDef) else []
            names |= {f"{node.name}.{part.name}" for part in inside if isinstance(part, ast.FunctionDef)}
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def written(path: str) -> bool:
    """Whether the program itself makes a file of this name, or the path is that of a result."""
    name = path.rpartition("/")[2]
    in_results = path.startswith("results/") and name.rpartition(".")[2] not in set(SUFFIXES) - {"json"}
    return name in OUR_NAMES | unfinished.OUR_NAMES | {SHEET} or name.startswith("NAME_") or in_results


@every_page
def test_every_path_is_there_and_every_name_in_it(page: Path) -> None:
    wrong = []
    for span in filter(is_path, spans(page.read_text("utf-8"))):
        path, _, name = span.partition(":")
        found = find(path)
        if (found is None and not written(path)) or (name and (found is None or name not in defined(found))):
            wrong.append(span)
    assert not wrong


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text)
    assert not [t for t in targets if not t.startswith("https://") and not (page.parent / t).is_file()]


@every_page
def test_every_dotted_name_exists(page: Path) -> None:
    groups = {field.name: field for field in dataclasses.fields(FitConfig)}
    hints = typing.get_type_hints(FitConfig)
    for span in spans(page.read_text("utf-8")):
        first, _, rest = span.partition(".")
        if re.fullmatch(r"bozzetto(\.\w+)+", span):
            pkgutil.resolve_name(span)
        elif first in groups and re.fullmatch(r"\w+", rest) and rest not in SUFFIXES:
            assert rest in {f.name for f in dataclasses.fields(hints[first])}, span


def test_the_file_map_is_the_package() -> None:
    told = {span for span in spans(section(ROOT / "README.md", "Files")) if span != "src/bozzetto/"}
    packages = {f"{path.name}/" for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert told == packages | {path.name for path in SOURCE.glob("*.py") if path.name != "__init__.py"}


def test_the_method_page_names_every_module_of_the_method() -> None:
    text = (ROOT / "docs" / "method.md").read_text("utf-8")
    assert not [p.name for p in (SOURCE / "method").glob("*.py") if f"method/{p.name}" not in text and p.stem[0] != "_"]


def test_the_readme_names_every_file_of_a_result() -> None:
    assert set(spans(section(ROOT / "README.md", "What lies in a result folder"))) >= OUR_NAMES


def test_pages_list_every_choice() -> None:
    choices = [*PRESETS, *PRIORS, *MAKERS, *typing.get_args(PerceptualName)]
    told = {word for span in spans((ROOT / "README.md").read_text("utf-8")) for word in span.split()}
    assert set(choices) <= told
    told = set(spans((ROOT / "docs" / "cli.md").read_text("utf-8")))
    assert {*choices, *FORMATS, *CATEGORIES, *NAMES} - {"file"} <= told


def test_the_changelog_has_this_version_and_the_log_goes_forward() -> None:
    assert f"\n## {bozzetto.__version__} " in (ROOT / "CHANGELOG.md").read_text("utf-8")
    days = re.findall(r"(?m)^## (.*)$", (ROOT / "docs" / "log.md").read_text("utf-8"))
    assert days == sorted(days)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in days)


# ---------------------------------------------------------------- commands and flags


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags of every command, as its help has them."""
    found: dict[str, set[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "110")  # wide enough for one flag a line, too narrow for two columns
        for name in COMMANDS:
            told = io.StringIO()
            with contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
                execute([*name.split(), "--help"])
            found[name] = set(re.findall(r"(?m)^[ │]+(--[a-z0-9][a-z0-9.-]*)", told.getvalue()))
    assert {"--gan", "--lr", "--turn.use"} <= found["reconstruct"]
    return found


def commands(text: str) -> Iterator[list[str]]:
    """Words of every `bozzetto ...` in code, comments cut off."""
    for line in [*fenced(text), *spans(text)]:
        for piece in re.split(r"\s{2,}", line):
            if re.match(r"bozzetto(\s|$)", piece):
                yield piece.partition(" #")[0].split()[1:]


@every_page
def test_every_command_exists_and_takes_its_flags(page: Path, flags: dict[str, set[str]]) -> None:
    for words in commands(page.read_text("utf-8")):
        name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), "")
        given = {word for word in words if word.startswith("--")}
        if name:
            assert given <= flags[name] | {"--help"}, words
        else:
            group = {command.split()[0] for command in COMMANDS}
            assert not words or words[0] in {"COMMAND", "--version"} or words in [[g] for g in group], words


@every_page
def test_every_flag_exists(page: Path, flags: dict[str, set[str]]) -> None:
    known = set.union(*flags.values(), {"--help", "--version"})
    told = {word for span in spans(page.read_text("utf-8")) if span.startswith("--") for word in span.split()}
    strange = {word for word in told if word.startswith("--")} - known
    assert not strange


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_page_has_every_flag_of_a_command(name: str, flags: dict[str, set[str]]) -> None:
    parts = re.split(r"(?m)^(?=## )", (ROOT / "docs" / "cli.md").read_text("utf-8"))
    part = next(part for part in parts if f"bozzetto {name}" in part.partition("\n")[0])
    told = {span.split()[0] for span in spans(part) if span.startswith("--")}
    expected = flags[name]
    if name == "bench heads":  # "and all numbers of a fit and of the inversion", which stand with reconstruct
        expected = expected - (flags["reconstruct"] - {f"--{own}" for own in Heads.__dataclass_fields__})
    if name == "invert":  # "the inversion's numbers without their prefix"
        expected = expected - {f.replace("inversion.", "") for f in flags["reconstruct"] if "inversion." in f}
    if name == "study":  # "and all other numbers of the inversion"
        expected = expected - {f for f in flags["reconstruct"] if f.startswith("--inversion.")}
    if name == "general train":  # "the numbers of a fit stand behind --fit."
        numbers = {
            f"--fit.{group}.{flag}" for group in group_names() for flag in short_names(flags["reconstruct"], group)
        }
        expected = expected - numbers - {f for f in flags["reconstruct"] if f.startswith("--inversion.")}
    assert expected <= told


def short_names(flags: set[str], group: str) -> set[str]:
    """A group's flags of `bozzetto reconstruct`, without the dashes and the group's name."""
    return {flag.removeprefix("--").removeprefix(f"{group}.") for flag in flags}


@every_page
def test_every_make_target_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    told = {m[1] for code in [*fenced(text), *spans(text)] if (m := re.match(r"make ([a-z-]+)", code))}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert not {name for name in told if not re.search(rf"(?m)^{name}:", makefile)}


# ---------------------------------------------------------------- presets


def stages(config: FitConfig) -> str:
    rows = []
    for stage in config.stages:
        times = f"{stage.repeat} x " if stage.repeat > 1 else ""
        mirror = ", mirror" if stage.mirror else ""
        mirror += ", also in step 1" if stage.mirror_albedo else ""
        rows.append(f"{times}{stage.albedo}/{stage.project}/{stage.factorise} Np {stage.samples}{mirror}")
    return "; ".join(rows)


def preset_table() -> str:
    """The table of docs/differences.md."""
    heads = (
        "preset",
        "stages",
        "rate",
        "w_p",
        "w_d",
        "w_k",
        "offsets",
        "collect",
        "k",
        "z shift",
        "turn",
        "width",
        "precision",
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, c in PRESETS.items():
        fall = "" if c.optim.final_lr == 1 else f", falling to {c.optim.final_lr:g} of it"
        kept = c.project.collect + (f" {c.project.collect_batches}" if c.project.collect == "redraw" else "")
        cells = (
            f"`{name}`",
            stages(c),
            f"{c.optim.lr:g}{fall}",
            f"{c.loss.perceptual_weight:g}",
            f"{c.loss.smooth_depth_weight:g}",
            f"{c.loss.prior_weight:g}",
            "relative" if c.project.relative else "absolute",
            kept,
            str(c.project.tail_layers),
            f"{c.view.translation_z:g}",
            "yes" if c.turn.use else "no",
            f"{c.nets.width:g}",
            c.compute.precision,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def test_the_table_of_presets_is_the_presets() -> None:
    text = (ROOT / "docs" / "differences.md").read_text("utf-8")
    told = text.partition("<!-- presets: begin -->")[2].partition("<!-- presets: end -->")[0].strip()
    assert told == preset_table(), f"put this between the two marks of docs/differences.md:\n{preset_table()}"
