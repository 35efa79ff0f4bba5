"""Inversion: finds its own samples again, treats photos as strangers, stays near the data."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bozzetto.errors import FitError, InputError
from bozzetto.gan import Gan
from bozzetto.gan.invert import InvertConfig, check_inversion, invert
from bozzetto.gan.invert_loss import InvertLoss, masked_mean
from bozzetto.gan.invert_state import InvertState, Plateau
from bozzetto.gan.start import start_table
from bozzetto.gan.whiten import whitening

QUICK = InvertConfig(steps=40, start_samples=128)


def seeded(seed: int = 2) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def samples(gan: Gan, count: int, seed: int = 7) -> Tensor:
    """Images in [0, 1] of random latents with other noise than the stored one."""
    z = torch.randn(count, gan.info.z_dim, generator=seeded(seed))
    with torch.no_grad():
        return (gan.image_from_w(gan.w_from_z(z), "random", seeded(seed + 1)) / 2 + 0.5).clamp(0, 1)


def test_whitening_there_and_back_is_exact_and_white(gan: Gan) -> None:
    white = whitening(gan)
    w = torch.randn(50, 3, gan.info.w_dim, generator=seeded())  # any w, not only the generator's own
    torch.testing.assert_close(white.to_w(white.from_w(w)), w, atol=1e-3, rtol=1e-3)
    v = white.from_w(gan.w_samples(4096))
    torch.testing.assert_close(v.mean(0), torch.zeros(gan.info.w_dim), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cov(v.t()), torch.eye(gan.info.w_dim), atol=1e-2, rtol=0)


def test_the_guess_beats_the_nearest_sample_and_the_mean(heads: Gan) -> None:
    images, white = samples(heads, 6) * 2 - 1, whitening(heads)
    table = start_table(heads, white, seeded(), 160)

    def error(v: Tensor) -> float:
        with torch.no_grad():
            return float((heads.image_from_w(white.to_w(v)) - images).abs().mean())

    guess, nearest = error(table.guess(images)), error(table.nearest(images))
    middle = error(torch.zeros(6, heads.info.w_dim))
    assert guess < 0.85 * nearest < 0.85 * middle


def test_samples_in_the_table_are_guessed_back(gan: Gan) -> None:
    white = whitening(gan)
    table = start_table(gan, white, seeded(), 200)
    z = torch.randn(200, gan.info.z_dim, generator=seeded())
    images = gan.image_from_w(gan.w_from_z(z[:20])).clamp(-1, 1)
    torch.testing.assert_close(table.nearest(images), white.from_w(gan.w_from_z(z[:20])[:, 0]))


def test_own_samples_are_found_again(heads: Gan) -> None:
    images = samples(heads, 2)
    found = invert(images, heads, replace(QUICK, start_samples=96), seeded())
    mean = heads.image_from_w(heads.w_mean()[None]) / 2 + 0.5
    of_mean = -10 * torch.log10((mean - images).square().mean(dim=(1, 2, 3)))
    assert (found.psnr_db > of_mean + 8).all()
    assert (found.psnr_db > 25).all()
    assert (found.losses[-1] < 0.6 * found.losses[0]).all()
    assert (found.prior < 1.5).all()  # no further out than the generator's own latents
    again = (heads.image_from_w(found.w) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(found.image, again)
    error = (again - images).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(found.psnr_db, -10 * torch.log10(error))


@pytest.mark.parametrize("space", ["w", "w+", "w+noise"])
def test_one_photo_or_many_and_spaces(gan: Gan, space: str) -> None:
    config = replace(QUICK, space=space, steps=15, perturbation=0.1)
    images = samples(gan, 3)
    mask = (torch.rand(3, 1, 16, 16, generator=seeded()) > 0.3).float()
    together = invert(images, gan, config, seeded(), mask=mask)
    for i in range(3):
        alone = invert(images[i : i + 1], gan, config, seeded(), mask=mask[i : i + 1])
        torch.testing.assert_close(alone.w[0], together.w[i], atol=2e-2, rtol=2e-2)
        torch.testing.assert_close(alone.losses[:, 0], together.losses[:, i], atol=1e-3, rtol=1e-3)
    spread = (together.w - together.w[:, :1]).abs().max()
    assert (spread == 0) == (space == "w")
    assert (together.noises is None) == (space != "w+noise")
    if together.noises is not None:
        assert [n.shape[2:] for n in together.noises] == gan.noise_shapes()
        with_own = gan.image_from_w(together.w, together.noises).clamp(-1, 1) / 2 + 0.5
        torch.testing.assert_close(together.image, with_own, atol=1e-5, rtol=1e-5)


def test_the_same_seed_gives_the_same_bits(gan: Gan) -> None:
    images = samples(gan, 2)
    first, second = (invert(images, gan, replace(QUICK, perturbation=0.2), seeded()) for _ in range(2))
    assert torch.equal(first.w, second.w)
    assert torch.equal(first.losses, second.losses)


def test_a_larger_spread_weight_holds_the_layers_together(gan: Gan) -> None:
    images = torch.rand(2, 3, 16, 16, generator=seeded())
    spreads = []
    for weight in (0.01, 1.0, 100.0):
        found = invert(images, gan, replace(QUICK, spread_weight=weight), seeded())
        v = whitening(gan).from_w(found.w)
        spreads.append(float((v - v.mean(dim=1, keepdim=True)).square().mean()))
    assert spreads[0] > spreads[1] > spreads[2]


def test_pixels_outside_a_closed_mask_do_not_matter(gan: Gan) -> None:
    images = samples(gan, 1)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    other = torch.where(mask.bool(), images, 1 - images)
    config = replace(QUICK, steps=10, outside_weight=0.0)
    first, second = (invert(x, gan, config, seeded(), mask=mask) for x in (images, other))
    torch.testing.assert_close(first.losses[:, 0], second.losses[:, 0], atol=5e-2, rtol=5e-2)
    torch.testing.assert_close(first.psnr_db, second.psnr_db, atol=0.5, rtol=0)
    open_mask = invert(other, gan, replace(config, outside_weight=1.0), seeded(), mask=mask)
    assert open_mask.losses[0, 0] > 1.2 * second.losses[0, 0]


def test_loss_is_zero_at_the_target_and_masked_mean_is_a_mean(gan: Gan) -> None:
    w = gan.w_samples(3)
    target = gan.image_from_w(w)
    mask = torch.ones(3, 1, 16, 16)
    loss = InvertLoss(gan, target, mask, InvertConfig(), lambda a, b, m: masked_mean((a - b).abs(), m))
    assert loss(w[:, None].expand(-1, 6, -1), None).abs().max() < 1e-5
    torch.testing.assert_close(masked_mean(target, mask), target.mean(dim=(1, 2, 3)))
    mask[..., 3:] = 0
    torch.testing.assert_close(masked_mean(target, mask), target[..., :3].mean(dim=(1, 2, 3)))
    assert masked_mean(target, 0 * mask).abs().max() == 0


def test_a_perceptual_distance_is_asked_and_followed(gan: Gan) -> None:
    seen: list[tuple[float, float]] = []

    def to_white(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        seen.append((float(target.min()), float(target.max())))
        return masked_mean((1 - predicted).square(), mask)

    images = samples(gan, 1)
    config = replace(QUICK, image_weight=0.0, feature_weight=0.0, perceptual_weight=1.0, prior_weight=0.0)
    found = invert(images, gan, config, seeded(), perceptual=to_white)
    assert seen
    assert all(0 <= low <= high <= 1 for low, high in seen)
    assert found.losses[-1, 0] < 0.8 * found.losses[0, 0]


def test_plateau_stops_each_photo_by_its_own_losses() -> None:
    plateau = Plateau(3, steps=3, fraction=0.1, device=torch.device("cpu"))
    falling, still, late = 1.0, 1.0, 1.0
    stopped = {}
    for step in range(12):
        falling, late = falling * 0.8, late * (0.5 if step < 4 else 0.99)
        done = plateau.update(torch.tensor([falling, still, late]))
        for i in range(3):
            if bool(done[i]):
                stopped.setdefault(i, step)
    assert stopped == {1: 3, 2: 6}
    never = Plateau(1, steps=0, fraction=0.1, device=torch.device("cpu"))
    assert not any(bool(never.update(torch.ones(1))) for _ in range(50))


def test_progress_ends_early_when_every_photo_is_done(gan: Gan) -> None:
    calls: list[tuple[int, int, dict[str, float]]] = []
    config = replace(QUICK, plateau_steps=4, plateau_fraction=0.9)
    found = invert(samples(gan, 2), gan, config, seeded(), lambda a, b, c: calls.append((a, b, dict(c))))
    assert [c[0] for c in calls] == list(range(1, len(calls) + 1))
    assert len(found.losses) == len(calls) < config.steps
    assert calls[-1][2]["loss"] == pytest.approx(float(found.losses[-1].mean()))


def test_rate_warms_up_and_dies_away(gan: Gan) -> None:
    state = InvertState(gan, torch.zeros(1, 8), InvertConfig(steps=100, warm_up=0.1, learning_rate=0.2))
    rates = []
    for step in range(100):
        state.set_rate(step)
        rates.append(state.optimiser.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == pytest.approx(0.2, rel=0.03)
    assert rates[-1] < 0.004
    assert all(b < a for a, b in itertools.pairwise(rates[10:]))


def test_a_generator_alone_is_enough(gan: Gan) -> None:
    alone = Gan(gan.generator, None, gan.info)
    found = invert(samples(gan, 1), alone, QUICK, seeded())
    assert found.losses[-1, 0] < found.losses[0, 0]


def test_wrong_images_and_runaway_numbers_are_told(gan: Gan) -> None:
    for shape in ((1, 3, 8, 8), (0, 3, 16, 16)):
        with pytest.raises(InputError, match="takes images"):
            invert(torch.zeros(shape), gan, QUICK, seeded())
    with pytest.raises(FitError):
        invert(torch.full((1, 3, 16, 16), float("nan")), gan, QUICK, seeded())


def test_the_start_is_what_the_settings_say(heads: Gan) -> None:
    images = samples(heads, 2)
    started = {}
    for start in ("mean", "samples", "best"):
        config = replace(QUICK, start=start, steps=1, start_samples=96)
        started[start] = invert(images, heads, config, seeded()).start
    middle = whitening(heads).to_w(torch.zeros(1, heads.info.w_dim))
    with torch.no_grad():
        mean = (heads.image_from_w(middle) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(started["mean"], mean.expand(2, -1, -1, -1))
    error = {name: (start - images).square().mean(dim=(1, 2, 3)) for name, start in started.items()}
    assert (error["best"] < error["mean"]).all()
    assert (error["best"] <= error["samples"] * 1.2).all()
    assert (error["samples"] < error["mean"]).all()


def test_an_item_of_a_batch_is_that_photo_s_part(gan: Gan) -> None:
    whole = invert(samples(gan, 3), gan, replace(QUICK, steps=4, space="w+noise"), seeded())
    item = whole.item(1)
    for name in ("w", "image", "start", "psnr_db", "prior"):
        assert torch.equal(getattr(item, name), getattr(whole, name)[1:2])
    assert whole.noises is not None
    assert item.noises is not None
    assert all(torch.equal(a, b[1:2]) for a, b in zip(item.noises, whole.noises, strict=True))
    assert torch.equal(item.losses[:, 0], whole.losses[:, 1])
    assert item.seconds == pytest.approx(whole.seconds / 3)


def test_a_distance_that_knows_its_target_is_asked_once_for_it(gan: Gan) -> None:
    class Squares:
        name = "squares"
        asked = 0

        def features(self, images: Tensor) -> list[Tensor]:
            self.asked += 1
            return [images]

        def compare(self, predicted: Tensor, target: Tensor, mask: Tensor, wanted: list[Tensor]) -> Tensor:
            return masked_mean((predicted - wanted[0]).square(), mask)

        def __call__(self, predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
            return masked_mean((predicted - target).square(), mask)

    known, images = Squares(), samples(gan, 2)
    config = replace(QUICK, steps=5, feature_weight=0.0)
    found = invert(images, gan, config, seeded(), perceptual=known)
    assert known.asked == 1
    plain = invert(images, gan, config, seeded(), perceptual=lambda a, b, m: masked_mean((a - b).square(), m))
    torch.testing.assert_close(found.losses, plain.losses)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": "w-"}, r"space cannot be 'w-'; choose w, w\+, w\+noise"),
        ({"start": "end"}, "choose best, samples, mean"),
        ({"perceptual": "eyes"}, "choose discriminator"),
        ({"steps": 0}, "steps cannot be 0; give a number from 1"),
        ({"steps": 2.5}, "steps cannot be 2.5; give a whole number"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("inf")}, "learning_rate cannot be inf"),
        ({"image_weight": -0.1}, "from 0"),
        ({"prior_weight": "much"}, "give a number"),
        ({"beta2": 1.0}, "from 0 to 1"),
        ({"warm_up": 1.5}, "from 0 to 1"),
        ({"plateau_fraction": 1.0}, "from 0 to 1"),
        ({"start_samples": 1}, "from 2"),
        ({"image_weight": 0.0, "feature_weight": 0.0, "perceptual_weight": 0.0}, "compares nothing"),
    ],
)
def test_settings_that_cannot_be_worked_with_are_one_sentence(changes: dict, words: str, gan: Gan) -> None:
    config = replace(QUICK)
    for name, value in changes.items():
        object.__setattr__(config, name, value)  # the tests' own type checks would refuse some of these
    with pytest.raises(InputError, match=words) as caught:
        invert(samples(gan, 1), gan, config, seeded())
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_the_default_settings_pass_and_so_do_the_bounds() -> None:
    check_inversion(InvertConfig())
    check_inversion(InvertConfig(start_samples=2, steps=1, warm_up=1.0, beta1=0.0, plateau_steps=0, perturbation=0.0))
