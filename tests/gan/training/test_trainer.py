"""A training goes on bit for bit, starts from other generators, and is one training however many processes share it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from bozzetto.gan import ops
from bozzetto.gan.discriminator import Discriminator
from bozzetto.gan.initialise import initialise
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import Generator
from bozzetto.gan.training.shapes import spec_for
from bozzetto.gan.training.trainer import TrainConfig, Trainer
from bozzetto.gan.training.warm import warm_start

SPEC = StyleGan2Spec(16, {4: 16, 8: 16, 16: 8}, z_dim=16, w_dim=16, num_mapping_layers=2)
CONFIG = TrainConfig(batch=4, r1_interval=2, path_interval=3, seed=5)


def pictures() -> torch.Tensor:
    return torch.randint(0, 256, (20, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_resumed_is_uninterrupted_bit_for_bit() -> None:
    whole = Trainer(SPEC, CONFIG)
    terms = [whole.step(pictures()) for _ in range(7)]
    first = Trainer(SPEC, CONFIG)
    for _ in range(3):
        first.step(pictures())
    second = Trainer(SPEC, CONFIG)
    second.restore({key: value.clone() for key, value in first.tensors().items()})
    assert [second.step(pictures()) for _ in range(4)] == terms[3:]
    ours, theirs = whole.tensors(), second.tensors()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]), key


def test_step_moves_everything_and_the_average_follows() -> None:
    trainer = Trainer(SPEC, CONFIG)
    before = {key: value.clone() for key, value in trainer.tensors().items()}
    trainer.step(pictures())
    after = trainer.tensors()
    still = [
        k for k in before if k.startswith(("g.", "d.")) and not k.endswith("noise") and torch.equal(before[k], after[k])
    ]
    assert still == []
    assert trainer.images_seen == 4
    assert not torch.equal(after["g_ema.mapping.layers.0.weight"], before["g_ema.mapping.layers.0.weight"])


def test_discriminator_learns_to_tell_the_set_from_noise() -> None:
    trainer = Trainer(SPEC, TrainConfig(batch=8, seed=1, path_weight=0.0, adaptive=False, shift=0.0))
    flat = torch.full((16, 3, 16, 16), 200, dtype=torch.uint8)
    losses = [trainer.step(flat)["D"] for _ in range(12)]
    assert max(losses[-3:]) < min(losses[:3])


def drawn(kind: type, spec: StyleGan2Spec, seed: int) -> torch.nn.Module:
    net = kind(spec)
    initialise(net, torch.Generator().manual_seed(seed))
    return net


def test_warm_start_of_the_same_shape_is_the_same_network() -> None:
    for kind in (Generator, Discriminator):
        old, new = drawn(kind, SPEC, 1), drawn(kind, SPEC, 2)
        warm_start(new, old)
        for (name, a), b in zip(new.state_dict().items(), old.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=0, msg=name)


def test_wider_styles_make_the_same_pictures() -> None:
    wide = StyleGan2Spec(16, SPEC.channels, z_dim=16, w_dim=40, num_mapping_layers=2)
    old, new = drawn(Generator, SPEC, 1), drawn(Generator, wide, 2)
    warm_start(new, old)
    z = torch.randn(3, 16, generator=torch.Generator().manual_seed(3))
    w_old, w_new = old.mapping(z), new.mapping(z)
    torch.testing.assert_close(w_new[:, :16], w_old, rtol=1e-4, atol=1e-5)
    images = [net.synthesis(w[:, None].expand(-1, 6, -1), None) for net, w in ((old, w_old), (new, w_new))]
    torch.testing.assert_close(images[0], images[1], rtol=1e-4, atol=1e-4)


def test_narrower_networks_start_from_a_cut() -> None:
    narrow = StyleGan2Spec(16, {4: 8, 8: 8, 16: 8}, z_dim=16, w_dim=16, num_mapping_layers=2)
    old, new = drawn(Discriminator, SPEC, 1), drawn(Discriminator, narrow, 2)
    assert warm_start(new, old) == len([m for m in new.modules() if hasattr(m, "weight")])
    ratio = old.final_conv.gain / new.final_conv.gain
    torch.testing.assert_close(new.final_conv.weight[:, -1], old.final_conv.weight[:8, -1] * ratio)
    torch.testing.assert_close(new.final_conv.weight[:, :8], old.final_conv.weight[:8, :8] * ratio)


def test_a_greater_size_starts_from_the_smaller_pictures_enlarged() -> None:
    large = StyleGan2Spec(32, SPEC.channels | {32: 8}, z_dim=16, w_dim=16, num_mapping_layers=2)
    old, new = drawn(Generator, SPEC, 1), drawn(Generator, large, 2)
    warm_start(new, old)
    w = old.mapping(torch.randn(3, 16, generator=torch.Generator().manual_seed(3)))
    small = old.synthesis(w[:, None].expand(-1, 6, -1), None)
    enlarged = new.synthesis(w[:, None].expand(-1, 8, -1), None)
    torch.testing.assert_close(enlarged, ops.upsample2(small), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("small", "large"), [(16, 32), (32, 64), (64, 128), (128, 256)])
def test_the_tables_of_two_sizes_go_together(small: int, large: int) -> None:
    old, new = (drawn(Generator, spec_for(size, 0.25, 16, 2), size) for size in (small, large))
    warm_start(new, old)
    w = old.mapping(torch.randn(2, 16, generator=torch.Generator().manual_seed(3)))
    pictures = [net.synthesis(w[:, None].expand(-1, net.spec.num_ws, -1), None) for net in (old, new)]
    torch.testing.assert_close(pictures[1], ops.upsample2(pictures[0]), rtol=1e-5, atol=1e-5)


def test_discriminators_of_two_sizes_share_the_blocks_of_the_same_resolution() -> None:
    large = StyleGan2Spec(32, SPEC.channels | {32: 8}, z_dim=16, w_dim=16, num_mapping_layers=2)
    for old_spec, new_spec, ours, theirs in ((SPEC, large, 1, 0), (large, SPEC, 0, 1)):
        old, new = drawn(Discriminator, old_spec, 1), drawn(Discriminator, new_spec, 2)
        warm_start(new, old)
        features = torch.randn(3, SPEC.channels[16], 16, 16, generator=torch.Generator().manual_seed(3))
        got = new.head(new.blocks[ours + 1](new.blocks[ours](features)))
        want = old.head(old.blocks[theirs + 1](old.blocks[theirs](features)))
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def made_smaller(picture: Tensor) -> Tensor:
    """By the filter and the phase of a convolution that halves the size."""
    return ops.blur(picture, (2, 2))[..., 1::2, 1::2]


@pytest.mark.parametrize("added", [1, 2])
def test_a_discriminator_of_a_greater_size_begins_by_judging_the_smaller_pictures(added: int) -> None:
    spec, large = spec_for(16, 0.25, 16, 2), spec_for(16 * 2**added, 0.25, 16, 2)
    old, new = drawn(Discriminator, spec, 1), drawn(Discriminator, large, 2)
    warm_start(new, old)
    picture = torch.rand(4, 3, large.resolution, large.resolution, generator=torch.Generator().manual_seed(3)) * 2 - 1
    small = picture
    for _ in range(added):
        small = made_smaller(small)
    want = old(small)
    assert want.std() > 1e-3
    torch.testing.assert_close(new(picture), want, rtol=1e-4, atol=1e-4)
    new(picture).sum().backward()
    assert new.blocks[added - 1].conv2.weight.grad[:, 6:].abs().max() > 0
    assert new.blocks[added - 1].skip.weight.grad.abs().max() > 0  # what is not listened to yet can be learned


def share(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", (Path(folder) / "store").as_uri(), rank=rank, world_size=2)
    trainer = Trainer(SPEC, CONFIG)
    for _ in range(4):
        trainer.step(pictures())
    torch.save(trainer.tensors(), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_stay_one_training(tmp_path: Path) -> None:
    mp.spawn(share, (str(tmp_path),), nprocs=2)
    a, b = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    different = [key for key in a if key != "signs" and not torch.equal(a[key], b[key])]
    assert different == []
    assert int(a["steps"]) == 4


def test_batch_that_cannot_be_shared_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from bozzetto.errors import InputError

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    with pytest.raises(InputError, match="cannot be shared by 3"):
        Trainer(SPEC, CONFIG)
