"""The same schedule in less time."""

from __future__ import annotations

from dataclasses import replace

from bozzetto.config import FitConfig, GeneralConfig, Stage
from bozzetto.errors import InputError
from bozzetto.presets import find_preset


def shrunk(count: int, share: float) -> int:
    """A share of a number of iterations; none stay none, and some stay at least one."""
    return 0 if count == 0 else max(1, round(count * share))


def studied(preset: str) -> FitConfig:
    """A preset's settings as studies take them: the networks' own albedo, since it is the method that is studied."""
    return replace(find_preset(preset), texture="network")


def scaled(config: FitConfig, share: float, prior: bool = False) -> FitConfig:
    """A fit with a share of the iterations of steps 1 to 3, of `prior` too if asked; all else is kept, rates included.

    Raises InputError for a share that is no positive number up to 1.
    """
    if not 0 < share <= 1:
        raise InputError(f"--scale cannot be {share:g}; give a share from 0 to 1, as in 0.5.")
    if share == 1:
        return config
    stages = tuple(
        Stage(
            albedo=shrunk(stage.albedo, share),
            project=shrunk(stage.project, share),
            factorise=shrunk(stage.factorise, share),
            samples=stage.samples,
            mirror=stage.mirror,
            mirror_albedo=stage.mirror_albedo,
            repeat=stage.repeat,
        )
        for stage in config.stages
    )
    first = replace(config.prior, iterations=shrunk(config.prior.iterations, share)) if prior else config.prior
    project = replace(config.project, collect_batches=shrunk(config.project.collect_batches, share))
    return replace(config, stages=stages, prior=first, project=project)


def scaled_general(config: GeneralConfig, share: float, prior: bool = False) -> GeneralConfig:
    """A joint training with a share of the iterations of every visit, of the prior's epochs too if asked."""
    fit = scaled(config.fit, share, prior)
    rounds = tuple(
        replace(
            part,
            albedo=shrunk(part.albedo, share),
            project=shrunk(part.project, share),
            factorise=shrunk(part.factorise, share),
        )
        for part in config.rounds
    )
    return replace(config, fit=fit, rounds=rounds, prior_epochs=shrunk(config.prior_epochs, share if prior else 1.0))


def with_samples(config: FitConfig, samples: int) -> FitConfig:
    """The same stages with another Np."""
    return replace(config, stages=tuple(replace(stage, samples=samples) for stage in config.stages))
