"""The joint training: its schedule, that every photo teaches, bit-equal resumption, shares of processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load, load_file, save, save_file
from tiny_problem import EVERYTHING, SHORT
from torch import Tensor
from watchers import differing

from bozzetto.config import GeneralConfig, Round
from bozzetto.errors import FitError, InputError
from bozzetto.method.collected import Collected
from bozzetto.method.instance import new_state
from bozzetto.method.joint import JointEvent, JointFit, JointState, new_joint_state
from bozzetto.method.joint_schedule import batch_of, joint_phases, visits
from bozzetto.method.problem import Problem
from bozzetto.method.step3_factorise import FactoriseStep, factorise_terms
from bozzetto.presets import GENERAL_PRESETS
from bozzetto.seeds import seeded

MakeProblem = Callable[..., Problem]

BATCHES = GeneralConfig(
    (Round(1, 1, 0, 0, samples=4), Round(2, 2, 1, 2, samples=2, mirror=True)),
    replace(SHORT, stages=()),
    batch=2,
    prior_epochs=2,
)
TOGETHER = GeneralConfig(
    (Round(2, 1, 2, 3, samples=2, visit="all", mirror=True, mirror_albedo=True),),
    replace(EVERYTHING, stages=()),
    batch=2,
    prior_epochs=1,
)


class Watch:
    """Keeps every event; judges with the scores it is given."""

    def __init__(self, scores: list[float] | None = None) -> None:
        self.scores = scores or []
        self.events: list[JointEvent] = []
        self.judged: list[int] = []

    def on_iteration(self, event: JointEvent) -> None:
        self.events.append(event)

    def on_state(self, state: JointState) -> None:
        return None

    def on_overwriting(self, state: JointState) -> None:
        return None

    def validate(self, state: JointState, epoch: int) -> float | None:
        self.judged.append(epoch)
        return self.scores[len(self.judged) - 1] if self.scores else None


class Enough(Exception):
    """Stops a training."""


class StopAt(Watch):
    """Stops before an iteration, and keeps the state as a file would."""

    def __init__(self, at: int) -> None:
        super().__init__([3.0, 2.0, 4.0, 5.0])
        self.at, self.kept = at, b""

    def on_state(self, state: JointState) -> None:
        if len(self.events) == self.at:
            self.kept = save({name: value.contiguous() for name, value in state.tensors().items()})
            raise Enough


def of(make_problem: MakeProblem, config: GeneralConfig, photos: int = 3) -> Problem:
    return make_problem(photos, config.fit)


def test_a_schedule_of_batches_is_the_papers(make_problem: MakeProblem) -> None:
    rows = joint_phases(GENERAL_PRESETS["general"], 95, with_prior=True)
    assert (rows[0].step.kind, rows[0].step.iterations, rows[0].visit) == ("prior", 1000 * 10, None)
    assert [row.visit for row in rows[1:41:4]] == list(range(10))
    assert len(rows) == 1 + 60 * 10 * 4
    assert [row.step.iterations for row in rows[1:5]] == [13, 22, 1, 18]
    assert {row.step.samples for row in rows[1:]} == {16}
    assert [row.ends_epoch for row in rows[1:41]] == [False] * 39 + [True]
    many = joint_phases(GENERAL_PRESETS["general-init"], 95, with_prior=False)
    assert [row.step.iterations for row in many[:4]] == [13, 1, 1, 1]
    assert {row.step.samples for row in many if row.epoch <= 10} == {128}
    assert {row.step.samples for row in many if row.epoch > 10} == {16}


def test_joint_stages_of_pan_take_every_photo_in_a_visit() -> None:
    rows = joint_phases(GENERAL_PRESETS["pan-joint"], 200, with_prior=False)
    iterations = [row.step.iterations for row in rows if row.step.kind != "collect"]
    assert iterations == [1500, 1500, 1500] + 3 * [700, 1000, 1000]
    assert all(row.visit is None for row in rows)
    # Every photo's samples are renewed as often as the settings say: 4 batches in turn of 25 visits each.
    assert {row.step.iterations for row in rows if row.step.kind == "collect"} == {4 * 25}


@pytest.mark.parametrize(("photos", "batch"), [(7, 3), (6, 3), (5, 8), (1, 4)])
def test_an_epoch_takes_every_photo(photos: int, batch: int) -> None:
    batches = replace(BATCHES, batch=batch)
    together = replace(TOGETHER, batch=batch)
    count = visits(photos, batch)
    assert count == math.ceil(photos / min(batch, photos))
    rows = [row for row in joint_phases(batches, photos, True) if row.epoch == 2 and row.step.kind == "project"]
    assert len(rows) == count
    seen = torch.cat([batch_of(row, i, 0, 5, photos, batch) for i, row in enumerate(rows)])
    assert set(seen.tolist()) == set(range(photos))
    assert len(seen) == count * min(batch, photos)
    for row in joint_phases(together, photos, True):
        if row.step.iterations >= count:
            seen = torch.cat([batch_of(row, 9, i, 5, photos, batch) for i in range(count)])
            assert set(seen.tolist()) == set(range(photos)), row


def test_orders_differ_from_epoch_to_epoch_and_not_from_call_to_call() -> None:
    row = joint_phases(TOGETHER, 40, True)[1]
    first, again, other = (batch_of(row, 1, i, 0, 40, 8) for i in (0, 0, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_step_3_of_the_joint_training_is_that_of_one_photo(make_problem: MakeProblem) -> None:
    problem = make_problem(2, EVERYTHING)
    nets = new_state(problem, 0).nets
    collected = torch.rand(6, 2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    step = FactoriseStep(problem, nets, collected, samples=4, mirror=True)
    one = step.loss(torch.Generator().manual_seed(2))
    targets, item = step.draw(torch.Generator().manual_seed(2))
    other = factorise_terms(problem, nets, targets, item, mirror=True)
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], msg=name)


def test_every_photo_of_a_batch_gets_its_gradient(make_problem: MakeProblem) -> None:
    problem = make_problem(3, replace(SHORT, stages=()))
    problem = replace(problem, photo=problem.photo.clone().requires_grad_())
    nets = new_state(problem, 0).nets
    targets = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    terms = factorise_terms(problem, nets, targets, torch.arange(3).repeat_interleave(2), mirror=False)
    terms["total"].backward()
    assert problem.photo.grad is not None
    assert bool((problem.photo.grad.flatten(1).abs().amax(1) > 0).all())


def test_taking_photos_out_of_a_problem_takes_all_that_is_theirs(make_problem: MakeProblem) -> None:
    problem = make_problem(3, EVERYTHING)
    part = problem.take(torch.tensor([2, 0]))
    assert problem.turned is not None
    assert part.turned is not None
    for whole, some in [
        (problem.photo, part.photo),
        (problem.mask, part.mask),
        (problem.latent, part.latent),
        (problem.prior, part.prior),
        *(
            (getattr(problem.turned, n).transpose(0, 1), getattr(part.turned, n).transpose(0, 1))
            for n in ("images", "view", "light")
        ),
    ]:
        assert whole is not None
        assert some is not None
        assert torch.equal(some, torch.stack((whole[2], whole[0])))


@pytest.mark.parametrize("config", [BATCHES, TOGETHER], ids=["batches", "together"])
def test_a_training_goes_on_bit_for_bit(make_problem: MakeProblem, config: GeneralConfig, tmp_path: Path) -> None:
    problem = of(make_problem, config)

    def final(state: JointState) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in state.tensors().items()}

    whole = new_joint_state(problem, 3)
    watch = Watch([3.0, 2.0, 4.0, 5.0])
    (tmp_path / "whole").mkdir()
    JointFit(problem, config, 3, tmp_path / "whole").run(whole, watch)
    total = len(watch.events)
    assert watch.events[-1].done == watch.events[-1].total == total
    assert not math.isinf(whole.best_score)
    for at in (1, total // 3, total // 2, 2 * total // 3, total - 1):
        stop = StopAt(at)
        (tmp_path / str(at)).mkdir()
        with suppress(Enough):
            JointFit(problem, config, 3, tmp_path / str(at)).run(new_joint_state(problem, 3), stop)
        resumed = new_joint_state(problem, 99)
        resumed.restore(load(stop.kept), problem)
        rest = Watch([3.0, 2.0, 4.0, 5.0][len(stop.judged) :])
        JointFit(problem, config, 3, tmp_path / str(at)).run(resumed, rest)
        assert len(rest.events) == total - at
        assert not differing(final(whole), final(resumed)), at


def test_only_a_steps_own_networks_move_and_all_do(make_problem: MakeProblem) -> None:
    problem = of(make_problem, BATCHES)
    state = new_joint_state(problem, 0)
    before = {name: value.clone() for name, value in state.nets.state().items()}
    JointFit(problem, BATCHES, 0).run(state, Watch())
    moved = {name.split(".")[0] for name in differing(before, state.nets.state())}
    assert moved == {"view", "light", "depth", "albedo", "offset"}
    still = new_joint_state(problem, 0)
    only = replace(BATCHES, rounds=(Round(1, 2, 0, 0),), prior_epochs=0)
    JointFit(problem, only, 0).run(still, Watch())
    assert {name.split(".")[0] for name in differing(before, still.nets.state())} == {"albedo"}


def test_the_best_networks_are_kept_and_patience_ends_a_training(make_problem: MakeProblem) -> None:
    problem = of(make_problem, TOGETHER)
    config = replace(TOGETHER, rounds=(replace(TOGETHER.rounds[0], epochs=6),), patience=2)
    state, watch = new_joint_state(problem, 0), Watch([5.0, 2.0, 3.0, 2.5, 1.0, 0.0])
    JointFit(problem, config, 0).run(state, watch)
    assert watch.judged == [1, 2, 3, 4]  # the fifth, better one never came
    assert state.best_score == 2.0
    two = new_joint_state(problem, 0)
    # Its networks are those that two epochs of the same schedule end with.
    stop = replace(config, patience=1)
    JointFit(problem, stop, 0).run(two, Watch([5.0, 2.0, 3.0]))
    assert not differing(state.nets.state(), two.nets.state())


def test_a_loss_that_is_no_number_ends_the_training(make_problem: MakeProblem) -> None:
    problem = of(make_problem, BATCHES)
    broken = replace(problem, prior=problem.prior * math.nan)  # type: ignore[operator]
    with pytest.raises(FitError, match=r"became nan in prior, iteration 1"):
        JointFit(broken, BATCHES, 0).run(new_joint_state(broken, 0), Watch())


def test_samples_come_back_as_they_were_kept(tmp_path: Path) -> None:
    images = torch.rand(2 * 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    store = Collected(tmp_path / "x", photos=4, kept=6, size=16)
    store.put(torch.tensor([3, 1]), 1, images)
    store.flush()
    again = Collected(tmp_path / "x", photos=4, kept=6, size=16)
    found = again.take(torch.tensor([3, 1, 1, 0]), torch.tensor([3, 5, 0, 0]))
    torch.testing.assert_close(found[:2], images[[0, 5]], rtol=0, atol=2**-12)
    assert torch.equal(found[2:], torch.zeros(2, 3, 16, 16))


def test_random_numbers_are_those_of_the_key_alone() -> None:
    one, same, other = (torch.rand(4, generator=seeded(*key)) for key in ((1, 2, 3), (1, 2, 3), (1, 3, 2)))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def share(rank: int, folder: str) -> None:
    """One of two processes of a training."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", (Path(folder) / "store").as_uri(), rank=rank, world_size=2)
    problem = load_problem(Path(folder))
    state = new_joint_state(problem, 0)
    JointFit(problem, TOGETHER, 0, Path(folder)).run(state, Watch([2.0, 1.0]))
    save_file({k: v.contiguous() for k, v in state.tensors().items()}, f"{folder}/{rank}.safetensors")
    dist.destroy_process_group()


def load_problem(folder: Path) -> Problem:
    problem = torch.load(folder / "problem.pt", weights_only=False)
    assert isinstance(problem, Problem)
    return problem


def test_two_processes_train_one_model(make_problem: MakeProblem, tmp_path: Path) -> None:
    torch.save(of(make_problem, TOGETHER, 4), tmp_path / "problem.pt")
    mp.spawn(share, (str(tmp_path),), nprocs=2)
    a, b = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert not differing(a, b)
    alone = new_joint_state(load_problem(tmp_path), 0)
    assert differing(alone.nets.state(), {k[5:]: v for k, v in a.items() if k.startswith("nets.")})


def test_a_batch_that_cannot_be_shared_is_refused(make_problem: MakeProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    with pytest.raises(InputError, match="batch of 3 cannot be shared by 2"):
        JointFit(of(make_problem, BATCHES), replace(BATCHES, batch=3), 0)
