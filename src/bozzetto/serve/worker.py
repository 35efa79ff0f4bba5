"""The process that fits photos for the server: orders come as lines of JSON on stdin, messages go out on stdout.

It has its own interpreter, so that a fit never keeps the server from answering, and a crash ends one job alone. A job
is stopped as Ctrl-C stops `bozzetto reconstruct`: its state is kept. When stdin ends, because the server did, the
job at work is stopped in the same way and the process ends.
"""

from __future__ import annotations

import _thread
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import TextIO

from bozzetto.config import FitConfig
from bozzetto.devices import find_device
from bozzetto.errors import BozzettoError
from bozzetto.forecast import fitted
from bozzetto.gan.generator import Gan
from bozzetto.gan.invert import InvertConfig
from bozzetto.inputs import find_gan
from bozzetto.method.schedule import phases
from bozzetto.pipeline import plan, run
from bozzetto.results.provenance import plain
from bozzetto.serve.job import Wishes
from bozzetto.serve.rebuild import rebuild
from bozzetto.serve.store import MASK, PHOTO, RESULT
from bozzetto.serve.watch import Message, Watching

NO_MEMORY = "The memory is not enough for this generator; close other programs, or choose a smaller generator."

_log = logging.getLogger("bozzetto")


@dataclass(frozen=True)
class Order:
    """One job, with everything that is needed to do it."""

    id: str
    folder: str  # of the job
    name: str  # of the photo, as the user knows it
    gan: str  # what `load_gan` takes
    general: str | None  # what `load_general` takes, where the fit begins with one
    device: str
    wishes: Wishes
    config: FitConfig
    inversion: InvertConfig
    formats: tuple[str, ...]
    max_memory: float | None = None  # bytes; smaller chunks where a photo's peak would be above

    def to_json(self) -> Message:
        return {"do": "run", "order": plain(self)}


class Worker:
    """Does one order after another; `listen` runs beside it, in a thread of its own."""

    def __init__(self, outbox: SimpleQueue[Message | None]) -> None:
        self.inbox: SimpleQueue[Order | None] = SimpleQueue()
        self.outbox = outbox  # put() is atomic: an interrupt cannot tear a message
        self.current: str | None = None
        self._lock = threading.Lock()
        self._gan: tuple[str, Gan] | None = None

    def listen(self, lines: Iterable[str]) -> None:
        """Take orders and requests to stop from lines of JSON until they end."""
        for line in lines:
            said = json.loads(line)
            if said["do"] == "run":
                self.inbox.put(rebuild(Order, said["order"]))
            else:
                self._interrupt(said["id"])
        self.inbox.put(None)
        self._interrupt(self.current)

    def _interrupt(self, job: str | None) -> None:
        with self._lock:
            if job is not None and job == self.current:
                _thread.interrupt_main(signal.SIGINT)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """SIGINT outside of a run's own `keep.Interrupts`: it ends the order at work, and nothing else."""
        if self.current is not None:
            raise KeyboardInterrupt

    def work(self) -> None:
        """Do orders until there is an end of them."""
        while (order := self.inbox.get()) is not None:
            self.current = order.id
            message = self.outcome(order)
            try:
                self._rest()
            except KeyboardInterrupt:  # it came when there was nothing left to stop
                self._rest()
            self.outbox.put({**message, "id": order.id})

    def _rest(self) -> None:
        with self._lock:
            self.current = None

    def outcome(self, order: Order) -> Message:
        """Do an order; whatever happens becomes a message."""
        try:
            self.perform(order)
        except BozzettoError as error:
            return {"event": "failed", "text": str(error)}
        except KeyboardInterrupt:
            return {"event": "stopped"}
        except MemoryError:
            return {"event": "failed", "text": NO_MEMORY}
        except Exception as error:
            if "out of memory" in str(error) or "can't allocate memory" in str(error):
                return {"event": "failed", "text": NO_MEMORY}
            _log.exception("Job %s failed.", order.id)
            kind = type(error).__name__
            return {"event": "failed", "text": f"Something went wrong that should not ({kind}: {error})."}
        return {"event": "done"}

    def perform(self, order: Order) -> None:
        """Plan and run an order. Raises what `pipeline.reconstruct` does."""
        folder, wishes = Path(order.folder), order.wishes
        watching = Watching(self.outbox.put, folder)
        job = plan(
            folder / PHOTO,
            self._generator(order),
            mask=str(folder / MASK) if wishes.mask == "file" else wishes.mask,
            prior=None if wishes.prior == "preset" else wishes.prior,
            seed=wishes.seed,
            device=order.device,
            config=order.config,
            category=None if wishes.category == "generator" else wishes.category,
            inversion=order.inversion,
            crop=wishes.crop,
            general=order.general,
        )
        job = replace(job, picture=replace(job.picture, name=order.name))
        if order.max_memory is not None:
            job = fitted(job, order.max_memory)
        watching.begin(job, phases(job.config, job.config.prior.shape != "none"))
        watching.show(run(job, folder / RESULT, resume=True, progress=watching, formats=order.formats))

    def _generator(self, order: Order) -> Gan:
        """The order's generator; the last one is kept, since the next job mostly wants the same."""
        if self._gan is None or self._gan[0] != order.gan:
            self._gan = None  # the memory of one at a time
            self._gan = (order.gan, find_gan(order.gan, find_device(order.device), order.config.compute.gan_precision))
        return self._gan[1]


def tell(outbox: SimpleQueue[Message | None], out: TextIO) -> None:
    """Write messages as lines until None comes or nobody reads them."""
    try:
        while (message := outbox.get()) is not None:
            out.write(json.dumps(plain(message), allow_nan=False) + "\n")
            out.flush()
    except OSError:
        return


def main() -> None:
    """Work for the server that started this process."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries that print do not garble the messages
    outbox: SimpleQueue[Message | None] = SimpleQueue()
    worker = Worker(outbox)
    signal.signal(signal.SIGINT, worker.on_signal)
    teller = threading.Thread(target=tell, args=(outbox, out), daemon=True)
    teller.start()
    threading.Thread(target=worker.listen, args=(sys.stdin,), daemon=True).start()
    worker.work()
    outbox.put(None)
    teller.join(timeout=5)


if __name__ == "__main__":
    main()
