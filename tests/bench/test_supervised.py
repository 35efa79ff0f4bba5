from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bozzetto.bench.datasets import decode_heads
from bozzetto.bench.supervised import (
    STATE,
    Supervised,
    SupervisedConfig,
    Training,
    chosen,
    depth_loss,
    order,
    read_training_heads,
    train,
    training_identity,
)
from bozzetto.errors import InputError, OutputError
from bozzetto.keep import Interrupted, Quiet
from tiny_heads import head_arrays, write_training

SIZE = 16
FEW = SupervisedConfig(iterations=6, batch=2, width=0.25)
CPU = torch.device("cpu")


def test_every_epoch_sees_every_head_once_and_depends_on_the_seed_alone() -> None:
    count, batch = 7, 2
    for epoch in range(3):
        seen = torch.cat([chosen(0, epoch * 3 + i, batch, count)[0] for i in range(3)])
        assert len(set(seen.tolist())) == 6  # whole batches; the seventh sits this epoch out
    assert torch.equal(order(3, 1, 50)[0], order(3, 1, 50)[0])
    assert not torch.equal(order(3, 1, 50)[0], order(4, 1, 50)[0])
    assert not torch.equal(order(3, 1, 50)[0], order(3, 2, 50)[0])
    assert 10 < order(0, 0, 50)[1].sum() < 40
    assert len(chosen(0, 5, 8, 3)[0]) == 3  # fewer heads than a batch


def test_the_loss_is_the_mean_error_in_half_ranges_where_the_truth_is_known() -> None:
    truth = torch.full((1, 1, 4, 4), 1.0)
    truth[..., :2] = torch.nan
    depth = torch.full_like(truth, 1.02).requires_grad_()
    loss = depth_loss(depth, truth)
    assert loss.item() == pytest.approx(0.2)
    loss.backward()
    assert depth.grad is not None
    assert torch.equal(depth.grad != 0, ~truth.isnan())


def test_mirrored_heads_are_mirrored_in_photo_and_depth(tmp_path: Path) -> None:
    heads = read_training_heads(write_training(tmp_path / "made") / "train", 3, SIZE)
    both = torch.tensor([1, 1])
    photo, depth = heads.batch(both, torch.tensor([False, True]), CPU)
    assert torch.equal(photo[1], photo[0].flip(2))
    assert not torch.equal(photo[1], photo[0])
    torch.testing.assert_close(depth[1], depth[0].flip(2), equal_nan=True)
    assert photo.shape == (2, 3, SIZE, SIZE)


def test_training_learns_the_depth_it_is_shown(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "made") / "train"
    config = SupervisedConfig(iterations=40, batch=4, width=0.25, lr=1e-3)
    training, losses = Training(config, SIZE, 0, CPU), []
    heads = read_training_heads(folder, 6, SIZE)
    for _ in range(40):
        training.step(heads)
        losses.append(training.loss)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_an_interrupted_training_ends_where_it_would_have_ended_bit_for_bit(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "made") / "train"
    identity = training_identity(folder, 6)

    def load() -> object:
        return read_training_heads(folder, 6, SIZE)

    whole = Training(FEW, SIZE, 5, CPU)
    train(whole, load, identity, tmp_path / "whole")  # type: ignore[arg-type]

    def stop(done: int, total: int, loss: float) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="same command goes on"):
        train(Training(FEW, SIZE, 5, CPU), load, identity, tmp_path / "parts", stop)  # type: ignore[arg-type]
    rest = Training(FEW, SIZE, 5, CPU)
    heard: list[int] = []
    train(rest, load, identity, tmp_path / "parts", lambda done, total, loss: heard.append(done))  # type: ignore[arg-type]
    assert heard == [4, 5, 6]
    for a, b in zip(whole.net.parameters(), rest.net.parameters(), strict=True):
        assert torch.equal(a, b)

    def never() -> object:
        raise AssertionError("a finished training reads no heads")

    done = Training(FEW, SIZE, 5, CPU)
    train(done, never, identity, tmp_path / "parts")  # type: ignore[arg-type]
    assert torch.equal(next(done.net.parameters()), next(rest.net.parameters()))
    with pytest.raises(OutputError, match=r"other settings \(training.lr\)"):
        train(Training(replace(FEW, lr=1.0), SIZE, 5, CPU), load, identity, tmp_path / "parts")  # type: ignore[arg-type]


def test_the_maker_trains_once_a_seed_and_seeds_differ(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "made") / "train"
    lines: list[int] = []
    maker = Supervised(FEW, folder, tmp_path / "kept", SIZE, CPU, lambda done, total, loss: lines.append(done))
    heads = decode_heads({name: values[None] for name, values in head_arrays(SIZE, 0, 0.0).items()})
    first, again, other = (maker.make(heads, seed, tmp_path, Quiet()) for seed in (0, 0, 1))
    assert lines == [1, 2, 3, 4, 5, 6] * 2
    assert torch.equal(first.shape.depth_posed, again.shape.depth_posed)
    assert not torch.equal(first.shape.depth_posed, other.shape.depth_posed)
    assert first.facts["training_seconds"] > 0
    assert (tmp_path / "kept" / "seed_1" / STATE).is_file()
    assert maker.settings(heads, 0) != maker.settings(heads, 1)


def test_heads_of_another_size_and_empty_folders_are_refused(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "made") / "train"
    with pytest.raises(InputError, match="heads of 64 px are needed"):
        read_training_heads(folder, 6, 64)
    with pytest.raises(InputError, match="holds no heads"):
        training_identity(tmp_path, 6)
