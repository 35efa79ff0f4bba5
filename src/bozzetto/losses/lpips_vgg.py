"""LPIPS (Zhang et al., CVPR 2018), version 0.1, on the VGG16 of ImageNet: the papers' perceptual loss.

The trunk is torchvision's published file, fetched once; the linear heads come with the package `lpips`. Neither
package is imported.
"""

from __future__ import annotations

from pathlib import Path

import torch

from bozzetto.download import RemoteFile, fetch
from bozzetto.losses.learned import LearnedDistance, read_heads
from bozzetto.losses.packaged import packaged_file, read_tensors
from bozzetto.losses.vgg16 import HalvingPool, Vgg16, load_convolutions
from bozzetto.precision import Precision

NAME = "lpips-vgg"
INSTALL = "pip install --no-deps lpips==0.1.4"  # its dependencies serve code that is not used here
REMEDY = f"run `{INSTALL} --force-reinstall`"
HEADS_FILE = "weights/v0.1/vgg.pth"
HEADS_SHA256 = "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"
TRUNK = RemoteFile(
    name="vgg16-397923af.pth",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    max_bytes=600_000_000,  # 553,433,881 in truth
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    sha256_prefix="397923af",
    licence="BSD-3-Clause (torchvision); trained on ImageNet",
)
MIN_SIZE = 16  # px: four halvings
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # of torchvision's `features`


def make_lpips_vgg(
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    trunk: Path | None = None,
) -> LearnedDistance:
    """The distance with its published weights, frozen.

    Args:
        trunk: a file of VGG16 weights in torchvision's layout; None takes the published one, from the cache folder or
            by fetching it once.

    Raises:
        MissingExtraError: the package with the linear heads is not installed.
        CheckpointError: a weight file is not the published one, or the trunk cannot be fetched.
    """
    heads_path = packaged_file("lpips", HEADS_FILE, needed_by=NAME, install=INSTALL)
    heads = read_tensors(heads_path, HEADS_SHA256, remedy=REMEDY)
    path = fetch(TRUNK) if trunk is None else trunk
    state = read_tensors(path, None, remedy="delete it and try again")
    network = Vgg16([HalvingPool() for _ in range(4)])
    load_convolutions(network, state, [f"features.{i}" for i in CONVOLUTIONS], ("classifier.",), path.name)
    return LearnedDistance(
        NAME, network, read_heads(heads, heads_path.name), min_size=MIN_SIZE, device=device, precision=precision
    )
