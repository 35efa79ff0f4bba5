"""Peak memory before a run begins: what autograd keeps is counted exactly, and limits are kept or refused at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bozzetto import forecast
from bozzetto.bench.memory import Cell, measured
from bozzetto.cli.main import execute
from bozzetto.config import Stage, TurnConfig
from bozzetto.errors import InputError
from bozzetto.export.images import picture
from bozzetto.forecast import (
    TO_SPARE,
    Forecast,
    cost_of,
    features_cost,
    fitted,
    kept_for_gradients,
    parse_memory,
    synthesis_cost,
)
from bozzetto.gan.frozen import Precision
from bozzetto.gan.generator import Gan, GanInfo
from bozzetto.ingredients import Plan, latent_of
from bozzetto.keep import Quiet
from bozzetto.nets.autoencoder import Autoencoder
from bozzetto.nets.encoder import Encoder
from bozzetto.nets.offset_encoder import OffsetEncoder
from bozzetto.pipeline import plan, run
from bozzetto.results import Reconstruction
from tiny_run import CONFIG, INVERSION, photo, write_gan  # it makes the folder of the next two known

from tiny_gan import tiny_gan  # isort: skip
from tiny_gan3 import tiny_generator3, tiny_spec3  # isort: skip


def tiny_gan3() -> Gan:
    spec = tiny_spec3()
    info = GanInfo("tiny3", spec.kind, spec.resolution, 6, 8, spec.num_ws, spec.num_mapping_layers, "MIT", "", "noise")
    return Gan(tiny_generator3(spec), None, info)


GANS: dict[str, Callable[[], Gan]] = {"stylegan2": tiny_gan, "stylegan3": tiny_gan3}


def planned(**compute: Any) -> Plan:
    config = replace(CONFIG, compute=replace(CONFIG.compute, **compute))
    return plan(photo(), tiny_gan(), config=config, mask="none", crop="none", inversion=INVERSION)


def kept(run: Callable[[int], Any], weights: list[Tensor], count: int) -> int:
    return kept_for_gradients(lambda: run(count), weights).total


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", GANS)
def test_a_generator_keeps_what_is_counted_without_running_it(kind: str, precision: Precision) -> None:
    gan = GANS[kind]()
    net = gan.modules(precision)[0]
    weights = [*net.parameters(), *net.buffers()]
    w = gan.w_samples(3, seed=1)[:, None].repeat(1, gan.info.num_ws, 1)

    def run(count: int) -> Tensor:
        return gan.image_from_w(w[:count].clone().requires_grad_(), precision=precision)

    cost = synthesis_cost(gan, precision)
    assert cost.each == kept(run, weights, 3) - kept(run, weights, 2) > 0
    assert cost.outputs == 4 * 3 * gan.info.resolution**2
    assert cost.weights == sum(tensor.nbytes for tensor in weights)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_discriminator_keeps_what_is_counted(precision: Precision) -> None:
    gan = tiny_gan()
    net = gan.modules(precision)[1]
    assert net is not None

    def run(count: int) -> list[Tensor]:
        return gan.features(torch.zeros(count, 3, 16, 16, requires_grad=True), 2, precision)

    weights = list(net.buffers())
    assert features_cost(gan, 2, precision).each == kept(run, weights, 3) - kept(run, weights, 2) > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Encoder(16, 6, width=0.25),
        lambda: Autoencoder(16, 3, nn.Tanh(), 0.25),
        lambda: OffsetEncoder(16, 8),
    ],
    ids=["encoder", "autoencoder", "offset encoder"],
)
def test_a_network_keeps_what_is_counted(make: Callable[[], nn.Module]) -> None:
    net = make()
    weights = list(net.parameters())
    picture_of = lambda count: torch.zeros(count, 3, 16, 16, requires_grad=True)  # noqa: E731
    cost = cost_of(net, lambda count: (picture_of(count).to("meta").detach().requires_grad_(),))
    run = lambda count: net(picture_of(count))  # noqa: E731
    assert cost.each == kept(run, weights, 3) - kept(run, weights, 2) > 0
    assert cost.weights == sum(p.numel() * 4 for p in net.parameters())


def test_fewer_samples_at_once_never_take_more() -> None:
    cast = Forecast(planned())
    compute = cast.job.config.compute
    peaks = [{peak.phase: peak.total for peak in cast.peaks(replace(compute, chunk=n))} for n in (0, 2, 1)]
    for more, fewer in ((peaks[0], peaks[1]), (peaks[1], peaks[2])):
        assert more.keys() == fewer.keys()
        assert all(fewer[phase] <= more[phase] for phase in more)
    assert peaks[2]["stage 2 project"] < peaks[0]["stage 2 project"]
    assert [*peaks[0]][:: len(peaks[0]) - 1] == ["inversion", "result"]


def test_a_fit_to_the_photo_alone_can_be_kept_smaller_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inversion and pictures through the GAN come in parts, also where no samples are drawn."""
    job = planned()
    alone = replace(job, config=replace(job.config, stages=(Stage(2, 0, 2, samples=0, mirror=True),)))
    tried: list[int] = []
    peak = Forecast.peak
    monkeypatch.setattr(Forecast, "peak", lambda cast, compute: tried.append(compute.chunk) or peak(cast, compute))
    with pytest.raises(InputError, match="memory are needed"):
        fitted(alone, 1.0)
    assert tried == [0, 0, 2, 1]


def test_a_limit_takes_the_gentlest_settings_that_keep_it() -> None:
    job = planned()
    cast, compute = Forecast(job), job.config.compute
    assert fitted(job, 1e12) is not job
    assert fitted(job, 1e12).config == job.config
    for keep_mb, chunk in ((512, 0), (0, 0), (0, 1)):
        limit = cast.peak(replace(compute, keep_mb=keep_mb, chunk=chunk)).total * TO_SPARE
        found = fitted(job, limit).config.compute
        assert cast.peak(found).total * TO_SPARE <= limit
        assert (found.keep_mb, found.chunk) == (keep_mb, chunk)
        assert replace(found, keep_mb=512, chunk=0) == compute
    assert fitted(planned(chunk=1), 1e12).config.compute.chunk == 1  # asked for smaller than it takes
    with pytest.raises(InputError, match=r"^About \d+\.\d\d GB of memory are needed at least \(in .*\.$"):
        fitted(job, cast.peak(replace(compute, keep_mb=0, chunk=1)).total * TO_SPARE - 1)


@pytest.mark.parametrize(
    ("text", "size"), [("2G", 2e9), ("1500M", 1.5e9), ("1.5GiB", 1.5 * 2**30), ("2 gb", 2e9), ("1T", 1e12)]
)
def test_sizes_are_read(text: str, size: float) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "2", "G", "-1G", "0G", "1e3M", "2K", "nan", "infG", "2G3"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="such as 2G"):
        parse_memory(text)


def test_photos_inverted_one_by_one_find_the_same(tmp_path: Path) -> None:
    found = []
    for chunk in (0, 1):
        job = planned(chunk=chunk)
        job = replace(job, config=replace(job.config, turn=TurnConfig(use=True)))
        found.append(latent_of(job, torch.ones(1, 1, 16, 16), None, Quiet(), (job.inversion, None)))
    for name in ("w", "image", "mirror_w"):
        torch.testing.assert_close(getattr(found[1], name), getattr(found[0], name), rtol=0, atol=1e-5)


def test_the_command_keeps_to_a_limit_or_does_not_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What fits is done as without a limit; what cannot is refused before anything is written; a dry run says which."""
    gan, disc = write_gan(tmp_path / "tiny.safetensors"), tmp_path / "disc.png"
    picture(photo()).save(disc)
    few = [
        *("--albedo", "1", "--project", "1", "--factorise", "1", "--samples", "3", "--stages", "1"),
        *("--collect-batches", "1", "--turn.use", "False", "--inversion.steps", "2", "--inversion.start-samples", "16"),
        *("--inversion.hopeless-db", "0"),
        *("--prior.iterations", "1", "--nets.width", "0.25", "--precision", "fp32", "--gan-precision", "fp32"),
        *("--formats", "png", "--mask", "none", "--inversion.hopeless-db", "0"),
    ]
    argv = ["reconstruct", str(disc), "--gan", str(gan), *few]
    out = {name: tmp_path / name for name in ("free", "roomy", "tight", "never")}
    assert execute([*argv, "--out", str(out["free"])]) == 0
    assert execute([*argv, "--out", str(out["roomy"]), "--max-memory", "20G"]) == 0
    capsys.readouterr()
    assert execute([*argv, "--out", str(out["never"]), "--max-memory", "1M"]) == 2
    told = capsys.readouterr()
    assert re.fullmatch(r"bozzetto: About [^\n]* of --max-memory; allow more, [^\n]*\.\n", told.err)
    assert not out["never"].exists()
    assert not Path(f"{out['never']}.partial").exists()

    needed = re.search(r"About (\d+\.\d+) GB", told.err)
    assert needed is not None
    limit = f"{float(needed[1]) * 1000 + 10:.0f}M"
    assert execute([*argv, "--out", str(out["tight"]), "--max-memory", limit, "--dry-run"]) == 0
    assert re.search(r"memory +about \d\.\d\d GB, in [^\n]+\)(; 1 sample at a time)?\n", capsys.readouterr().out)
    free, roomy = (Reconstruction.load(out[name]) for name in ("free", "roomy"))
    assert free.provenance.config == roomy.provenance.config
    assert all(torch.equal(value, roomy.tensors()[name]) for name, value in free.tensors().items())


def test_a_result_in_chunks_is_the_same_to_the_accuracy_of_the_arithmetic() -> None:
    """Adam's first steps have the size of the rate whatever the gradient's: where one is near 0, so is what differs."""
    one, other = (run(planned(chunk=chunk)).tensors() for chunk in (0, 1))
    for name, value in one.items():
        assert (value.float() - other[name].float()).abs().mean() < 1e-3, name


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [0, 1])
def test_predictions_are_within_a_quarter_of_what_is_measured(chunk: int) -> None:
    with get_context("spawn").Pool(1) as pool:
        row = pool.apply(measured, (Cell(64, "quick", 4, chunk, None, "cpu"),))
    assert 0.8 < row["ratio"] < 1.25, row


def test_the_constants_are_named_in_the_parts() -> None:
    peak = Forecast(planned()).peak()
    assert peak.parts["program"] == forecast.PROGRAM
    assert {"generator", "networks", "samples", "activations", "renderer", "saving"} <= set(peak.parts)
