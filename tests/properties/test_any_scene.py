"""Files of views and lights: any JSON gives distributions that can be drawn from, or one sentence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from anything import ODD, damaged, examples, nearly, value_or_sentence
from hypothesis import given
from hypothesis import strategies as st

from bozzetto.inputs import read_scenes
from bozzetto.method.sampling import DISTRIBUTIONS, LightDistribution, SceneDistribution, ViewDistribution
from bozzetto.nets.heads import ViewScale
from bozzetto.results.provenance import plain

FACE = plain(DISTRIBUTIONS["face"])
CORRELATED = plain(
    dataclasses.replace(
        DISTRIBUTIONS["face"].views, correlation=tuple(tuple(float(i == j) for j in range(6)) for i in range(6))
    )
)
WHOLE = [FACE, {"views": CORRELATED, "lights": FACE["lights"]}]  # type: ignore[index, call-overload]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


def can_be_drawn_from(scenes: SceneDistribution) -> None:
    rng = torch.Generator().manual_seed(0)
    views = scenes.views.draw(2, ViewScale(1.0, 1.0, 1.0), rng)
    lights = scenes.lights.draw(torch.zeros(2, 4), rng)
    assert views.shape == (2, 6)
    assert lights.shape == (2, 4)
    assert bool(views.isfinite().all())
    assert bool(lights.isfinite().all())


@examples(75)
@given(st.one_of(ODD, *(nearly(whole) for whole in WHOLE)))
def test_any_json_is_a_distribution_or_refused(folder: Path, value: object) -> None:
    path = folder / "scenes.json"
    path.write_text(json.dumps(value), "utf-8")
    scenes = value_or_sentence(lambda: read_scenes(path), folder)
    if scenes is not None:
        can_be_drawn_from(scenes)


@examples(40)
@given(damaged(*(json.dumps(whole).encode() for whole in WHOLE)))
def test_any_bytes_are_a_distribution_or_refused(folder: Path, data: bytes) -> None:
    path = folder / "scenes.json"
    path.write_bytes(data)
    scenes = value_or_sentence(lambda: read_scenes(path), folder)
    if scenes is not None:
        can_be_drawn_from(scenes)


FINITE = st.floats(-100, 100)
PAIRS = st.tuples(FINITE, FINITE)
SIX = st.tuples(*[FINITE] * 6)
SPREADS = st.tuples(*[st.floats(0, 10)] * 6)


@examples(50)
@given(
    st.builds(
        SceneDistribution,
        st.builds(ViewDistribution, SIX, SPREADS, st.none(), st.floats(0.1, 3)),
        st.builds(LightDistribution, PAIRS, PAIRS, PAIRS, st.floats(0, 2)),
    )
)
def test_distributions_survive_the_round_trip(folder: Path, scenes: SceneDistribution) -> None:
    path = folder / "whole.json"
    path.write_text(json.dumps(plain(scenes)), "utf-8")
    assert read_scenes(path) == scenes
