"""Make folders of rendered heads with true depth: `bozzetto bench make-heads --model FILE --out DIR`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
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
    renderer = HeadRenderer(load_head_model(config.model), config.size, config.supersample)
    _claim_folder(config)
    made = 0
    for split in SPLITS:
        folder = config.out / split
        for index in range(getattr(config, split)):
            folder.mkdir(exist_ok=True)
            if not _is_there(folder, index, config.images_only):
                _make_head(renderer, config, split, index)
                made += 1
            if on_head is not None:
                on_head(split, index)
    return made


def _make_head(renderer: HeadRenderer, config: HeadsConfig, split: str, index: int) -> None:
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


def _is_there(folder: Path, index: int, images_only: bool) -> bool:
    kinds = (".png",) if images_only else (".png", ".npz")
    return all((folder / f"{index:06d}{kind}").exists() for kind in kinds)


def _claim_folder(config: HeadsConfig) -> None:
    """Write the settings that decide what a head looks like, or compare them with those already there."""
    settings = asdict(config)
    for name in ("model", "out", *SPLITS):
        del settings[name]
    settings = json.loads(json.dumps(settings | {"format": 1}))
    path = config.out / SETTINGS_FILE
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(settings, indent=2) + "\n")
            return
        there = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise OutputError(f"Cannot use {config.out} for heads: {error}.") from error
    if there != settings:
        differing = ", ".join(sorted(k for k in {*there, *settings} if there.get(k) != settings.get(k)))
        raise InputError(f"{config.out} holds heads of other settings ({differing}); choose another folder.")
