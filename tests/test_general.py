"""The general model from training to a photo: its file, the preview, the refinement; and that files are not trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bozzetto import train_general
from bozzetto.config import GeneralConfig, Round, Stage, TurnConfig
from bozzetto.errors import CheckpointError, InputError, OutputError
from bozzetto.export.sheet import factor_tiles
from bozzetto.gan.invert import InvertConfig
from bozzetto.gan.zoo import load_gan
from bozzetto.general_job import GeneralJob
from bozzetto.general_model import BUILT_IN, GeneralModel, load_general, save_general
from bozzetto.keep import Interrupted, Quiet
from bozzetto.method.joint import JointEvent
from bozzetto.nets.networks import make_networks
from bozzetto.pipeline import plan, reconstruct
from bozzetto.results import Reconstruction
from bozzetto.results.folder import read_preview
from bozzetto.train_general import card, train, working_folder
from tiny_run import CONFIG, INVERSION, Interrupter, photo, write_gan

JOINT = GeneralConfig(
    (Round(2, 1, 1, 1, samples=2, visit="all", mirror=True),),
    replace(CONFIG, stages=(), turn=TurnConfig(use=True, steps=2, iterations=2, albedo_weight=1.0)),
    batch=2,
    prior_epochs=2,
)


class Heard:
    """Keeps what a training says; may send an interrupt."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.notes: list[str] = []
        self.events: list[JointEvent] = []
        self.scores: list[Mapping[str, float]] = []
        self.gathered: list[tuple[str, int, int]] = []
        self.stop_at = stop_at

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_gathered(self, what: str, done: int, total: int) -> None:
        self.gathered.append((what, done, total))

    def on_iteration(self, event: JointEvent) -> None:
        self.events.append(event)
        if event.done == self.stop_at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    def on_validation(self, epoch: int, scores: Mapping[str, float]) -> None:
        self.scores.append(scores)


ANY = InvertConfig(hopeless_db=0.0)  # a generator of random weights makes no such picture


def job_of(folder: Path, name: str, **changes: object) -> GeneralJob:
    gan = folder / "gan.safetensors"
    if not gan.exists():
        write_gan(gan)
    base = GeneralJob(
        out=folder / f"{name}.safetensors", gan=str(gan), config=JOINT, photos=3, held=2, mask="none", licence="MIT"
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Heard]:
    heard = Heard()
    return train(job_of(tmp_path_factory.mktemp("general"), "whole"), heard), heard


@pytest.fixture(scope="module")
def model(trained: tuple[Path, Heard]) -> GeneralModel:
    return load_general(trained[0])


def test_a_training_says_what_it_does_and_leaves_a_model(trained: tuple[Path, Heard], model: GeneralModel) -> None:
    path, heard = trained
    assert heard.gathered[-1] == ("photos", 3, 3)
    assert [event.done for event in heard.events] == list(range(1, heard.events[0].total + 1))
    assert len(heard.scores) == 2
    assert all(math.isfinite(scores["score"]) for scores in heard.scores)
    facts = model.facts
    assert (facts.size, facts.photos, facts.width, facts.offset) == (16, 3, 0.25, True)
    assert facts.generator_sha256 == load_gan(path.parent / "gan.safetensors").info.sha256
    text = path.with_suffix(".md").read_text("utf-8")
    assert text == card(
        facts, JOINT, [json.loads(x) for x in (working_folder(path) / "log.jsonl").read_text().splitlines()]
    )
    assert "Fitted to 3 photos: 2 epochs of 1/1/1 at Np 2" in text


def test_a_stopped_training_ends_with_the_same_model(trained: tuple[Path, Heard], tmp_path: Path) -> None:
    (tmp_path / "gan.safetensors").write_bytes((trained[0].parent / "gan.safetensors").read_bytes())
    for at in (2, 6, 9):
        job = job_of(tmp_path, f"stopped{at}")
        with pytest.raises(Interrupted, match="go on with --resume"):
            train(job, Heard(at))
        assert not job.out.exists()
        rest = Heard()
        path = train(replace(job, resume=True), rest)
        assert rest.events[0].done == at + 1
        one, other = load_file(trained[0]), load_file(path)
        assert one.keys() == other.keys()
        assert [name for name in one if not torch.equal(one[name], other[name])] == []


class Killed(BaseException):
    """Ends a training without its being told."""


class DiesLater(Heard):
    """The state is kept after one iteration alone, and some iterations later the training is gone."""

    def __init__(self, kept_at: int, dies_at: int, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.kept_at, self.dies_at, self.patch = kept_at, dies_at, patch

    def on_iteration(self, event: JointEvent) -> None:
        super().on_iteration(event)
        self.patch.setattr(train_general, "SAVE_EVERY_S", -1.0 if event.done == self.kept_at else 1e9)
        if event.done == self.dies_at:
            raise Killed


@pytest.mark.parametrize(("kept_at", "dies_at"), [(10, 14), (10, 17), (10, 13), (8, 17)])
def test_samples_are_not_written_over_while_a_kept_state_needs_them(
    kept_at: int, dies_at: int, trained: tuple[Path, Heard], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept between collecting and step 3, or while collecting, and gone while the next samples are collected."""
    (tmp_path / "gan.safetensors").write_bytes((trained[0].parent / "gan.safetensors").read_bytes())
    job = job_of(tmp_path, "gone")
    with pytest.raises(Killed):
        train(job, DiesLater(kept_at, dies_at, monkeypatch))
    path = train(replace(job, resume=True), Heard())
    one, other = load_file(trained[0]), load_file(path)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_model_is_not_written_over_and_other_settings_do_not_go_on(trained: tuple[Path, Heard]) -> None:
    job = job_of(trained[0].parent, "whole")
    with pytest.raises(OutputError, match="go on with --resume or start over"):
        train(job, Heard())
    with pytest.raises(OutputError, match="belongs to other settings"):
        train(replace(job, resume=True, seed=4), Heard())


def test_photos_of_a_folder_are_inverted_and_taken(tmp_path: Path) -> None:
    from bozzetto.export.images import write_png

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(64):
        from bozzetto.export.images import picture

        write_png(picture(photo(i)), pictures / f"{i:02d}.png")
    gan = load_gan(write_gan(tmp_path / "gan.safetensors"))
    quick = replace(JOINT, prior_epochs=0, rounds=(Round(1, 0, 0, 1, samples=1),), batch=64)
    quick = replace(quick, fit=replace(quick.fit, turn=TurnConfig()))
    job = job_of(tmp_path, "folder", source=pictures, config=quick, photos=62, gan=gan, inversion=ANY)
    heard = Heard()
    model = load_general(train(job, heard))
    assert model.facts.photos == 62
    assert len(heard.events) == 3  # one batch of all: two rounds of collecting, one of step 3


def test_a_preview_is_one_pass_and_needs_no_latent(
    model: GeneralModel, trained: tuple[Path, Heard], tmp_path: Path
) -> None:
    gan = str(trained[0].parent / "gan.safetensors")
    made = reconstruct(photo(), gan, mask="none", general=model, refine=0, out=tmp_path / "preview")
    seconds = made.provenance.seconds
    assert seconds["inversion"] == 0
    assert set(seconds) == {"mask", "preview", "inversion"}
    assert torch.equal(made.inversion, made.recon.clamp(0, 1))
    again = Reconstruction.load(tmp_path / "preview")
    assert all(torch.equal(value, again.tensors()[name]) for name, value in made.tensors().items())
    assert made.provenance.config["general_sha256"] == model.sha256
    other = reconstruct(photo(), gan, mask="none", general=str(trained[0]), refine=0, seed=7)
    assert torch.equal(other.depth, made.depth)  # nothing is drawn


def test_a_model_without_an_albedo_network_sees_the_same(
    model: GeneralModel, trained: tuple[Path, Heard], tmp_path: Path
) -> None:
    gan = str(trained[0].parent / "gan.safetensors")
    path = tmp_path / "light.safetensors"
    save_general(path, model.networks, replace(model.facts, albedo=False, offset=False))
    assert path.stat().st_size < 0.7 * trained[0].stat().st_size
    light = load_general(path)
    whole, made = (reconstruct(photo(), gan, mask="none", general=m, refine=0) for m in (model, light))
    for name in ("depth", "albedo", "view", "light", "recon"):
        assert torch.equal(getattr(made, name), getattr(whole, name)), name
    bare = reconstruct(photo(), gan, mask="none", general=light, config=replace(CONFIG, stages=()))
    assert torch.equal(bare.albedo, whole.albedo)  # CONFIG asks for A's, and there is none
    large = photo().repeat_interleave(2, 1).repeat_interleave(2, 2)
    config = replace(CONFIG, stages=())
    textures = [reconstruct(large, gan, mask="none", general=m, config=config).texture for m in (model, light)]
    assert [texture is None for texture in textures] == [True, False]  # as fine as the photo where its colours are
    still = replace(CONFIG, optim=replace(CONFIG.optim, lr=1e-30, project_lr=1e-30))
    out = tmp_path / "still"
    fitted = reconstruct(photo(), gan, mask="none", general=light, config=still, inversion=INVERSION, out=out)
    kept = read_preview(out)
    assert kept is not None
    assert torch.equal(kept.albedo, whole.albedo)
    assert not torch.equal(fitted.albedo, whole.albedo)  # a fresh A, as asked
    fresh = make_networks(16, model.facts.w_dim, torch.Generator().manual_seed(3), width=0.25)
    before = {name: value.clone() for name, value in fresh.state().items()}
    light.copy_into(fresh)
    for name, value in fresh.state().items():
        anew = name.startswith(("albedo.", "offset."))
        assert torch.equal(value, before[name] if anew else light.networks.state()[name]), name


def test_a_refinement_of_no_movement_is_the_preview(model: GeneralModel, trained: tuple[Path, Heard]) -> None:
    gan = str(trained[0].parent / "gan.safetensors")
    still = replace(CONFIG, optim=replace(CONFIG.optim, lr=1e-30, project_lr=1e-30), texture="photo")
    made = reconstruct(photo(), gan, mask="none", general=model, config=still, inversion=INVERSION)
    preview = reconstruct(photo(), gan, mask="none", general=model, refine=0)
    for name in ("depth", "albedo", "view", "light", "recon"):
        assert torch.equal(getattr(made, name), getattr(preview, name)), name
    assert not torch.equal(made.latent, preview.latent)


def test_the_folder_holds_preview_and_refinement(
    model: GeneralModel, trained: tuple[Path, Heard], tmp_path: Path
) -> None:
    gan = str(trained[0].parent / "gan.safetensors")
    seen: list[Reconstruction] = []

    class Looks(Quiet):
        def on_state(self, current: object) -> None:
            seen.append(current())  # type: ignore[operator]

    made = reconstruct(
        photo(), gan, mask="none", general=model, config=CONFIG, inversion=INVERSION, out=tmp_path / "r",
        formats=("sheet",), progress=Looks(), refine=2,
    )  # fmt: skip
    preview = read_preview(tmp_path / "r")
    assert preview is not None
    assert (tmp_path / "r" / "preview.png").is_file()
    labels = [[tile.label for tile in factor_tiles(record)][2] for record in (preview, made)]
    assert labels == ["No inversion", "GAN inversion"]
    alone = reconstruct(photo(), gan, mask="none", general=model, refine=0)
    assert torch.equal(preview.depth, alone.depth)
    assert torch.equal(seen[0].depth, alone.depth)  # before anything else
    assert torch.equal(Reconstruction.load(tmp_path / "r").depth, made.depth)
    assert not torch.equal(made.depth, preview.depth)
    assert "prior" not in made.provenance.seconds  # no step 0: it begins with the model


def test_a_stopped_refinement_ends_bit_for_bit_where_it_would(
    model: GeneralModel, trained: tuple[Path, Heard], tmp_path: Path
) -> None:
    gan = str(trained[0].parent / "gan.safetensors")

    def make(out: Path, **more: object) -> Reconstruction:
        given = {"mask": "none", "general": model, "config": CONFIG, "inversion": INVERSION, "formats": ()}
        return reconstruct(photo(), gan, out=out, **{**given, **more})  # type: ignore[arg-type]

    whole = make(tmp_path / "a")
    with pytest.raises(Interrupted):
        make(tmp_path / "b", progress=Interrupter(lambda event: event.done == 3))
    resumed = make(tmp_path / "b", resume=True)
    assert torch.equal(whole.depth, resumed.depth)


def test_what_does_not_go_together_is_refused(model: GeneralModel, trained: tuple[Path, Heard], tmp_path: Path) -> None:
    gan = str(trained[0].parent / "gan.safetensors")
    with pytest.raises(InputError, match="begins with a general model"):
        plan(photo(), gan, refine=3)
    with pytest.raises(InputError, match="begins with a general model"):
        plan(photo(), gan, preset="refine")
    with pytest.raises(InputError, match="--refine cannot be -1"):
        plan(photo(), gan, general=model, refine=-1)
    with pytest.raises(InputError, match="leave --prior or --general out"):
        plan(photo(), gan, general=model, prior="box")
    with pytest.raises(InputError, match="reads pictures of 16 px"):
        plan(torch.rand(3, 64, 64), "heads", general=model)
    other = replace(CONFIG, view=replace(CONFIG.view, translation_z=0.1))
    with pytest.raises(InputError, match="counts views otherwise"):
        plan(photo(), gan, general=model, config=other)
    with pytest.raises(CheckpointError, match="There is no general model"):
        load_general(tmp_path / "none.safetensors")


def test_a_wider_fit_is_given_the_models_width(model: GeneralModel, trained: tuple[Path, Heard]) -> None:
    gan = str(trained[0].parent / "gan.safetensors")
    wide = replace(CONFIG, nets=replace(CONFIG.nets, width=1.0), stages=(Stage(1, 1, 1, samples=1),))
    assert plan(photo(), gan, general=model, config=wide).config.nets.width == 0.25


def damaged(tensors: dict[str, Tensor], metadata: dict[str, str], how: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    facts = json.loads(metadata["facts"])
    name = "depth.network.0.weight"
    if how == "nan":
        tensors[name] = tensors[name] * math.nan
    elif how == "lacks":
        del tensors["view.network.0.weight"]
    elif how == "more":
        tensors["view.extra"] = torch.zeros(1)
    elif how == "kind":
        metadata["kind"] = "something"
    elif how == "newer":
        metadata["version"] = "2"
    elif how == "facts":
        metadata["facts"] = "["
    elif how == "nested":
        metadata["facts"] = "[" * 100_000
    elif how == "complex":
        tensors[name] = tensors[name].float().to(torch.complex64)
    else:
        facts[how.split("=")[0]] = json.loads(how.split("=")[1])
        metadata["facts"] = json.dumps(facts)
    return tensors, metadata


@pytest.mark.parametrize(
    "how",
    ["nan", "lacks", "more", "kind", "newer", "facts", "nested", "complex", "size=100000", "size=12", "size=null",
     "width=1e9", "width=0.5", f"width=1{400 * '0'}", "w_dim=-1", "w_dim=9", "offset=1", "albedo=1", "view_mean=[1]",
     "name=3", "view={}", "view=[]", "extra=1"],
)  # fmt: skip
def test_a_strangers_file_is_refused_in_a_sentence(trained: tuple[Path, Heard], tmp_path: Path, how: str) -> None:
    from bozzetto.gan.checkpoint import read_tensors

    metadata, tensors = read_tensors(trained[0])
    tensors, metadata = damaged(tensors, dict(metadata), how)
    save_file(tensors, tmp_path / "x.safetensors", metadata)
    if how == "view={}":  # all of its numbers have defaults
        load_general(tmp_path / "x.safetensors")
        return
    with pytest.raises(CheckpointError) as error:
        load_general(tmp_path / "x.safetensors")
    assert "\n" not in str(error.value)
    assert "x.safetensors" in str(error.value)


@pytest.mark.parametrize("name", [row.name for row in BUILT_IN])
def test_a_built_in_model_goes_with_its_generator_and_sees_a_picture_of_it(name: str) -> None:
    """By one pass: a relief whose middle stands out, much the same on both sides of a frontal picture.

    That the rendering is like the picture would say nothing: its colours are the picture's own.
    """
    model, gan = load_general(name), load_gan(name)
    assert model.facts.generator_sha256 == gan.info.sha256
    assert (model.facts.size, model.facts.category) == (gan.info.resolution, gan.info.category)
    w = gan.w_from_z(gan.z_samples(1, 5), 0.7)
    picture = (gan.image_from_w(w)[0] / 2 + 0.5).clamp(0, 1)
    depth = reconstruct(picture, gan, mask="none", general=model, refine=0).depth[0]
    relief = depth[:, :8].mean() - depth[28:36, 28:36].mean()
    assert relief > 0.05
    assert (depth - depth.flip(1)).abs()[8:-8, 8:-8].mean() < 0.05 * relief


def test_tensorboard_is_asked_for_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    from bozzetto.cli.general import Board
    from bozzetto.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match="pip install tensorboard"):
        Board(tmp_path)


def test_tensorboard_hears_losses_and_checks(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from bozzetto.cli.general import Board, Shown

    board = Board(tmp_path)
    with Shown(board) as shown:
        train(job_of(tmp_path, "told"), shown)
    board.writer.close()
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    tags = set(read.Tags()["scalars"])
    assert {"prior/total", "albedo/total", "project/l1", "factorise/perceptual", "validation/score"} <= tags
    assert len(read.Scalars("validation/score")) == 2
