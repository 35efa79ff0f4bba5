"""The commands that are interrupted, and how one tells that they ended where they would have without."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from hostile_photos import RGB
from hostile_run import FEW, PLAIN, run
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from bozzetto import Reconstruction
from bozzetto.gan.checkpoint import read_metadata
from bozzetto.gan.zoo import load_gan
from bozzetto.general_model import load_general

TENSORS = ("scene.safetensors", "networks.safetensors")
TRAIN = ["--size", "16", "--batch", "8", "--width", "0.25", "--w-dim", "16", "--mapping-layers", "2", "--device", "cpu"]
TRAIN += ["--distance-pictures", "0", "--kimg", "0.032", "--save-every", "0.016", "--name", "same"]
GENERAL = ["--photos", "3", "--held", "2", "--mask", "none", "--batch", "2", "--prior-epochs", "1", "--device", "cpu"]
GENERAL += ["--rounds.0.epochs", "1", "--rounds.0.project", "1", "--rounds.0.factorise", "1", "--rounds.0.samples", "1"]
GENERAL += ["--rounds.0.visit", "batch", "--fit.project.collect-batches", "1", "--fit.turn.use", "False"]
GENERAL += ["--fit.nets.width", "0.25", "--name", "same"]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def same(path: Path, other: Path, tensors: Mapping[str, Tensor]) -> None:
    """Two files of tensors hold the same: the header's order is not settled."""
    found = load_file(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)
    assert read_metadata(path) == read_metadata(other)


class Work(ABC):
    """A command that writes below a folder of its own."""

    code = 0  # of the command that is not interrupted

    @abstractmethod
    def argv(self, root: Path) -> list[str | Path]: ...

    @abstractmethod
    def check_whole(self, root: Path) -> None:
        """What is there under its final name after an interrupt is whole."""

    @abstractmethod
    def check(self, root: Path) -> None:
        """All is there, bit for bit what comes without an interrupt, and nothing else."""

    def resume(self, root: Path, note: object = None) -> None:
        """The same command with --resume ends as it would have."""
        argv = self.argv(root)
        again = run(argv if "--resume" in argv else [*argv, "--resume"])
        assert again.code == self.code, (note, again)
        self.check(root)


class Photo(Work):
    """One photo; `result` is what comes without an interrupt."""

    def __init__(self, gan: Path, result: Path) -> None:
        self.gan, self.result, self.photo = gan, result, result.parent / "photo.png"

    def argv(self, root: Path) -> list[str | Path]:
        return ["reconstruct", self.photo, "--gan", self.gan, *FEW, *PLAIN, "--out", root / "out"]

    def check_whole(self, root: Path) -> None:
        if (root / "out").exists():
            Reconstruction.load(root / "out")

    def check(self, root: Path) -> None:
        assert all((root / "out" / name).read_bytes() == (self.result / name).read_bytes() for name in TENSORS)
        assert left(root) == ["out"]


class Photos(Work):
    """Several photos, one of them bad."""

    code = 2

    def __init__(self, gan: Path, result: Path, folder: Path, count: int = 4) -> None:
        self.gan, self.result, self.photos = gan, result, folder / "photos"
        self.photos.mkdir()
        self.names = [f"p{i}" for i in range(count)]
        for name in self.names:
            RGB.save(self.photos / f"{name}.png")
        (self.photos / f"p{count // 2}b.png").write_bytes(b"no picture")

    def argv(self, root: Path) -> list[str | Path]:
        return ["reconstruct", self.photos, "--gan", self.gan, *FEW, *PLAIN, "--out", root / "out", "--resume"]

    def check_whole(self, root: Path) -> None:
        for folder in (root / "out").glob("p?"):
            assert all((folder / name).read_bytes() == (self.result / name).read_bytes() for name in TENSORS)

    def check(self, root: Path) -> None:
        assert left(root / "out") == self.names
        self.check_whole(root)
        assert left(root) == ["out"]


class TrainGan(Work):
    """A generator of a few steps."""

    def __init__(self, folder: Path) -> None:
        self.pictures, self.whole = folder / "pictures", folder / "whole.safetensors"
        self.pictures.mkdir()
        rng = np.random.default_rng(0)
        for i in range(64):
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(self.pictures / f"{i:03d}.png")
        assert run(["gan", "train", self.pictures, "-o", self.whole, *TRAIN]).code == 0
        self.expected, self.card = load_file(self.whole), self.whole.with_suffix(".md").read_text()

    def argv(self, root: Path) -> list[str | Path]:
        return ["gan", "train", self.pictures, "-o", root / "g.safetensors", *TRAIN]

    def check_whole(self, root: Path) -> None:
        if (root / "g.safetensors").exists():
            load_gan(root / "g.safetensors")

    def check(self, root: Path) -> None:
        out = root / "g.safetensors"
        same(out, self.whole, self.expected)
        assert out.with_suffix(".md").read_text() == self.card
        assert left(root) == ["g.md", "g.png", "g.safetensors", "g.training"]
        assert all(name[0] != "." for name in left(root / "g.training"))


class TrainGeneral(Work):
    """A general model of a few steps, of three of the generator's own pictures."""

    files: tuple[str, ...] = ("m.md", "m.safetensors", "m.training")  # what is left

    def __init__(self, gan: Path, folder: Path) -> None:
        self.gan, self.whole = gan, folder / "whole.safetensors"
        assert run(["general", "train", "--gan", gan, "-o", self.whole, *GENERAL]).code == 0
        self.expected, self.card = load_file(self.whole), self.whole.with_suffix(".md").read_text()

    def argv(self, root: Path) -> list[str | Path]:
        return ["general", "train", "--gan", self.gan, "-o", root / "m.safetensors", *GENERAL]

    def check_whole(self, root: Path) -> None:
        if (root / "m.safetensors").exists():
            load_general(root / "m.safetensors")

    def check(self, root: Path) -> None:
        out = root / "m.safetensors"
        same(out, self.whole, self.expected)
        assert out.with_suffix(".md").read_text() == self.card
        assert left(root) == [*self.files]
        assert all(path.name[0] != "." for path in root.glob("m.training/*"))


class Autoencode(TrainGeneral):
    """A general model that goes on for a few steps, on the generator's own pictures; it clears up at its end."""

    files = ("m.md", "m.safetensors")

    def __init__(self, gan: Path, folder: Path) -> None:
        self.gan, self.first, self.whole = gan, folder / "first.safetensors", folder / "whole.safetensors"
        assert run(["general", "train", "--gan", gan, "-o", self.first, *GENERAL]).code == 0
        shutil.rmtree(folder / "first.training")
        assert run(self._argv(self.whole)).code == 0
        self.expected, self.card = load_file(self.whole), self.whole.with_suffix(".md").read_text()

    def _argv(self, out: Path) -> list[str | Path]:
        given = ["general", "autoencode", self.first, "--gan", self.gan, "-o", out, "--name", "m"]
        short = ["--config.iterations", "3", "--config.albedo-iterations", "2", "--config.batch", "2"]
        return [*given, *short, "--pictures", "32", "--held", "2", "--mask", "none"]

    def argv(self, root: Path) -> list[str | Path]:
        return self._argv(root / "m.safetensors")
