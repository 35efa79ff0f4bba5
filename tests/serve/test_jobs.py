"""Jobs from upload to download: real fits of a tiny generator in a real worker process."""

from __future__ import annotations

import io
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from serving import SLOW, Client, photo_file, run, running, settings_for, status, stored

from bozzetto import Reconstruction, load_gan, reconstruct
from bozzetto.config import Stage
from bozzetto.forecast import TO_SPARE, Forecast, fitted
from bozzetto.pipeline import plan
from bozzetto.serve.foreman import CRASHED
from bozzetto.serve.preview import NAMES, TURNS
from tiny_run import CONFIG, INVERSION, same_files

TENSORS = ("scene.safetensors", "networks.safetensors")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that most tests share, because a worker takes seconds to start."""
    settings = settings_for(tmp_path_factory.mktemp("shared"), formats=("png",), max_waiting=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # in the worker too: sums in one order
        server = running(settings)
        yield run(server.__aenter__())
        run(server.__aexit__(None, None, None))


def at_rest(job: dict[str, Any]) -> bool:
    return job["state"] not in ("waiting", "running")


def at_work(job: dict[str, Any]) -> bool:
    return job["state"] == "running" and job["progress"] is not None and job["progress"]["phase"] == "prior"


def worker_of(client: Client) -> int:
    hand = client.app.foreman._hand
    assert hand is not None
    return hand.process.pid


def test_a_photo_becomes_what_the_command_line_makes_of_it(shared: Client, tmp_path: Path) -> None:
    client, settings = shared, shared.app.settings

    async def work() -> None:
        content = photo_file(tmp_path / "disc.png")
        told = (await client.upload(content, "my <b>disc.png", preset="few", seed="3")).json()
        assert (told["state"], told["name"]) == ("waiting", "my <b>disc.png")
        job = await client.until(told["id"], at_rest)
        assert (job["state"], job["message"]) == ("done", "")
        assert job["phases"] == ["latent", "prior", *(f"stage {i} {k}" for i in (1, 2) for k in KINDS)]
        assert {phase for phase, _ in job["points"]} == {p for p in job["phases"] if not p.endswith("collect")}
        assert job["pictures"] == list(NAMES)

        for name in NAMES:
            answer = await client.get(f"/api/jobs/{job['id']}/preview/{name}")
            with Image.open(io.BytesIO(answer.content)) as picture:
                assert picture.size == ((16 * TURNS if name == "turn" else 16), 16)
        thumb = await client.get(f"/api/jobs/{job['id']}/thumb")
        assert thumb.headers["content-type"] == "image/png"

        folder = settings.folder / job["id"] / "result"
        assert job["files"] == {path.name: path.stat().st_size for path in folder.iterdir()}
        for name in job["files"]:
            answer = await client.get(f"/api/jobs/{job['id']}/files/{name}")
            assert answer.content == (folder / name).read_bytes()
            shown = "inline" if name.endswith(".png") else "attachment"
            assert answer.headers["content-disposition"].startswith(shown)
        archive = await client.get(f"/api/jobs/{job['id']}/zip")
        with zipfile.ZipFile(io.BytesIO(archive.content)) as packed:
            assert packed.testzip() is None
            assert {Path(n).name: packed.read(n) for n in packed.namelist()} == {
                name: (folder / name).read_bytes() for name in job["files"]
            }
            assert {Path(name).parent.as_posix() for name in packed.namelist()} == {archive_top(archive.headers)}
        own = reconstruct(
            tmp_path / "disc.png",
            settings.generators["tiny"],
            mask="border",
            seed=3,
            config=CONFIG,
            inversion=INVERSION,
            out=tmp_path / "own",
            formats=(),
        )
        assert same_files(folder, tmp_path / "own", *TENSORS)
        record = Reconstruction.load(folder).provenance
        assert record.input_name == job["name"]
        assert record.config == own.provenance.config

    run(work())


def test_a_photos_memory_is_kept_below_the_servers_limit(tmp_path: Path) -> None:
    content = photo_file(tmp_path / "disc.png")
    config = replace(SLOW, stages=(Stage(1, 1, 1, samples=64),))
    settings = settings_for(tmp_path, presets={"many": config})
    planned = plan(tmp_path / "disc.png", load_gan(settings.generators["tiny"]), config=config, inversion=INVERSION)
    limit = Forecast(planned).peak(replace(config.compute, chunk=1)).total * TO_SPARE * 1.001
    assert 0 < fitted(planned, limit).config.compute.chunk < 64

    async def work() -> None:
        async with running(replace(settings, max_memory=limit)) as client:
            begun = (await client.upload(content, preset="many")).json()["id"]
            await client.until(begun, at_work)
            await client.post(f"/api/jobs/{begun}/cancel")
            assert (await client.until(begun, at_rest))["state"] == "cancelled"
        # What was begun with one limit goes on with it on a server that has another; new photos get the new one.
        async with running(replace(settings, max_memory=1e3)) as client:
            await client.post(f"/api/jobs/{begun}/resume")
            assert (await client.until(begun, at_rest))["state"] == "done"
            told = (await client.upload(content, preset="many")).json()
            job = await client.until(told["id"], at_rest)
            assert job["state"] == "failed"
            assert "--max-memory" in job["message"]

    run(work())


KINDS = ("albedo", "project", "collect", "factorise")


def archive_top(headers: Any) -> str:
    return headers["content-disposition"].partition('filename="')[2].removesuffix('.zip"')


BAD = {
    "text": b"this is no picture",
    "cut off": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "page": b"<!doctype html><script>alert(1)</script>",
    "drawing": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "empty": b"",
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_photo_is_refused_whatever_it_is_called(tmp_path: Path, kind: str) -> None:
    settings = settings_for(tmp_path)

    async def work() -> None:
        async with running(settings, work=False) as client:
            answer = await client.upload(BAD[kind], "cat.png")
            assert answer.status_code == 400
            assert answer.json()["error"].startswith("The photo is ")
            assert str(tmp_path) not in answer.text
            wrong = {"photo": ("a.png", photo_file(tmp_path / "a.png")), "mask_file": ("m.png", BAD[kind] or b"x")}
            answer = await client.post("/api/jobs", data={"gan": "tiny", "preset": "short"}, files=wrong)
            assert answer.status_code == 400
            assert answer.json()["error"].startswith("The mask is ")
            assert client.app.foreman.jobs == {}
            assert list(settings.folder.iterdir()) == []

    run(work())


def test_forms_that_make_no_sense_get_a_sentence(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(settings_for(tmp_path), work=False) as client:
            content = photo_file(tmp_path / "a.png")
            wrong = [
                *({"gan": "/etc/passwd"}, {"gan": "../tiny.safetensors"}, {"preset": "rep"}, {"prior": "cone"}),
                *({"mask": "/etc/passwd"}, {"mask": "file"}, {"mask": "face-parser:/etc/passwd"}, {"crop": "1,2,3"}),
                *({"seed": "-1"}, {"seed": "1e3"}, {"seed": str(2**60)}, {"category": "ufo"}, {"device": "cuda"}),
            ]
            for wishes in wrong:
                answer = await client.upload(content, **wishes)
                assert answer.status_code == 400, wishes
                assert answer.json()["error"].endswith("."), wishes
            nothing = [
                await client.post("/api/jobs"),
                await client.post("/api/jobs", json={"photo": "a"}),
                await client.post("/api/jobs", data={"photo": "a"}),
                await client.post("/api/jobs", files={"picture": ("a.png", content)}),
                await client.post("/api/jobs", content=b"--", headers={"content-type": "multipart/form-data"}),
                await client.post("/api/jobs", data={str(i): "x" for i in range(50)}, files={"photo": ("a", content)}),
            ]
            assert [answer.status_code for answer in nothing] == [400] * 6
            assert all(set(answer.json()) == {"error"} for answer in nothing)
            assert client.app.foreman.jobs == {}

    run(work())


def test_no_path_leads_out_of_a_result(shared: Client, tmp_path: Path) -> None:
    client, settings = shared, shared.app.settings

    async def work() -> None:
        (tmp_path / "secret").write_text("secret")
        name = "../../../secret\x00/..\\..\\evil\n.png"
        told = (await client.upload(photo_file(tmp_path / "a.png"), name)).json()
        assert told["name"] == "evil%0A.png"
        job = await client.until(told["id"], at_rest)
        assert job["state"] == "done"
        folder = settings.folder / job["id"]
        os.symlink(tmp_path / "secret", folder / "result" / "link.png")
        (folder / "result" / ".hidden").write_text("hidden")
        (folder / "result" / "deep").mkdir()
        names = ["link.png", ".hidden", "deep", "..", "../job.json", "%2e%2e/job.json", "..%2fjob.json", "."]
        names += ["..%5cjob.json", "%2fetc%2fpasswd", "/etc/passwd", "....//job.json", "%00", "job.json"]
        ids = ["..", "%2e%2e", ".", "..%2f..", job["id"] + "%2f..", job["id"] + "/../..", "20260101-000000-00000000"]
        rests = ("", "/thumb", "/files/scene.safetensors", "/zip", "/viewer", "/preview/photo")
        paths = [f"/api/jobs/{job['id']}/files/{name}" for name in names]
        paths += [f"/api/jobs/{one}{rest}" for one in ids for rest in rests]
        paths += [f"/static/{name}" for name in ("..", "index.html", "%2e%2e%2fapp.py", "../app.py", "")]
        paths += [f"/api/jobs/{job['id']}/preview/{name}" for name in ("..%2fthumb", "../thumb.png", "photo.png")]
        answers = {path: await status(client, path) for path in paths}
        assert {path: answer for path, answer in answers.items() if answer != 404} == {}
        assert await status(client, f"/api/jobs/{job['id']}/files/scene.safetensors") == 200
        with zipfile.ZipFile(io.BytesIO((await client.get(f"/api/jobs/{job['id']}/zip")).content)) as packed:
            assert not any("secret" in name or "link" in name or "hidden" in name for name in packed.namelist())
        assert {path.name for path in settings.folder.iterdir()} == set(client.app.foreman.jobs)

    run(work())


def test_a_viewer_runs_in_a_sandbox(shared: Client, tmp_path: Path) -> None:
    client, settings = shared, shared.app.settings

    async def work() -> None:
        job = (await client.upload(photo_file(tmp_path / "a.png"))).json()
        assert (await client.get(f"/api/jobs/{job['id']}/viewer")).status_code == 404
        await client.until(job["id"], at_rest)
        (settings.folder / job["id"] / "result" / "viewer.html").write_text("<script>1</script>")
        assert (await client.job(job["id"]))["viewer"] is True
        answer = await client.get(f"/api/jobs/{job['id']}/viewer")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts")
        assert "allow-same-origin" not in policy
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "connect-src data: blob:;" in policy
        # As a file it is only downloaded.
        answer = await client.get(f"/api/jobs/{job['id']}/files/viewer.html")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")

    run(work())


def test_photos_wait_in_turn_and_may_leave_the_queue(shared: Client, tmp_path: Path) -> None:
    client, settings = shared, shared.app.settings

    async def work() -> None:
        content = photo_file(tmp_path / "a.png")
        first = (await client.upload(content, preset="long")).json()["id"]
        await client.until(first, at_work)
        waiting = [(await client.upload(content, f"{i}.png")).json()["id"] for i in range(3)]
        assert (await client.get("/api/jobs")).json()["queue"] == waiting
        assert (await client.upload(content)).status_code == 400  # the queue is full
        assert (await client.delete(f"/api/jobs/{waiting[0]}")).status_code == 400  # it waits
        assert (await client.delete(f"/api/jobs/{first}")).status_code == 400  # it is under way
        assert (await client.post(f"/api/jobs/{first}/resume")).status_code == 400
        left = (await client.post(f"/api/jobs/{waiting[1]}/cancel")).json()
        assert left["state"] == "cancelled"
        assert (await client.get("/api/jobs")).json()["queue"] == [waiting[0], waiting[2]]
        assert (await client.post(f"/api/jobs/{waiting[1]}/cancel")).status_code == 400
        assert (await client.post(f"/api/jobs/{first}/cancel")).json()["stopping"] is True
        done = [await client.until(job, at_rest) for job in (first, *waiting)]
        assert [job["state"] for job in done] == ["cancelled", "done", "cancelled", "done"]
        assert [stored(settings, job["id"])["state"] for job in done] == [job["state"] for job in done]
        ended = [(settings.folder / job / "result").stat().st_mtime for job in (waiting[0], waiting[2])]
        assert ended == sorted(ended)
        assert (await client.delete(f"/api/jobs/{waiting[0]}")).status_code == 200
        assert not (settings.folder / waiting[0]).exists()
        assert (await client.get(f"/api/jobs/{waiting[0]}")).status_code == 404

    run(work())


def test_a_cancelled_job_goes_on_where_it_stood_and_ends_the_same(shared: Client, tmp_path: Path) -> None:
    client, settings = shared, shared.app.settings

    async def work() -> None:
        content = photo_file(tmp_path / "a.png")
        job = (await client.upload(content, preset="slow")).json()["id"]
        await client.until(job, at_work)
        await client.post(f"/api/jobs/{job}/cancel")
        stopped = await client.until(job, at_rest)
        assert stopped["state"] == "cancelled"
        partial = settings.folder / job / "result.partial"
        assert 0 < json.loads((partial / "state.json").read_text())["progress"]["done"] < SLOW.prior.iterations
        assert (await client.post(f"/api/jobs/{job}/resume")).json()["state"] == "waiting"
        other = (await client.upload(content, preset="slow")).json()["id"]
        assert (await client.until(job, at_rest))["state"] == "done"
        assert (await client.until(other, at_rest))["state"] == "done"
        assert not partial.exists()
        assert same_files(settings.folder / job / "result", settings.folder / other / "result", *TENSORS)

    run(work())


def test_a_worker_that_dies_fails_its_job_alone(shared: Client, tmp_path: Path) -> None:
    client = shared

    async def work() -> None:
        content = photo_file(tmp_path / "a.png")
        first = (await client.upload(content, preset="long")).json()["id"]
        second = (await client.upload(content)).json()["id"]
        await client.until(first, at_work)
        before = worker_of(client)
        os.kill(before, signal.SIGKILL)
        failed = await client.until(first, at_rest)
        assert (failed["state"], failed["message"]) == ("failed", CRASHED)
        assert (await client.until(second, at_rest))["state"] == "done"
        assert worker_of(client) != before

    run(work())


def test_a_worker_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(settings_for(tmp_path, patience_s=0.5)) as client:
            content = photo_file(tmp_path / "a.png")
            job = (await client.upload(content, preset="long")).json()["id"]
            await client.until(job, at_work)
            os.kill(worker_of(client), signal.SIGSTOP)  # as if it hung
            await client.post(f"/api/jobs/{job}/cancel")
            assert (await client.until(job, at_rest))["state"] == "cancelled"
            again = (await client.upload(content)).json()["id"]
            assert (await client.until(again, at_rest))["state"] == "done"

    run(work())


def test_a_fit_that_cannot_be_done_says_why_without_paths(shared: Client, tmp_path: Path) -> None:
    client, settings = shared, shared.app.settings

    async def work() -> None:
        clear = Image.new("RGBA", (16, 16), (9, 9, 9, 0))
        clear.save(tmp_path / "clear.png")
        job = (await client.upload((tmp_path / "clear.png").read_bytes(), "glass.png")).json()["id"]
        failed = await client.until(job, at_rest)
        assert failed["state"] == "failed"
        assert failed["message"].startswith("glass.png is transparent all over")
        assert str(tmp_path) not in json.dumps(failed)
        files = {"photo": ("a.png", photo_file(tmp_path / "a.png")), "mask_file": ("m.png", mask_file())}
        told = await client.post("/api/jobs", data={"gan": "tiny", "preset": "short"}, files=files)
        masked = await client.until(told.json()["id"], at_rest)
        assert masked["state"] == "done", masked
        assert masked["wishes"]["mask"] == "file"
        mask = Reconstruction.load(settings.folder / masked["id"] / "result").mask
        assert (mask[0, 4:12, 4:12] == 1).all()
        assert mask.sum() == 64

    run(work())


def mask_file() -> bytes:
    """A white square of 8 px on black of 16."""
    out = io.BytesIO()
    mask = Image.new("L", (16, 16))
    mask.paste(255, (4, 4, 12, 12))
    mask.save(out, "PNG")
    return out.getvalue()
