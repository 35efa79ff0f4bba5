"""The schedules of both papers and ours, as data."""

from __future__ import annotations

from bozzetto.config import (
    ComputeConfig,
    FitConfig,
    GeneralConfig,
    LossConfig,
    NetConfig,
    OptimConfig,
    PriorConfig,
    ProjectConfig,
    Round,
    Stage,
    TurnConfig,
    ViewConfig,
)
from bozzetto.errors import InputError

_REP_LOSS = LossConfig(perceptual_weight=1.0)
_REP_PROJECT = ProjectConfig(relative=False, collect="last")
_REP_VIEW = ViewConfig(translation_z=0.1)

PRESETS: dict[str, FitConfig] = {
    # Ours: two minutes on two CPU cores at 64 px, or four without bfloat16. The object's turn is found first
    # (method/turn.py) and anchors V and L; thin networks, few samples, and bfloat16 where it is fast make iterations
    # cheap; the depth is held smooth and near the prior.
    "quick": FitConfig(
        stages=(Stage(albedo=60, project=150, factorise=400, samples=4, mirror=True, mirror_albedo=True),),
        optim=OptimConfig(lr=3e-4, final_lr=0.05, prior_lr=5e-4, project_lr=5e-4),
        loss=LossConfig(smooth_depth_weight=6.0, prior_weight=0.5),
        project=ProjectConfig(collect_batches=24, teach=True),
        prior=PriorConfig(iterations=150),
        turn=TurnConfig(use=True),
        nets=NetConfig(width=0.5),
        compute=ComputeConfig(precision="auto", gan_precision="auto"),
        texture="photo",
    ),
    # Ours, with a general model: the photo alone, from that model's networks. What many pictures taught them is worth
    # more than a few projected samples of this one (docs/log.md); --project 60 --samples 4 brings these back. The
    # depth is held near what the model sees.
    "refine": FitConfig(
        stages=(Stage(albedo=120, project=0, factorise=150, samples=0, mirror=True, mirror_albedo=True),),
        optim=OptimConfig(lr=4e-4, final_lr=0.05, project_lr=5e-4),
        loss=LossConfig(smooth_depth_weight=4.0, prior_weight=0.5),
        project=ProjectConfig(collect_batches=16, teach=True),
        prior=PriorConfig(iterations=0),
        compute=ComputeConfig(precision="auto", gan_precision="auto"),
        texture="photo",
    ),
    # Galatolo & Nilsson, Table 1 (Np 16 for faces and cats; 8 for cars).
    "rep": FitConfig(
        stages=(Stage(700, 700, 600, samples=16), Stage(200, 500, 400, samples=16, repeat=3)),
        loss=_REP_LOSS,
        project=_REP_PROJECT,
        view=_REP_VIEW,
    ),
    # Galatolo & Nilsson, Table 2.
    "rep-init": FitConfig(
        stages=(
            Stage(700, 0, 0, samples=16),
            Stage(1, 1, 1, samples=128, repeat=10),
            Stage(1, 700, 600, samples=16),
            Stage(200, 500, 400, samples=16, repeat=3),
        ),
        loss=_REP_LOSS,
        project=_REP_PROJECT,
        view=_REP_VIEW,
    ),
    # Pan et al., faces.
    "pan-face": FitConfig(
        stages=(Stage(600, 600, 400, samples=16, mirror=True), Stage(200, 500, 300, samples=16, repeat=3)),
    ),
    # Pan et al., cars: no mirror branch, absolute offsets.
    "pan-car": FitConfig(
        stages=(Stage(700, 700, 600, samples=8), Stage(200, 500, 400, samples=8, repeat=3)),
        project=ProjectConfig(relative=False),
    ),
    # Pan et al., synthetic faces: one stage, from a jointly trained model where there is one.
    "pan-synface": FitConfig(
        stages=(Stage(500, 500, 200, samples=16, mirror=True),),
        project=ProjectConfig(tail_layers=8),
    ),
}


_REP_FIT = FitConfig(stages=(), loss=_REP_LOSS, project=_REP_PROJECT, view=_REP_VIEW)

# One model for many photos; see `bozzetto general train`.
GENERAL_PRESETS: dict[str, GeneralConfig] = {
    # Ours. What `quick` does for one photo, for all of them at once: the turn of every photo anchors V and L.
    "general-quick": GeneralConfig(
        rounds=(Round(4, 0, 80, 250, samples=2, visit="all", mirror=True),),
        fit=FitConfig(
            stages=(),
            optim=OptimConfig(lr=5e-4, final_lr=0.05, prior_lr=1e-3, project_lr=5e-4),
            loss=LossConfig(smooth_depth_weight=6.0, prior_weight=0.2),
            project=ProjectConfig(collect_batches=4, teach=True),
            turn=TurnConfig(use=True, steps=3, iterations=30, albedo_weight=1.0),
            nets=NetConfig(width=0.25),
            compute=ComputeConfig(precision="auto", gan_precision="auto"),
        ),
        batch=8,
        prior_epochs=60,
    ),
    # Galatolo & Nilsson, Table 3; every photo of a batch gets its gradient, which theirs gave to the first one only.
    "general": GeneralConfig(rounds=(Round(60, 13, 22, 18),), fit=_REP_FIT, batch=10),
    # Galatolo & Nilsson, Table 4: initialisation epochs with many samples first.
    "general-init": GeneralConfig(
        rounds=(Round(10, 13, 1, 1, samples=128), Round(60, 13, 22, 18)), fit=_REP_FIT, batch=10
    ),
    # Pan et al.: 200 photos together, four stages.
    "pan-joint": GeneralConfig(
        rounds=(
            Round(1, 1500, 1500, 1500, samples=8, visit="all", mirror=True),
            Round(3, 700, 1000, 1000, samples=8, visit="all", mirror=True),
        ),
        fit=FitConfig(stages=(), project=ProjectConfig(collect_batches=4)),
        batch=8,
        prior_epochs=1000,
    ),
}


def find_general_preset(name: str) -> GeneralConfig:
    """The settings of a joint training by its preset's name. Raises InputError for a name that has none."""
    if name not in GENERAL_PRESETS:
        raise InputError(
            f"There is no preset {name!r} for a general model; choose one of {', '.join(GENERAL_PRESETS)}."
        )
    return GENERAL_PRESETS[name]


def find_preset(name: str) -> FitConfig:
    """The settings of a preset's name. Raises InputError for a name that has none."""
    if name not in PRESETS:
        raise InputError(f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
