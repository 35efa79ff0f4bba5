"""What the rest of the package relies on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import bozzetto
from bozzetto.bench.datasets import load_packed_heads
from bozzetto.errors import CheckpointError, InputError
from bozzetto.gan import Gan, load_gan

ASSETS = Path(bozzetto.__file__).parent / "assets"


def z_for(gan: Gan, n: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(n, gan.info.z_dim, generator=torch.Generator().manual_seed(seed))


def test_one_w_for_all_layers_is_the_same_w_in_every_layer(gan: Gan) -> None:
    w = gan.w_from_z(z_for(gan, 3))
    assert w.shape == (3, gan.info.num_ws, gan.info.w_dim)
    torch.testing.assert_close(gan.image_from_w(w[:, 0]), gan.image_from_w(w), rtol=0, atol=0)


def test_each_layer_reads_its_own_w(gan: Gan) -> None:
    w = gan.w_from_z(z_for(gan, 1)).clone()
    image = gan.image_from_w(w)
    for layer in range(gan.info.num_ws):
        other = w.clone()
        other[:, layer] += 1
        assert (gan.image_from_w(other) - image).abs().max() > 1e-4, layer


def test_truncation_goes_straight_to_the_mean(gan: Gan) -> None:
    z = z_for(gan, 3)
    whole, half, none = (gan.w_from_z(z, psi) for psi in (1.0, 0.5, 0.0))
    torch.testing.assert_close(none, gan.w_mean().expand_as(none))
    torch.testing.assert_close(half, (whole + none) / 2)


def test_mean_and_deviation_are_those_of_the_mapping(gan: Gan) -> None:
    w = gan.w_from_z(z_for(gan, 20_000))[:, 0]
    assert ((gan.w_mean() - w.mean(0)).abs() < 5 * w.std(0) / 4096**0.5).all()
    torch.testing.assert_close(gan.w_std(), w.std(0), rtol=0.1, atol=0)
    torch.testing.assert_close(gan.w_mean(64, seed=2), gan.w_samples(64, seed=2).mean(0))


def test_head_and_tail_of_the_mapping_make_the_mapping(gan: Gan) -> None:
    z = z_for(gan, 4)
    for k in range(1, gan.info.num_mapping_layers + 1):
        w = gan.mapping_tail(gan.mapping_head(z, k), k)
        torch.testing.assert_close(w, gan.w_from_z(z)[:, 0])
    for k in (0, gan.info.num_mapping_layers + 1):
        with pytest.raises(InputError):
            gan.mapping_head(z, k)


def test_zero_latent_passes_the_pixel_norm_as_zero(gan: Gan) -> None:
    zero = torch.zeros(1, gan.info.z_dim)
    assert gan.mapping_head(zero, gan.info.num_mapping_layers).abs().max() == 0
    bias = gan.generator.mapping.layers[0].bias * gan.generator.mapping.layers[0].lr_multiplier
    first = gan.mapping_head(zero, gan.info.num_mapping_layers - 1)
    torch.testing.assert_close(first[0], torch.where(bias > 0, bias, 0.2 * bias) * 2**0.5)


def test_items_of_a_batch_do_not_know_each_other(gan: Gan) -> None:
    w = gan.w_from_z(z_for(gan, 5))
    whole = gan.image_from_w(w)
    parts = torch.cat([gan.image_from_w(part) for part in w.split([2, 3])])
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)
    for a, b, c in zip(gan.features(whole, 2), gan.features(whole[:2], 2), gan.features(whole[2:], 2), strict=True):
        torch.testing.assert_close(a, torch.cat([b, c]), atol=1e-5, rtol=1e-5)
    logits = torch.cat([gan.logits(item[None]) for item in whole])
    torch.testing.assert_close(gan.logits(whole, mbstd_group=1), logits, atol=1e-4, rtol=1e-4)
    # As published unless asked otherwise: groups of the size that the network was trained with.
    assert gan.discriminator is not None
    assert gan.discriminator.spec.mbstd_group == 4
    assert torch.equal(gan.logits(whole[:4]), gan.logits(whole[:4], mbstd_group=4))
    assert (gan.logits(whole[:4]) - logits[:4]).abs().max() > 1e-4


def test_every_item_gets_only_its_own_gradient(gan: Gan) -> None:
    w = gan.w_from_z(z_for(gan, 3)).clone().requires_grad_()
    gan.logits(gan.image_from_w(w), mbstd_group=1)[1].sum().backward()
    assert w.grad is not None
    assert w.grad[1].abs().min(dim=1).values.max() > 0
    assert w.grad[[0, 2]].abs().max() == 0
    assert all(p.grad is None for p in gan.generator.parameters())


def test_noise_modes(gan: Gan) -> None:
    w = gan.w_from_z(z_for(gan, 2))
    draws = [gan.image_from_w(w, "random", torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    torch.testing.assert_close(draws[0], draws[1], rtol=0, atol=0)
    assert (draws[0] - draws[2]).abs().max() > 1e-3
    zeros = [torch.zeros(1, 1, *shape) for shape in gan.noise_shapes()]
    torch.testing.assert_close(gan.image_from_w(w, "none"), gan.image_from_w(w, zeros), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        gan.image_from_w(w), gan.image_from_w(w, gan.generator.synthesis.noises()), rtol=0, atol=0
    )
    # Without a generator every call draws anew, and torch's own generator stays where it was.
    state = torch.get_rng_state()
    assert (gan.image_from_w(w, "random") - gan.image_from_w(w, "random")).abs().max() > 1e-3
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(InputError, match="const, random, none"):
        gan.image_from_w(w, "loud")  # type: ignore[arg-type]


def test_what_does_not_fit_is_said_in_a_sentence(gan: Gan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"reads latents z \[B, "):
        gan.w_from_z(torch.zeros(2, gan.info.z_dim + 1))
    with pytest.raises(InputError, match="The discriminator reads images"):
        gan.logits(torch.zeros(2, 3, 8, 8))
    with pytest.raises(InputError, match="no device 'toaster'"):
        load_gan("heads", "toaster")


def test_random_noise_differs_between_equal_items(gan: Gan, rng: torch.Generator) -> None:
    w = gan.w_from_z(z_for(gan, 1)).expand(2, -1, -1)
    image = gan.image_from_w(w, "random", rng)
    assert (image[0] - image[1]).abs().max() > 1e-3


def test_features_by_count_and_by_name(gan: Gan, rng: torch.Generator) -> None:
    image = torch.randn(2, 3, 16, 16, generator=rng)
    assert gan.feature_names == ["from_rgb", "block0", "block1"]
    assert [f.shape for f in gan.features(image, 2)] == [(2, 6, 8, 8), (2, 7, 4, 4)]
    assert len(gan.features(image, 9)) == 2
    named = gan.features(image, ["block1", "from_rgb"])
    torch.testing.assert_close(named[0], gan.features(image, 2)[1])
    assert named[1].shape == (2, 5, 16, 16)
    with pytest.raises(InputError, match="block0"):
        gan.features(image, ["block7"])


def test_wrong_latents_and_a_missing_discriminator_are_told(gan: Gan) -> None:
    for shape in ((2, 9), (2, 3, 8), (8,), (1, 2, 6, 8)):
        with pytest.raises(InputError, match="takes a latent of shape"):
            gan.image_from_w(torch.zeros(shape))
    alone = Gan(gan.generator, None, gan.info)
    with pytest.raises(CheckpointError, match="no discriminator"):
        alone.features(torch.zeros(1, 3, 16, 16))


def test_precision_is_a_choice_with_shared_weights(gan: Gan) -> None:
    other = gan.with_precision("bf16")
    w = gan.w_from_z(z_for(gan, 2))
    assert (gan.precision, other.precision) == ("fp32", "bf16")
    assert other.generator is gan.generator
    torch.testing.assert_close(other.image_from_w(w), gan.image_from_w(w, precision="bf16"), rtol=0, atol=0)
    assert (other.image_from_w(w) - gan.image_from_w(w)).abs().max() > 0


def test_heads_look_like_heads_to_their_discriminator(heads: Gan) -> None:
    """A wrong gain, filter or layer order anywhere would push the samples far off."""
    with torch.no_grad():
        image = heads.image_from_w(heads.w_from_z(z_for(heads, 24)))
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
        assert heads.logits(image).mean() > heads.logits(noise).mean() + 2
        flipped = Gan(heads.generator, heads.discriminator, heads.info).image_from_w(
            heads.w_from_z(z_for(heads, 24)), "none"
        )
    assert (image - flipped).abs().mean() < 0.03  # noise only carries the fine texture
    real = load_packed_heads(ASSETS / "heads_test_64.npz", novel=False).image * 2 - 1
    assert abs(float(image.mean() - real.mean())) < 0.15
    assert abs(float(image.std() - real.std())) < 0.07


@pytest.mark.parametrize("seed", [0, 1])
def test_samples_of_every_seed_are_typical(heads: Gan, seed: int) -> None:
    """Seed 0 as well, whose first numbers may be the weights that the mapping began its training with."""

    def spread(z: torch.Tensor) -> float:
        return float((heads.w_from_z(z)[:, 0] - heads.w_mean()).norm(dim=1).mean())

    assert spread(heads.z_samples(48, seed)) == pytest.approx(spread(z_for(heads, 48)), rel=0.1)
