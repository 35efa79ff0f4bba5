"""The reconstruct command on a tiny generator, and what works on its results."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from bozzetto import Reconstruction
from bozzetto.batch import name_folders
from bozzetto.cli.estimate_views import estimate
from bozzetto.cli.main import execute
from bozzetto.export.images import picture
from bozzetto.inputs import read_scenes
from tiny_run import photo, same_files, write_gan

FEW = [
    *("--albedo", "2", "--project", "2", "--factorise", "2", "--samples", "2", "--stages", "1"),
    *("--collect-batches", "2", "--prior.iterations", "3", "--prior.threshold", "0", "--turn.use", "False"),
    *("--inversion.steps", "3", "--inversion.start-samples", "64", "--inversion.hopeless-db", "0"),
    *("--formats", "png", "--mask", "border", "--nets.width", "0.25"),
]
TENSORS = ("scene.safetensors", "networks.safetensors")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a generator and two photos, one of them cut out."""
    folder = tmp_path_factory.mktemp("place")
    write_gan(folder / "tiny.safetensors")
    (folder / "photos").mkdir()
    picture(photo()).save(folder / "photos" / "disc.png")
    cut = picture(photo(6)).convert("RGBA")
    cut.putalpha(Image.fromarray((photo(6).mean(0) > 0.2).byte().numpy() * 255))
    cut.save(folder / "photos" / "cut.png")
    return folder


def command(place: Path, photos: str, *words: str) -> list[str]:
    return ["reconstruct", photos, "--gan", str(place / "tiny.safetensors"), *FEW, *words]


def test_a_photo_becomes_a_folder_whose_path_is_the_last_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "one"
    argv = command(place, str(place / "photos" / "disc.png"), "--out", str(out))
    assert execute(argv) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    for title in ("latent", "prior", "stage 1 albedo", "stage 1 project", "stage 1 collect", "stage 1 factorise"):
        assert re.search(rf"^{title}\b", told.err, re.MULTILINE), title
    assert "left" in told.err
    result = Reconstruction.load(out)
    assert result.provenance.input_name == "disc.png"
    assert {"input.png", "depth16.png", "log.jsonl"} <= {path.name for path in out.iterdir()}

    before = (out / "reconstruction.json").read_bytes()
    assert execute(argv) == 0  # finished already
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert "finished already" in told.err
    assert (out / "reconstruction.json").read_bytes() == before
    assert execute([*argv, "--seed", "1"]) == 5
    assert re.fullmatch(r"bozzetto: .* other settings \(seed\); [^\n]*--overwrite\.\n", capsys.readouterr().err)
    assert execute([*argv, "--seed", "1", "--overwrite"]) == 0
    assert Reconstruction.load(out).provenance.seed == 1


def test_a_dry_run_tells_and_writes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "never"
    argv = command(place, str(place / "photos"), "--out", str(out), "--dry-run", "--project", "7")
    assert execute(argv) == 0
    told = capsys.readouterr()
    assert told.err == ""
    blocks = told.out.split("photo      ")[1:]
    assert [block.split()[0] for block in blocks] == [str(place / "photos" / name) for name in ("cut.png", "disc.png")]
    assert "16 x 16" in blocks[1]
    assert "stage 1 project: 7 iterations, 2 samples" in blocks[1]
    assert "at most 3 iterations" in blocks[1]
    assert re.search(r"memory +about \d+\.\d\d GB, in [^\n]+ \(program \d+ MB", blocks[1])
    assert told.out.rstrip().endswith(str(out / "disc"))
    assert not out.exists()


def test_shares_of_a_folder_are_done_apart_into_the_same_folders(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = place / "whole", place / "shared"
    assert execute(command(place, str(place / "photos"), "--out", str(whole))) == 0
    for share, name in (("1/3", "cut"), ("2/3", "disc"), ("3/3", None)):
        capsys.readouterr()
        assert execute(command(place, str(place / "photos"), "--out", str(out), "--share", share)) == 0
        told = capsys.readouterr()
        assert told.out == (f"{out / name}\n" if name else "")
        assert ("none is left for this one" in told.err) == (name is None)
    for name in ("cut", "disc"):
        assert same_files(whole / name, out / name, *TENSORS)
    assert execute(command(place, str(place / "photos"), "--out", str(out), "--share", "4/3")) == 2
    assert re.fullmatch(r"bozzetto: --share cannot be '4/3'; [^\n]*\n", capsys.readouterr().err)


def test_one_bad_photo_does_not_keep_the_others_waiting(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = place / "mixed", place / "several"
    photos.mkdir()
    for name in ("a.png", "c.png"):
        (photos / name).write_bytes((place / "photos" / "disc.png").read_bytes())
    (photos / "b.png").write_text("no picture")
    assert execute(command(place, str(photos), "--out", str(out))) == 2
    told = capsys.readouterr()
    assert told.out == f"{out / 'a'}\n{out / 'c'}\n"
    assert told.err.splitlines()[-1] == f"bozzetto: 1 of 3 photos failed: {photos / 'b.png'}."
    assert sorted(path.name for path in out.iterdir()) == ["a", "c"]
    assert same_files(out / "a", out / "c", *TENSORS)


def test_a_tar_is_done_once_whether_named_itself_or_in_a_list(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders are named after the members; what is finished is not made again, and a bad member is named at the end."""
    tar, listed, out = place / "album.tar", place / "lists" / "todo.txt", place / "from_tar"
    bad = place / "bad.png"
    bad.write_text("no picture")
    with tarfile.open(tar, "w") as packed:
        packed.add(place / "photos" / "disc.png", "../summer/disc.png")
        packed.add(place / "photos" / "disc.png", "winter/disc.png")
        packed.add(bad, "winter/bad.png")
    assert execute(command(place, str(tar), "--out", str(out))) == 2
    told = capsys.readouterr()
    assert told.out == f"{out / 'disc'}\n{out / 'disc-2'}\n"
    assert told.err.splitlines()[-1] == f"bozzetto: 1 of 3 photos failed: {tar / 'winter' / 'bad.png'}."
    assert sorted(path.name for path in out.iterdir()) == ["disc", "disc-2"]
    assert Reconstruction.load(out / "disc").provenance.input_name == "disc.png"
    assert same_files(out / "disc", out / "disc-2", *TENSORS)

    def files() -> list[tuple[int, int]]:
        found = [(out / name / "reconstruction.json").stat() for name in ("disc", "disc-2")]
        return [(one.st_ino, one.st_mtime_ns) for one in found]  # reading changes the time of access

    before = files()
    listed.parent.mkdir()
    listed.write_text("# the same, and one more\n../album.tar\n../photos/cut.png\n")
    assert execute(command(place, str(listed), "--out", str(out))) == 2
    told = capsys.readouterr()
    assert sorted(told.out.splitlines()) == [str(out / name) for name in ("cut", "disc", "disc-2")]
    assert len(re.findall("finished already", told.err)) == 2
    assert before == files()


def test_the_photo_s_own_outline_is_used_where_there_is_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "cut_out"
    argv = command(place, str(place / "photos" / "cut.png"), "--out", str(out), "--mask", "auto")
    assert execute(argv) == 0
    result = Reconstruction.load(out)
    assert result.provenance.config["found"]["segmenter"] == "alpha"
    assert torch.equal(result.mask[0] > 0.5, photo(6).mean(0) > 0.2)
    assert execute(command(place, str(place / "photos" / "disc.png"), "--out", str(out) + "2", "--mask", "alpha")) == 2
    assert "no transparent part" in capsys.readouterr().err
    assert not Path(str(out) + "2.partial").exists()


def test_ctrl_c_keeps_the_state_and_resume_ends_where_it_would_have(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real process and a real signal, somewhere in the fit."""
    out, reference = place / "stopped", place / "reference"
    long = ["--project", "60", "--factorise", "4"]
    argv = command(place, str(place / "photos" / "disc.png"), "--out", str(out))
    program = "from bozzetto.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *argv, *long],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A shell's background job starts with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("stage 1 albedo"):
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told = process.communicate()
    assert process.returncode == 130, told
    assert told[0] == ""
    last = told[1].splitlines()[-1]
    assert last == f"bozzetto: Stopped; {out}.partial keeps what is done: go on with the same command and --resume."
    assert not out.exists()
    assert execute([*argv, *long]) == 5
    assert re.search(r"\d+ of 71 iterations\); go on with --resume", capsys.readouterr().err)
    assert execute([*argv, *long, "--resume"]) == 0
    assert execute([*argv, *long, "--out", str(reference)]) == 0
    assert same_files(out, reference, *TENSORS)
    assert not Path(f"{out}.partial").exists()


def test_scenes_are_measured_and_used_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("3", "4"):
        argv = command(place, str(place / "photos" / "disc.png"), "--out", str(place / "seeds" / seed))
        assert execute([*argv, "--seed", seed]) == 0
    scenes = place / "scenes.json"
    assert execute(["estimate-views", str(place / "seeds"), "--out", str(scenes), "--yaw-scale", "1.2"]) == 0
    results = [Reconstruction.load(place / "seeds" / seed) for seed in ("3", "4")]
    found = read_scenes(scenes)
    assert found == estimate(results, 1.2)
    yaw = torch.stack([result.view[1] for result in results]) / (torch.pi / 3)
    assert found.views.mean[1] == pytest.approx(float(yaw.mean()), abs=1e-4)
    assert found.views.sd[1] == pytest.approx(float(yaw.std()), abs=1e-4)
    argv = command(place, str(place / "photos" / "disc.png"), "--out", str(place / "with_scenes"))
    assert execute([*argv, "--scenes", str(scenes)]) == 0
    stored = Reconstruction.load(place / "with_scenes").provenance.config["scenes"]
    assert stored["views"]["yaw_scale"] == 1.2


def test_estimated_correlations_can_be_drawn_from(place: Path) -> None:
    base = Reconstruction.load(place / "seeds" / "3")
    rng = torch.Generator().manual_seed(0)
    views = torch.randn(400, 6, generator=rng) * torch.tensor([0.1, 0.3, 0.05, 0.005, 0.005, 0.0])
    views[:, 0] += views[:, 1]
    found = estimate([replace(base, view=view) for view in views])
    assert found.views.correlation is not None
    assert found.views.correlation[0][1] == pytest.approx(0.95 * 0.3 / (0.1 + 0.09 / 0.1 * 0.1) ** 0.5, abs=0.4)
    assert found.views.sd[1] == pytest.approx(0.3 / (torch.pi / 3), rel=0.1)
    from bozzetto.nets.heads import ViewScale

    drawn = found.views.draw(4000, ViewScale(), torch.Generator().manual_seed(1))
    assert torch.allclose(drawn.std(0), views.std(0), rtol=0.12, atol=1e-3)


def test_export_draws_the_same_files_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = place / "several" / "a", place / "again"
    assert execute(["export", str(source), "--formats", "png", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    names = [path.name for path in out.iterdir()]
    assert len(names) > 10
    assert same_files(source, out, *names)


def test_invert_writes_a_latent_that_reconstruct_reads(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disc, out = str(place / "photos" / "disc.png"), place / "w.safetensors"
    gan = ("--gan", str(place / "tiny.safetensors"), "--mask", "border")
    assert execute(["invert", disc, *gan, "--steps", "3", "--start-samples", "64", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert "dB" in told.err
    with Image.open(out.with_suffix(".png")) as both:
        assert both.size == (48, 16)  # photo, start, result
    argv = command(place, disc, "--latent", str(out), "--out", str(place / "given"))
    assert execute(argv) == 0
    given, found = Reconstruction.load(place / "given"), Reconstruction.load(place / "several" / "a")
    assert torch.equal(given.latent, found.latent)
    assert torch.equal(given.depth, found.depth)


def test_folders_of_one_name_are_told_apart() -> None:
    photos = [Path("a/x.png"), Path("b/X.jpg"), Path("b/y.png"), Path("c/x.png")]
    assert name_folders(photos, Path("out")) == [Path("out") / n for n in ("x", "X-2", "y", "x-3")]


def test_steps_are_timed_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "steps.json"
    argv = ["--size", "16", "--np", "2", "--repeats", "1", "--iterations", "2", "--json", str(out)]
    assert execute(["bench", "steps", *argv]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    found = json.loads(out.read_text())
    assert [row["step"] for row in found["rows"]] == ["prior", "albedo", "project", "collect", "factorise"]
    for row in found["rows"]:
        assert (row["size"], row["np"]) == (16, 2)
        assert row["ratio"] == pytest.approx(row["ms_plain"] / row["ms"], rel=0.01)
    assert {"cpu", "cores", "threads"} <= set(found["machine"])
    assert found["versions"]["torch"] == torch.__version__
