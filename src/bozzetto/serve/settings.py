"""What a server is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bozzetto.config import FitConfig
from bozzetto.errors import InputError
from bozzetto.export.formats import DEFAULT_FORMATS
from bozzetto.gan.invert import InvertConfig
from bozzetto.gan.registry import PUBLISHED, cached
from bozzetto.gan.zoo import ZOO, load_gan
from bozzetto.general_model import built_in_for
from bozzetto.pipeline import REFINE
from bozzetto.presets import PRESETS
from bozzetto.priors.registry import PRIORS
from bozzetto.segment.categories import CATEGORIES
from bozzetto.segment.registry import FRAMED, MAKERS, is_at_hand

MIB = 2**20


@dataclass(frozen=True)
class Settings:
    """Everything that the pages offer and the jobs are run with."""

    folder: Path  # of the jobs, one folder each
    generators: Mapping[str, str] = field(default_factory=lambda: built_in())  # name -> what `load_gan` takes
    presets: Mapping[str, FitConfig] = field(default_factory=lambda: dict(PRESETS))
    inversion: InvertConfig = field(default_factory=InvertConfig)
    device: str = "auto"
    formats: tuple[str, ...] = DEFAULT_FORMATS
    max_upload: int = 32 * MIB  # bytes of one request, mask included
    max_waiting: int = 100  # jobs; a further one is refused
    max_memory: float | None = None  # bytes; a photo's peak is kept below it
    patience_s: float = 30.0  # a job that does not end when asked is ended by force after this long

    def choices(self) -> dict[str, list[str]]:
        """What may be chosen, the first of each list unless something else is asked for; but see `preset_of`."""
        return {
            "gan": list(self.generators),
            "preset": list(self.presets),
            "mask": masks(),
            "prior": ["preset", *PRIORS],
            "crop": ["auto", "none"],
            "category": ["generator", *CATEGORIES],
        }

    def general_of(self, gan: str, preset: str) -> str | None:
        """The general model that a fit begins with: the generator's own, where the preset begins with one."""
        return built_in_for(self.generators[gan]) if preset == REFINE else None

    def preset_of(self, gan: str) -> str:
        """What a generator's photos are fitted by unless something else is asked for."""
        if REFINE in self.presets and self.general_of(gan, REFINE) is not None:
            return REFINE
        return next(name for name in self.presets if name != REFINE)


def built_in() -> dict[str, str]:
    """Generators that are there without a file of one's own: the package's, and published ones already downloaded."""
    names = [row.name for row in ZOO] + [row.name for row in PUBLISHED if cached(row) is not None]
    return {name: name for name in names}


def generators_of(files: tuple[Path, ...]) -> dict[str, str]:
    """The built-in generators and those of files, by the name that they are shown under; every file is opened once.

    Raises:
        CheckpointError: a file cannot be used.
        InputError: two generators have one name.
    """
    found = built_in()
    for file in files:
        name = load_gan(file).info.name
        if name in found:
            raise InputError(
                f"Two generators are named '{name}'; give {file} another name with `bozzetto gan convert`."
            )
        found[name] = str(file.absolute())
    return found


def masks() -> list[str]:
    """Segmenters that work without a file and without a download, whatever the generator."""
    return ["auto", "alpha", *(name for name in MAKERS if name not in ("face-parser", *FRAMED) and is_at_hand(name))]
