"""Flags for every number of a fit, derived from the records in `bozzetto.config`; unset ones keep the preset's."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

import tyro

from bozzetto.cli.parse import parse, scan
from bozzetto.config import FitConfig, Stage
from bozzetto.errors import InputError
from bozzetto.gan.invert import InvertConfig
from bozzetto.general_model import built_in_for
from bozzetto.presets import find_preset

Record = TypeVar("Record")

# Groups whose flags go without the group's name in front: their own names say enough.
BARE = ("optim", "loss", "project", "view", "compute")


@dataclass(frozen=True)
class Schedule:
    """The stages, one value each, or one value for all of them."""

    stages: int | None = None  # how many; more than the preset has repeat its last one
    albedo: tuple[int, ...] = ()  # iterations of step 1 in each stage
    project: tuple[int, ...] = ()  # iterations of step 2
    factorise: tuple[int, ...] = ()  # iterations of step 3
    samples: tuple[int, ...] = ()  # Np: pseudo views and lights an iteration
    mirror: tuple[bool, ...] = ()  # losses of the mirrored object in step 3
    mirror_albedo: tuple[bool, ...] = ()  # the same in step 1


def settings_class(preset: FitConfig) -> Any:
    """A record with one field a group of settings, whose defaults are the preset's."""
    groups: dict[str, Any] = {name: getattr(preset, name) for name in group_names()}
    groups["inversion"] = InvertConfig()
    rows = [
        (
            name,
            Annotated[type(value), tyro.conf.arg(name="" if name in BARE else name)],
            field(default=value),
        )
        for name, value in groups.items()
    ]
    hints: Any = typing.get_type_hints(FitConfig)
    rows += [(name, hints[name], field(default=getattr(preset, name))) for name in single_names()]
    return dataclasses.make_dataclass("Settings", rows, frozen=True)


def group_names() -> list[str]:
    """Fields of a FitConfig that are groups of settings: all but the stages."""
    hints = typing.get_type_hints(FitConfig)
    return [f.name for f in dataclasses.fields(FitConfig) if dataclasses.is_dataclass(hints[f.name])]


def single_names() -> list[str]:
    """Fields of a FitConfig that are one setting, and no group of them."""
    return [f.name for f in dataclasses.fields(FitConfig) if f.name not in ("stages", *group_names())]


def fit_config(preset: FitConfig, settings: Any, schedule: Schedule) -> FitConfig:
    """The preset with everything that was set on the command line. Raises InputError for stages that do not add up."""
    groups = {name: getattr(settings, name) for name in (*group_names(), *single_names())}
    return replace(preset, stages=set_stages(preset.stages, schedule), **groups)


def set_stages(stages: tuple[Stage, ...], schedule: Schedule) -> tuple[Stage, ...]:
    """Stages with the schedule's numbers. Raises InputError for lists of different lengths."""
    names = [f.name for f in dataclasses.fields(Schedule) if f.name != "stages"]
    given: dict[str, tuple[Any, ...]] = {name: getattr(schedule, name) for name in names if getattr(schedule, name)}
    if not given and schedule.stages is None:
        return stages
    single = [replace(stage, repeat=1) for stage in stages for _ in range(stage.repeat)]
    lengths = {f"--{name.replace('_', '-')}": len(values) for name, values in given.items() if len(values) > 1}
    if schedule.stages is not None:
        lengths["--stages"] = schedule.stages
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise InputError(f"The stages do not add up ({told}); give as many values each, or one for all stages.")
    count = next(iter(lengths.values()), len(single))
    if count < 1:
        raise InputError(f"A fit needs one stage at least, not {count}.")
    single = (single + [single[-1]] * count)[:count]
    per_stage = {name: values * count if len(values) == 1 else values for name, values in given.items()}
    return tuple(
        replace(stage, **{name: values[i] for name, values in per_stage.items()}) for i, stage in enumerate(single)
    )


def default_preset(argv: Sequence[str]) -> str:
    """The preset where none is named: `refine` where a general model is named, or built in for the generator."""
    general = scan(argv, "--general") or "auto"
    if general == "auto" and scan(argv, "--prior"):  # a shape to begin with instead
        return "quick"
    if general == "auto":
        return "refine" if built_in_for(scan(argv, "--gan") or "heads") else "quick"
    return "quick" if general == "none" else "refine"


def parse_with_settings(
    kind: type[Record], argv: Sequence[str], command: str, description: str, preset: str = "quick"
) -> tuple[Record, FitConfig, InvertConfig]:
    """A command's own arguments, and the settings that its flags make of a preset: `preset`, if they name none."""
    base = find_preset(scan(argv, "--preset") or preset)
    settings = settings_class(base)
    nameless = tyro.conf.arg(name="")
    annotated: Any = Annotated  # types that are known at run time alone
    spelled_out: Any = tyro.conf.FlagConversionOff  # --reuse False instead of --no-reuse
    rows: Any = [
        ("arguments", annotated[kind, nameless]),
        ("schedule", spelled_out[annotated[Schedule, nameless]], field(default=Schedule())),
        ("settings", spelled_out[annotated[settings, nameless]], field(default=settings())),
    ]
    whole: Any = dataclasses.make_dataclass("Arguments", rows, frozen=True)
    parsed = parse(whole, argv, command, description)
    return parsed.arguments, fit_config(base, parsed.settings, parsed.schedule), parsed.settings.inversion
