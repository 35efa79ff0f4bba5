"""The parsers' networks have the published layout, load strictly, and read probabilities where they should."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from bozzetto.errors import CheckpointError, InputError
from bozzetto.segment.bisenet import BiSeNet
from bozzetto.segment.deeplab import DeepLabV3
from bozzetto.segment.face_parsing import FaceParser
from bozzetto.segment.object_parsing import ObjectParser
from bozzetto.segment.resnet import BasicBlock, ResNet, imagenet_normalise
from bozzetto.segment.weights import load_strictly, read_state_dict


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_deeplab_has_the_published_size_and_names() -> None:
    with torch.device("meta"):
        network = DeepLabV3()
    assert count(network) == 42_004_074  # torchvision's model card
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    expected = {
        "backbone.conv1.weight": (64, 3, 7, 7),
        "backbone.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "backbone.layer3.5.conv2.weight": (256, 256, 3, 3),
        "backbone.layer4.2.bn3.running_var": (2048,),
        "classifier.0.convs.0.0.weight": (256, 2048, 1, 1),
        "classifier.0.convs.3.0.weight": (256, 2048, 3, 3),
        "classifier.0.convs.3.1.running_mean": (256,),
        "classifier.0.convs.4.1.weight": (256, 2048, 1, 1),
        "classifier.0.convs.4.2.bias": (256,),
        "classifier.0.project.0.weight": (256, 1280, 1, 1),
        "classifier.1.weight": (256, 256, 3, 3),
        "classifier.2.num_batches_tracked": (),
        "classifier.4.weight": (21, 256, 1, 1),
        "classifier.4.bias": (21,),
        "aux_classifier.0.weight": (256, 1024, 3, 3),
        "aux_classifier.1.weight": (256,),
        "aux_classifier.4.bias": (21,),
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_bisenet_has_the_published_names() -> None:
    with torch.device("meta"):
        network = BiSeNet()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    expected = {
        "cp.resnet.layer4.1.conv2.weight": (512, 512, 3, 3),
        "cp.resnet.layer2.0.downsample.1.running_mean": (128,),
        "cp.arm16.conv.conv.weight": (128, 256, 3, 3),
        "cp.arm32.bn_atten.weight": (128,),
        "cp.conv_head16.bn.bias": (128,),
        "cp.conv_avg.conv.weight": (128, 512, 1, 1),
        "ffm.convblk.conv.weight": (256, 256, 1, 1),
        "ffm.conv1.weight": (64, 256, 1, 1),
        "ffm.conv2.weight": (256, 64, 1, 1),
        "conv_out.conv_out.weight": (19, 256, 1, 1),
        "conv_out32.conv.conv.weight": (64, 128, 3, 3),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    assert not any(name.endswith("conv.bias") for name in shapes)


def test_strides_of_the_trunks() -> None:
    x = torch.rand(1, 3, 64, 64)
    plain = ResNet(BasicBlock, (2, 2, 2, 2)).eval()
    assert [f.shape[-1] for f in plain(x)] == [8, 4, 2]
    dilated = ResNet(BasicBlock, (2, 2, 2, 2), dilated=(False, False, True, True)).eval()
    assert [f.shape[-1] for f in dilated(x)] == [8, 8, 8]
    dilated.load_state_dict(plain.state_dict())


def test_dilation_takes_the_place_of_stride() -> None:
    """Every second feature of a dilated stage's first convolution is the strided network's."""
    torch.manual_seed(0)
    plain = ResNet(BasicBlock, (1, 1, 1, 1)).eval()
    dilated = ResNet(BasicBlock, (1, 1, 1, 1), dilated=(False, False, False, True)).eval()
    dilated.load_state_dict(plain.state_dict())
    _, features, _ = plain(torch.rand(1, 3, 64, 64))
    strided = plain.layer4[0].conv1(features)
    torch.testing.assert_close(dilated.layer4[0].conv1(features)[..., ::2, ::2], strided)


def test_dilations_and_strides_of_deeplab() -> None:
    """Output stride 8; a dilated stage's first block keeps the dilation before it (Chen et al., 2017)."""
    with torch.device("meta"):
        trunk = DeepLabV3().backbone
    rates = {name: module.conv2.dilation[0] for name, module in trunk.named_modules() if hasattr(module, "conv2")}
    assert [rates[f"layer3.{k}"] for k in range(6)] == [1, 2, 2, 2, 2, 2]
    assert [rates[f"layer4.{k}"] for k in range(3)] == [2, 4, 4]
    assert {rates[f"layer2.{k}"] for k in range(4)} == {1}
    strides = [module.conv2.stride[0] for module in trunk.modules() if hasattr(module, "conv2")]
    assert sum(s == 2 for s in strides) == 1


def test_normalisation_maps_the_imagenet_mean_to_zero() -> None:
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert (imagenet_normalise(mean).abs() < 1e-6).all()
    torch.testing.assert_close(
        imagenet_normalise(mean + torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)), torch.ones(1, 3, 2, 2)
    )


@pytest.fixture(scope="module")
def face_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the published layout, without BatchNorm's counters, as old files are."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "79999_iter.pth"
    state = {k: v for k, v in BiSeNet().state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, path)
    return path


def test_face_parser_reads_the_face_labels(face_weights: Path) -> None:
    parser = FaceParser(face_weights, input_px=64)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    found = parser(images, "face")
    network = BiSeNet().eval()
    network.load_state_dict(read_state_dict(face_weights), strict=False)
    with torch.no_grad():
        probability = network(imagenet_normalise(images)).softmax(dim=1)
    background_and_clothes = probability[:, [0, 16]].sum(dim=1, keepdim=True)
    torch.testing.assert_close(found.score, 1 - background_and_clothes, rtol=0, atol=1e-5)
    assert found.mask.shape == (2, 1, 64, 64)
    assert not found.mask.requires_grad
    alone = parser(images[1:], "face")
    torch.testing.assert_close(alone.score[0], found.score[1], rtol=0, atol=1e-5)


def test_face_parser_refuses_other_categories(face_weights: Path) -> None:
    with pytest.raises(InputError, match="faces only"):
        FaceParser(face_weights, input_px=64)(torch.rand(1, 3, 32, 32), "car")


def test_object_parser_reads_its_label(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DeepLabV3().eval()
    path = tmp_path / "weights.pth"
    torch.save(network.half().state_dict(), path)  # half the disk; loading turns it back
    network = network.float()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    parser = ObjectParser(path, input_px=64)
    found = parser(images, "car")
    with torch.no_grad():
        probability = network(imagenet_normalise(images)).softmax(dim=1)
    torch.testing.assert_close(found.score, probability[:, 7:8], rtol=0, atol=1e-4)
    with pytest.raises(InputError, match="church"):
        parser(images, "church")


def test_weights_that_differ_are_named(face_weights: Path, tmp_path: Path) -> None:
    state = read_state_dict(face_weights)
    network = BiSeNet()
    with pytest.raises(CheckpointError, match=r"lacks conv_out\.conv_out\.weight"):
        load_strictly(network, {k: v for k, v in state.items() if k != "conv_out.conv_out.weight"}, face_weights)
    with pytest.raises(CheckpointError, match="has unknown extra"):
        load_strictly(network, {**state, "extra": torch.zeros(1)}, face_weights)
    with pytest.raises(CheckpointError, match=r"other shapes for ffm\.conv1\.weight"):
        load_strictly(network, {**state, "ffm.conv1.weight": torch.zeros(1)}, face_weights)
    with pytest.raises(CheckpointError, match="does not fit DeepLabV3"):
        ObjectParser(face_weights)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch owned",)


@pytest.mark.parametrize("kind", ["malicious", "text", "empty", "list", "number"])
def test_files_that_are_not_weights_are_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    if kind == "malicious":
        torch.save({"conv1.weight": torch.zeros(1), "evil": Malicious()}, path)
    elif kind in ("list", "number"):
        torch.save([torch.zeros(1)] if kind == "list" else {"a": 1}, path)
    else:
        path.write_bytes(b"not weights at all" if kind == "text" else b"")
    with pytest.raises(CheckpointError):
        FaceParser(path)
    assert not (tmp_path / "owned").exists()


def test_truncated_weights_are_refused(face_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    path.write_bytes(face_weights.read_bytes()[:1_000_000])
    with pytest.raises(CheckpointError):
        FaceParser(path)


def test_missing_weights_are_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weight file"):
        FaceParser(tmp_path / "none.pth")
