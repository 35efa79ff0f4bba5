from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from bozzetto.nets.autoencoder import Autoencoder
from bozzetto.nets.blocks import base_channels, initialise, levels
from bozzetto.nets.encoder import Encoder
from bozzetto.nets.networks import NAMES, Networks, make_networks
from bozzetto.nets.offset_encoder import OffsetEncoder

SIZES = [16, 32, 64, 128, 256]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("size", SIZES)
def test_shapes_at_every_size(size: int) -> None:
    with torch.device("meta"):  # shapes without arithmetic
        image = torch.empty(2, 3, size, size)
        assert Encoder(size, 6)(image).shape == (2, 6)
        assert Autoencoder(size, 1)(image).shape == (2, 1, size, size)
        assert Autoencoder(size, 3, nn.Tanh())(image).shape == (2, 3, size, size)
        assert OffsetEncoder(size, 512)(image).shape == (2, 512)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_has_its_own_number_of_levels_down_to_four_pixels(size: int) -> None:
    assert size == 4 * 2 ** levels(size)
    norms = [m for m in Autoencoder(size, 1).modules() if isinstance(m, nn.GroupNorm)]
    nf = max(4096 // max(size, 64), 16)
    assert {m.num_channels // m.num_groups for m in norms} == {nf // (16 if size <= 64 else 8)}


def test_half_the_width_has_between_a_quarter_and_half_of_the_weights() -> None:
    whole, half = Autoencoder(64, 1), Autoencoder(64, 1, width=0.5)
    assert 0.25 < count(half) / count(whole) < 0.5  # the bottleneck keeps its length
    assert half(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)


def test_a_width_below_a_quarter_thins_further() -> None:
    assert [base_channels(64, width) for width in (1.0, 0.5, 0.25, 0.2, 0.125, 0.01)] == [64, 32, 16, 8, 8, 8]
    assert [base_channels(256, width) for width in (1.0, 0.5, 0.25, 0.125)] == [16, 16, 16, 8]
    assert Autoencoder(64, 1, width=0.125)(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)


@pytest.mark.parametrize("size", [0, 8, 12, 63, 96, -64])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        levels(size)


def test_parameter_counts_of_the_papers_tables_at_64_px() -> None:
    down = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    with torch.device("meta"):
        for outputs in (6, 4):
            assert count(Encoder(64, outputs)) == down + 16 * 512 * 512 + 512 * outputs
        up = 16 * 256 * 512 + 9 * 512 * 512
        for wide, narrow in ((512, 256), (256, 128), (128, 64)):
            up += 16 * wide * narrow + 9 * narrow * narrow + 2 * 2 * narrow
        for outputs in (1, 3):
            last = 9 * 64 * 64 + 25 * 64 * 64 + 2 * 2 * 64 + 25 * 64 * outputs
            bottleneck, norms = 16 * 512 * 256, 2 * (64 + 128 + 256)
            assert count(Autoencoder(64, outputs)) == down + norms + bottleneck + up + last
        residual = sum(9 * a * b + 9 * b * b + a * b for a, b in ((32, 64), (64, 128), (128, 256)))
        assert count(OffsetEncoder(64, 512)) == 16 * 3 * 32 + residual + 16 * 256 * 512 + 512 * 512


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = make_networks(16, 8, seeded(5)).state()
    torch.manual_seed(2)
    torch.rand(100)
    second = make_networks(16, 8, seeded(5)).state()
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = make_networks(16, 8, seeded(6)).state()
    assert all(not torch.equal(first[key], other[key]) for key in first if first[key].ndim == 4)


def test_weights_are_uniform_over_the_fan_in() -> None:
    for layer in (nn.Conv2d(32, 48, 4), nn.ConvTranspose2d(48, 32, 4), nn.Linear(512, 48)):
        own = layer.weight.detach().clone()  # what torch.nn drew
        initialise(layer, seeded(7))
        bound = 1 / math.sqrt(512)
        for weight in (own, layer.weight.detach()):
            assert 0.99 * bound < weight.abs().max() <= bound
            assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert not torch.equal(own, layer.weight)


def test_items_of_a_batch_do_not_mix() -> None:
    nets = make_networks(32, 8, seeded(0))
    images = torch.rand((3, 3, 32, 32), generator=seeded(1)) * 2 - 1
    for name, net in nets:
        together = net(images)
        alone = torch.cat([net(image[None]) for image in images])
        assert torch.allclose(together, alone, atol=1e-5 * together.abs().max().item()), name
        if name in ("view", "light", "albedo"):
            assert together.abs().max() <= 1


def test_state_and_load_state_are_inverse_and_strict() -> None:
    nets, other = make_networks(16, 8, seeded(0)), make_networks(16, 8, seeded(1))
    state = {key: value.clone() for key, value in nets.state().items()}
    other.load_state(state)
    assert all(torch.equal(value, other.state()[key]) for key, value in state.items())
    missing = dict(state)
    del missing["offset.network.0.weight"]
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state(missing)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        other.load_state({**state, "view.more": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state({**state, "view.network.0.weight": torch.zeros(1)})


def gradients(nets: Networks) -> dict[str, list[Tensor | None]]:
    return {name: [p.grad for p in net.parameters()] for name, net in nets}


@pytest.mark.parametrize("chosen", [(), ("albedo",), ("offset",), ("view", "light", "depth", "albedo"), NAMES])
def test_gradients_reach_the_chosen_networks_alone(chosen: tuple[str, ...]) -> None:
    nets = make_networks(16, 8, seeded(0))
    nets.train_only(chosen)
    image = torch.rand((1, 3, 16, 16), generator=seeded(1)).requires_grad_()
    sum(net(image).square().sum() for _, net in nets).backward()
    for name, grads in gradients(nets).items():
        assert all((grad is not None) == (name in chosen) for grad in grads), name
    assert len(nets.parameters(chosen)) == sum(len(grads) for name, grads in gradients(nets).items() if name in chosen)
