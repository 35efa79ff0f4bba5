"""What each step computes, against the renderer and against its photos one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from watchers import one_photo

from bozzetto.geometry.pose import mirror_view
from bozzetto.geometry.render import render
from bozzetto.geometry.warp import sample
from bozzetto.losses.photometric import photometric
from bozzetto.losses.smoothness import smoothness
from bozzetto.method.canonical_mask import canonical_mask
from bozzetto.method.initialise import PriorStep
from bozzetto.method.instance import new_state
from bozzetto.method.problem import Problem, predict, predict_depth
from bozzetto.method.step1_albedo import AlbedoStep
from bozzetto.method.step2_project import ProjectStep, Pseudo
from bozzetto.method.step3_factorise import FactoriseStep
from bozzetto.nets.networks import Networks
from bozzetto.types import Camera, Factors

MakeProblem = Callable[..., Problem]
Loss = Callable[[Problem], dict[str, Tensor]]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def nets(make_problem: MakeProblem) -> Networks:
    """Networks whose depth is no longer flat, so that views and lights matter."""
    nets = new_state(make_problem(), 0).nets
    last = list(nets.depth.parameters())[-1]
    last.data *= 8
    return nets


def with_loss(problem: Problem, **changes: object) -> Problem:
    return replace(problem, config=replace(problem.config, loss=replace(problem.config.loss, **changes)))  # type: ignore[arg-type]


def which(single: Problem, problem: Problem) -> int:
    """Which of the problem's photos is the single one."""
    return [torch.equal(single.photo[0], photo) for photo in problem.photo].index(True)


def gradient(nets: Networks, moves: tuple[str, ...], loss: Tensor) -> list[Tensor]:
    nets.train_only(moves)
    for parameter in nets.parameters(moves):
        parameter.grad = None
    loss.backward()
    return [p.grad.clone() for p in nets.parameters(moves) if p.grad is not None]


def assert_mean_of_photos(nets: Networks, problem: Problem, moves: tuple[str, ...], loss: Loss) -> None:
    """Loss and gradient of a batch are the means of its photos', and every photo has a gradient of its own."""
    nets.train_only(moves)
    together = loss(problem)
    whole = gradient(nets, moves, together["total"])
    singles = [loss(one_photo(problem, i)) for i in range(len(problem.photo))]
    for name, value in together.items():
        mean = sum(single[name].item() for single in singles) / len(singles)
        assert value.item() == pytest.approx(mean, rel=1e-4, abs=1e-6), name
    parts = [gradient(nets, moves, single["total"]) for single in singles]
    scale = max(grad.abs().max().item() for grad in whole)
    assert scale > 0
    for part in parts:
        assert max(grad.abs().max().item() for grad in part) > 0.05 * scale
    for grad, *own in zip(whole, *parts, strict=True):
        assert torch.allclose(grad, torch.stack(own).mean(0), atol=1e-3 * scale)
    assert not torch.allclose(parts[0][0], parts[1][0], atol=1e-2 * scale)  # two photos, two gradients


@pytest.mark.parametrize("mirror", [False, True])
def test_every_photo_of_a_batch_teaches_in_steps_0_and_1(
    make_problem: MakeProblem, nets: Networks, mirror: bool
) -> None:
    problem = make_problem(photos=2)
    assert_mean_of_photos(nets, problem, ("depth",), lambda p: PriorStep(p, nets).loss())
    assert_mean_of_photos(nets, problem, ("albedo",), lambda p: AlbedoStep(p, nets, mirror).loss())


@pytest.mark.parametrize("relative", [False, True])
def test_every_photo_of_a_batch_teaches_in_step_2(make_problem: MakeProblem, nets: Networks, relative: bool) -> None:
    problem = make_problem(photos=2)
    problem = replace(
        problem, config=replace(problem.config, project=replace(problem.config.project, relative=relative))
    )
    step = ProjectStep(problem, nets, 3)
    pseudo = step.draw(seeded(0))
    assert pseudo.item.tolist() == [0, 0, 0, 1, 1, 1]

    class Given(ProjectStep):
        """Step 2 on pseudo images drawn before: those of its photos."""

        def draw(self, generator: torch.Generator) -> Pseudo:
            if len(self.problem.photo) == 2:
                return pseudo
            chosen = pseudo.item == which(self.problem, problem)
            return Pseudo(*(field[chosen] for field in pseudo))._replace(item=torch.zeros(3, dtype=torch.long))

    assert_mean_of_photos(nets, problem, ("offset",), lambda p: Given(p, nets, 3).loss(seeded(0)))


@pytest.mark.parametrize("mirror", [False, True])
def test_every_photo_of_a_batch_teaches_in_step_3(make_problem: MakeProblem, nets: Networks, mirror: bool) -> None:
    problem = make_problem(photos=2)
    kept = torch.rand((1, 2, 3, 16, 16), generator=seeded(1))  # one sample a photo: nothing to draw from

    def loss(p: Problem) -> dict[str, Tensor]:
        own = kept if len(p.photo) == 2 else kept[:, which(p, problem)][:, None]
        return FactoriseStep(p, nets, own, 2, mirror).loss(seeded(0))

    assert_mean_of_photos(nets, problem, FactoriseStep.moves, loss)


def test_step_1_by_the_renderer_and_the_losses(make_problem: MakeProblem, nets: Networks) -> None:
    problem = with_loss(make_problem(photos=2), smooth_depth_weight=0.3, smooth_light_weight=0.7)
    with torch.no_grad():
        terms = AlbedoStep(problem, nets, mirror=False).loss()
        factors = predict(nets, problem)
        seen = render(factors, problem.camera)
        mask = seen.mask * problem.mask
        assert problem.perceptual is not None
        expected = {
            "l1": photometric(seen.image, problem.photo, mask).mean(),
            "perceptual": 0.5 * problem.perceptual(seen.image, problem.photo, mask).mean(),
            "smooth_depth": 0.3 * smoothness(factors.depth).mean(),
            "smooth_light": 0.7 * smoothness(seen.diffuse).mean(),
        }
    assert set(terms) == {"total", *expected}
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(float(value), rel=1e-4), name
    assert float(terms["total"]) == pytest.approx(sum(map(float, expected.values())), rel=1e-4)


def test_the_mirror_branch_is_the_mean_of_the_object_and_its_mirror(make_problem: MakeProblem, nets: Networks) -> None:
    problem = make_problem()
    with torch.no_grad():
        terms = AlbedoStep(problem, nets, mirror=True).loss()
        plain = predict(nets, problem)
        flipped = Factors(plain.depth.flip(3), plain.albedo.flip(3), plain.view, plain.light)
        l1 = 0.0
        for factors in (plain, flipped):
            seen = render(factors, problem.camera)
            l1 += float(photometric(seen.image, problem.photo, seen.mask * problem.mask)) / 2
    assert float(terms["l1"]) == pytest.approx(l1, rel=1e-4)


def test_terms_with_weight_0_and_masks_that_are_off(make_problem: MakeProblem, nets: Networks) -> None:
    problem = make_problem()
    with torch.no_grad():
        assert "perceptual" not in AlbedoStep(with_loss(problem, perceptual_weight=0.0), nets, False).loss()
        assert "perceptual" not in AlbedoStep(replace(problem, perceptual=None), nets, False).loss()
        open_mask = AlbedoStep(with_loss(problem, mask_photo=False), nets, False).loss()
        ones = AlbedoStep(replace(problem, mask=torch.ones_like(problem.mask)), nets, False).loss()
        assert torch.equal(open_mask["l1"], ones["l1"])


def test_pseudo_images_are_renderings_under_drawn_views_and_lights(make_problem: MakeProblem, nets: Networks) -> None:
    problem = make_problem(photos=2)
    step = ProjectStep(problem, nets, 3)
    pseudo = step.draw(seeded(7))
    generator = seeded(7)
    with torch.no_grad():
        own = predict(nets, problem)
        item = torch.arange(2).repeat_interleave(3)
        view = problem.scenes.views.draw(6, problem.view_scale, generator)
        light = problem.scenes.lights.draw(own.light[item], generator)
        seen = render(Factors(own.depth[item], own.albedo[item], view, light), problem.camera)
        mask = canonical_mask(problem.mask, own.depth, own.view, problem.camera)[item]
    visible = seen.mask
    assert visible.mean() > 0.6
    assert torch.allclose(pseudo.mask, sample(mask, seen.grid) * visible, atol=1e-5)
    assert torch.allclose(pseudo.images * visible, seen.image.clamp(0, 1), atol=1e-5)
    assert not (pseudo.mask * (1 - visible)).any()
    assert pseudo.images.min() >= 0
    assert pseudo.images.max() <= 1
    assert not torch.allclose(pseudo.images[0], pseudo.images[1], atol=1e-2)


def test_no_offset_is_the_generators_own_picture(make_problem: MakeProblem, nets: Networks) -> None:
    """E(G(w)) - E(G(w)) = 0, and f(c_h) = c_w: w' = w."""
    problem = make_problem(photos=2)
    step = ProjectStep(problem, nets, 1)
    with torch.no_grad():
        own = problem.gan.image_from_w(problem.latent) / 2 + 0.5
        found, offset = step.project(step.draw(seeded(0))._replace(images=own))
    assert offset.abs().max() < 1e-6
    assert torch.allclose(found, own, atol=1e-5)


@pytest.mark.parametrize("tail_layers", [1, 2, 4])
def test_an_offset_goes_through_the_last_mapping_layers(
    make_problem: MakeProblem, nets: Networks, tail_layers: int
) -> None:
    problem = make_problem()
    project = replace(problem.config.project, tail_layers=tail_layers, relative=False)
    problem = replace(problem, config=replace(problem.config, project=project))
    picture = torch.rand((1, 3, 16, 16), generator=seeded(2))
    mapping = problem.gan.generator.mapping
    with torch.no_grad():
        step = ProjectStep(problem, nets, 1)
        found, offset = step.project(step.draw(seeded(0))._replace(images=picture))
        assert torch.allclose(offset, nets.offset(picture * 2 - 1), atol=1e-6)
        zero = torch.zeros(1, 8)
        moved = mapping.tail(offset + mapping.head(zero, tail_layers), tail_layers) - mapping(zero)
        expected = problem.gan.image_from_w(problem.latent + moved[:, None]) / 2 + 0.5
    assert torch.allclose(found, expected, atol=1e-5)
    assert moved.abs().max() > 0


def test_collected_samples_are_the_projections_photo_by_photo(make_problem: MakeProblem, nets: Networks) -> None:
    problem = make_problem(photos=2)
    step = ProjectStep(problem, nets, 2)
    kept = step.collect(seeded(3))
    with torch.no_grad():
        found, _ = step.project(step.draw(seeded(3)))
    assert torch.equal(kept, found.clamp(0, 1))
    assert not kept.requires_grad


def test_without_a_teacher_the_samples_are_the_renderings(make_problem: MakeProblem, nets: Networks) -> None:
    problem = make_problem(photos=2)
    control = replace(problem.config.project, teacher="none")
    step = ProjectStep(replace(problem, config=replace(problem.config, project=control)), nets, 2)
    drawn = step.draw(seeded(3)).images
    assert torch.equal(step.collect(seeded(3)), drawn.clamp(0, 1))
    assert not torch.equal(drawn.clamp(0, 1), ProjectStep(problem, nets, 2).collect(seeded(3)))


def test_step_3_draws_each_photo_its_own_samples_and_all_of_them(make_problem: MakeProblem, nets: Networks) -> None:
    problem = make_problem(photos=2)
    marks = torch.arange(10.0).view(5, 2)  # sample n of photo b is marked 2 n + b
    step = FactoriseStep(problem, nets, marks[:, :, None, None, None].expand(-1, -1, 3, 16, 16), 40, False)
    targets, item = step.draw(seeded(0))
    mark = targets[:, 0, 0, 0].long()
    assert torch.equal(mark % 2, item)
    assert item.tolist() == [0] * 40 + [1] * 40
    assert mark.unique().tolist() == list(range(10))


@pytest.mark.parametrize("mirror", [False, True])
def test_step_3_by_the_renderer_and_the_losses(make_problem: MakeProblem, nets: Networks, mirror: bool) -> None:
    """Shape and albedo of the photo, view and light of the sample; with the mirror branch the mirrored shape too."""
    problem = make_problem(photos=2)
    kept = torch.rand((1, 2, 3, 16, 16), generator=seeded(1))
    with torch.no_grad():
        terms = FactoriseStep(problem, nets, kept, 1, mirror).loss(seeded(0))
        own = predict(nets, problem)
        other = predict(nets, replace(problem, photo=kept[0]))
        mask = canonical_mask(problem.mask, own.depth, own.view, problem.camera)
        assert problem.perceptual is not None
        l1, perceptual = [], []
        for flipped in (False, True) if mirror else (False,):
            shape = [t.flip(3) if flipped else t for t in (own.depth, own.albedo, mask)]
            seen = render(Factors(shape[0], shape[1], other.view, other.light), problem.camera)
            weight = seen.mask * sample(shape[2], seen.grid)
            l1.append(photometric(seen.image, kept[0], weight).mean())
            perceptual.append(0.5 * problem.perceptual(seen.image, kept[0], weight).mean())
        photo_terms = AlbedoStep(problem, nets, mirror).loss()
    assert terms["l1"].item() == pytest.approx(torch.stack(l1).mean().item(), rel=1e-4)
    assert terms["perceptual"].item() == pytest.approx(torch.stack(perceptual).mean().item(), rel=1e-4)
    for name in ("l1", "perceptual", "smooth_depth", "smooth_light"):
        assert terms[f"photo_{name}"].item() == pytest.approx(photo_terms[name].item(), rel=1e-4), name
    assert terms["total"].item() == pytest.approx(sum(v.item() for k, v in terms.items() if k != "total"), rel=1e-4)


def test_the_prior_is_compared_inside_the_border_columns(make_problem: MakeProblem, nets: Networks) -> None:
    problem = make_problem()
    assert problem.prior is not None
    depth = predict_depth(nets, problem.photo, problem).detach()
    at_border = depth.clone()
    at_border[..., :2] += 1
    at_border[..., -2:] += 1
    assert PriorStep(replace(problem, prior=at_border), nets).loss()["prior"].item() == 0
    terms = PriorStep(replace(problem, prior=depth + 0.02), nets).loss()
    assert terms["prior"].item() == pytest.approx(4e-4, rel=1e-3)
    assert terms["total"].item() == pytest.approx(0.04, rel=1e-3)  # in half widths of the range
    with pytest.raises(ValueError, match="prior"):
        PriorStep(replace(problem, prior=None), nets)


def test_the_canonical_mask_straight_on_is_the_mask_and_turned_it_comes_back() -> None:
    camera = Camera(64)
    v, u = torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 2, indexing="ij")
    depth = (1.03 - 0.05 * torch.exp(-2 * ((u - 0.1) ** 2 + v**2)))[None, None].expand(2, -1, -1, -1)
    mask = torch.sigmoid((0.6 - (u**2 + (v - 0.1) ** 2).sqrt()) * 8)[None, None].expand(2, -1, -1, -1)
    assert torch.allclose(canonical_mask(mask, depth, torch.zeros(2, 6), camera), mask, atol=1e-5)
    view = torch.tensor([[0.05, -0.2, 0.1, 0.005, 0.0, 0.0], [0.0, 0.15, 0.0, 0.0, -0.005, 0.0]])
    turned = canonical_mask(mask, depth, view, camera)
    light = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 2)
    seen = render(Factors(depth, turned.expand(-1, 3, -1, -1), view, light), camera)
    inner = seen.mask * (seen.grid.abs().amax(-1)[:, None] < 0.9)
    assert inner.mean() > 0.5
    assert ((seen.image[:, :1] - mask).abs() * inner).max() < 0.01
    mirrored = canonical_mask(mask.flip(3), depth.flip(3), mirror_view(view), camera)
    assert torch.allclose(mirrored, turned.flip(3), atol=1e-4)
    assert (turned - mask).abs().max() > 0.1
