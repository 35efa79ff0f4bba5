"""What a fit from a general model is made of: its settings, and where colours and outline come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bozzetto import ingredients, pipeline
from bozzetto.config import ViewConfig
from bozzetto.errors import InputError
from bozzetto.gan.zoo import load_gan
from bozzetto.general_model import GeneralFacts, GeneralModel, load_general, refining, save_general
from bozzetto.nets.networks import make_networks
from bozzetto.pipeline import plan, reconstruct
from bozzetto.presets import PRESETS, find_preset
from bozzetto.results import Reconstruction
from bozzetto.results.assemble import assemble
from tiny_run import CONFIG, INVERSION, SIZE, photo, write_gan


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gan(tmp_path_factory.mktemp("refining") / "gan.safetensors")


@pytest.fixture(scope="module")
def model(gan: Path) -> GeneralModel:
    info = load_gan(gan).info
    nets = make_networks(SIZE, info.w_dim, torch.Generator().manual_seed(1), width=0.25)
    facts = GeneralFacts(
        name="untrained", category="object", licence="MIT", size=SIZE, w_dim=info.w_dim, width=0.25, view=ViewConfig(),
        view_mean=(0.0,) * 6, generator_name="tiny", generator_sha256=info.sha256, photos=3, offset=True,
    )  # fmt: skip
    path = gan.parent / "untrained.safetensors"
    save_general(path, nets, facts)
    return load_general(path)


def test_the_outline_is_mirrored_where_the_colours_are(
    model: GeneralModel, gan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light = replace(model, facts=replace(model.facts, albedo=False, offset=False))
    told: list[bool] = []

    def heard(*given: Any, even: bool = False) -> Reconstruction:
        told.append(even)
        return assemble(*given, even=even)

    monkeypatch.setattr(ingredients, "assemble", heard)
    monkeypatch.setattr(pipeline, "assemble", heard)
    for texture in ("network", "photo"):
        config = replace(CONFIG, texture=texture)
        for each in (model, light):
            reconstruct(photo(), gan, mask="none", general=each, config=config, refine=0)
        reconstruct(photo(), gan, mask="none", general=model, config=config, inversion=INVERSION, refine=1)
    # Preview, preview of a model without A, whose colours are the photo's whatever is asked; preview and fit.
    assert told == [False, True, False, False, True, True, True, True]


def test_presets_refine_only_where_they_have_step_3(model: GeneralModel) -> None:
    bare = replace(model, facts=replace(model.facts, offset=False))
    for name in PRESETS:
        stages = find_preset(name).stages
        refined = refining(find_preset(name), bare, 7).stages
        assert [stage.factorise for stage in refined] == [7 if stage.factorise else 0 for stage in stages], name


def test_samples_need_somebody_who_makes_them(model: GeneralModel, gan: Path) -> None:
    """E comes with the model, or step 2 teaches it first; without a teacher step 3 sees the renderings as they are."""
    bare = replace(model, facts=replace(model.facts, offset=False))
    stage = replace(find_preset("refine").stages[0], samples=2)
    untaught, taught = (replace(find_preset("refine"), stages=(replace(stage, project=n),)) for n in (0, 1))
    with pytest.raises(InputError, match="has no E, so --samples 2 need step 2"):
        plan(photo(), gan, mask="none", general=bare, config=untaught)
    plan(photo(), gan, mask="none", general=bare, config=taught)
    plan(photo(), gan, mask="none", general=model, config=untaught)
    unled = replace(untaught, project=replace(untaught.project, teacher="none"))
    plan(photo(), gan, mask="none", general=bare, config=unled)
    plan(photo(), gan, mask="none", general=bare, config=untaught, refine=0)
