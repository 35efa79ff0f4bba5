"""The server's end of the worker process (worker.py): started when there is work, replaced when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

LINE_BYTES = 2**20  # the longest message


class Hand:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls) -> Hand:
        """A new process. In a session of its own, Ctrl-C reaches the server alone, which ends its worker in order."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bozzetto.serve.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            start_new_session=True,
            env={**os.environ, "PYTHONSAFEPATH": "1"},  # modules lie in no folder that the server happens to be in
        )
        return cls(process)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Hand a message over; one to a dead process is lost, which `receive` tells."""
        stdin = self.process.stdin
        if stdin is not None:
            with contextlib.suppress(ConnectionError):
                stdin.write(json.dumps(message, allow_nan=False).encode() + b"\n")
                await stdin.drain()

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None when the process has ended."""
        stdout = self.process.stdout
        line = b"" if stdout is None else await stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def close(self, patience_s: float) -> None:
        """Let the process stop what it does and end; by force if it takes longer than that."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), patience_s)
        except asyncio.TimeoutError:
            self.kill()
            await self.process.wait()
