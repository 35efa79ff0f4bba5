"""`bozzetto serve`: the local web app."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from bozzetto.cli.complain import complain
from bozzetto.cli.parse import parse
from bozzetto.devices import find_device
from bozzetto.errors import InputError
from bozzetto.forecast import parse_memory
from bozzetto.serve.run import check_installed, serve
from bozzetto.serve.settings import MIB, Settings, generators_of

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Arguments:
    generators: tyro.conf.Positional[tuple[Path, ...]] = ()  # generator files to offer beside the built-in ones
    results: Path = Path("results/served")  # folder of the jobs and their results
    port: int = 8000  # 0: any that is free
    host: str = LOCAL[0]  # another address lets other machines in
    open: bool = False  # open the page in the browser
    max_upload: float = 32.0  # MiB, of a photo together with its mask
    max_waiting: int = 100  # photos in the queue; further ones are refused until some are done
    max_memory: str | None = None  # such as 2G: keep a photo's peak below it, by smaller chunks with the same result
    device: str = "auto"  # auto, cpu or cuda


def serve_command(argv: Sequence[str]) -> int:
    """Run the command until it is interrupted."""
    args = parse(Arguments, argv, "serve", "A local web app: drop photos, watch them become objects.")
    check_installed()
    if not (math.isfinite(args.max_upload) and args.max_upload * MIB >= 1):
        raise InputError(f"--max-upload cannot be {args.max_upload}; give a number of MiB, such as 32.")
    if args.max_waiting < 1:
        raise InputError(f"--max-waiting cannot be {args.max_waiting}; give 1 or more.")
    settings = Settings(
        folder=args.results,
        generators=generators_of(args.generators),
        device=str(find_device(args.device)),
        max_upload=int(args.max_upload * MIB),
        max_waiting=args.max_waiting,
        max_memory=None if args.max_memory is None else parse_memory(args.max_memory),
    )
    if args.host not in LOCAL:
        complain(
            f"Note: with --host {args.host} other machines can reach this server, unencrypted; whoever knows the "
            "address below can use it."
        )
    serve(settings, args.host, args.port, args.open, ready)
    return 0


def ready(address: str) -> None:
    """Say where the page is."""
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    sys.stderr.write("Open this address in a browser; Ctrl-C ends the server.\n")


COMMANDS = {"serve": serve_command}
