"""The schedules are the papers' tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bozzetto.config import FitConfig, ProjectConfig, Stage
from bozzetto.errors import InputError
from bozzetto.method.schedule import Phase, phases
from bozzetto.presets import PRESETS, find_preset

# Iterations of steps 1, 2 and 3 and Np of every stage, and where step 3 has the mirror branch. Step 1 never has it.
TABLES: dict[str, list[tuple[int, int, int, int, bool]]] = {
    # Galatolo & Nilsson, Tables 1 and 2 (faces and cats).
    "rep": [(700, 700, 600, 16, False)] + 3 * [(200, 500, 400, 16, False)],
    "rep-init": [(700, 0, 0, 16, False)]
    + 10 * [(1, 1, 1, 128, False)]
    + [(1, 700, 600, 16, False)]
    + 3 * [(200, 500, 400, 16, False)],
    # Pan et al.
    "pan-face": [(600, 600, 400, 16, True)] + 3 * [(200, 500, 300, 16, False)],
    "pan-car": [(700, 700, 600, 8, False)] + 3 * [(200, 500, 400, 8, False)],
    "pan-synface": [(500, 500, 200, 16, True)],
}


def stages_of(rows: tuple[Phase, ...]) -> list[tuple[int, int, int, int, bool]]:
    """The rows of a table that phases came from."""
    out = []
    for number in range(1, rows[-1].stage + 1):
        mine = [row for row in rows if row.stage == number]
        count = {row.kind: row.iterations for row in mine}
        steps = (count.get("albedo", 0), count.get("project", 0), count.get("factorise", 0))
        mirrored = [row.kind for row in mine if row.mirror]
        assert mirrored in ([], ["factorise"])
        assert len({row.samples for row in mine}) == 1
        out.append((*steps, mine[0].samples, bool(mirrored)))
    return out


@pytest.mark.parametrize("name", TABLES)
def test_presets_are_the_tables(name: str) -> None:
    config = find_preset(name)
    assert stages_of(phases(config, with_prior=True)) == TABLES[name]
    assert config.prior.iterations == 1000


@pytest.mark.parametrize("name", PRESETS)
def test_what_every_schedule_does(name: str) -> None:
    config = find_preset(name)
    with_prior, without = (phases(config, with_prior=flag) for flag in (True, False))
    first = (Phase("prior", 0, config.prior.iterations),) if config.prior.iterations else ()
    assert with_prior == (*first, *without)
    with_prior = (Phase("prior", 0, config.prior.iterations), *without)
    for before, row in zip(with_prior, without, strict=False):
        assert row.iterations > 0
        if row.kind == "factorise" and row.samples:  # always on samples collected just before, in the same stage
            assert (before.kind, before.stage) == ("collect", row.stage)
            kept = 1 if config.project.collect == "last" else config.project.collect_batches
            assert before.iterations == min(kept, row.iterations)
        if row.samples == 0:  # none drawn, none collected
            assert row.kind in ("albedo", "factorise")
        if row.kind == "collect":
            assert before.kind in ("project", "albedo")
    by_kind = {
        kind: sum(r.iterations for r in without if r.kind == kind) for kind in ("albedo", "project", "factorise")
    }
    table = [(s.albedo, s.project, s.factorise, s.repeat) for s in config.stages]
    for i, kind in enumerate(by_kind):
        assert by_kind[kind] == sum(row[i] * row[3] for row in table)


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("rep", 1000 + (700 + 700 + 600) + 3 * (200 + 500 + 400) + 4),  # and one batch kept a stage
        ("rep-init", 1000 + 700 + 10 * 3 + (1 + 700 + 600) + 3 * (200 + 500 + 400) + 14),
        ("pan-face", 1000 + (600 + 600 + 400) + 3 * (200 + 500 + 300) + 4 * 100),
        ("pan-car", 1000 + (700 + 700 + 600) + 3 * (200 + 500 + 400) + 4 * 100),
        ("pan-synface", 1000 + (500 + 500 + 200) + 100),
    ],
)
def test_iterations_in_all(name: str, total: int) -> None:
    assert sum(row.iterations for row in phases(find_preset(name), with_prior=True)) == total


def test_what_the_papers_disagree_on() -> None:
    rep, pan = find_preset("rep"), find_preset("pan-face")
    assert (rep.loss.perceptual_weight, pan.loss.perceptual_weight) == (1.0, 0.5)
    assert (rep.view.translation_z, pan.view.translation_z) == (0.1, 0.0)
    assert (rep.project.collect, pan.project.collect) == ("last", "redraw")
    assert (rep.project.relative, pan.project.relative, find_preset("pan-car").project.relative) == (False, True, False)
    assert (pan.project.tail_layers, find_preset("pan-synface").project.tail_layers) == (2, 8)
    for config in (rep, pan):
        assert (config.optim.lr, config.optim.beta1, config.optim.beta2, config.optim.weight_decay) == (
            1e-4,
            0.9,
            0.999,
            5e-4,
        )
        weights = config.loss.smooth_depth_weight, config.loss.smooth_light_weight, config.loss.offset_weight
        assert weights == (0.01, 0.01, 0.01)
        assert (config.view.rotation_deg, config.view.translation) == (60.0, 0.1)


def test_steps_without_iterations_are_left_out() -> None:
    config = FitConfig(stages=(Stage(5, 0, 0), Stage(0, 0, 3, samples=2), Stage(0, 4, 0)), project=ProjectConfig())
    rows = phases(config, with_prior=False)
    assert [(row.kind, row.stage, row.iterations) for row in rows] == [
        ("albedo", 1, 5),
        ("collect", 2, 3),  # no more batches than iterations that could see them
        ("factorise", 2, 3),
        ("project", 3, 4),
    ]
    assert phases(replace(config, prior=replace(config.prior, iterations=0)), with_prior=True) == rows
    assert [row.title for row in rows[:2]] == ["stage 1 albedo", "stage 2 collect"]


@pytest.mark.parametrize(
    ("mirror", "mirror_albedo", "kinds"),
    [
        (False, False, set()),
        (True, False, {"factorise"}),
        (False, True, {"albedo"}),
        (True, True, {"albedo", "factorise"}),
    ],
)
def test_steps_1_and_3_have_a_mirror_branch_each(mirror: bool, mirror_albedo: bool, kinds: set[str]) -> None:
    config = FitConfig(stages=(Stage(1, 1, 1, mirror=mirror, mirror_albedo=mirror_albedo),))
    assert {row.kind for row in phases(config, with_prior=True) if row.mirror} == kinds


def test_the_quick_preset_mirrors_in_both_steps() -> None:
    rows = phases(find_preset("quick"), with_prior=True)
    assert {row.kind for row in rows if row.mirror} == {"albedo", "factorise"}


def test_an_unknown_preset_is_told_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no preset 'fast'.*rep-init"):
        find_preset("fast")
