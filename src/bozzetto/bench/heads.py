"""Make folders of rendered heads with true depth: `bozzetto bench make-heads --model FILE --out DIR`."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bozzetto.bench.datasets import encode_head, to_bytes
from bozzetto.bench.heads_model import load_head_model
from bozzetto.bench.heads_render import HeadRenderer
from bozzetto.bench.heads_sample import SPLITS, head_generator, sample_head, sample_light
from bozzetto.bench.npz import write_npz
from bozzetto.errors import InputError, OutputError

SETTINGS_FILE = "heads.json"
Head = tuple[str, int]  # split, index


@dataclass(frozen=True)
class HeadsConfig:
    """What to render. A head depends on (seed, split, index) alone, so a set can grow or resume; every head is
    another person, so splits share no identity."""

    model: Path  # the head model, .npz of ICT-FaceKit
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


def make_heads(config: HeadsConfig, on_head: Callable[[str, int], None] | None = None) -> int:
    """Render all heads of the config that are not in its folder yet; returns how many were rendered.

    Args:
        on_head: called with (split, index) after each head, rendered or already there.

    Raises:
        InputError: the model cannot be read, or the folder holds heads of other settings.
        OutputError: a file cannot be written.
    """
    if config.supersample < 1 or config.supersample % 2 == 0:
        raise InputError(
            f"supersample must be odd so that a sample lies on the pixel's centre, not {config.supersample}."
        )
    renderer = _load_renderer(config)  # before anything is written, so that a wrong model leaves no folder
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


def _load_renderer(config: HeadsConfig) -> HeadRenderer:
    return HeadRenderer(load_head_model(config.model), config.size, config.supersample)


def _make_head(renderer: HeadRenderer, config: HeadsConfig, split: str, index: int) -> Head:
    rng = head_generator(config.seed, split, index)
    sample = sample_head(rng, modes=len(renderer.model.identity_cm))
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


def _make_in_processes(config: HeadsConfig, heads: Sequence[Head]) -> Iterator[Head]:
    """Yield heads as they are done, in order. Spawned, not forked: torch's threads do not survive a fork."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.workers, context, initializer=_start_worker, initargs=(config,)) as pool:
        yield from pool.map(_make_in_worker, heads, chunksize=8)


_worker: dict[str, HeadRenderer | HeadsConfig] = {}  # filled in the worker processes alone


def _start_worker(config: HeadsConfig) -> None:
    _worker.update(config=config, renderer=_load_renderer(config))


def _make_in_worker(head: Head) -> Head:
    renderer, config = _worker["renderer"], _worker["config"]
    assert isinstance(renderer, HeadRenderer)
    assert isinstance(config, HeadsConfig)
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
        part.unlink(missing_ok=True)
        raise OutputError(f"Cannot write {path}: {error.strerror or error}.") from error


def _is_there(config: HeadsConfig, split: str, index: int) -> bool:
    kinds = (".png",) if config.images_only else (".png", ".npz")
    return all((config.out / split / f"{index:06d}{kind}").exists() for kind in kinds)


def _claim_folder(config: HeadsConfig) -> None:
    """Write the settings that decide what a head looks like, or compare them with those already there."""
    settings = asdict(config)
    for name in ("model", "out", "workers", *SPLITS):
        del settings[name]
    settings = json.loads(json.dumps(settings | {"format": 2}))
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
