"""The web app: pages, uploads, jobs, and what comes of them, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import bozzetto
from bozzetto.errors import BozzettoError, InputError
from bozzetto.serve.foreman import Foreman, Live
from bozzetto.serve.guard import Door, Guard
from bozzetto.serve.job import Job, read_wishes
from bozzetto.serve.preview import NAMES, TURNS
from bozzetto.serve.settings import Settings
from bozzetto.serve.store import PREVIEW, THUMB, Store
from bozzetto.serve.zipped import zip_stream

PAGES = Path(__file__).parent / "pages"
SCRIPTS = ("app.js", "curve.js", "parts.js", "turner.js")
ASSETS = {**dict.fromkeys(SCRIPTS, "text/javascript"), "style.css": "text/css", "icon.svg": "image/svg+xml"}
VIEWER = "viewer.html"
# The viewer is one file with its scripts inside. It runs as if it came from nowhere: it reaches neither this server
# nor any other.
VIEWER_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline' blob: data:; "
    "style-src 'unsafe-inline'; img-src data: blob:; connect-src data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
INLINE = {
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
}  # all else is only downloaded
FORM_BYTES = 2**16  # of a request beside its files
DECODERS = 2  # uploads that are decoded at once
HEARTBEAT_S = 15.0


class App:
    """The handlers of one server."""

    def __init__(self, settings: Settings, door: Door) -> None:
        self.settings, self.door = settings, door
        self.store = Store(settings.folder)
        self.foreman = Foreman(self.store, settings)
        self.decoders = asyncio.Semaphore(DECODERS)

    def guarded(self) -> Guard:
        """The whole as an ASGI app."""
        routes = [
            Route("/", self.page),
            Route("/static/{name}", self.static),
            Route("/api/options", self.options),
            Route("/api/events", self.events),
            Route("/api/jobs", self.jobs),
            Route("/api/jobs", self.submit, methods=["POST"]),
            Route("/api/jobs/{id}", self.job),
            Route("/api/jobs/{id}", self.delete, methods=["DELETE"]),
            Route("/api/jobs/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/api/jobs/{id}/resume", self.resume, methods=["POST"]),
            Route("/api/jobs/{id}/thumb", self.thumb),
            Route("/api/jobs/{id}/preview/{name}", self.preview),
            Route("/api/jobs/{id}/files/{name}", self.file),
            Route("/api/jobs/{id}/viewer", self.viewer),
            Route("/api/jobs/{id}/zip", self.archive),
        ]
        handlers: Any = {HTTPException: _http_error, BozzettoError: _our_error}
        inner = Starlette(routes=routes, exception_handlers=handlers, lifespan=self.lifespan)
        return Guard(inner, self.door, self.settings.max_upload + FORM_BYTES)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        working = asyncio.create_task(self.foreman.work())
        try:
            yield
        finally:
            self.foreman.hang_up()
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working

    # ------------------------------------------------------------ pages

    async def page(self, request: Request) -> Response:
        response = FileResponse(PAGES / "index.html", media_type="text/html")
        response.set_cookie(self.door.cookie, self.door.token, httponly=True, samesite="strict")
        return response

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS:
            raise HTTPException(404, "There is no such page.")
        return FileResponse(PAGES / name, media_type=ASSETS[name])

    async def options(self, request: Request) -> Response:
        facts = {"version": bozzetto.__version__, "max_upload": self.settings.max_upload, "turns": TURNS}
        usual = {gan: self.settings.preset_of(gan) for gan in self.settings.generators}
        return JSONResponse({**facts, "choices": self.settings.choices(), "usual_preset": usual})

    # ------------------------------------------------------------ jobs

    def _job(self, request: Request) -> Job:
        job = self.foreman.jobs.get(request.path_params["id"])
        if job is None:
            raise HTTPException(404, "There is no such job.")
        return job

    def _list(self) -> dict[str, Any]:
        jobs = [self.foreman.view(job) for job in self.foreman.jobs.values()]
        return {"jobs": jobs, "queue": list(self.foreman.waiting)}

    async def jobs(self, request: Request) -> Response:
        return JSONResponse(self._list())

    async def job(self, request: Request) -> Response:
        job = self._job(request)
        live = self.foreman.live.get(job.id, Live())
        files = self.store.files(job) if job.state == "done" else {}
        more = {"points": live.points, "files": files, "viewer": VIEWER in files}
        return JSONResponse({**self.foreman.view(job), **more})

    async def submit(self, request: Request) -> Response:
        """A form with a file `photo`, perhaps a file `mask_file`, and choices."""
        self.foreman.check_room()
        async with request.form(max_files=2, max_fields=16, max_part_size=1024) as form:
            files = {name: value for name, value in form.multi_items() if isinstance(value, UploadFile)}
            given = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            photo, mask = files.pop("photo", None), files.pop("mask_file", None)
            if photo is None or files:
                raise InputError("A form with one file named photo is needed, and perhaps one named mask_file.")
            mask = mask if mask is not None and mask.size else None  # a browser sends an empty one for none
            wishes = read_wishes(given, mask is not None, self.settings)
            async with self.decoders:
                self.foreman.check_room()  # others were quicker
                job = await run_in_threadpool(self._take, photo, mask, wishes)
            self.foreman.submit(job)
        return JSONResponse(self.foreman.view(job), 201)

    def _take(self, photo: UploadFile, mask: UploadFile | None, wishes: Any) -> Job:
        with tempfile.TemporaryDirectory(prefix="bozzetto-") as folder:
            paths = [None if upload is None else Path(folder) / str(i) for i, upload in enumerate((photo, mask))]
            for path, upload in zip(paths, (photo, mask), strict=True):
                if path is not None and upload is not None:
                    with path.open("wb") as target:
                        shutil.copyfileobj(upload.file, target)
            assert paths[0] is not None
            return self.store.add(paths[0], paths[1], photo.filename or "", wishes)

    async def cancel(self, request: Request) -> Response:
        await self.foreman.cancel(self._job(request))
        return JSONResponse(self.foreman.view(self._job(request)))

    async def resume(self, request: Request) -> Response:
        self.foreman.resume(self._job(request))
        return JSONResponse(self.foreman.view(self._job(request)))

    async def delete(self, request: Request) -> Response:
        job = self._job(request)
        self.foreman.forget(job)
        await run_in_threadpool(self.store.remove, job)
        return JSONResponse({})

    async def events(self, request: Request) -> Response:
        """Server-sent events: everything as it is, and then what changes."""

        async def stream() -> AsyncIterator[str]:
            queue = self.foreman.watch()
            try:
                yield _event({"event": "all", **self._list()})
                while True:
                    try:
                        message = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                    except asyncio.TimeoutError:
                        yield ": still here\n\n"
                        continue
                    if message is None:
                        return
                    yield _event(message)
            finally:
                self.foreman.leave(queue)

        return StreamingResponse(stream(), media_type="text/event-stream")

    # ------------------------------------------------------------ what came of them

    async def thumb(self, request: Request) -> Response:
        return _picture(self.store.place(self._job(request)) / THUMB)

    async def preview(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in NAMES:
            raise HTTPException(404, "There is no such picture.")
        return _picture(self.store.place(self._job(request)) / PREVIEW.format(name))

    def _finished(self, request: Request) -> tuple[Job, dict[str, int]]:
        job = self._job(request)
        files = self.store.files(job) if job.state == "done" else {}
        if not files:
            raise HTTPException(404, "There is no result.")
        return job, files

    async def file(self, request: Request) -> Response:
        job, files = self._finished(request)
        name = request.path_params["name"]
        if name not in files:  # a name out of the folder's own list cannot lead out of it
            raise HTTPException(404, "There is no such file.")
        kind = INLINE.get(Path(name).suffix)
        shown = "attachment" if kind is None or "download" in request.query_params else "inline"
        media = kind or "application/octet-stream"
        return FileResponse(
            self.store.result(job) / name, media_type=media, filename=name, content_disposition_type=shown
        )

    async def viewer(self, request: Request) -> Response:
        job, files = self._finished(request)
        if VIEWER not in files:
            raise HTTPException(404, "This result has no viewer.")
        headers = {"content-security-policy": VIEWER_POLICY, "x-frame-options": "SAMEORIGIN"}
        return FileResponse(self.store.result(job) / VIEWER, media_type="text/html", headers=headers)

    async def archive(self, request: Request) -> Response:
        job, files = self._finished(request)
        top = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(job.name).stem).strip("_") or "result"
        headers = {"content-disposition": f'attachment; filename="{top}.zip"'}
        content = zip_stream(self.store.result(job), files, top)
        return StreamingResponse(content, media_type="application/zip", headers=headers)


def make_app(settings: Settings, door: Door) -> Guard:
    """The app as ASGI servers run it. Raises OutputError if the folder of the jobs cannot be used."""
    return App(settings, door).guarded()


def _event(message: dict[str, Any]) -> str:
    return f"data: {json.dumps(message, allow_nan=False)}\n\n"


def _picture(path: Path) -> Response:
    if not path.is_file():
        raise HTTPException(404, "There is no such picture yet.")
    return FileResponse(path, media_type="image/png")


async def _http_error(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _our_error(request: Request, error: BozzettoError) -> Response:
    return JSONResponse({"error": str(error)}, 400 if isinstance(error, InputError) else 500)
