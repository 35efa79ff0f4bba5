"""Shift-tolerant LPIPS (Ghildyal & Liu, "Shift-Tolerant Perceptual Similarity Metric", ECCV 2022), VGG16-shaped.

The weights come whole with the package `stlpips-pytorch`; the network is built here. Its trunk was trained for the
distance, not for ImageNet, so its numbers are not LPIPS numbers.
"""

from __future__ import annotations

from itertools import chain

import torch

from bozzetto.losses.learned import LearnedDistance, read_heads
from bozzetto.losses.packaged import packaged_file, read_tensors
from bozzetto.losses.vgg16 import BlurredPool, Vgg16, load_convolutions
from bozzetto.precision import Precision

NAME = "stlpips"
INSTALL = 'pip install "bozzetto[stlpips]"'
REMEDY = "run `pip install --force-reinstall --no-deps stlpips-pytorch==0.0.2`"
FILE = "weights/vST0.0/vgg_shift_tolerant.pth"
SHA256 = "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"
MIN_SIZE = 32  # px; the last pooling would have nothing left to reflect at the rim of a smaller picture

# The file's numbering: layers of a flat list, cut into slices at the poolings (a maximum and a filter each).
CONVOLUTIONS = {1: (0, 2), 2: (6, 8), 3: (12, 14, 16), 4: (20, 22, 24), 5: (28, 30, 32)}
FILTERS = {2: 5, 3: 11, 4: 19, 5: 27}


def make_stlpips(device: torch.device | str = "cpu", precision: Precision = "fp32") -> LearnedDistance:
    """The distance with its published weights, frozen.

    Raises:
        MissingExtraError: the package with the weights is not installed.
        CheckpointError: its weight file is not the published one.
    """
    path = packaged_file("stlpips_pytorch", FILE, needed_by=NAME, install=INSTALL)
    state = read_tensors(path, SHA256, remedy=REMEDY)
    trunk = Vgg16([BlurredPool(state[f"net.slice{i}.{layer}.filt"]) for i, layer in FILTERS.items()])
    prefixes = list(chain(*([f"net.slice{i}.{j}" for j in layers] for i, layers in CONVOLUTIONS.items())))
    filters = tuple(f"net.slice{i}.{layer}.filt" for i, layer in FILTERS.items())
    load_convolutions(trunk, state, prefixes, (*filters, "lin", "scaling_layer."), path.name)
    return LearnedDistance(
        NAME, trunk, read_heads(state, path.name), min_size=MIN_SIZE, device=device, precision=precision
    )
