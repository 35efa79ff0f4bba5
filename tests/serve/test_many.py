"""Many uploads at once: every one is answered, none is lost, and they are worked on in turn."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from serving import photo_file, run, running, settings_for, stored

from bozzetto import Reconstruction


@pytest.mark.parametrize("count", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_uploads_at_once(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = settings_for(tmp_path)
    contents = [photo_file(tmp_path / f"{i}.png", seed=i) for i in range(count)]

    async def work() -> None:
        async with running(settings) as client:
            watched = client.app.foreman.watch()
            answers = await asyncio.gather(
                *(client.upload(content, f"{i}.png", seed=str(i)) for i, content in enumerate(contents))
            )
            assert [answer.status_code for answer in answers] == [201] * count
            ids = [answer.json()["id"] for answer in answers]
            assert len(set(ids)) == count
            arrived = list(client.app.foreman.jobs)  # in the order in which they were taken in
            assert set(arrived) == set(ids)
            for job in reversed(arrived):
                await client.until(job, lambda job: job["state"] not in ("waiting", "running"), seconds=240)

            states: list[tuple[str, str]] = []  # as they were told to whoever watches
            while not watched.empty():
                message: dict[str, Any] | None = watched.get_nowait()
                if message is not None and message["event"] == "job":
                    change = (message["job"]["id"], message["job"]["state"])
                    if change[1] in ("running", "done") and change not in states:
                        states.append(change)
            assert states == [(job, state) for job in arrived for state in ("running", "done")]  # one at a time

            depths = set()
            for i, job in enumerate(ids):
                assert stored(settings, job)["state"] == "done"
                assert (settings.folder / job / "photo").read_bytes() == contents[i]
                result = Reconstruction.load(settings.folder / job / "result")
                assert (result.provenance.input_name, result.provenance.seed) == (f"{i}.png", i)
                depths.add(result.depth.numpy().tobytes())
            assert len(depths) == count

    run(work())
