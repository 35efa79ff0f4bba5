"""A result in words: what a person reads beside the object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bozzetto.presets import PRESETS
from bozzetto.results.provenance import Provenance, plain

# The scores that are shown: name in the record, title, unit.
SCORES = (("mad_depth_deg", "MAD", "°"), ("side_x100", "SIDE ×100", ""))

MOST = 1e15  # of a number that is shown; a record from elsewhere may hold any


def _at(record: Any, *names: str) -> Any:
    """The value at nested names of a JSON object; None where there is none."""
    for name in names:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def text_at(provenance: Provenance, *names: str) -> str:
    """A text in the record's settings, empty where there is none."""
    value = _at(provenance.config, *names)
    return value if isinstance(value, str) else ""


def _numbers(values: Any) -> list[float]:
    """The numbers in a JSON object that can be ones, of any depth."""
    if isinstance(values, Mapping):
        return [number for value in values.values() for number in _numbers(value)]
    known = isinstance(values, int | float) and not isinstance(values, bool) and abs(values) < MOST
    return [float(values)] if known else []


GENERAL = "general model"
OTHER_PRESET = "own numbers"
PREVIEW = "preview"


def start_of(provenance: Provenance) -> str:
    """What the fit set out from: a general model or a prior's name; empty where it is not known."""
    if text_at(provenance, "general_sha256"):
        return GENERAL
    return text_at(provenance, "fit", "prior", "shape")


def preset_of(provenance: Provenance) -> str:
    """The preset whose numbers the fit had, whatever shape it started from; empty where the numbers are not known.

    The record does not name it. A fit from a general model has its width, no prior and no turn of its own; without any
    stage it is a preview.
    """
    fit = provenance.config.get("fit")
    if not isinstance(fit, Mapping) or "stages" not in fit:
        return ""
    general = start_of(provenance) == GENERAL
    if general and not fit.get("stages"):
        return PREVIEW
    for name, preset in PRESETS.items():
        numbers: Any = plain(preset)
        if _chosen(_filled(fit, numbers), general) == _chosen(numbers, general):
            return name
    return OTHER_PRESET


def _filled(fit: Mapping[str, Any], numbers: Mapping[str, Any]) -> dict[str, Any]:
    """A record's settings, with a preset's where an older version knew none."""
    groups = {name: value for name, value in numbers.items() if isinstance(value, Mapping)}
    kept = {name: {**value, **fit[name]} for name, value in groups.items() if isinstance(fit.get(name), Mapping)}
    return {**numbers, **fit, **kept}


def _chosen(fit: Any, general: bool) -> dict[str, Any]:
    """The numbers of a fit that tell one preset from another; `compute` is how they are come by, `texture` what is
    taken of it."""
    left = (
        {"prior": ("shape", "iterations"), "turn": ("use",), "nets": ("width",)} if general else {"prior": ("shape",)}
    )
    kept = {name: value for name, value in fit.items() if name not in ("compute", "texture", "texture_px")}
    for group, names in left.items():
        if isinstance(kept.get(group), Mapping):
            kept[group] = {name: value for name, value in kept[group].items() if name not in names}
    return kept


def seconds_of(provenance: Provenance) -> float:
    """Wall clock of all phases together, 0 where nothing was recorded."""
    return sum(_numbers(provenance.seconds), 0.0)


def duration(seconds: float) -> str:
    """4.2 s, 38 s, 5 min 07 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def scores_of(provenance: Provenance) -> dict[str, str]:
    """The scores against a known truth, title to value; empty where no truth was known."""
    values = {title: (_at(provenance.metrics, name), unit) for name, title, unit in SCORES}
    return {title: f"{value:.2f}{unit}" for title, (value, unit) in values.items() if isinstance(value, float)}


def facts_of(provenance: Provenance, size: int) -> dict[str, str]:
    """Title to value, most telling first; what is not known is left out."""
    seconds = seconds_of(provenance)
    told = {
        "Photo": provenance.input_name,
        "Generator": provenance.generator_name,
        "Category": text_at(provenance, "category"),
        "Starting shape": start_of(provenance),
        "Preset": preset_of(provenance),
        "Seed": "" if provenance.seed is None else str(provenance.seed),
        "Size": f"{size} px",
        "Made in": duration(seconds) if seconds > 0 else "",
        **scores_of(provenance),
    }
    return {title: value for title, value in told.items() if value}
