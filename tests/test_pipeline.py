"""The whole road on a tiny generator: equal runs, interrupted and resumed runs, and what is refused."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto import Reconstruction, Truth, reconstruct
from bozzetto.config import FitConfig, OptimConfig
from bozzetto.errors import InputError, OutputError
from bozzetto.keep import Interrupted, Quiet
from bozzetto.method.instance import Event
from bozzetto.pipeline import plan
from bozzetto.presets import find_preset
from bozzetto.results import read_log, read_networks
from tiny_run import CONFIG, INVERSION, Interrupter, photo, same_files, write_gan

TENSORS = ("scene.safetensors", "networks.safetensors")


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gan(tmp_path_factory.mktemp("gan") / "tiny.safetensors")


def go(gan: Path, out: Path | None = None, **changes: Any) -> Reconstruction:
    given: dict[str, Any] = {
        "gan": gan,
        "mask": "border",
        "config": CONFIG,
        "out": out,
        "formats": (),
        "inversion": INVERSION,
        **changes,
    }
    return reconstruct(given.pop("image", photo()), **given)


@pytest.fixture(scope="module")
def whole(gan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result that was never interrupted."""
    out = tmp_path_factory.mktemp("whole") / "result"
    go(gan, out)
    return out


def test_the_record_says_what_was_done(gan: Path, whole: Path) -> None:
    result = Reconstruction.load(whole)
    record = result.provenance
    assert (record.seed, record.generator_name, record.input_name) == (0, "tiny", "image")
    assert record.config["fit"]["stages"][0]["albedo"] == 2
    assert record.config["found"]["segmenter"] == "border"
    phases = ["prior", *(f"stage {i} {k}" for i in (1, 2) for k in ("albedo", "project", "collect", "factorise"))]
    assert list(record.seconds) == ["mask", "inversion", *phases]
    assert {"total", "l1", "photo_l1"} <= set(record.losses["stage 2 factorise"])
    assert torch.equal(result.image, photo())
    log = read_log(whole)
    assert [line["done"] for line in log] == list(range(1, len(log) + 1))
    networks = read_networks(whole)
    assert networks is not None
    assert {name.split(".")[0] for name in networks} == {"view", "light", "depth", "albedo", "offset"}
    assert not whole.with_name("result.partial").exists()


class Looker(Quiet):
    """A progress that looks at the object whenever it may."""

    def __init__(self) -> None:
        self.seen: list[Reconstruction] = []

    def on_state(self, current: Callable[[], Reconstruction]) -> None:
        self.seen.append(current())


def test_looking_at_the_object_changes_nothing(gan: Path, whole: Path, tmp_path: Path) -> None:
    looker = Looker()
    result = go(gan, tmp_path / "looked", progress=looker)
    assert same_files(whole, tmp_path / "looked", *TENSORS)
    assert len(looker.seen) == len(read_log(whole))  # once after every iteration
    last, first = looker.seen[-1].tensors(), looker.seen[0].tensors()
    assert all(torch.equal(value, last[name]) for name, value in result.tensors().items())
    assert all(not torch.equal(first[name], last[name]) for name in ("depth", "albedo", "view", "light", "recon"))


def test_one_seed_one_result_another_seed_another(gan: Path, whole: Path, tmp_path: Path) -> None:
    again = go(gan, tmp_path / "again")
    assert same_files(whole, tmp_path / "again", *TENSORS)
    other = go(gan, seed=1)
    assert not torch.equal(other.depth, again.depth)
    assert not torch.equal(other.latent, again.latent)


def first_of(kind: str, iteration: int, stage: int = 1) -> Callable[[Event], bool]:
    def when(event: Event) -> bool:
        return (event.phase.kind, event.phase.stage, event.iteration) == (
            kind,
            stage if kind != "prior" else 0,
            iteration,
        )

    return when


POINTS = {
    "in the prior": first_of("prior", 1),
    "at the prior's end": first_of("prior", 3),
    "in step 1": first_of("albedo", 1),
    "in step 2": first_of("project", 1),
    "while collecting": first_of("collect", 1),
    "in step 3": first_of("factorise", 1),
    "at a stage's end": first_of("factorise", 2),
    "in the second stage": first_of("project", 1, stage=2),
    "at the very end": first_of("factorise", 2, stage=2),
}


QUICK_POINTS = ("in step 2", "at the very end")


@pytest.mark.parametrize("point", [p if p in QUICK_POINTS else pytest.param(p, marks=pytest.mark.slow) for p in POINTS])
def test_interrupted_and_resumed_is_uninterrupted_bit_for_bit(
    point: str, gan: Path, whole: Path, tmp_path: Path
) -> None:
    out, partial = tmp_path / "result", tmp_path / "result.partial"
    stopped, rest = Interrupter(POINTS[point]), Interrupter()
    with pytest.raises(Interrupted, match="--resume"):
        go(gan, out, progress=stopped)
    assert not out.exists()
    assert {"state.json", "state.safetensors", "log.jsonl", "mask.safetensors", "inversion.safetensors"} == {
        path.name for path in partial.iterdir()
    }
    assert json.loads((partial / "state.json").read_text())["progress"]["done"] == stopped.done[-1]
    go(gan, out, resume=True, progress=rest)
    assert rest.inverted == 0
    assert stopped.done + rest.done == list(range(1, len(stopped.done + rest.done) + 1))
    assert same_files(whole, out, *TENSORS)
    assert [line["done"] for line in read_log(out)] == [line["done"] for line in read_log(whole)]
    assert not partial.exists()


def test_interrupted_at_every_third_iteration(gan: Path, whole: Path, tmp_path: Path) -> None:
    out, codes = tmp_path / "result", []
    while not out.exists():
        heard = Interrupter(number=signal.SIGTERM)
        heard.at_iteration = lambda event, done=heard.done: len(done) == 3
        try:
            go(gan, out, resume=True, progress=heard)
        except Interrupted as interrupt:
            codes.append(interrupt.exit_code)
    assert codes == [128 + signal.SIGTERM] * 6
    assert same_files(whole, out, *TENSORS)


@pytest.mark.parametrize("wide_deg", [0.0, 20.0])
def test_the_preset_of_ours_resumes_bit_for_bit(
    gan: Path, tmp_path: Path, wide_deg: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turned pictures, its own learning rates and its precision, with few iterations."""
    monkeypatch.setattr("bozzetto.method.turn.TURNS", 0.0)  # whatever a generator of noise turns
    quick = find_preset("quick")
    few = replace(
        quick,
        stages=tuple(replace(stage, albedo=2, project=2, factorise=4, samples=2) for stage in quick.stages),
        prior=replace(quick.prior, iterations=3),
        project=replace(quick.project, collect_batches=2),
        turn=replace(quick.turn, iterations=2, wide_deg=wide_deg),
    )
    go(gan, tmp_path / "whole", config=few)
    if wide_deg:
        narrow = go(gan, config=replace(few, turn=replace(few.turn, wide_deg=0.0)))
        assert not torch.equal(narrow.depth, Reconstruction.load(tmp_path / "whole").depth)
    for kind in ("prior", "project", "factorise"):
        with pytest.raises(Interrupted):
            go(gan, tmp_path / "result", config=few, resume=True, progress=Interrupter(first_of(kind, 2)))
    rest = Interrupter()
    go(gan, tmp_path / "result", config=few, resume=True, progress=rest)
    assert (rest.inverted, len(rest.done)) == (0, 2)
    assert same_files(tmp_path / "whole", tmp_path / "result", *TENSORS)


def test_interrupted_in_the_inversion(gan: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "result"
    with pytest.raises(Interrupted):
        go(gan, out, progress=Interrupter(at_inversion=lambda done: True))
    assert {path.name for path in (tmp_path / "result.partial").iterdir()} == {"state.json", "mask.safetensors"}
    go(gan, out, resume=True)
    assert same_files(whole, out, *TENSORS)


def test_a_killed_run_resumes_from_what_was_saved_last(gan: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "result"

    class Killed(Exception):
        pass

    class Killer(Interrupter):
        def on_iteration(self, event: Event) -> None:
            super().on_iteration(event)
            if event.phase.kind == "project":
                raise Killed  # after saves at phase ends, in the middle of an iteration's end

    with pytest.raises(Killed):
        go(gan, out, progress=Killer())
    log = tmp_path / "result.partial" / "log.jsonl"
    log.write_text(log.read_text() + json.dumps({"phase": "later", "done": 999, "seconds": 0}) + "\n")
    go(gan, out, resume=True)
    assert same_files(whole, out, *TENSORS)
    assert [line["done"] for line in read_log(out)] == [line["done"] for line in read_log(whole)]


@pytest.fixture(scope="module")
def stopped(gan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result folder of a run that was interrupted; for tests that leave it as it is."""
    out = tmp_path_factory.mktemp("stopped") / "result"
    stop(gan, out)
    return out


def stop(gan: Path, out: Path) -> Path:
    with pytest.raises(Interrupted):
        go(gan, out, progress=Interrupter(first_of("albedo", 1)))
    return out.with_name(out.name + ".partial")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image": photo(6)}, "photo_sha256"),
        ({"seed": 7}, "seed"),
        ({"config": replace(CONFIG, optim=OptimConfig(lr=2e-4))}, "fit.optim.lr"),
        ({"config": replace(CONFIG, stages=CONFIG.stages[:1])}, "fit.stages"),
        ({"mask": "none"}, "mask"),
        ({"prior": "box"}, "fit.prior.shape"),
        ({"latent": torch.zeros(8)}, "latent"),
    ],
)
def test_a_partial_of_other_settings_is_refused(changes: dict[str, Any], named: str, gan: Path, stopped: Path) -> None:
    partial = stopped.with_name("result.partial")
    before = {path.name: path.read_bytes() for path in partial.iterdir()}
    with pytest.raises(OutputError, match=rf"belongs to other settings \(.*{named}.*--out or delete"):
        go(gan, stopped, resume=True, **changes)
    assert {path.name: path.read_bytes() for path in partial.iterdir()} == before


def test_a_partial_of_another_generator_is_refused(gan: Path, stopped: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="generator_sha256"):
        go(write_gan(tmp_path / "other.safetensors", seed=4), stopped, resume=True)


def test_a_partial_is_neither_resumed_nor_lost_unasked(gan: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "result"
    stop(gan, out)
    with pytest.raises(OutputError, match=r"4 of 18 iterations.*--resume.*--overwrite"):
        go(gan, out)
    heard = Interrupter()
    go(gan, out, overwrite=True, progress=heard)
    assert heard.done[0] == 1
    assert same_files(whole, out, *TENSORS)


def test_a_damaged_partial_is_refused(gan: Path, tmp_path: Path) -> None:
    partial = stop(gan, tmp_path / "result")
    state = partial / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(OutputError, match=r"state\.safetensors is damaged"):
        go(gan, tmp_path / "result", resume=True)


def test_foreign_files_are_left_alone(gan: Path, tmp_path: Path) -> None:
    for name in ("result", "other.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "diary.txt").write_text("mine")
    heard = Interrupter()
    for out in ("result", "other"):
        with pytest.raises(OutputError, match="holds other files"):
            go(gan, tmp_path / out, overwrite=True, progress=heard)
    assert heard.inverted == 0
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["diary.txt", "diary.txt", "other.partial", "result"]


def test_a_finished_result_is_read_and_not_made_again(gan: Path, whole: Path) -> None:
    before, heard = (whole / "scene.safetensors").stat().st_mtime_ns, Interrupter()
    result = go(gan, whole, progress=heard)
    assert heard.done == []
    assert "finished already" in heard.notes[0]
    assert torch.equal(result.depth, Reconstruction.load(whole).depth)
    with pytest.raises(OutputError, match=r"other settings \(seed\)"):
        go(gan, whole, seed=3)
    assert (whole / "scene.safetensors").stat().st_mtime_ns == before


def test_nothing_is_left_of_a_run_that_cannot_start(gan: Path, tmp_path: Path) -> None:
    for changes in ({"mask": tmp_path / "none.png"}, {"latent": torch.zeros(3)}, {"prior": "pyramid"}, {"size": 32}):
        with pytest.raises(InputError):
            go(gan, tmp_path / "result", **changes)
    assert list(tmp_path.iterdir()) == []


def test_every_form_of_a_photo_is_the_same_photo(gan: Path, tmp_path: Path) -> None:
    values = (photo() * 255).round().to(torch.uint8)
    rows = values.permute(1, 2, 0).numpy()
    Image.fromarray(rows).save(tmp_path / "photo.png")
    forms = [tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.fromarray(rows), rows, values, values[None]]
    forms += [values / 255, rows.astype(np.float32) / 255]
    config = FitConfig(stages=(), prior=replace(CONFIG.prior, iterations=1))
    results = [go(gan, image=form, config=config) for form in forms]
    assert all(torch.equal(result.image, values / 255) for result in results)
    assert all(torch.equal(result.depth, results[0].depth) for result in results)


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(16, 16),
        torch.zeros(3, 16, 16) + 7,
        np.zeros((3, 16, 16), np.int64),
        torch.full((3, 9, 9), torch.nan),
    ],
)
def test_what_is_no_photo_is_refused(image: Any, gan: Path) -> None:
    with pytest.raises(InputError, match="image"):
        go(gan, image=image)


def test_the_truth_is_scored_and_a_perfect_one_has_no_error(gan: Path, whole: Path) -> None:
    known = Reconstruction.load(whole)
    depth = torch.where(known.recon_mask * known.mask > 0.5, known.depth_posed, torch.nan)
    result = go(gan, truth=Truth(depth, known.normal_posed))
    scores = result.provenance.metrics
    assert scores is not None
    assert scores["side_x100"] < 1e-4
    assert scores["mad_mesh_deg"] < 0.05
    assert scores["mad_depth_deg"] < 0.05
    assert scores["coverage"] == 1.0
    with pytest.raises(InputError, match="px"):
        go(gan, truth=Truth(torch.ones(1, 8, 8)))


def test_a_given_latent_is_used_as_it_is(gan: Path) -> None:
    heard = Interrupter()
    latent = torch.randn(6, 8, generator=torch.Generator().manual_seed(2))
    result = go(gan, latent=latent, progress=heard)
    assert torch.equal(result.latent, latent)
    assert heard.inverted == 0


def test_it_runs_in_a_thread_where_signals_cannot_be_caught(gan: Path, whole: Path) -> None:
    results: list[Reconstruction] = []
    thread = threading.Thread(target=lambda: results.append(go(gan)))
    thread.start()
    thread.join()
    assert torch.equal(results[0].depth, Reconstruction.load(whole).depth)


def large_photo() -> torch.Tensor:
    """The small photo with its pixels as squares of 4, and noise on them, [3, 64, 64]."""
    wide = photo().repeat_interleave(4, 1).repeat_interleave(4, 2)
    return (wide + 0.2 * torch.rand(wide.shape, generator=torch.Generator().manual_seed(2))).clamp(0, 1)


def test_a_photo_s_albedo_comes_with_a_texture_as_fine_as_the_photo(gan: Path, tmp_path: Path) -> None:
    config = FitConfig(stages=(), prior=replace(CONFIG.prior, iterations=1), texture="photo")
    made = go(gan, image=large_photo(), config=config, out=tmp_path / "r", formats=("obj",))
    assert made.texture is not None
    assert list(made.texture.shape) == [3, 64, 64]
    assert (tmp_path / "r" / "texture.png").is_file()
    back = Reconstruction.load(tmp_path / "r")
    assert back.texture is not None
    assert torch.equal(back.texture, made.texture)
    sides = {
        "at most": (large_photo(), replace(config, texture_px=40), 40),
        "none asked for": (large_photo(), replace(config, texture_px=0), None),
        "no finer photo": (made.image, config, None),
        "the network's albedo": (large_photo(), replace(config, texture="network"), None),
    }
    for name, (image, changed, side) in sides.items():
        other = go(gan, image=image, config=changed)
        assert (None if other.texture is None else other.texture.shape[-1]) == side, name
        if name != "the network's albedo":  # all else is the same
            assert all(torch.equal(value, made.tensors()[key]) for key, value in other.tensors().items()), name


def test_a_result_from_before_there_were_textures_is_finished(gan: Path) -> None:
    """Its settings say nothing of them, and those of today say nothing new but where another size is asked for."""
    config = FitConfig(stages=(), texture="photo")
    today = plan(large_photo(), gan, config=config).settings()
    assert "texture_px" not in today["fit"]
    other = plan(large_photo(), gan, config=replace(config, texture_px=100)).settings()
    assert other["fit"]["texture_px"] == 100
