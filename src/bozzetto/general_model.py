"""The general model M*: five networks fitted to many photos, as a file, and what they make of a photo at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bozzetto.config import FitConfig, ViewConfig
from bozzetto.disk import DAMAGED
from bozzetto.download import sha256_of
from bozzetto.errors import CheckpointError, InputError
from bozzetto.gan.checkpoint import read_tensors, write_safetensors
from bozzetto.gan.generator import Gan
from bozzetto.nets.blocks import base_channels
from bozzetto.nets.networks import Networks, make_networks

KIND = "bozzetto-general"
VERSION = 1
ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class BuiltIn:
    """A general model known by name; it belongs to the built-in generator of the same name."""

    name: str
    file: str  # in bozzetto/assets
    sha256: str


BUILT_IN: tuple[BuiltIn, ...] = (
    BuiltIn(
        name="heads",
        file="heads_general_64.safetensors",
        sha256="10c2b39fcbf7e482922550ca34226df67ed6ea081cb2d20030485c91963c3f96",
    ),
    BuiltIn(
        name="cats",
        file="cats_general_64.safetensors",
        sha256="e66e71b5234c2eb64e98c627038dd2f279e95a5c33c8fb1dc11391b57b71f654",
    ),
    BuiltIn(
        name="faces",
        file="faces_general_64.safetensors",
        sha256="f1bbba988ac0428ec3f00cdc271853342dc71cbcdf6fbf9568cbb67e994cd3d3",
    ),
)


@dataclass(frozen=True)
class GeneralFacts:
    """What a general model's file says of itself."""

    name: str
    category: str
    licence: str
    size: int  # px
    w_dim: int
    width: float  # of V, L, D and A against the papers' tables
    view: ViewConfig  # what V's output means
    view_mean: tuple[float, ...]  # of the category's views, in network units; added to V's output
    generator_name: str
    generator_sha256: str  # of the teacher
    photos: int  # that it was trained on
    offset: bool  # E is in the file too
    albedo: bool = True  # A too; a preview that takes the photo's own colours can do without
    pictures: int = 0  # that it was autoencoded on after that

    @property
    def absent(self) -> tuple[str, ...]:
        """How the names of tensors begin that the file does not have."""
        return tuple(f"{name}." for name in ("offset", "albedo") if not getattr(self, name))


@dataclass(frozen=True)
class GeneralModel:
    """Networks and facts. Made by `load_general`; frozen."""

    networks: Networks
    facts: GeneralFacts
    sha256: str

    def check(self, gan: Gan, config: FitConfig, view_mean: tuple[float, ...]) -> None:
        """Raises InputError where a photo of this generator and these settings cannot be worked on with the model."""
        facts = self.facts
        if facts.size != gan.info.resolution:
            raise InputError(
                f"The general model '{facts.name}' reads pictures of {facts.size} px and the generator "
                f"'{gan.info.name}' makes {gan.info.resolution}; use the generator '{facts.generator_name}'."
            )
        if facts.view != config.view or tuple(facts.view_mean) != tuple(view_mean):
            raise InputError(
                f"The general model '{facts.name}' counts views otherwise than these settings; use the --preset, "
                "--category and --scenes that it was trained with, or --general none."
            )

    def copy_into(self, nets: Networks) -> None:
        """Let a fit's networks begin as these.

        A and E begin anew where the model has none, E also where it is of another teacher's width.
        """
        ours = {k: v for k, v in self.networks.state().items() if not k.startswith(self.facts.absent)}
        theirs = nets.state()
        differs = any(theirs[k].shape != v.shape for k, v in ours.items() if not k.startswith("offset."))
        if differs:
            raise InputError(
                f"The general model '{self.facts.name}' has networks of width {self.facts.width:g}; use that as "
                "--nets.width."
            )
        nets.load_state(theirs | {k: v.to(theirs[k]) for k, v in ours.items() if theirs[k].shape == v.shape})


def save_general(path: Path, nets: Networks, facts: GeneralFacts, dtype: torch.dtype = torch.float16) -> None:
    """Write the model's file, whole or not at all. Raises OutputError."""
    tensors = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in nets.state().items()
        if not name.startswith(facts.absent)
    }
    write_safetensors(path, tensors, {"kind": KIND, "version": str(VERSION), "facts": json.dumps(asdict(facts))})


def built_in_for(gan: str) -> str | None:
    """The name of the general model that is built in for a generator's name, if there is one."""
    return next((row.name for row in BUILT_IN if row.name == gan), None)


def find_general(name_or_path: str | Path) -> tuple[Path, BuiltIn | None]:
    """The model's file, and its row where it is known by name. Raises CheckpointError where there is none."""
    row = next((row for row in BUILT_IN if row.name == str(name_or_path)), None)
    path = ASSETS / row.file if row else Path(name_or_path)
    if not path.is_file():
        known = f" nor one of {', '.join(row.name for row in BUILT_IN)}" if BUILT_IN else ""
        raise CheckpointError(
            f"There is no general model '{name_or_path}': neither a file{known}; make one with "
            "`bozzetto general train`."
        )
    return path, row


def load_general(name_or_path: str | Path, device: torch.device | str = "cpu") -> GeneralModel:
    """A general model by name or from its file; runs no code.

    Raises CheckpointError, one sentence, for anything that is not there, not whole, or something else.
    """
    path, row = find_general(name_or_path)
    sha256 = sha256_of(path)
    if row is not None and sha256 != row.sha256:
        raise CheckpointError(
            f"The built-in general model '{row.name}' is not this version's file; install the package again."
        )
    metadata, tensors = read_tensors(path)
    if metadata.get("kind") != KIND:
        raise CheckpointError(f"The file {path.name} is no general model; make one with `bozzetto general train`.")
    if metadata.get("version") != str(VERSION):
        raise CheckpointError(f"The file {path.name} is of a newer version; install a newer bozzetto.")
    facts = read_facts(metadata.get("facts", ""), path.name)
    first = tensors.get("depth.network.0.weight")
    try:
        # Asked before anything of that size is made.
        if first is None or list(first.shape) != [base_channels(facts.size, facts.width), 3, 4, 4]:
            raise ValueError("other networks")
        if not all(value.is_floating_point() for value in tensors.values()):
            raise ValueError("numbers of another kind")
        nets = make_networks(facts.size, facts.w_dim, torch.Generator().manual_seed(0), device, facts.width)
        own = {name: value for name, value in nets.state().items() if name.startswith(facts.absent)}
        nets.load_state({name: value.float() for name, value in tensors.items()} | own)
    except DAMAGED as error:
        raise CheckpointError(f"The file {path.name} does not hold the networks it speaks of; get it again.") from error
    if not all(bool(value.isfinite().all()) for value in nets.state().values()):
        raise CheckpointError(f"The file {path.name} has values that are no numbers; get it again.")
    nets.train_only(())
    return GeneralModel(nets, facts, sha256)


def read_facts(text: str, file: str) -> GeneralFacts:
    """The record of a JSON text. Raises CheckpointError for anything else."""
    try:
        stored: Mapping[str, Any] = json.loads(text)
        mean = tuple(float(value) for value in stored["view_mean"])
        facts = GeneralFacts(**{**stored, "view": ViewConfig(**stored["view"]), "view_mean": mean})
        whole = all(isinstance(value, int) and 0 < value <= 4096 for value in (facts.size, facts.w_dim))
        fine = whole and 0 < float(facts.width) <= 8 and len(mean) == 6
        fine = fine and all(isinstance(value, bool) for value in (facts.offset, facts.albedo))
        texts = (facts.name, facts.category, facts.licence, facts.generator_name, facts.generator_sha256)
        if not fine or not all(isinstance(value, str) for value in texts):
            raise ValueError("out of range")
    except DAMAGED as error:
        raise CheckpointError(f"The file {file} does not say what its networks are; get it again.") from error
    return facts


def refining(config: FitConfig, model: GeneralModel, refine: int | None) -> FitConfig:
    """The settings of a fit from a general model.

    Args:
        refine: iterations of step 3 in each stage that has any, None for the settings' own; 0 for no fit at all, a
            preview.

    Raises:
        InputError: a negative number, or samples that nobody has learned to make.
    """
    if refine is not None and refine < 0:
        raise InputError(f"--refine cannot be {refine}; give how many iterations to refine with, or 0 for a preview.")
    stages = tuple(
        replace(stage, factorise=stage.factorise if refine is None or stage.factorise == 0 else refine)
        for stage in config.stages
    )
    learned = model.facts.offset or config.project.teacher == "none"  # without a teacher nothing is projected
    for stage in stages:
        learned = learned or stage.project > 0
        if stage.samples > 0 and stage.factorise > 0 and not learned:
            raise InputError(
                f"The general model '{model.facts.name}' has no E, so --samples {stage.samples} need step 2, where it "
                "learns to make them; give --project above 0 too, or --samples 0."
            )
    prior, turn = replace(config.prior, iterations=0), replace(config.turn, use=False)
    nets = replace(config.nets, width=model.facts.width)
    if refine == 0:  # one pass costs so little that it is made in full precision
        stages, config = (), replace(config, compute=replace(config.compute, precision="fp32"))
    return replace(config, stages=stages, prior=prior, turn=turn, nets=nets)
