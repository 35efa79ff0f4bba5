"""The loop: what moves when, the same again, and going on where it stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_problem import EVERYTHING, SHORT
from torch import Tensor
from watchers import Boundaries, Enough, Recorder, Twin, differing

from bozzetto.config import FitConfig, NetConfig, OptimConfig, PriorConfig, ProjectConfig, Stage
from bozzetto.errors import FitError
from bozzetto.method.instance import Event, fit, moves_at, new_state
from bozzetto.method.problem import Problem
from bozzetto.method.schedule import phases
from bozzetto.method.state import FitState
from bozzetto.method.step1_albedo import AlbedoStep
from bozzetto.method.step3_factorise import FactoriseStep

MakeProblem = Callable[..., Problem]


def run(problem: Problem, seed: int = 0) -> tuple[dict[str, Tensor], Recorder]:
    recorder, state = Recorder(), new_state(problem, seed)
    fit(problem, state, recorder)
    return state.tensors(), recorder


def with_compute(problem: Problem, **changes: object) -> Problem:
    return replace(problem, config=replace(problem.config, compute=replace(problem.config.compute, **changes)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def problem(make_problem: MakeProblem) -> Problem:
    return make_problem()


Finished = tuple[dict[str, Tensor], Boundaries]


@pytest.fixture(scope="module")
def finished(problem: Problem) -> Finished:
    """The state at the end of a fit, and what was seen on the way."""
    state = new_state(problem, 0)
    watcher = Boundaries(state)
    fit(problem, state, watcher)
    return state.tensors(), watcher


def test_every_phase_changes_its_own_networks_and_no_others(problem: Problem, finished: Finished) -> None:
    expected = {
        "prior": {"depth"},
        "albedo": {"albedo"},
        "project": {"offset"},
        "collect": set(),
        "factorise": {"view", "light", "depth", "albedo"},
    }
    rows = phases(problem.config, with_prior=True)
    assert [set(moves_at(problem, i)) for i in range(len(rows))] == [expected[row.kind] for row in rows]
    assert len(finished[1].changed) == len(rows) == 9
    for row, changed in zip(rows, finished[1].changed, strict=True):
        # Bit for bit no other tensor, and each of these.
        assert changed == {key for key in finished[1].before if key.split(".")[0] in expected[row.kind]}, row


def test_with_turned_pictures_and_teaching_view_and_light_move_in_steps_0_and_2_too(make_problem: MakeProblem) -> None:
    problem = make_problem(config=EVERYTHING)
    state = new_state(problem, 0)
    watcher = Boundaries(state)
    fit(problem, state, watcher)
    expected = [
        {"depth", "view", "light"},
        {"albedo"},
        {"offset", "view", "light"},
        set(),
        {"view", "light", "depth", "albedo"},
    ]
    assert [set(moves_at(problem, i)) for i in range(5)] == expected
    for changed, names in zip(watcher.changed, expected, strict=True):
        assert changed == {key for key in watcher.before if key.split(".")[0] in names}
    plain = replace(problem, turned=None, config=SHORT)
    assert moves_at(plain, 0) == ("depth",)
    assert moves_at(plain, 2) == ("offset",)


def test_every_step_has_its_learning_rate_and_step_3s_falls(make_problem: MakeProblem) -> None:
    problem = make_problem(config=EVERYTHING)
    rates: list[tuple[str, float]] = []

    class Rates(Recorder):
        def on_iteration(self, event: Event) -> None:
            if state.optimiser is not None:
                rates.append((event.phase.kind, state.optimiser.param_groups[0]["lr"]))

    state = new_state(problem, 0)
    fit(problem, state, Rates())
    assert [kind for kind, _ in rates] == ["prior"] * 2 + ["albedo"] * 2 + ["project"] * 3 + ["factorise"] * 3
    # From lr to a tenth of it by half a cosine, of which thirds are passed: 1, 3/4 and 1/4 of the way are left.
    falling = [2e-4 * (0.1 + 0.9 * left) for left in (1, 0.75, 0.25)]
    assert [rate for _, rate in rates] == pytest.approx([5e-4] * 2 + [2e-4] * 2 + [3e-4] * 3 + falling)


def test_a_rate_of_0_leaves_the_steps_networks_where_they_are(make_problem: MakeProblem) -> None:
    config = replace(EVERYTHING, optim=OptimConfig(lr=0.0, prior_lr=0.0, project_lr=1e-3))
    problem = make_problem(config=config)
    state = new_state(problem, 0)
    watcher = Boundaries(state)
    fit(problem, state, watcher)
    assert [{key.split(".")[0] for key in changed} for changed in watcher.changed] == [
        set(),
        set(),
        {"offset", "view", "light"},
        set(),
        set(),
    ]


def test_the_width_is_that_of_the_settings(make_problem: MakeProblem) -> None:
    def weights(width: float) -> dict[str, int]:
        nets = new_state(make_problem(config=FitConfig(stages=(), nets=NetConfig(width=width))), 0).nets
        return {name: sum(p.numel() for p in net.parameters()) for name, net in nets}

    whole, half = weights(1.0), weights(0.5)
    assert half["offset"] == whole["offset"]
    assert all(half[name] < 0.5 * whole[name] for name in ("view", "light", "depth", "albedo"))


@pytest.mark.parametrize(("photos", "config"), [(1, SHORT), (2, SHORT), (2, EVERYTHING)])
def test_computing_fixed_things_once_changes_nothing(make_problem: MakeProblem, photos: int, config: FitConfig) -> None:
    problem = make_problem(photos, config)
    plain, _ = run(with_compute(problem, reuse=False))
    quick, _ = run(with_compute(problem, reuse=True))
    assert not differing(plain, quick)


def test_the_same_seed_gives_the_same_fit_and_another_another(
    make_problem: MakeProblem, problem: Problem, finished: Finished
) -> None:
    torch.rand(17)  # the global generator is nobody's business
    assert not differing(finished[0], run(problem, seed=0)[0])
    short = make_problem(config=FitConfig(stages=(Stage(1, 1, 0, samples=2),), prior=PriorConfig(iterations=1)))
    one, other = (run(short, seed)[0] for seed in (0, 5))
    assert {key for key in other if key.startswith("nets.") and other[key].ndim == 4} <= differing(one, other)


@pytest.mark.parametrize(
    ("fused", "config"),
    [
        (True, SHORT),
        (False, replace(SHORT, project=ProjectConfig(collect="last"))),
        (True, EVERYTHING),
    ],
)
def test_interrupted_after_any_iteration_and_resumed_is_uninterrupted(
    make_problem: MakeProblem, fused: bool, config: FitConfig
) -> None:
    """Step by step, inside phases and between them, the random generator, Adam's moments and the samples included."""
    problem = with_compute(make_problem(config=config), fused_adam=fused)
    state = new_state(problem, 0)
    twin = Twin(problem, state)
    fit(problem, state, twin)
    rows = phases(problem.config, with_prior=True)
    assert len(twin.positions) == sum(row.iterations for row in rows)
    assert twin.positions[-1] == (len(rows), 0)


def test_a_file_of_a_stopped_fit_leads_to_the_same_end(problem: Problem, finished: Finished, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"

    class Stopper(Recorder):
        def on_state(self, state: FitState) -> None:
            if (state.phase, state.iteration) == (2, 1):
                save_file(state.tensors(), path)
                raise Enough

    with pytest.raises(Enough):
        fit(problem, new_state(problem, 0), Stopper())
    state = new_state(problem, 1)
    state.restore(load_file(path), moves_at(problem, 2), problem.config.optim, True)
    fit(problem, state)
    assert not differing(state.tensors(), finished[0])


def test_a_state_taken_does_not_change_when_the_fit_goes_on(finished: Finished) -> None:
    assert len(finished[1].kept) == 2
    for saved, copied in finished[1].kept:
        assert not differing(saved, copied)


def test_events_count_to_the_end(problem: Problem, finished: Finished) -> None:
    recorder = finished[1]
    total = sum(row.iterations for row in phases(problem.config, with_prior=True))
    assert [event.done for event in recorder.events] == list(range(1, total + 1))
    assert {event.total for event in recorder.events} == {total}
    for event in recorder.events:
        assert 1 <= event.iteration <= event.phase.iterations
        terms = {name: value for name, value in event.terms.items() if name != "total"}
        if event.phase.kind == "collect":
            assert not event.terms
        elif event.phase.kind != "prior":
            assert event.terms["total"] == pytest.approx(sum(terms.values()), rel=1e-5)


def test_losses_of_every_step_go_down(make_problem: MakeProblem) -> None:
    config = FitConfig(
        stages=(Stage(12, 12, 12, samples=2),),
        optim=OptimConfig(lr=1e-3, prior_lr=1e-3),
        project=ProjectConfig(collect_batches=1),
        prior=PriorConfig(iterations=12),
    )
    _, recorder = run(make_problem(config=config))
    for kind in ("prior", "albedo", "project", "factorise"):
        losses = [event.terms["total"] for event in recorder.events if event.phase.kind == kind]
        assert sum(losses[-3:]) < sum(losses[:3]), kind


def test_the_prior_stops_on_its_threshold(make_problem: MakeProblem) -> None:
    config = FitConfig(stages=(), optim=OptimConfig(prior_lr=1e-3), prior=PriorConfig(iterations=16, threshold=0.0))
    _, full = run(make_problem(config=config))
    errors = [event.terms["prior"] for event in full.events]
    assert len(errors) == 16
    threshold = sorted(errors)[8]
    first_below = next(i for i, error in enumerate(errors) if error < threshold)
    assert 0 < first_below < 15
    config = replace(config, prior=replace(config.prior, threshold=threshold))
    _, recorder = run(make_problem(config=config))
    assert [event.terms["prior"] for event in recorder.events] == errors[: first_below + 1]
    assert recorder.positions[-1] == (1, 0)


@pytest.mark.parametrize("mirror", [False, True])
def test_the_schedule_says_where_the_mirror_branch_is(make_problem: MakeProblem, mirror: bool) -> None:
    """`mirror` is step 3's business and `mirror_albedo` step 1's."""
    stage = Stage(1, 0, 1, samples=2, mirror=not mirror, mirror_albedo=mirror)
    problem = make_problem(prior=None, config=FitConfig(stages=(stage,), project=ProjectConfig(collect_batches=1)))
    expected: list[dict[str, float]] = []

    class Foresight(Recorder):
        """Computes what step 3 is about to compute."""

        def on_state(self, state: FitState) -> None:
            if state.phase == 2 and state.iteration == 0:
                generator = torch.Generator()
                generator.set_state(state.generator.get_state())
                kept = torch.stack(state.collected).transpose(0, 1)
                with torch.no_grad():
                    terms = FactoriseStep(problem, state.nets, kept, 2, mirror=not mirror).loss(generator)
                expected.append({name: value.item() for name, value in terms.items()})

    state, foresight = new_state(problem, 0), Foresight()
    with torch.no_grad():
        terms, other = (AlbedoStep(problem, state.nets, flag).loss() for flag in (mirror, not mirror))
    expected.append({name: value.item() for name, value in terms.items()})
    assert expected[0]["l1"] != other["l1"].item()
    fit(problem, state, foresight)
    assert [event.terms for event in foresight.events if event.terms] == expected


def test_without_a_prior_there_is_no_step_0(make_problem: MakeProblem) -> None:
    problem = make_problem(prior=None, config=FitConfig(stages=(Stage(1, 0, 0),)))
    _, recorder = run(problem)
    assert [event.phase.kind for event in recorder.events] == ["albedo"]
    assert moves_at(problem, 0) == ("albedo",)
    assert moves_at(problem, 1000) == ()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_fit_and_says_where(problem: Problem, value: float) -> None:
    healthy = problem
    with pytest.raises(FitError, match=r"stage 1 project, iteration 1"):
        run(replace(healthy, latent=torch.full_like(healthy.latent, value)))
    with pytest.raises(FitError, match=r"in prior, iteration 1"):
        run(replace(healthy, prior=torch.full_like(healthy.photo[:, :1], value)))


@pytest.mark.parametrize("phase", range(1, 5))
def test_networks_that_burst_stop_the_fit_and_not_the_program(problem: Problem, phase: int) -> None:
    """A depth that is no number goes through mesh, rasteriser and warp before any loss sees it."""
    state = new_state(problem, 0)
    for parameter in state.nets.parameters(("depth",)):
        parameter.data.fill_(math.nan)
    state.phase = phase
    if phases(problem.config, with_prior=True)[phase].kind == "factorise":
        state.collected = [torch.zeros(2, 3, 16, 16)]
    with pytest.raises(FitError):
        fit(problem, state)
