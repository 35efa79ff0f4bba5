"""`bozzetto doctor`: what is installed, what works, and what is missing for what."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from bozzetto import __version__
from bozzetto.cli.parse import parse
from bozzetto.devices import find_device
from bozzetto.download import cache_dir
from bozzetto.errors import BozzettoError
from bozzetto.gan.zoo import ZOO, load_gan
from bozzetto.precision import resolve
from bozzetto.segment.registry import make_segmenter

NEEDED = ("torch", "numpy", "numba", "pillow", "safetensors", "rich", "tyro", "trimesh", "imageio-ffmpeg")
OPTIONAL = {
    "mediapipe": "cuts people and most animals out of photos (its network file)",
    "ai-edge-litert": "runs that network",
    "stlpips-pytorch": "--perceptual stlpips",
    "lpips": "--perceptual lpips-vgg",
    "openexr": "reads depth in EXR files",
    **dict.fromkeys(("starlette", "uvicorn", "python-multipart"), "bozzetto serve"),
}


@dataclass(frozen=True)
class Arguments:
    pass


def doctor(argv: Sequence[str]) -> int:
    """Print the report; the exit code is 1 if something needed does not work."""
    parse(Arguments, argv, "doctor", "Say what is installed and what works.")
    checks: list[tuple[str, Callable[[], str]]] = [
        *((f"generator {row.name}", lambda name=row.name: _generator(name)) for row in ZOO),
        ("compiled rasteriser", _rasteriser),
        ("film writer", _ffmpeg),
    ]
    rows = [("bozzetto", __version__), ("python", f"{platform.python_version()} on {platform.platform()}")]
    rows += [(name, version_of(name) or "MISSING") for name in NEEDED]
    rows += [("device", _device()), ("cache", str(cache_dir()))]
    works = all(value != "MISSING" for _, value in rows)
    for name, check in checks:
        try:
            rows.append((name, check()))
        except (BozzettoError, ImportError, OSError, RuntimeError) as error:
            rows.append((name, f"FAILS: {error}"))
            works = False
    rows += [(name, version_of(name) or f"not installed; {use}") for name, use in OPTIONAL.items()]
    rows += [(f"segmenter {name}", _segmenter(name)) for name in ("selfie", "border")]
    width = max(len(name) for name, _ in rows)
    sys.stdout.write("".join(f"{name:<{width}}  {value}\n" for name, value in rows))
    return 0 if works else 1


def version_of(package: str) -> str | None:
    """An installed distribution's version, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device() -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    precision = resolve("auto", find_device("auto"))
    return f"cpu with {torch.get_num_threads()} threads; {gpu}; fastest precision {precision}"


def _generator(name: str) -> str:
    info = load_gan(name).info
    return f"{info.resolution} px, {info.category}, {info.licence}"


def _rasteriser() -> str:
    from bozzetto.geometry.render import look
    from bozzetto.types import Camera

    seen = look(torch.ones(1, 1, 8, 8), torch.zeros(1, 6), Camera(8), rasteriser="fast")
    if not bool((seen.mask == 1).all()):
        raise RuntimeError("it leaves holes in a plane")
    return "works"


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}"


def _segmenter(name: str) -> str:
    try:
        make_segmenter(name)(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), "object")
    except BozzettoError as error:
        return f"not available: {error}"
    return "works"


COMMANDS = {"doctor": doctor}
