"""A general model that goes on, on many pictures: its file, resuming, and what is refused."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bozzetto import autoencode_general, autoencode_job
from bozzetto.autoencode_general import autoencode, working_folder
from bozzetto.autoencode_job import AutoencodeJob
from bozzetto.config import AutoencodeConfig, Stage, ViewConfig
from bozzetto.errors import FitError, InputError, OutputError
from bozzetto.export.images import picture, write_png
from bozzetto.gan.zoo import load_gan
from bozzetto.general_model import GeneralFacts, load_general, save_general
from bozzetto.keep import Interrupted
from bozzetto.nets.networks import make_networks
from bozzetto.pipeline import reconstruct
from bozzetto.segment.segmenter import Segmentation
from tiny_heads import write_heads
from tiny_run import CONFIG, INVERSION, SIZE, photo, write_gan

SHORT = AutoencodeConfig(iterations=9, batch=3, lr=1e-3)


class Heard:
    """Keeps what is said; may send an interrupt once so many iterations of a phase are told."""

    def __init__(self, stop_at: tuple[str, int] | None = None) -> None:
        self.notes: list[str] = []
        self.counts: list[tuple[str, int, int]] = []
        self.scores: list[tuple[int, Mapping[str, float]]] = []
        self.stop_at = stop_at

    def on_note(self, text: str) -> None:
        self.notes.append(text)

    def on_count(self, what: str, done: int, total: int, loss: float | None = None) -> None:
        self.counts.append((what, done, total))
        if (what, done) == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    def on_scores(self, done: int, scores: Mapping[str, float]) -> None:
        self.scores.append((done, scores))


@pytest.fixture(autouse=True)
def told_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencode_general, "TOLD_EVERY", 1)
    monkeypatch.setattr(autoencode_general, "CHECK_EVERY", 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of 16 px, and general models with and without an albedo network."""
    found = tmp_path_factory.mktemp("autoencode")
    gan = load_gan(write_gan(found / "gan.safetensors"))
    nets = make_networks(SIZE, gan.info.w_dim, torch.Generator().manual_seed(1), width=0.125)
    facts = GeneralFacts(
        name="first", category="object", licence="MIT", size=SIZE, w_dim=gan.info.w_dim, width=0.125,
        view=ViewConfig(), view_mean=(0.0,) * 6, generator_name="tiny", generator_sha256=gan.info.sha256, photos=3,
        offset=False,
    )  # fmt: skip
    save_general(found / "first.safetensors", nets, facts)
    save_general(found / "thin.safetensors", nets, replace(facts, albedo=False))
    return found


def job_of(folder: Path, out: Path, **changes: object) -> AutoencodeJob:
    base = AutoencodeJob(
        folder / "first.safetensors", out, gan=str(folder / "gan.safetensors"), config=SHORT, pictures=40, held=4,
        mask="none",
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def test_it_leaves_a_model_that_explains_pictures_better(folder: Path, tmp_path: Path) -> None:
    heard = Heard()
    job = job_of(folder, tmp_path / "more.safetensors", config=replace(SHORT, iterations=40), licence="CC0")
    path = autoencode(job, heard)
    before, after = load_general(folder / "first.safetensors").facts, load_general(path).facts
    changed = {"name": "more", "licence": "CC0", "pictures": 40}
    assert after == replace(before, **changed)
    assert [done for done, _ in heard.scores] == [0, *range(4, 41, 4)]
    assert heard.scores[-1][1]["photo_l1"] < 0.9 * heard.scores[0][1]["photo_l1"]
    assert [count for count in heard.counts if count[0] == "autoencode"] == [
        ("autoencode", i, 40) for i in range(1, 41)
    ]
    assert not working_folder(path).exists()
    assert "autoencoded on 40 pictures (psi 0.9): 40 iterations of 3" in path.with_suffix(".md").read_text("utf-8")
    made = reconstruct(photo(), str(folder / "gan.safetensors"), mask="none", general=str(path), refine=0)
    first = reconstruct(
        photo(), str(folder / "gan.safetensors"), mask="none", general=str(folder / "first.safetensors"), refine=0
    )
    assert not torch.equal(made.depth, first.depth)


@pytest.mark.parametrize("model", ["first", "thin"])
def test_a_stopped_one_ends_with_the_same_model(model: str, folder: Path, tmp_path: Path) -> None:
    given = {"model": folder / f"{model}.safetensors", "config": replace(SHORT, albedo_iterations=3)}
    whole = autoencode(job_of(folder, tmp_path / "whole.safetensors", **given), Heard())
    for at in (("masks", 44), ("albedo", 2), ("albedo", 3), ("autoencode", 1), ("autoencode", 8), ("autoencode", 9)):
        job = job_of(folder, tmp_path / f"{at[0]}{at[1]}.safetensors", **given)
        with pytest.raises(Interrupted, match="go on with --resume"):
            autoencode(job, Heard(at))
        assert not job.out.exists()
        rest = Heard()
        path = autoencode(replace(job, resume=True), rest)
        steps = [count for count in rest.counts if count[0] in ("albedo", "autoencode")]
        assert len(steps) == {"masks": 12, "albedo": 12 - at[1], "autoencode": 9 - at[1]}[at[0]]
        one, other = load_file(whole), load_file(path)
        assert one.keys() == other.keys()
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
        assert (
            path.with_suffix(".md").read_text().splitlines()[1:]
            == whole.with_suffix(".md").read_text().splitlines()[1:]
        )


def test_an_albedo_network_that_is_not_there_begins_first(folder: Path, tmp_path: Path) -> None:
    """While A alone learns, the others stay; it is stored if that is wanted."""
    nothing = replace(SHORT, iterations=0, albedo_iterations=5)
    given = {"model": folder / "thin.safetensors", "config": nothing}
    kept = load_general(autoencode(job_of(folder, tmp_path / "kept.safetensors", **given), Heard()))
    assert kept.facts.albedo
    before = load_general(folder / "thin.safetensors").networks.state()
    for name, value in kept.networks.state().items():
        if not name.startswith(("albedo.", "offset.")):
            assert torch.equal(value, before[name]), name
    left = load_general(autoencode(job_of(folder, tmp_path / "left.safetensors", keep_albedo=False, **given), Heard()))
    assert not left.facts.albedo


def test_photos_of_a_folder_are_taken(folder: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(40):
        write_png(picture(photo(i)), pictures / f"{i:02d}.png")
    heard = Heard()
    job = job_of(folder, tmp_path / "a.safetensors", source=pictures, pictures=36, held=4)
    assert load_general(autoencode(job, heard)).facts.pictures == 36
    with pytest.raises(InputError, match="needs at least 70"):
        autoencode(replace(job, out=tmp_path / "b.safetensors", pictures=100, held=38), heard)


def test_what_cannot_be_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"

    def refused(error: type[Exception], match: str, **changes: object) -> None:
        with pytest.raises(error, match=match):
            autoencode(replace(job_of(folder, out), **changes), Heard())  # type: ignore[arg-type]
        assert list(tmp_path.glob("x*")) == []

    refused(InputError, "must end in .safetensors", out=tmp_path / "x.bin")
    refused(InputError, "reads pictures of 16 px", gan="heads")
    refused(InputError, "names a segmenter", mask="nobody")
    refused(InputError, "is not built in", gan=None)
    refused(InputError, "no category", category="unicorn")
    refused(InputError, "nowhere", validate=tmp_path / "nowhere")
    refused(InputError, "no weight file", mask=f"face-parser:{tmp_path / 'weights.pth'}")
    refused(InputError, "cannot be written over", model=folder / "first.safetensors", out=folder / "first.safetensors")
    refused(InputError, "--psi", psi=math.nan)
    refused(InputError, "--pictures and --held", pictures=0)
    refused(InputError, "cannot be negative", config=replace(SHORT, lr=0.0))
    refused(InputError, "cannot be negative", config=replace(SHORT, batch=0))
    refused(InputError, "seed cannot be", order=-1)
    refused(InputError, "nothing to train", config=replace(SHORT, iterations=0, albedo_iterations=0))
    refused(InputError, "at least 1", validate=tmp_path, held=0)
    out.write_bytes(b"mine")
    with pytest.raises(OutputError, match="start over with --overwrite"):
        autoencode(job_of(folder, out), Heard())
    assert out.read_bytes() == b"mine"


def test_others_settings_do_not_go_on(folder: Path, tmp_path: Path) -> None:
    job = job_of(folder, tmp_path / "x.safetensors")
    with pytest.raises(Interrupted):
        autoencode(job, Heard(("autoencode", 2)))
    with pytest.raises(OutputError, match="belongs to other settings \\(seed\\)"):
        autoencode(replace(job, resume=True, seed=4), Heard())
    with pytest.raises(OutputError, match="go on with --resume"):
        autoencode(job, Heard())


def test_numbers_that_run_away_end_it_with_advice(folder: Path, tmp_path: Path) -> None:
    job = job_of(folder, tmp_path / "x.safetensors", config=replace(SHORT, iterations=30, lr=1e30))
    with pytest.raises(FitError, match=r"lower --config\.lr"):
        autoencode(job, Heard())
    assert not job.out.exists()


class EveryThird:
    """A segmenter that finds nothing in every third picture, told by its first pixel, and the middle of the others."""

    name = "third"

    def __call__(self, images: Tensor, category: object) -> Segmentation:
        lost = (images[:, 0, 0, 0] * 255).round().long() % 3 == 0
        mask = torch.zeros(len(images), 1, *images.shape[-2:])
        mask[~lost, :, 2:-2, 2:-2] = 1
        return Segmentation(mask, mask)


def test_pictures_without_an_object_are_left_out_also_when_it_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencode_job, "CHUNK", 16)
    monkeypatch.setattr(autoencode_job, "find_segmenter", lambda mask, category: [EveryThird()])
    whole, heard = tmp_path / "whole.safetensors", Heard()
    autoencode(job_of(folder, whole, pictures=96, mask="border"), heard)
    found = load_general(whole).facts.pictures
    assert 40 < found < 80
    (note,) = [note for note in heard.notes if "left out" in note]
    assert note.startswith(f"{100 - found - 4} of 100 pictures")
    job = job_of(folder, tmp_path / "cut.safetensors", pictures=96, mask="border")
    with pytest.raises(Interrupted):
        autoencode(job, Heard(("masks", 48)))
    assert len(list(working_folder(job.out).glob("pictures_*"))) < 7
    path = autoencode(replace(job, resume=True), Heard())
    one, other = load_file(whole), load_file(path)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    with pytest.raises(InputError, match="pictures with a mask are too few"):
        autoencode(job_of(folder, tmp_path / "few.safetensors", pictures=34, mask="border"), Heard())


def test_another_folder_of_pictures_does_not_go_on(folder: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(36):
        write_png(picture(photo(i)), pictures / f"{i:02d}.png")
    job = job_of(folder, tmp_path / "x.safetensors", source=pictures, pictures=32)
    with pytest.raises(Interrupted):
        autoencode(job, Heard(("autoencode", 2)))
    write_png(picture(photo(99)), pictures / "07.png")
    with pytest.raises(OutputError, match="of other pictures"):
        autoencode(replace(job, resume=True), Heard())


def test_another_generator_is_told_and_kept(folder: Path, tmp_path: Path) -> None:
    other, heard = write_gan(tmp_path / "other.safetensors", seed=9), Heard()
    path = autoencode(job_of(folder, tmp_path / "x.safetensors", gan=str(other), category="cat"), heard)
    assert any("is not the generator that 'first' was trained with" in note for note in heard.notes)
    facts, sha256 = load_general(path).facts, load_gan(other).info.sha256
    assert (facts.generator_sha256, facts.category) == (sha256, "cat")
    assert f"Generator {sha256}" in path.with_suffix(".md").read_text("utf-8")


def test_heads_with_true_depth_score(folder: Path, tmp_path: Path) -> None:
    heads = write_heads(tmp_path / "heads.npz")
    heard = Heard()
    path = autoencode(job_of(folder, tmp_path / "x.safetensors", validate=heads, held=2), heard)
    assert {"score", "photo_l1", "side_x100", "mad_mesh_deg"} == set(heard.scores[-1][1])
    assert heard.scores[-1][1]["score"] == heard.scores[-1][1]["mad_mesh_deg"]
    assert "| iteration | side_x100 | mad_mesh_deg | photo_l1 |" in path.with_suffix(".md").read_text("utf-8")


def test_no_seed_changes_a_refinement_to_the_photo_alone(folder: Path) -> None:
    """It begins with the model's networks and draws nothing; with samples seeds do differ."""

    def make(stage: Stage, seed: int) -> Tensor:
        config = replace(CONFIG, stages=(stage,), project=replace(CONFIG.project, tail_layers=1))
        given = {"mask": "none", "general": str(folder / "first.safetensors"), "inversion": INVERSION}
        return reconstruct(photo(), str(folder / "gan.safetensors"), config=config, seed=seed, **given).depth  # type: ignore[arg-type]

    alone, sampled = Stage(2, 0, 3, samples=0, mirror=True), Stage(2, 1, 3, samples=2, mirror=True)
    assert torch.equal(make(alone, 0), make(alone, 5))
    assert not torch.equal(make(sampled, 0), make(sampled, 5))
