"""Opening the door: a socket, the app behind it, and an orderly end."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import socket
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bozzetto.errors import InputError, MissingExtraError, OutputError
from bozzetto.export.files import make_folder, write_error
from bozzetto.lock import acquire, release
from bozzetto.serve.settings import Settings

NEEDED = ("starlette", "uvicorn", "python_multipart")
INSTALL = 'pip install "bozzetto[serve]"'
GOODBYE_S = 3  # for answers that are under way when the server ends


def check_installed() -> None:
    """Raise MissingExtraError if a package that serving needs is not there."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(name.replace("_", "-") for name in missing)
        raise MissingExtraError(f"`bozzetto serve` needs {names}; run `{INSTALL}`.")


def listen(host: str, port: int) -> socket.socket:
    """A socket bound there; port 0 takes a free one. Raises InputError if it cannot be."""
    if not 0 <= port <= 65535:
        raise InputError(f"The port cannot be {port}; give 0 (any that is free) to 65535.")
    opened: socket.socket | None = None
    try:
        family, kind, number, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, number)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(where)
    except (OSError, UnicodeError) as error:
        if opened is not None:
            opened.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise InputError(f"Port {port} is taken by another program; name another with --port, or 0.") from error
        reason = error.strerror if isinstance(error, OSError) else "no such name"
        raise InputError(f"Cannot listen on {host}, port {port} ({reason}); choose another --host.") from error
    return opened


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a folder for as long as the block lasts: one server to a folder.

    Raises:
        OutputError: another process holds it, or it cannot be written to.
    """
    make_folder(folder)
    try:
        acquire(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    except OutputError as error:
        raise OutputError(f"{folder} is served by another process already; use another --results.") from error
    try:
        yield
    finally:
        release(folder)


def serve(settings: Settings, host: str, port: int, open_page: bool, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `on_ready` hears the address, with its token, once it answers.

    Raises:
        MissingExtraError, InputError, OutputError: it cannot begin.
        KeyboardInterrupt: after SIGINT, when everything has ended in order.
    """
    check_installed()
    import uvicorn

    from bozzetto.serve.app import App
    from bozzetto.serve.guard import Door

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.loop = asyncio.get_running_loop()
            on_ready(door.address)
            if open_page:
                await self.loop.run_in_executor(None, webbrowser.open, door.address)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            self.loop.call_soon_threadsafe(app.foreman.hang_up)  # watchers would keep their connections open

    with listen(host, port) as opened, claimed(settings.folder):
        door = Door(opened.getsockname()[1], host)
        app = App(settings, door)
        config = uvicorn.Config(
            app.guarded(),
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=GOODBYE_S,
            proxy_headers=False,
        )
        Server(config).run(sockets=[opened])
