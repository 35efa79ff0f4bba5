"""Settings: what is written of them comes back the same, and anything else is refused."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from anything import ODD, examples, nearly, value_or_sentence
from hypothesis import given
from hypothesis import strategies as st
from tiny_gan3 import tiny_spec3

from bozzetto.cli.settings import Schedule, group_names, parse_with_settings, set_stages, single_names
from bozzetto.config import FitConfig, GeneralConfig, Stage, ViewConfig
from bozzetto.crop import Square, parse_crop
from bozzetto.gan import GanInfo
from bozzetto.gan.invert import InvertConfig
from bozzetto.gan.own_format import read_spec
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.spec3 import StyleGan3Spec
from bozzetto.general_model import GeneralFacts, read_facts
from bozzetto.inputs import check_fit
from bozzetto.presets import GENERAL_PRESETS, PRESETS, find_general_preset, find_preset
from bozzetto.results.provenance import plain
from bozzetto.serve.job import Job, Wishes
from bozzetto.serve.rebuild import rebuild

INFO = GanInfo("tiny", "stylegan2", 64, 512, 512, 10, 8, "MIT", "", "noise")


@dataclasses.dataclass(frozen=True)
class Nothing:
    """Arguments of a command that has none of its own."""


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(plain(value), allow_nan=False))


# -- round trips ------------------------------------------------------------------------------------------------------


def drawn(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotated type."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{field.name: drawn(hints[field.name]) for field in dataclasses.fields(kind)})
    if origin is tuple and inside[1:] == (...,):
        return st.lists(drawn(inside[0]), max_size=3).map(tuple)
    if origin is Literal:
        return st.sampled_from(inside)
    if origin is not None:
        return st.one_of(*map(drawn, inside))
    simple = {bool: st.booleans(), int: st.integers(-(10**6), 10**6), str: st.text(max_size=8), type(None): st.none()}
    return simple.get(kind, st.floats(allow_nan=False, allow_infinity=False))


@pytest.mark.parametrize("kind", [FitConfig, GeneralConfig, InvertConfig])
def test_settings_survive_the_round_trip(kind: Any) -> None:
    @examples(60)
    @given(drawn(kind))
    def check(config: Any) -> None:
        assert rebuild(kind, through_json(config)) == config

    check()


def test_presets_survive_the_round_trip() -> None:
    for name, preset in PRESETS.items():
        assert rebuild(FitConfig, through_json(preset)) == preset == find_preset(name)
    for name, general in GENERAL_PRESETS.items():
        assert rebuild(GeneralConfig, through_json(general)) == general == find_general_preset(name)


def flags_of(config: FitConfig) -> Iterator[str]:
    """The command line that says every number of a fit."""
    bare = ("optim", "loss", "project", "view", "compute")
    for group in group_names():
        for name, value in through_json(getattr(config, group)).items():
            prefix = "" if group in bare else f"{group}."
            yield from (f"--{prefix}{name.replace('_', '-')}", str(value))
    for name in single_names():
        yield from (f"--{name}", str(getattr(config, name)))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_what_its_flags_make_of_another(name: str) -> None:
    wanted = PRESETS[name]
    words = [*flags_of(wanted), "--preset", "pan-car" if name != "pan-car" else "rep"]
    _, config, _ = parse_with_settings(Nothing, words[:-2], "reconstruct", "", words[-1])
    assert dataclasses.replace(config, stages=()) == dataclasses.replace(wanted, stages=())


# -- anything ---------------------------------------------------------------------------------------------------------


@examples(50)
@given(st.one_of(ODD, *(nearly(through_json(preset)) for preset in PRESETS.values())))
def test_any_json_is_settings_or_a_value_error(value: Any) -> None:
    try:
        config = rebuild(FitConfig, value)
    except ValueError:
        return
    assert rebuild(FitConfig, through_json(config)) == config or "null" in json.dumps(plain(config))


@examples(50)
@given(drawn(FitConfig))
def test_any_settings_are_fit_for_work_or_refused(config: FitConfig) -> None:
    value_or_sentence(lambda: check_fit(config, INFO))


JOB = Job("20260101-120000-0123abcd", "cat.png", Wishes("heads", "quick"), 1.5, notes=("a",))


@examples(50)
@given(st.one_of(ODD, nearly(JOB.to_json())))
def test_any_json_is_a_job_or_a_value_error(value: Any) -> None:
    try:
        job = Job.from_json(value)
    except ValueError:
        return
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job or job.made_s != job.made_s


FACTS = GeneralFacts("n", "heads", "MIT", 64, 512, 0.5, ViewConfig(), (0.0,) * 6, "heads", "ab", 10, True)


@examples(50)
@given(st.one_of(ODD, nearly(dataclasses.asdict(FACTS))).map(json.dumps) | st.text(max_size=20))
def test_any_text_is_the_facts_of_a_general_model_or_refused(text: str) -> None:
    value_or_sentence(lambda: read_facts(text, "x.safetensors"))


def test_facts_of_a_general_model_survive_the_round_trip() -> None:
    assert read_facts(json.dumps(dataclasses.asdict(FACTS)), "x") == FACTS


SPECS: list[tuple[type, Any]] = [
    (StyleGan2Spec, StyleGan2Spec(8, {4: 2, 8: 1}, num_classes=2, conv_clamp=0.5, discriminator_channels={4: 2, 8: 3})),
    (StyleGan3Spec, tiny_spec3(16, num_layers=3)),
]


@pytest.mark.parametrize(("kind", "spec"), SPECS, ids=lambda x: getattr(x, "__name__", ""))
def test_any_text_is_a_spec_or_refused(kind: type, spec: Any) -> None:
    whole = json.loads(json.dumps(dataclasses.asdict(spec)))
    assert read_spec(kind, json.dumps(whole), "x") == spec

    @examples(60)
    @given(st.one_of(ODD, nearly(whole)).map(json.dumps) | st.text(max_size=20))
    def check(text: str) -> None:
        found = value_or_sentence(lambda: read_spec(kind, text, "x.safetensors"))
        if found is not None:
            assert read_spec(kind, json.dumps(dataclasses.asdict(found)), "x") == found

    check()


@examples(50)
@given(st.text(max_size=20) | st.lists(st.integers(-20, 9999), max_size=4).map(lambda n: ",".join(map(str, n))))
def test_any_text_is_a_crop_or_refused(text: str) -> None:
    crop = value_or_sentence(lambda: parse_crop(text))
    assert crop is None or crop in ("auto", "none") or isinstance(crop, Square)
    if isinstance(crop, Square):
        assert parse_crop(f"{crop.left},{crop.top},{crop.side}") == crop


COUNTS = st.lists(st.integers(-2, 20), max_size=4).map(tuple)
FLAGS = st.lists(st.booleans(), max_size=4).map(tuple)


@examples(50)
@given(
    st.builds(Schedule, st.none() | st.integers(-2, 6), COUNTS, COUNTS, COUNTS, COUNTS, FLAGS, FLAGS),
    st.sampled_from([preset.stages for preset in PRESETS.values()]),
)
def test_any_schedule_is_stages_or_refused(schedule: Schedule, stages: tuple[Stage, ...]) -> None:
    found = value_or_sentence(lambda: set_stages(stages, schedule))
    assert found is None or len(found) >= 1


@examples(50)
@given(st.text(max_size=20))
def test_any_text_is_a_preset_or_refused(name: str) -> None:
    for find, known in ((find_preset, PRESETS), (find_general_preset, GENERAL_PRESETS)):
        assert (value_or_sentence(lambda find=find: find(name)) is not None) == (name in known)  # type: ignore[misc]
