"""Find a generator by name or path, find out what kind of file it is, and load it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch

from bozzetto.devices import find_device
from bozzetto.download import sha256_of
from bozzetto.errors import CheckpointError, InputError
from bozzetto.gan.checkpoint import LoadedGan, is_safetensors, load_safetensors
from bozzetto.gan.generator import Gan, GanInfo, ask_for_class
from bozzetto.gan.pickled import CONTENTS, is_pickled, load_pickled
from bozzetto.gan.registry import download, find_published, recorded_sha256
from bozzetto.precision import Precision

SNIFF_BYTES = 4096  # what a format gets to see of a file before it decides


@dataclass(frozen=True)
class ZooRow:
    """A generator known by name."""

    name: str
    file: str  # in bozzetto/assets
    sha256: str
    category: str
    licence: str


ZOO = (
    ZooRow(
        name="heads",
        file="heads_64.safetensors",
        sha256="8dd3264124d3e586a6e62f2761eb12263b03c39dc960a4f989cb239ac63b3d6c",
        category="heads",
        licence="MIT",
    ),
    ZooRow(
        name="cats",
        file="cats_64.safetensors",
        sha256="37e7e4adc2d9b1c035ff80f4d7362151f7ee67cbb73d7dc3e9b9f98c5254eca1",
        category="cat",
        licence="CC BY-NC 4.0",
    ),
    ZooRow(
        name="faces",
        file="faces_64.safetensors",
        sha256="73929cfb96757d44e8f4272b853a9632c2417e8248e4d5dc0498c8ea1bba17f5",
        category="face",
        licence="non-commercial research",
    ),
    ZooRow(
        name="cars",
        file="cars_64.safetensors",
        sha256="882c90a69c8cb5df7fd81f371f79871e42475cf5626e7dd1d07be0ee630593f4",
        category="car",
        licence="non-commercial research",
    ),
)


@dataclass(frozen=True)
class Format:
    """A kind of file: how to know it by its first bytes, and how to load it."""

    name: str
    sniff: Callable[[bytes], bool]
    load: Callable[[Path], LoadedGan]


# Asked in this order; the first that knows the file loads it. A further format is a further row.
FORMATS: tuple[Format, ...] = (
    Format("bozzetto .safetensors", is_safetensors, load_safetensors),
    Format(", ".join(content.name for content in CONTENTS), is_pickled, load_pickled),
)


def load_gan(
    name_or_path: str | Path,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    class_index: int | None = None,
) -> Gan:
    """A frozen GAN from the zoo's names or from a file, known by its content and not by its ending.

    class_index: which class to make pictures of, where the generator knows several.
    Raises CheckpointError, one sentence, for anything that is not there, not whole, not safe or not understood;
    InputError where a class is needed and not given, or given and not needed, and for a device or a precision that
    there is not.
    """
    gan = open_gan(name_or_path, device, precision, class_index)
    if gan.info.num_classes and class_index is None:
        raise InputError(ask_for_class(gan.info))
    return gan


def open_gan(
    name_or_path: str | Path,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    class_index: int | None = None,
) -> Gan:
    """`load_gan` that does not insist on a class: the generator can be looked at, and asks when it is to be used."""
    device = find_device(device)
    if precision not in get_args(Precision):
        raise InputError(f"The precision can be {' or '.join(get_args(Precision))}, not {precision!r}.")
    path, row = find(name_or_path)
    sha256 = _sha256(path)
    if row is not None and sha256 != row.sha256:
        raise CheckpointError(
            f"The built-in generator '{row.name}' is not this version's file; install the package again."
        )
    loaded = load_file(path)
    facts, spec = loaded.facts, loaded.generator.spec
    suffix = "" if class_index is None else f"_class{class_index}"  # results keep the name
    info = GanInfo(
        name=(row.name if row else facts.get("name", path.stem)) + suffix,
        kind=spec.kind,
        resolution=spec.resolution,
        z_dim=spec.z_dim,
        w_dim=spec.w_dim,
        num_ws=spec.num_ws,
        num_mapping_layers=spec.num_mapping_layers,
        licence=row.licence if row else facts.get("licence", "unknown"),
        sha256=sha256,
        category=row.category if row else facts.get("category", "unknown"),
        num_classes=spec.num_classes,
        class_index=class_index,
    )
    if class_index is not None and not spec.num_classes:
        raise InputError(f"The generator '{info.name}' knows no classes; leave the class out.")
    if class_index is not None and not 0 <= class_index < spec.num_classes:
        raise InputError(ask_for_class(info))
    return Gan(loaded.generator, loaded.discriminator, info, device, precision, loaded.w_avg)


def find(name_or_path: str | Path) -> tuple[Path, ZooRow | None]:
    """The generator's file, and its row where it is known by name; a published one is downloaded at first use.

    Raises CheckpointError where there is no file, or a published one cannot be had.
    """
    published = find_published(str(name_or_path))
    if published is not None:
        path = download(published)
        sha256 = recorded_sha256(published) or ""
        return path, ZooRow(published.name, path.name, sha256, published.category, published.licence)
    row = next((row for row in ZOO if row.name == str(name_or_path)), None)
    path = asset(row) if row else Path(name_or_path)
    if not path.is_file():
        raise CheckpointError(
            f"There is no generator '{name_or_path}': neither a file nor one of {', '.join(r.name for r in ZOO)} "
            "nor one that `bozzetto gan list` names."
        )
    return path, row


def asset(row: ZooRow) -> Path:
    """Where a built-in generator's file lies."""
    return Path(__file__).parent.parent / "assets" / row.file


def load_file(path: Path) -> LoadedGan:
    """Networks and facts of a file, known by its content. Raises CheckpointError like `load_gan`."""
    try:
        with path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
    except OSError as error:
        raise CheckpointError(f"The file {path} cannot be read ({error.strerror}).") from None
    for candidate in FORMATS:
        if candidate.sniff(head):
            return candidate.load(path)
    known = ", ".join(candidate.name for candidate in FORMATS)
    raise CheckpointError(f"The file {path.name} is no generator this program knows ({known}).")


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"The file {path} cannot be read ({error.strerror}).") from None
