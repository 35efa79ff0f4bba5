"""Jobs in turn: one queue, one worker, and everybody who watches is told. All of it lives on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from bozzetto.errors import BozzettoError, InputError
from bozzetto.results.partial import partial_folder
from bozzetto.serve.hand import Hand
from bozzetto.serve.job import AT_REST, RESUMABLE, Job, State
from bozzetto.serve.preview import NAMES
from bozzetto.serve.settings import Settings
from bozzetto.serve.store import PREVIEW, Store, told
from bozzetto.serve.worker import Order

MAX_POINTS = 600  # of a loss curve; when there are more, every second one goes
FAREWELL_S = 10.0  # for a job to save its state when the server ends
MAX_UNREAD = 1000  # messages; who falls further behind is cut off, and asks for everything anew
CRASHED = "The program that fits photos ended by itself, most likely for want of memory; what was done is kept."
STOPPED = "Stopped; what was done is kept."

_log = logging.getLogger("bozzetto")


@dataclass
class Live:
    """What is known of a job while its server runs, and forgotten after."""

    phases: list[str] = field(default_factory=list)
    progress: dict[str, Any] | None = None
    points: list[tuple[str, float]] = field(default_factory=list)  # phase, loss
    every: int = 1  # of how many reports a point is kept
    reports: int = 0
    previews: int = 0

    def add(self, phase: str, loss: float | None) -> None:
        self.reports += 1
        if loss is not None and self.reports % self.every == 0:
            self.points.append((phase, loss))
        if len(self.points) > MAX_POINTS:
            self.points, self.every = self.points[::2], 2 * self.every


class Foreman:
    """Owns the list of jobs. Call its methods on the event loop that `work` runs on."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store, self.settings = store, settings
        self.jobs: dict[str, Job] = {job.id: job for job in store.load()}
        self.waiting = deque(job.id for job in self.jobs.values() if job.state == "waiting")
        self.live: dict[str, Live] = {}
        self.running: str | None = None
        self._asked_to_stop: set[str] = set()
        self._hand: Hand | None = None
        self._starting: asyncio.Task[Hand] | None = None
        self._wake = asyncio.Event()
        self._watchers: set[asyncio.Queue[dict[str, Any] | None]] = set()

    # ------------------------------------------------------------ what users ask for

    def check_room(self) -> None:
        """Raise InputError if no further job may wait."""
        if len(self.waiting) >= self.settings.max_waiting:
            raise InputError(f"{len(self.waiting)} photos are waiting already; come back when some of them are done.")

    def submit(self, job: Job) -> None:
        """Take a job that the store has into the queue."""
        self.jobs[job.id] = job
        self._enqueue(job)

    def resume(self, job: Job) -> None:
        """Put a job that was stopped or failed at the end of the queue, to go on where it stood."""
        if job.state not in RESUMABLE:
            raise InputError(f"{job.name} is {job.state} and cannot be resumed.")
        self._enqueue(self._set(job, "waiting"))

    def _enqueue(self, job: Job) -> None:
        self.waiting.append(job.id)
        self.tell(job)
        self._tell_queue()
        self._wake.set()

    async def cancel(self, job: Job) -> None:
        """Take a job out of the queue, or stop it; what was done of it is kept."""
        if job.id in self.waiting:
            self.waiting.remove(job.id)
            self.tell(self._set(job, "cancelled", "Cancelled before it began."))
            self._tell_queue()
        elif job.id == self.running:
            first = job.id not in self._asked_to_stop
            self._asked_to_stop.add(job.id)
            if self._hand is not None and first:
                hand = self._hand
                await hand.send({"do": "stop", "id": job.id})
                asyncio.get_running_loop().call_later(self.settings.patience_s, self._lose_patience, job.id, hand)
        else:
            raise InputError(f"{job.name} is {job.state} and cannot be cancelled.")

    def _lose_patience(self, job: str, hand: Hand) -> None:
        if self.running == job and self._hand is hand:
            hand.kill()

    def forget(self, job: Job) -> None:
        """Take a job that is at rest off the list; the caller deletes its folder."""
        if job.state not in AT_REST:
            raise InputError(f"{job.name} is {job.state}; cancel it before it is deleted.")
        del self.jobs[job.id]
        self.live.pop(job.id, None)
        self._publish({"event": "gone", "id": job.id})

    # ------------------------------------------------------------ the work

    async def work(self) -> None:
        """Do waiting jobs one after another until cancelled; then the worker stops and keeps its state."""
        try:
            while True:
                self._wake.clear()
                if self.waiting:
                    await self._do(self.jobs[self.waiting.popleft()])
                else:
                    await self._wake.wait()
        finally:
            if self._hand is None and self._starting is not None and self.running is not None:
                with contextlib.suppress(OSError):
                    self._hand = await self._starting
            if self._hand is not None:
                await self._hand.close(min(self.settings.patience_s, FAREWELL_S))
            if self.running is not None:
                self._set(self.jobs[self.running], "stopped", "The server was ended while this was under way.")

    async def _do(self, job: Job) -> None:
        wishes, settings = job.wishes, self.settings
        if wishes.gan not in settings.generators or wishes.preset not in settings.presets:
            missing = wishes.preset if wishes.gan in settings.generators else wishes.gan
            self.tell(self._set(job, "failed", f"This server was started without '{missing}'; name it and resume."))
            return
        self.running, self.live[job.id] = job.id, Live()
        # What was begun goes on with the limit that it was begun with: smaller chunks are another order of sums.
        begun = partial_folder(self.store.result(job)).exists()
        limit = job.max_memory if begun else settings.max_memory
        job = self._set(replace(job, notes=(), max_memory=limit), "running")
        self.tell(job)
        self._tell_queue()
        order = Order(
            id=job.id,
            folder=str(self.store.place(job)),
            name=job.name,
            gan=settings.generators[wishes.gan],
            general=settings.general_of(wishes.gan, wishes.preset),
            device=settings.device,
            wishes=wishes,
            config=settings.presets[wishes.preset],
            inversion=settings.inversion,
            formats=settings.formats,
            max_memory=limit,
        )
        message = await self._follow(order, job)
        state, text = self._ending(message, job)
        self.running = None
        self._asked_to_stop.discard(job.id)
        self.tell(self._set(self.jobs[job.id], state, text))

    async def _follow(self, order: Order, job: Job) -> dict[str, Any] | None:
        """Hand an order over and hear of it until it has ended; None if the worker died."""
        try:
            if self._hand is None:
                # Shielded: asyncio may wait for ever when it is cancelled while a process starts.
                self._starting = asyncio.create_task(Hand.start())
                self._hand = await asyncio.shield(self._starting)
        except OSError as error:
            return {"event": "failed", "text": f"The program that fits photos cannot be started ({error.strerror})."}
        if job.id in self._asked_to_stop:  # while the worker was being started
            return {"event": "stopped"}
        await self._hand.send(order.to_json())
        while (message := await self._hand.receive()) is not None:
            if message["event"] in ("done", "failed", "stopped"):
                return message
            self._hear(job.id, message)
        await self._hand.close(self.settings.patience_s)
        self._hand = None
        return None

    def _ending(self, message: dict[str, Any] | None, job: Job) -> tuple[State, str]:
        if message is None or message["event"] == "stopped":
            asked = job.id in self._asked_to_stop
            return ("cancelled", STOPPED) if asked else ("failed", CRASHED)
        if message["event"] == "failed":
            return "failed", told(message["text"], job, self.store)
        return "done", ""

    def _hear(self, job_id: str, message: dict[str, Any]) -> None:
        job, live = self.jobs[job_id], self.live[job_id]
        kind = message.pop("event")
        if kind == "progress":
            live.progress = message
            live.add(message["phase"], message["loss"])
            self._publish({"event": "progress", "id": job_id, **message})
            return
        if kind == "plan":
            live.phases = message["phases"]
        elif kind == "preview":
            live.previews = message["number"]
        elif kind == "note":
            self.jobs[job_id] = job = replace(job, notes=(*job.notes, told(message["text"], job, self.store)))
        self.tell(job)

    def _set(self, job: Job, state: State, message: str = "") -> Job:
        job = replace(job, state=state, message=message)
        self.jobs[job.id] = job
        try:
            self.store.save(job)
        except BozzettoError as error:
            _log.warning("%s", error)
        return job

    # ------------------------------------------------------------ who watches

    def view(self, job: Job) -> dict[str, Any]:
        """A job as the pages see it."""
        live = self.live.get(job.id, Live())
        drawn = [name for name in NAMES if (self.store.place(job) / PREVIEW.format(name)).is_file()]
        shown = {"phases": live.phases, "progress": live.progress, "previews": live.previews, "pictures": drawn}
        return {**job.to_json(), **shown, "stopping": job.id in self._asked_to_stop}

    def tell(self, job: Job) -> None:
        """Tell everybody how a job stands."""
        self._publish({"event": "job", "job": self.view(job)})

    def _tell_queue(self) -> None:
        self._publish({"event": "queue", "ids": list(self.waiting)})

    def watch(self) -> asyncio.Queue[dict[str, Any] | None]:
        """A queue of messages from now on; None means that no more come."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(MAX_UNREAD + 1)
        self._watchers.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[dict[str, Any] | None]) -> None:
        self._watchers.discard(queue)

    def _publish(self, message: dict[str, Any]) -> None:
        for queue in list(self._watchers):
            queue.put_nowait(message)
            if queue.qsize() >= MAX_UNREAD:
                queue.put_nowait(None)
                self._watchers.discard(queue)

    def hang_up(self) -> None:
        """Send everybody away."""
        for queue in list(self._watchers):
            self._watchers.discard(queue)
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)
