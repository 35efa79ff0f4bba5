"""Make folders of rendered heads of any family with true depth, in one or several processes; what is there stays."""

from __future__ import annotations

import json
import multiprocessing
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bozzetto.bench.datasets import encode_head, to_bytes
from bozzetto.bench.draws import SPLITS, head_generator, sample_light
from bozzetto.bench.npz import write_npz
from bozzetto.bench.stage import Renderer
from bozzetto.disk import clear
from bozzetto.errors import InputError, OutputError

SETTINGS_FILE = "heads.json"
Head = tuple[str, int]  # split, index


@dataclass(frozen=True)
class SetConfig(ABC):
    """What to render. A head depends on (seed, split, index) alone, so a set can grow or resume; every head is
    another one, so splits share no identity."""

    out: Path  # gets train/, val/, test/ with NNNNNN.png and NNNNNN.npz each, and heads.json
    size: int = 64  # pixels
    seed: int = 0
    train: int = 0  # heads per split
    val: int = 0
    test: int = 20
    supersample: int = 3  # samples per pixel and side, odd
    turned_yaws_deg: tuple[float, ...] = ()  # other sides of each head, e.g. (-30, -15, 0, 15, 30)
    relit: int = 0  # other lights of each head
    images_only: bool = False  # PNG files alone, to train a generator on
    workers: int = 1  # processes

    @abstractmethod
    def load_renderer(self) -> Renderer[Any]:
        """The family's renderer. Raises InputError where what it reads cannot be read."""

    @abstractmethod
    def look(self) -> dict[str, Any]:
        """What decides how a head looks, beside the fields above; kept in the folder."""


def make_set(config: SetConfig, on_head: Callable[[str, int], None] | None = None) -> int:
    """Render all heads of the config that are not in its folder yet; returns how many were rendered.

    Args:
        on_head: called with (split, index) after each head, rendered or already there.

    Raises:
        InputError: what the family reads cannot be read, or the folder holds heads of other settings.
        OutputError: a file cannot be written.
    """
    if config.supersample < 1 or config.supersample % 2 == 0:
        raise InputError(
            f"supersample must be odd so that a sample lies on the pixel's centre, not {config.supersample}."
        )
    renderer = config.load_renderer()  # before anything is written, so that a wrong file leaves no folder
    _claim_folder(config)
    missing = []
    for split in SPLITS:
        for index in range(getattr(config, split)):
            (config.out / split).mkdir(exist_ok=True)
            if not _is_there(config, split, index):
                missing.append((split, index))
            elif on_head is not None:
                on_head(split, index)
    if config.workers > 1 and len(missing) > 1:
        done = _make_in_processes(config, missing)
    else:
        done = (_make_head(renderer, config, *head) for head in missing)
    for split, index in done:
        if on_head is not None:
            on_head(split, index)
    return len(missing)


def _make_head(renderer: Renderer[Any], config: SetConfig, split: str, index: int) -> Head:
    rng = head_generator(config.seed, split, index)
    sample = renderer.draw_sample(rng)
    view = renderer.render(sample)
    target = config.out / split / f"{index:06d}"
    if not config.images_only:
        arrays = encode_head(view, renderer.canonical(sample))
        if config.turned_yaws_deg:
            turned = [renderer.turned(sample, np.radians(yaw)).image for yaw in config.turned_yaws_deg]
            arrays["turned_image"] = to_bytes(np.stack(turned))
            arrays["turned_yaw_deg"] = np.array(config.turned_yaws_deg, dtype=np.float32)
        if config.relit:
            lights = [sample_light(rng) for _ in range(config.relit)]
            arrays["relit_image"] = to_bytes(np.stack([renderer.render(sample, light=light).image for light in lights]))
            arrays["relit_light"] = np.stack(lights).astype(np.float32)
        write_npz(target.with_suffix(".npz"), arrays)
    write_png(target.with_suffix(".png"), to_bytes(view.image))
    return split, index


def _make_in_processes(config: SetConfig, heads: Sequence[Head]) -> Iterator[Head]:
    """Yield heads as they are done, in order. Spawned, not forked: torch's threads do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.workers, context, initializer=_start_worker, initargs=(config,)) as pool:
        yield from pool.map(_make_in_worker, heads, chunksize=8)


_worker: dict[str, Renderer[Any] | SetConfig] = {}  # filled in the worker processes alone


def _start_worker(config: SetConfig) -> None:
    _worker.update(config=config, renderer=config.load_renderer())


def _make_in_worker(head: Head) -> Head:
    renderer, config = _worker["renderer"], _worker["config"]
    assert isinstance(renderer, Renderer)
    assert isinstance(config, SetConfig)
    return _make_head(renderer, config, *head)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write uint8 [H, W, 3] whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        Image.fromarray(image).save(part, format="PNG")
        os.replace(part, path)
    except OSError as error:
        clear([part])
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error


def _is_there(config: SetConfig, split: str, index: int) -> bool:
    kinds = (".png",) if config.images_only else (".png", ".npz")
    return all((config.out / split / f"{index:06d}{kind}").exists() for kind in kinds)


def _claim_folder(config: SetConfig) -> None:
    """Write the settings that decide what a head looks like, or compare them with those already there."""
    shared = {field.name for field in fields(SetConfig)} - {"out", "workers", *SPLITS}
    settings = {name: value for name, value in asdict(config).items() if name in shared}
    settings = json.loads(json.dumps(settings | config.look()))
    path = config.out / SETTINGS_FILE
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            part = path.with_name(path.name + ".part")
            part.write_text(json.dumps(settings, indent=2) + "\n")
            os.replace(part, path)
            return
        there = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise OutputError(f"Cannot use {config.out} for heads: {error}.") from error
    if there != settings:
        differing = ", ".join(sorted(k for k in {*there, *settings} if there.get(k) != settings.get(k)))
        raise InputError(f"{config.out} holds heads of other settings ({differing}); choose another folder.")
