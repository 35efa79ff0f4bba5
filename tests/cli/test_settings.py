"""Flags follow the typed settings, whatever these become."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

import pytest

from bozzetto.cli.reconstruct import Arguments
from bozzetto.cli.settings import BARE, Schedule, group_names, parse_with_settings, set_stages
from bozzetto.config import FitConfig, Stage
from bozzetto.errors import InputError
from bozzetto.gan.invert import InvertConfig
from bozzetto.presets import PRESETS, find_preset


def parsed(*argv: str) -> tuple[Arguments, FitConfig, InvertConfig]:
    return parse_with_settings(Arguments, argv, "reconstruct", "")


@pytest.mark.parametrize("preset", PRESETS)
def test_without_flags_the_settings_are_the_presets(preset: str) -> None:
    arguments, config, inversion = parsed("photo.png", "--preset", preset)
    assert config == find_preset(preset)
    assert inversion == InvertConfig()
    assert (arguments.resume, arguments.overwrite, arguments.dry_run) == (False, False, False)


def changed(value: Any, annotation: Any) -> str:
    """Another value of a setting, as it is written on the command line."""
    if value is None:
        return "7"
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int | float):
        return str(value + 1)
    choices = getattr(annotation, "__args__", ())
    return next((str(choice) for choice in choices if choice != value), "box")


def test_every_setting_of_every_group_is_a_flag() -> None:
    base, base_inversion = find_preset("quick"), InvertConfig()
    wanted: dict[tuple[str, str], str] = {}
    for group in (*group_names(), "inversion"):
        values = base_inversion if group == "inversion" else getattr(base, group)
        hints = get_type_hints(type(values))
        for field in dataclasses.fields(values):
            wanted[group, field.name] = changed(getattr(values, field.name), hints[field.name])
    assert len(wanted) > 40
    argv = ["photo.png"]
    for (group, name), text in wanted.items():
        argv += ["--" + (name if group in BARE else f"{group}.{name}").replace("_", "-"), text]
    _, config, inversion = parsed(*argv)
    for (group, name), text in wanted.items():
        value = getattr(inversion if group == "inversion" else getattr(config, group), name)
        assert str(value) == text or float(value) == float(text), (group, name)
    assert config.stages == base.stages


def test_the_schedule_covers_every_number_of_a_stage() -> None:
    stage = {field.name for field in dataclasses.fields(Stage)} - {"repeat"}
    assert {field.name for field in dataclasses.fields(Schedule)} == stage | {"stages"}


TWO = (Stage(1, 2, 3, samples=4, mirror=True), Stage(5, 6, 7, samples=8))


def test_nothing_set_leaves_the_stages_as_they_are() -> None:
    repeated = (Stage(1, 2, 3), Stage(4, 5, 6, repeat=3))
    assert set_stages(repeated, Schedule()) == repeated


def test_one_value_goes_to_every_stage_and_a_list_stage_by_stage() -> None:
    found = set_stages(TWO, Schedule(albedo=(9,), project=(10, 11), mirror=(False, True)))
    assert found == (Stage(9, 10, 3, samples=4, mirror=False), Stage(9, 11, 7, samples=8, mirror=True))


def test_a_longer_list_repeats_the_last_stage_and_a_shorter_one_drops_it() -> None:
    found = set_stages((Stage(1, 2, 3), Stage(4, 5, 6, repeat=2)), Schedule(albedo=(10, 20, 30, 40)))
    assert found == (Stage(10, 2, 3), Stage(20, 5, 6), Stage(30, 5, 6), Stage(40, 5, 6))
    assert set_stages(TWO, Schedule(stages=1)) == TWO[:1]
    assert set_stages(TWO, Schedule(stages=3, albedo=(0,)))[2] == dataclasses.replace(TWO[1], albedo=0)


@pytest.mark.parametrize(
    "schedule", [Schedule(albedo=(1, 2), project=(1, 2, 3)), Schedule(stages=3, samples=(1, 2)), Schedule(stages=0)]
)
def test_stages_that_do_not_add_up_are_refused(schedule: Schedule) -> None:
    with pytest.raises(InputError, match="stage"):
        set_stages(TWO, schedule)


def test_a_setting_of_no_group_is_a_flag_too() -> None:
    presets = ("quick", "refine", "rep")
    assert [parsed("x.png", "--preset", name)[1].texture for name in presets] == ["photo", "photo", "network"]
    quick, rep = find_preset("quick"), find_preset("rep")
    assert parsed("x.png", "--texture", "network")[1] == dataclasses.replace(quick, texture="network")
    assert parsed("x.png", "--texture-px", "96")[1].texture_px == 96
    assert parsed("x.png", "--preset", "rep", "--texture", "photo")[1] == dataclasses.replace(rep, texture="photo")
