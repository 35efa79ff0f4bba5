"""The learned distances against their formula written out, and their weight files."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bozzetto.errors import CheckpointError, MissingExtraError
from bozzetto.losses import lpips_vgg, stlpips
from bozzetto.losses.learned import LearnedDistance, read_heads, unit_length
from bozzetto.losses.packaged import packaged_file, read_tensors
from bozzetto.losses.vgg16 import BLOCKS, WIDTHS

needs_stlpips = pytest.mark.skipif(
    importlib.util.find_spec("stlpips_pytorch") is None, reason="needs the extra stlpips"
)


def rand(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def formula(taps: list[Tensor], others: list[Tensor], heads: list[Tensor]) -> Tensor:
    """Zhang et al., Eq. 1, pixel by pixel: unit vectors, squared difference, weights, mean, sum."""
    total = torch.zeros(len(taps[0]))
    for a, b, head in zip(taps, others, heads, strict=True):
        a, b = (x / x.pow(2).sum(1, keepdim=True).sqrt().clamp(min=1e-10) for x in (a, b))
        total += torch.einsum("bchw,c->bhw", (a - b) ** 2, head.flatten()).mean((1, 2))
    return total


def normalised(images: Tensor) -> Tensor:
    """ImageNet's mean and deviation, as LPIPS rounds them for images in [-1, 1]."""
    return torch.stack(
        [
            (2 * images[:, i] - 1 - s) / d
            for i, (s, d) in enumerate(((-0.030, 0.458), (-0.088, 0.448), (-0.188, 0.450)))
        ],
        1,
    )


def blurred_halving(x: Tensor) -> Tensor:
    """Largest of 2 x 2 at stride 1, rim reflected by two, [1 2 1]/4 both ways, every second pixel."""
    h, w = x.shape[2:]
    dense = torch.stack([x[..., i : h - 1 + i, j : w - 1 + j] for i in (0, 1) for j in (0, 1)]).amax(0)
    for dim in (2, 3):
        n = dense.shape[dim]
        index = torch.tensor([2, 1, *range(n), n - 2, n - 3])
        padded = dense.index_select(dim, index)
        parts = [padded.narrow(dim, k, n + 2) * weight for k, weight in enumerate((0.25, 0.5, 0.25))]
        dense = torch.stack(parts).sum(0)
    return dense[..., ::2, ::2]


def stlpips_taps(state: dict[str, Tensor], images: Tensor) -> list[Tensor]:
    names = sorted((n for n in state if n.endswith(".bias")), key=lambda n: int(n.split(".")[2]))
    x, taps, layers = normalised(images), [], iter(names)
    for i, block in enumerate(BLOCKS):
        x = blurred_halving(x) if i else x
        for _ in block:
            name = next(layers)
            x = F.conv2d(x, state[name.replace("bias", "weight")], state[name], padding=1).clamp(min=0)
        taps.append(x)
    return taps


@pytest.fixture(scope="module")
def shift_tolerant() -> LearnedDistance:
    return stlpips.make_stlpips()


@needs_stlpips
class TestStlpips:
    def test_the_formula_written_out(self, shift_tolerant: LearnedDistance) -> None:
        path = packaged_file("stlpips_pytorch", stlpips.FILE, needed_by="test", install="")
        state = torch.load(path, map_location="cpu", weights_only=True)
        a, b = rand(2, 3, 32, 32, seed=0), rand(2, 3, 32, 32, seed=1)
        heads = [state[f"lin{i}.model.1.weight"] for i in range(5)]
        expected = formula(stlpips_taps(state, a), stlpips_taps(state, b), heads)
        assert torch.allclose(shift_tolerant(a, b, torch.ones(2, 1, 32, 32)), expected, rtol=1e-5)

    def test_the_packages_own_numbers(self, shift_tolerant: LearnedDistance) -> None:
        """What its class LPIPS(net="vgg", variant="shift_tolerant") gives for these pictures with normalize=True."""
        rng = torch.Generator().manual_seed(0)
        a, b = (torch.rand((2, 3, 64, 64), generator=rng) for _ in range(2))
        ones = torch.ones(2, 1, 64, 64)
        assert shift_tolerant(a, b, ones).tolist() == pytest.approx([0.06837417185, 0.06664191931], rel=1e-5)
        mixed = shift_tolerant(a, 0.7 * a + 0.3 * b, ones)
        assert mixed.tolist() == pytest.approx([0.01062978525, 0.01050388161], rel=1e-5)

    def test_a_mask_weighs_every_tap_at_its_own_size(self, shift_tolerant: LearnedDistance) -> None:
        a, b, mask = rand(1, 3, 32, 32, seed=0), rand(1, 3, 32, 32, seed=1), rand(1, 1, 32, 32, seed=2)
        laid = b + (a - b) * mask
        expected = torch.zeros(1)
        for x, y, head in zip(
            shift_tolerant.features(laid), shift_tolerant.features(b), shift_tolerant.heads, strict=True
        ):
            pooled = F.adaptive_avg_pool2d(mask, x.shape[-1])
            expected += (((x - y) ** 2 * head).sum(1, keepdim=True) * pooled).sum() / pooled.sum()
        assert torch.allclose(shift_tolerant(a, b, mask), expected, rtol=1e-5)
        assert torch.allclose(shift_tolerant(a, b, 0 * mask + 1), shift_tolerant(b, a, 0 * mask + 1), rtol=1e-5)

    def test_bfloat16_stays_close(self, shift_tolerant: LearnedDistance) -> None:
        a, b, ones = rand(1, 3, 32, 32, seed=0), rand(1, 3, 32, 32, seed=1), torch.ones(1, 1, 32, 32)
        half = stlpips.make_stlpips(precision="bf16")(a, b, ones)
        assert half.dtype == torch.float32
        assert torch.allclose(half, shift_tolerant(a, b, ones), rtol=0.03)

    def test_nothing_in_it_takes_a_gradient(self, shift_tolerant: LearnedDistance) -> None:
        assert not any(p.requires_grad for p in shift_tolerant.trunk.parameters())
        assert not any(head.requires_grad for head in shift_tolerant.heads)

    def test_the_package_is_not_imported(self, shift_tolerant: LearnedDistance) -> None:
        assert shift_tolerant.name == "stlpips"
        assert "stlpips_pytorch" not in sys.modules
        assert "torchvision" not in sys.modules


def torchvision_vgg16(seed: int) -> dict[str, Tensor]:
    """Random weights under the names of torchvision's file, numbered as in its flat list with the poolings."""
    rng = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    index, before = 0, 3
    for block in BLOCKS:
        for width in block:
            bound = (6 / (9 * before)) ** 0.5
            state[f"features.{index}.weight"] = (torch.rand((width, before, 3, 3), generator=rng) * 2 - 1) * bound
            state[f"features.{index}.bias"] = torch.rand(width, generator=rng) * 0.1
            index, before = index + 2, width  # the convolution and its ReLU
        index += 1  # the pooling
    return {**state, "classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}


@pytest.fixture
def lpips_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """A package `lpips` that cannot be imported but has a file of random heads; gives the heads."""
    weights = tmp_path / "site" / "lpips" / "weights" / "v0.1"
    weights.mkdir(parents=True)
    (tmp_path / "site" / "lpips" / "__init__.py").write_text("raise ImportError('must not be imported')")
    heads = [rand(1, width, 1, 1, seed=i) for i, width in enumerate(WIDTHS)]
    torch.save({f"lin{i}.model.1.weight": head for i, head in enumerate(heads)}, weights / "vgg.pth")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(lpips_vgg, "HEADS_SHA256", hashlib.sha256((weights / "vgg.pth").read_bytes()).hexdigest())
    return heads


class TestLpipsVgg:
    def test_the_formula_written_out(self, lpips_package: list[Tensor], tmp_path: Path) -> None:
        state = torchvision_vgg16(0)
        torch.save(state, tmp_path / "trunk.pth")
        distance = lpips_vgg.make_lpips_vgg(trunk=tmp_path / "trunk.pth")
        a, b = rand(2, 3, 16, 16, seed=0), rand(2, 3, 16, 16, seed=1)

        def taps(images: Tensor) -> list[Tensor]:
            x, out, index = normalised(images), [], 0
            for i, block in enumerate(BLOCKS):
                if i:
                    x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
                    index += 1
                for _ in block:
                    weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
                    x = F.conv2d(x, weight, bias, padding=1).clamp(min=0)
                    index += 2
                out.append(x)
            return out

        expected = formula(taps(a), taps(b), lpips_package)
        assert distance.name == "lpips-vgg"
        assert torch.allclose(distance(a, b, torch.ones(2, 1, 16, 16)), expected, rtol=1e-5)

    def test_other_files_are_refused_by_what_differs(self, lpips_package: list[Tensor], tmp_path: Path) -> None:
        path = tmp_path / "trunk.pth"
        state = torchvision_vgg16(0)
        small = {key: value[:1].clone() for key, value in state.items()}
        missing = {key: value for key, value in small.items() if key != "features.28.bias"}
        for wrong, words in (
            (missing, "lacks 'features.28.bias'"),
            ({**small, "features.1.weight": torch.zeros(1)}, "unexpected 'features.1.weight'"),
            (small, r"features.0.weight of shape \[1, 3, 3, 3\]"),
        ):
            torch.save(wrong, path)
            with pytest.raises(CheckpointError, match=words):
                lpips_vgg.make_lpips_vgg(trunk=path)
        path.write_bytes(path.read_bytes()[:500])
        with pytest.raises(CheckpointError, match="cannot be read"):
            lpips_vgg.make_lpips_vgg(trunk=path)

    def test_the_published_hash_begins_as_the_files_name_says(self) -> None:
        assert lpips_vgg.TRUNK.name == f"vgg16-{lpips_vgg.TRUNK.sha256_prefix}.pth"
        assert lpips_vgg.TRUNK.url.endswith(lpips_vgg.TRUNK.name)
        assert lpips_vgg.TRUNK.sha256 is not None
        assert lpips_vgg.TRUNK.sha256.startswith(lpips_vgg.TRUNK.sha256_prefix)


def test_a_missing_package_is_told_with_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r"'x' needs the package no_such_package: run `pip install y`"):
        packaged_file("no_such_package", "weights.pth", needed_by="x", install="pip install y")
    with pytest.raises(MissingExtraError, match="pip install y"):
        packaged_file("torch", "no/such/file.pth", needed_by="x", install="pip install y")


def test_a_damaged_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(3)}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert torch.equal(read_tensors(path, sha256, remedy="x")["a"], torch.ones(3))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match=r"damaged or of another version; do this\."):
        read_tensors(path, sha256, remedy="do this")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_tensors(tmp_path / "none.pth", sha256, remedy="x")


def test_heads_must_fit() -> None:
    heads = {f"lin{i}.model.1.weight": torch.ones(1, width, 1, 1) for i, width in enumerate(WIDTHS)}
    assert [len(head) for head in read_heads(heads, "file")] == list(WIDTHS)
    with pytest.raises(CheckpointError, match="head 2 of 256"):
        read_heads({**heads, "lin2.model.1.weight": torch.ones(1, 3, 1, 1)}, "file")


def test_unit_length_of_nothing_is_nothing_with_a_gradient_of_nothing() -> None:
    features = torch.zeros(1, 4, 2, 2)
    features[..., 0] = rand(1, 4, 2, seed=0)
    features.requires_grad_()
    unit = unit_length(features)
    assert torch.allclose(unit.square().sum(1), torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
    unit.square().sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
