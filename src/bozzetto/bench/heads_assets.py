"""Make the head files that the package ships, so that anybody with the head model can make them again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bozzetto.bench.datasets import average_depth, encode_head, pack_heads, to_bytes
from bozzetto.bench.draws import head_generator
from bozzetto.bench.heads import HeadsConfig
from bozzetto.bench.heads_model import load_head_model
from bozzetto.bench.heads_render import HeadRenderer
from bozzetto.bench.heads_sample import sample_head
from bozzetto.bench.make_set import make_set, write_png
from bozzetto.bench.npz import write_npz
from bozzetto.bench.squeeze import Squeeze

DEMO_HEAD = ("test", 5175)  # a smiling man, 13 degrees to the side, light from above; split and index
TURNED_YAWS_DEG = (-30.0, -15.0, 0.0, 15.0, 30.0)
HEADS = 100
# Both files together stay under 8 MB. 14 bits of depth round to within 6.2e-6 scene units (a pixel is 1.4e-3 wide);
# 10 bits of normals to within 0.2 degrees (mean 0.09), 9 to within 0.4 (mean 0.18).
# WebP leaves 38 dB of the 64 px novel pictures, 36 dB of the 128 px ones, 42 dB of the 128 px photos; the 64 px photos
# are exact.
SQUEEZE_64 = Squeeze(depth_bits=14, normal_bits=10, albedo=92, novel=90)
SQUEEZE_128 = Squeeze(depth_bits=14, normal_bits=9, image=94, albedo=85, novel=72)
AVERAGED = 300  # training heads in the average depth


def make_head_assets(model: Path, work: Path, assets: Path) -> None:
    """Render into `work` (resumable), pack into `assets`.

    heads_test_64.npz   100 test heads, with 5 other sides and 5 other lights each, and the average training depth
    heads_test_128.npz  the same heads at 128 px
    demo_head.png, demo_head_64.png, demo_head_64.npz   one more test head: photo at 256 and 64 px, truth at 64 px

    Raises:
        InputError: the model cannot be read, or `work` holds other heads.
        OutputError: a file cannot be written.
    """
    small = HeadsConfig(work / "64", model=model, size=64, test=HEADS, turned_yaws_deg=TURNED_YAWS_DEG, relit=5)
    large = replace(small, out=work / "128", size=128)
    train = replace(small, out=work / "64_train", train=AVERAGED, test=0, turned_yaws_deg=(), relit=0)
    for config in (small, large, train):
        make_set(config)
    average = average_depth(train.out / "train")
    pack_heads(small.out / "test", assets / "heads_test_64.npz", average=average, how=SQUEEZE_64)
    pack_heads(large.out / "test", assets / "heads_test_128.npz", how=SQUEEZE_128)

    heads = load_head_model(model)
    sample = sample_head(head_generator(small.seed, *DEMO_HEAD), modes=len(heads.identity_cm))
    write_png(assets / "demo_head.png", to_bytes(HeadRenderer(heads, 256).render(sample).image))
    renderer = HeadRenderer(heads, 64)
    view = renderer.render(sample)
    write_png(assets / "demo_head_64.png", to_bytes(view.image))
    truth = encode_head(view, renderer.canonical(sample))
    write_npz(assets / "demo_head_64.npz", {name: array[None] for name, array in truth.items()})
