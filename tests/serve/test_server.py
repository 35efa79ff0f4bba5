"""The command itself, as a process: its address, its lock, its end, and its beginning anew after kill -9."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import LONG, SHORT, photo_file, server, settings_for

from bozzetto.cli.main import execute
from bozzetto.errors import InputError
from bozzetto.results.provenance import plain
from bozzetto.serve.job import Job, Wishes, new_id
from bozzetto.serve.run import claimed, listen
from bozzetto.serve.store import Store


def until(client: httpx.Client, job: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + 120
    while not condition(found := client.get(f"/api/jobs/{job}").json()):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def at_work(job: dict[str, Any]) -> bool:
    return job["progress"] is not None and job["progress"]["phase"] == "prior" and job["progress"]["done"] > 1


def upload(client: httpx.Client, content: bytes, preset: str) -> str:
    chosen = {"gan": "tiny", "preset": preset, "mask": "border"}
    return client.post("/api/jobs", data=chosen, files={"photo": ("a.png", content)}).json()["id"]


def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    content = photo_file(tmp_path / "a.png")
    with server(tmp_path) as (process, client, _):
        done = upload(client, content, "short")
        until(client, done, lambda job: job["state"] == "done")
        first, second = upload(client, content, "long"), upload(client, content, "short")
        until(client, first, at_work)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with server(tmp_path) as (process, client, _):
        listed = {job["id"]: job["state"] for job in client.get("/api/jobs").json()["jobs"]}
        assert (listed[done], listed[first]) == ("done", "stopped")
        assert client.get(f"/api/jobs/{done}").json()["files"]
        assert until(client, second, lambda job: job["state"] == "done")  # it had waited and is done unasked
        assert client.post(f"/api/jobs/{first}/resume").json()["state"] == "waiting"
        until(client, first, at_work)
        process.send_signal(signal.SIGINT)  # an orderly end, in spite of a job under way and a client connected
        assert process.wait(timeout=60) == 130
    record = json.loads((tmp_path / "served" / first / "job.json").read_text())
    assert record["state"] == "stopped"
    partial = json.loads((tmp_path / "served" / first / "result.partial" / "state.json").read_text())
    assert partial["progress"]["done"] > 0


def test_a_folder_has_one_server(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from bozzetto.serve.run import claimed; claimed(pathlib.Path(sys.argv[1])).__enter__()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with claimed(tmp_path):
        second = subprocess.run(command, capture_output=True, text=True)
    assert f"OutputError: {tmp_path} is served by another process already" in second.stderr
    assert subprocess.run(command, capture_output=True).returncode == 0  # it was given back
    with claimed(tmp_path):
        pass  # and that process let go of it when it ended


def test_what_cannot_begin_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = ("--results", str(tmp_path / "served"))
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        assert execute(["serve", *results, "--port", port]) == 2
    assert execute(["serve", *results, "--port", "99999"]) == 2
    assert execute(["serve", *results, "--host", "no.such.name.invalid"]) == 2
    assert execute(["serve", *results, "--max-upload", "nan"]) == 2
    assert execute(["serve", *results, "--max-waiting", "0"]) == 2
    assert execute(["serve", str(tmp_path / "none.pt"), *results]) == 3
    (tmp_path / "file").write_text("")
    assert execute(["serve", "--results", str(tmp_path / "file"), "--port", "0"]) == 5
    told = capsys.readouterr().err.splitlines()
    assert f"Port {port} is taken by another program; name another with --port, or 0." in told[0]
    assert any("other machines can reach this server" in line for line in told)
    assert all(line.startswith("bozzetto: ") and line.endswith(".") for line in told)
    gan = settings_for(tmp_path).generators["tiny"]
    assert execute(["serve", gan, gan, *results]) == 2
    assert "Two generators are named 'tiny'" in capsys.readouterr().err


def test_without_the_extra_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bozzetto.serve.run.NEEDED", ("starlette", "no_such_package"))
    assert execute(["serve"]) == 4
    assert capsys.readouterr().err == (
        'bozzetto: `bozzetto serve` needs no-such-package; run `pip install "bozzetto[serve]"`.\n'
    )


def test_listening_is_for_this_machine() -> None:
    with listen("127.0.0.1", 0) as opened:
        assert opened.getsockname()[0] == "127.0.0.1"
        assert opened.family == socket.AF_INET
    with pytest.raises(InputError, match="choose another --host"):
        listen("x" * 300, 0)


def test_records_of_strangers_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path / "served")
    assert store.load() == []
    wishes = Wishes(gan="tiny", preset="short")
    kept = Job(new_id(), "a.png", wishes, 5.0, "running")
    earlier = Job(new_id(), "b.png", wishes, 4.0, "done", notes=("one",))
    for job in (kept, earlier):
        store.place(job).mkdir()
        store.save(job)
    good = json.loads((store.place(kept) / "job.json").read_text())
    bad = [b"", b"[]", b"{", b"\xff", b"[" * 100_000, json.dumps({**good, "id": new_id()}).encode()]
    changes = [{"state": "fine"}, {"name": "a\nb"}, {"made_s": "now"}, {"more": 1}, {"wishes": {"gan": 1}}]
    bad += [json.dumps({**good, **change}).encode() for change in changes]
    for content in bad:
        folder = store.folder / new_id()
        folder.mkdir()
        (folder / "job.json").write_bytes(content)
    (store.folder / new_id()).symlink_to(store.place(kept))
    (store.folder / "notes").mkdir()
    half = store.folder / f".{new_id()}.new"
    half.mkdir()
    found = store.load()
    assert [(job.id, job.state) for job in found] == [(earlier.id, "done"), (kept.id, "stopped")]
    assert found[0] == earlier
    assert not half.exists()
    assert (store.folder / "notes").exists()
    assert len(caplog.records) == len(bad)


def test_orders_come_back_as_they_went() -> None:
    from bozzetto.gan.invert import InvertConfig
    from bozzetto.presets import PRESETS
    from bozzetto.serve.rebuild import rebuild
    from bozzetto.serve.worker import Order

    for config in (*PRESETS.values(), SHORT, LONG):
        order = Order(
            new_id(), "/f", "n", "heads", None, "cpu", Wishes("heads", "quick"), config, InvertConfig(), ("png",)
        )
        text = json.dumps(order.to_json(), allow_nan=False)
        assert rebuild(Order, json.loads(text)["order"]) == order
    broken = plain(Wishes("heads", "quick"))
    assert isinstance(broken, dict)
    for change in ({"seed": True}, {"seed": "0"}, {"gan": None}, {"unknown": 1}):
        with pytest.raises(ValueError, match="Wishes"):
            rebuild(Wishes, {**broken, **change})
