"""From the arguments of `bozzetto bench heads` to what makes its rows."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from bozzetto.bench.makers import Fit, Fixed, Maker, Perfect, PriorAlone
from bozzetto.bench.rows import ROWS, Row
from bozzetto.bench.run_heads import HeadsRun, load_average, load_test_heads, training_split
from bozzetto.bench.spoilt import Spoilt
from bozzetto.bench.supervised import Supervised, SupervisedConfig
from bozzetto.cli.progress import Shown
from bozzetto.config import FitConfig
from bozzetto.errors import InputError
from bozzetto.gan.invert import InvertConfig
from bozzetto.general_model import GeneralModel, built_in_for, load_general
from bozzetto.ingredients import Plan
from bozzetto.inputs import MaskLike, find_gan, read_scenes
from bozzetto.keep import Progress, Quiet
from bozzetto.method.schedule import phases
from bozzetto.pipeline import REFINE, plan
from bozzetto.presets import find_preset
from bozzetto.segment.categories import find_category


@dataclass(frozen=True)
class Heads(HeadsRun):
    gan: str = "heads"  # a built-in generator's name, or a file, of the heads' size
    preset: str = "quick"  # of the row `fit`; all flags below show this preset's values
    prior: str | None = None  # of the row `fit`: shape that it starts from, instead of the preset's
    category: str = "heads"  # what the generator is told to make pictures of
    scenes: Path | None = None  # views and lights measured by `bozzetto estimate-views`
    general: str | None = None  # of the rows `general`: a name or a file; the generator's built-in one if not given
    device: str = "auto"  # auto, cpu or cuda
    overwrite: bool = False  # do finished pieces again
    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)  # how that row is trained


class Bench:
    """The heads, the generator if any row needs one, and the rows' makers."""

    def __init__(
        self, args: Heads, config: FitConfig, inversion: InvertConfig, device: torch.device, fits: bool
    ) -> None:
        """Raises InputError and CheckpointError where something given cannot be used; writes nothing."""
        self.args, self.device = args, device
        prior = config.prior if args.prior is None else replace(config.prior, shape=args.prior)
        self.config = replace(config, prior=prior)
        self.inversion = inversion
        self.gan = find_gan(args.gan, device, config.compute.gan_precision) if fits else None
        self.scenes = None if args.scenes is None else read_scenes(args.scenes)
        find_category(args.category)
        resolution = args.size if self.gan is None else self.gan.info.resolution
        if args.size not in (None, resolution):
            raise InputError(f"The generator makes pictures of {resolution} px, not {args.size}; leave --size out.")
        self.chosen = load_test_heads(args, resolution)
        self.size = int(self.chosen.heads.image.shape[-1])

    def maker(self, row: Row) -> Maker:
        """What makes a row. Raises InputError where the row needs something that is not args."""
        args = self.args
        if row.kind == "perfect":
            return Perfect()
        if row.kind == "spoilt":
            return Spoilt(row.name)
        if row.kind == "constant":
            return Fixed(torch.ones(1, self.size, self.size))
        if row.kind == "average":
            return Fixed(load_average(args, self.size, args.supervised.heads))
        if row.kind == "prior":
            return PriorAlone(row.detail, args.mask, args.category)
        if row.kind == "supervised":
            if args.train_heads is None:
                raise InputError(
                    "The row `supervised` needs --train-heads, a folder of `bozzetto bench make-heads` or make-animals."
                )
            folder = args.json.with_suffix("") / row.name
            heads = training_split(args.train_heads)
            return Supervised(args.supervised, heads, folder, self.size, self.device, told=tell_training)
        config = self.config_of(row)
        model = self.general() if row.kind == "general" else None

        def planned(photo: Tensor, mask: MaskLike, seed: int) -> Plan:
            assert self.gan is not None
            return plan(
                photo,
                self.gan,
                mask=mask,
                seed=seed,
                config=config,
                category=args.category,
                inversion=self.inversion,
                scenes=self.scenes,
                general=model,
                refine=None if model is None or row.detail else 0,
            )

        return Fit(planned, args.mask, row.name, args.out, args.overwrite)

    def general(self) -> GeneralModel:
        """The general model of its rows. Raises InputError where there is none, CheckpointError where it is no good."""
        name = self.args.general or built_in_for(self.args.gan)
        if name is None:
            raise InputError(
                f"There is no general model built in for the generator '{self.args.gan}'; give one to --general, or "
                "leave its rows out of --rows."
            )
        return load_general(name, self.device)

    def config_of(self, row: Row) -> FitConfig:
        """The settings of a row that is a fit."""
        if row.kind == "general":
            return find_preset(REFINE)
        return find_preset(row.detail) if row.detail else self.config

    def progress(self, row: str, head: int, seed: int | None) -> AbstractContextManager[Progress]:
        """What hears of a piece: a bar for fits, nothing for what takes no time."""
        if ROWS[row].kind != "fit" and row != "general+refine":
            return nullcontext(Quiet())
        config = self.config_of(ROWS[row])
        return Shown(phases(config, config.prior.shape != "none"), f"{row} head {head}", terse=True)


def tell_training(done: int, total: int, loss: float) -> None:
    """A line now and then."""
    if done % 200 == 0 or done == total:
        sys.stderr.write(f"supervised: {done} of {total} iterations, error {100 * loss:.2f} % of the half range\n")
