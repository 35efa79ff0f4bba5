"""`bozzetto COMMAND ...`: finds the command's module, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence

from bozzetto.cli.complain import complain
from bozzetto.errors import BozzettoError

# Command -> module of this package, whose own COMMANDS holds the function, and what the overview says of it.
COMMANDS: dict[str, tuple[str, str]] = {
    "reconstruct": ("reconstruct", "photos to result folders: a textured object that can be turned and relit"),
    "eval": ("evaluate", "score finished results against a known truth"),
    "export": ("export", "draw the pictures, meshes and films of a result again"),
    "through-gan": ("through_gan", "the object turned and relit as the generator would picture it"),
    "gallery": ("gallery", "results as a static site: a grid of objects, each in its viewer"),
    "invert": ("invert", "find a photo's latent"),
    "gan list": ("zoo", "generators that are known by name"),
    "gan download": ("zoo", "fetch a published generator"),
    "gan inspect": ("gan", "say what a generator file holds, and draw samples"),
    "gan sample": ("gan", "pictures that a generator makes"),
    "gan convert": ("gan", "write a generator of any known format as .safetensors"),
    "gan train": ("gan_train", "train a generator on pictures of your own"),
    "gan distance": ("gan_train", "how far a generator's pictures are from real ones"),
    "gan masks": ("gan_masks", "learn to find the object in pictures of a generator's kind"),
    "general train": ("general", "train one model for all photos of a kind"),
    "general autoencode": ("general_autoencode", "let such a model go on, on thousands of pictures"),
    "estimate-views": ("estimate_views", "measure views and lights of finished results"),
    "bench make-heads": ("bench", "render heads of people with true depth"),
    "bench make-animals": ("bench", "render heads of animals with true depth"),
    "bench steps": ("bench", "time every step against its plain form"),
    "bench gan": ("bench", "time a generator and its training against the plain form"),
    "bench ensemble": ("bench", "time photos' own networks one after another and all at once"),
    "bench memory": ("bench", "measure peak memory beside what is predicted"),
    "bench heads": ("bench", "score reconstructions of rendered heads"),
    "bench masks": ("bench_masks", "score segmenters against the true outlines of test heads"),
    "bench beside": ("bench_beside", "a film and a sheet of a fitted test head beside its truth"),
    "study": ("study", "one of the papers' experiments, run again with numbers"),
    "serve": ("serve", "a local web app: drop photos, watch them become objects"),
    "doctor": ("doctor", "say what is installed and what works"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path goes out as its bytes came in, UTF-8 or not
    sys.exit(execute(sys.argv[1:] if argv is None else argv))


def execute(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code: 0, the error's, or 130 after Ctrl-C."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    try:
        return _dispatch(list(argv))
    except BozzettoError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        complain(str(interrupt) or "Stopped.")
        return getattr(interrupt, "exit_code", 130)
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError:
        complain("The memory is not enough; use fewer --samples or a smaller generator.")
        return 1
    except RuntimeError as error:
        if "out of memory" in str(error) or "can't allocate memory" in str(error):
            complain("The memory is not enough; use fewer --samples or a smaller generator.")
            return 1
        raise


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        from bozzetto import __version__

        sys.stdout.write(f"bozzetto {__version__}\n")
        return 0
    for words in (2, 1):
        name = " ".join(argv[:words])
        if name in COMMANDS:
            module = importlib.import_module(f"bozzetto.cli.{COMMANDS[name][0]}")
            return module.COMMANDS[name](argv[words:])
    group = [name for name in COMMANDS if name.split()[0] == argv[0]]
    if group:
        complain(f"'{argv[0]}' needs one more word: {', '.join(name.split()[1] for name in group)}.")
    else:
        names = ", ".join(dict.fromkeys(name.split()[0] for name in COMMANDS))
        complain(f"There is no command '{argv[0]}'; choose one of {names}.")
    return 2


def _overview() -> str:
    width = max(len(name) for name in COMMANDS)
    rows = "".join(f"  {name:<{width}}  {text}\n" for name, (_, text) in COMMANDS.items())
    return f"usage: bozzetto COMMAND [arguments]\n\n{rows}\n`bozzetto COMMAND --help` tells a command's flags.\n"
