"""A server for tests: a tiny generator, a schedule of a second, and a client that keeps to the rules of the door."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

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
SLOW = replace(CONFIG, prior=PriorConfig(iterations=1500, threshold=0.0))  # seconds, so that a cancel comes in time
LONG = replace(CONFIG, prior=PriorConfig(iterations=100_000, threshold=0.0))  # ends when it is told to

Result = TypeVar("Result")


def settings_for(folder: Path, **changes: Any) -> Settings:
    gan = folder / "tiny.safetensors"
    if not gan.exists():
        write_gan(gan)
    given: dict[str, Any] = {
        "folder": folder / "served",
        "generators": {"tiny": str(gan)},
        "presets": {"short": SHORT, "few": CONFIG, "slow": SLOW, "long": LONG},
        "inversion": INVERSION,
        "formats": (),
        **changes,
    }
    return Settings(**given)


def head_settings(folder: Path) -> Settings:
    """The built-in generators with a schedule of seconds, and a viewer at the end."""
    config = replace(
        SHORT,
        stages=(Stage(8, 4, 6, samples=1),),
        prior=PriorConfig(iterations=60, threshold=0.0),
        nets=NetConfig(width=0.25),
    )
    return Settings(
        folder / "served",
        generators={"heads": "heads", "cats": "cats"},
        presets={"short": config, "long": LONG},
        inversion=InvertConfig(steps=6, start_samples=32, poor_db=0.0, hopeless_db=0.0),
        formats=("png", "glb", "viewer"),
    )


def published_settings(folder: Path) -> Settings:
    """What `bozzetto serve` itself begins with."""
    return Settings(folder / "served")


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
async def running(settings: Settings, work: bool = True, **door: Any) -> AsyncIterator[Client]:
    """An app and its client. Without work, photos wait for ever and no worker is started."""
    app = App(settings, Door(PORT, **door))
    async with Client(app) as client:
        if work:
            async with app.lifespan(None):  # type: ignore[arg-type]
                yield client
        else:
            yield client


class Loop:
    """An event loop in a thread of its own: an open browser counts as a running loop in the tests' thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


run = Loop().run


async def status(client: Client, path: str) -> int:
    """The answer's status to a path as it is; httpx itself resolves dots on the way."""
    statuses: list[int] = []

    sent = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(sent, None) or await asyncio.Future()  # nobody hangs up

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    door = client.app.door
    headers = [(b"host", f"127.0.0.1:{door.port}".encode()), (TOKEN_HEADER.encode(), door.token.encode())]
    scope = {"type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "query_string": b""}
    await client.app.guarded()({**scope, "headers": headers, "root_path": ""}, receive, send)
    return statuses[0]


def stored(settings: Settings, job_id: str) -> dict[str, Any]:
    """A job's record on disk."""
    return json.loads((settings.folder / job_id / "job.json").read_text("utf-8"))


# The command serves the published schedules, which take minutes; this is the same server with those of the tests.
PROGRAM = """
import sys
from pathlib import Path
import serving
from bozzetto.serve.run import serve
try:
    settings = getattr(serving, sys.argv[2])(Path(sys.argv[1]))
    serve(settings, "127.0.0.1", 0, False, lambda address: print(address, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
"""


@contextmanager
def server(folder: Path, settings: str = "settings_for") -> Iterator[tuple[subprocess.Popen[str], httpx.Client, str]]:
    """A server in a process of its own, a client, and the address that it printed.

    settings: the function of this module that makes them of the folder.
    """
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests / "serve"), str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), settings],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        base, _, token = address.partition("/?token=")
        with httpx.Client(base_url=base, headers={"x-bozzetto-token": token}, timeout=60) as client:
            yield process, client, address
    finally:
        process.kill()
        process.wait()
