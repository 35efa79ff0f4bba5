"""Closed forms of the training losses."""

from __future__ import annotations

import math

import torch

from bozzetto.gan.training import losses


def test_logits_of_zero_cost_log_two_a_side() -> None:
    zero = torch.zeros(5, 1)
    torch.testing.assert_close(losses.discriminator_loss(zero, zero), torch.tensor(2 * math.log(2)))
    torch.testing.assert_close(losses.generator_loss(zero), torch.tensor(math.log(2)))


def test_gradient_of_the_generator_does_not_vanish_where_it_loses() -> None:
    fake = torch.full((1, 1), -50.0, requires_grad=True)
    losses.generator_loss(fake).backward()
    torch.testing.assert_close(fake.grad, torch.full((1, 1), -1.0))


def test_r1_of_a_linear_judge_is_its_squared_norm() -> None:
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    images = torch.rand(6, 3, 4, 4)
    penalty = losses.r1_penalty(lambda x: (x * weight).sum((1, 2, 3))[:, None], images)
    torch.testing.assert_close(penalty, weight.square().sum())
    penalty.backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())


def test_path_length_of_a_linear_generator() -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(5, 3 * 8 * 8, generator=generator)
    w = torch.randn(2, 4, 5, generator=generator, requires_grad=True)
    noise = torch.randn(2, 3, 8, 8, generator=generator)
    image = (w.sum(1) @ matrix).view(2, 3, 8, 8)
    each = (noise.flatten(1) @ matrix.t()) / 8  # the gradient of every layer
    torch.testing.assert_close(losses.path_lengths(image, w, noise), each.square().sum(1).sqrt())


def test_path_penalty_is_zero_where_all_lengths_are_the_mean() -> None:
    penalty, mean = losses.path_penalty(torch.full((3,), 2.0), torch.tensor(2.0))
    assert float(penalty) == 0
    assert float(mean) == 2
    _, moved = losses.path_penalty(torch.tensor([4.0]), torch.tensor(2.0), decay=0.25)
    assert float(moved) == 2.5


def test_average_halves_after_the_half_life() -> None:
    assert math.isclose(losses.ema_decay(32, 320.0) ** 10, 0.5)
