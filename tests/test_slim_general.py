"""A general model with a thinner albedo network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from bozzetto.cli.main import execute
from bozzetto.config import ViewConfig
from bozzetto.errors import CheckpointError, InputError
from bozzetto.gan.zoo import load_gan
from bozzetto.general_model import GeneralFacts, load_general, save_general
from bozzetto.nets.autoencoder import Autoencoder
from bozzetto.nets.blocks import initialise
from bozzetto.nets.networks import make_networks
from bozzetto.pipeline import plan, reconstruct
from bozzetto.slim_general import SlimJob, imitate, slim_general
from tiny_run import CONFIG, INVERSION, SIZE, photo, write_gan


class Heard:
    """A `CountProgress` that keeps the losses."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_note(self, text: str) -> None: ...

    def on_count(self, what: str, done: int, total: int, loss: float | None = None) -> None:
        self.losses.append(float("nan") if loss is None else loss)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A general model of random weights, and its teacher beside it."""
    folder = tmp_path_factory.mktemp("slim")
    write_gan(folder / "gan.safetensors")
    info = load_gan(folder / "gan.safetensors").info
    facts = GeneralFacts(
        name="tiny",
        category="object",
        licence="MIT",
        size=SIZE,
        w_dim=info.w_dim,
        width=0.25,
        view=ViewConfig(),
        view_mean=(0.0,) * 6,
        generator_name="tiny",
        generator_sha256=info.sha256,
        photos=3,
        offset=False,
    )
    nets = make_networks(SIZE, info.w_dim, torch.Generator().manual_seed(3), width=0.25)
    save_general(folder / "wide.safetensors", nets, facts)
    return folder / "wide.safetensors"


def job_of(wide: Path, out: Path, **changes: object) -> SlimJob:
    base = SlimJob(str(wide), out, gan=str(wide.parent / "gan.safetensors"), pictures=64, steps=150)
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def slim(wide: Path) -> Path:
    return slim_general(job_of(wide, wide.parent / "slim.safetensors", steps=20), Heard())


def test_every_other_network_stays_bit_for_bit(wide: Path, slim: Path) -> None:
    before, after = load_file(wide), load_file(slim)
    others = [name for name in before if not name.startswith("albedo.")]
    assert others
    assert all(torch.equal(before[name], after[name]) for name in others)
    assert slim.stat().st_size < 0.8 * wide.stat().st_size


class Blurred(nn.Module):
    """What A comes to on faces: the picture without its detail."""

    def forward(self, pictures: Tensor) -> Tensor:
        return F.interpolate(F.avg_pool2d(pictures, 8), scale_factor=8, mode="bilinear", align_corners=False)


def test_a_thin_network_learns_what_another_sees() -> None:
    rng = torch.Generator().manual_seed(0)
    pictures = F.interpolate(torch.rand(4, 3, 1, 2, generator=rng) * 2 - 1, size=16, mode="bilinear")
    thin, wide = Autoencoder(16, 3, nn.Tanh(), 0.125), Blurred()
    initialise(thin, rng)
    imitate(thin, wide, pictures, 400, rng, Heard())
    with torch.no_grad():
        for seen in (pictures, pictures.flip(3)):  # mirror images were shown, too
            wanted = wide(seen)
            assert (thin(seen) - wanted).abs().mean() < 0.4 * (wanted - wanted.mean(0)).abs().mean()


def test_the_file_says_how_wide_its_albedo_network_is(wide: Path, slim: Path) -> None:
    assert load_general(slim).facts == replace(load_general(wide).facts, albedo_width=0.125)


def test_a_photo_is_refined_from_it_with_an_albedo_network_of_its_width(slim: Path) -> None:
    gan = slim.parent / "gan.safetensors"
    job = plan(photo(), gan, config=CONFIG, mask="none", inversion=INVERSION, general=slim)
    assert (job.config.nets.width, job.config.nets.albedo_width) == (0.25, 0.125)
    result = reconstruct(photo(), gan, config=CONFIG, mask="none", inversion=INVERSION, general=slim)
    assert bool(result.depth.isfinite().all())


def test_what_cannot_be_made_thinner_is_refused(wide: Path, slim: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(InputError, match="must be below"):
        slim_general(job_of(slim, out), Heard())
    with pytest.raises(InputError, match="another generator"):
        slim_general(job_of(wide, out, gan="heads"), Heard())
    with pytest.raises(InputError, match="no albedo network"):
        slim_general(SlimJob("cats", out), Heard())
    with pytest.raises(InputError, match="--steps"):
        slim_general(job_of(wide, out, steps=0), Heard())
    with pytest.raises(CheckpointError):
        slim_general(job_of(tmp_path / "none.safetensors", out), Heard())
    assert not list(tmp_path.iterdir())


def test_a_file_whose_width_is_said_wrongly_is_refused(wide: Path, slim: Path, tmp_path: Path) -> None:
    model = load_general(slim)
    path = tmp_path / "lying.safetensors"
    save_general(path, model.networks, replace(model.facts, albedo_width=None))
    with pytest.raises(CheckpointError, match="does not hold the networks"):
        load_general(path)


def test_the_command_writes_it(wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, gan = tmp_path / "slim.safetensors", str(wide.parent / "gan.safetensors")
    words = ["general", "slim", str(wide), "-o", str(out), "--gan", gan, "--steps", "2", "--pictures", "16"]
    assert execute(words) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert execute(words) != 0
    assert "--overwrite" in capsys.readouterr().err
