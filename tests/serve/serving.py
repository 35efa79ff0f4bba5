"""A server for tests: a tiny generator, a schedule of a second, and a client that keeps to the rules of the door."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx

from bozzetto.config import FitConfig, NetConfig, PriorConfig, ProjectConfig, Stage
from bozzetto.export.images import picture
from bozzetto.gan.invert import InvertConfig
from bozzetto.serve.app import App
from bozzetto.serve.guard import TOKEN_HEADER, Door
from bozzetto.serve.settings import Settings
from tiny_run import CONFIG, INVERSION, photo, write_gan

PORT = 8321
# The shortest fit that goes through every step once.
SHORT = FitConfig(
    stages=(Stage(1, 1, 1, samples=1),),
    project=ProjectConfig(collect_batches=1),
    prior=PriorConfig(iterations=1, threshold=0.0),
    nets=NetConfig(width=0.125),
)
LONG = replace(CONFIG, prior=PriorConfig(iterations=100_000, threshold=0.0))  # ends when it is told to

Result = TypeVar("Result")


def settings_for(folder: Path, **changes: Any) -> Settings:
    gan = folder / "tiny.safetensors"
    if not gan.exists():
        write_gan(gan)
    given: dict[str, Any] = {
        "folder": folder / "served",
        "generators": {"tiny": str(gan)},
        "presets": {"short": SHORT, "few": CONFIG, "long": LONG},
        "inversion": INVERSION if "inversion" not in changes else changes.pop("inversion"),
        "formats": (),
        **changes,
    }
    return Settings(**given)


def photo_file(path: Path, seed: int = 5) -> bytes:
    """A photo of 16 px as PNG."""
    picture(photo(seed)).save(path)
    return path.read_bytes()


class Client(httpx.AsyncClient):
    """Speaks to an app in this process."""

    def __init__(self, app: App, **headers: str) -> None:
        door = app.door
        super().__init__(
            transport=httpx.ASGITransport(app.guarded()),
            base_url=f"http://127.0.0.1:{door.port}",
            headers={TOKEN_HEADER: door.token, **headers},
            timeout=120,
        )
        self.app = app

    async def upload(self, content: bytes, name: str = "disc.png", **wishes: str) -> httpx.Response:
        chosen = {"gan": "tiny", "preset": "short", "mask": "border", **wishes}
        return await self.post("/api/jobs", data=chosen, files={"photo": (name, content)})

    async def job(self, job_id: str) -> dict[str, Any]:
        answer = await self.get(f"/api/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, job_id: str, condition: Callable[[dict[str, Any]], bool], seconds: float = 90) -> Any:
        """The job as soon as it is as wanted."""
        end = time.monotonic() + seconds
        while not condition(job := await self.job(job_id)):
            assert time.monotonic() < end, job
            await asyncio.sleep(0.05)
        return job


@asynccontextmanager
async def running(settings: Settings, **door: Any) -> AsyncIterator[Client]:
    """A working app and its client."""
    app = App(settings, Door(PORT, **door))
    async with Client(app) as client, app.lifespan(None):  # type: ignore[arg-type]
        yield client


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """asyncio.run in a thread of its own: an open browser counts as a running loop in the tests' thread."""
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def inside() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def stored(settings: Settings, job_id: str) -> dict[str, Any]:
    """A job's record on disk."""
    return json.loads((settings.folder / job_id / "job.json").read_text("utf-8"))


NO_INVERSION = InvertConfig(steps=1, start_samples=8)
