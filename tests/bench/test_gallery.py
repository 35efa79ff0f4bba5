from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from bozzetto.bench.datasets import load_packed_heads
from bozzetto.bench.gallery import choose, error_rgb, tiles_of, write_gallery
from bozzetto.bench.score import perfect_shape
from bozzetto.bench.units import Unit, unit_path, write_unit
from bozzetto.export.colours import depth_table
from bozzetto.types import Camera
from tiny_heads import write_heads

SIZE = 16


def unit(head: int, mad: float, seed: int | None = 0) -> Unit:
    return Unit("quick", head, seed, {"side_x100": 1.0, "mad_depth_deg": mad}, 1.0, (0.0,) * 6, (0.0,) * 6)


def test_best_median_and_worst_are_chosen_by_mad_each_once() -> None:
    mads = [20.0, 10.0, 50.0, 30.0, 40.0]
    assert [(n, u.head) for n, u in choose([unit(h, m) for h, m in enumerate(mads)])] == [
        ("best", 1),
        ("median", 3),
        ("worst", 2),
    ]
    assert [(n, u.head) for n, u in choose([unit(0, 9.0), unit(1, 8.0)])] == [("best", 1), ("worst", 0)]
    assert [(n, u.head) for n, u in choose([unit(7, 9.0)])] == [("best", 7)]


def test_the_truth_up_to_scale_is_dark_in_both_error_maps_and_a_wrong_half_is_bright(tmp_path: Path) -> None:
    head = load_packed_heads(write_heads(tmp_path / "heads.npz", 1)).take(0)
    mask = head.mask[0, 0]
    shape = perfect_shape(head)
    tiles = dict(tiles_of(head, 1.3 * shape.depth_posed, head.normal[0]))
    dark = depth_table()[0]
    for name in ("error, 0 to 5 %", "error, 0 to 60°"):
        inside = tiles[name][:, mask]
        torch.testing.assert_close(inside, dark[:, None].expand_as(inside), atol=1e-3, rtol=0)
    wrong = shape.depth_posed.clone()
    wrong[..., : SIZE // 2] *= 1.2
    bright = dict(tiles_of(head, wrong, head.normal[0]))["error, 0 to 5 %"]
    assert (bright[:, mask].mean() - dark.mean()) > 0.3
    share = error_rgb(torch.full((1, SIZE, SIZE), 2.0), head.mask[0].float())
    torch.testing.assert_close(share[:, mask], depth_table()[-1][:, None].expand(3, int(mask.sum())))


def test_the_page_is_written_from_the_pieces_of_the_first_seed(tmp_path: Path) -> None:
    heads = load_packed_heads(write_heads(tmp_path / "heads.npz", 4)).take(slice(1, 4))
    units = []
    for seed in (0, 1):
        for head in (1, 2, 3):
            one = unit(head, 10.0 * head + seed, seed)
            write_unit(
                unit_path(tmp_path, "quick", head, seed), one, {}, perfect_shape(heads.take(head - 1)), Camera(SIZE)
            )
            units.append(one)
    path = write_gallery("quick", units, heads, (1, 2, 3), tmp_path, tmp_path / "gallery" / "quick.png")
    with Image.open(path) as page:
        assert page.width > 7 * 168
        assert page.height > 3 * 168
    again = write_gallery("quick", units[:3], heads, (1, 2, 3), tmp_path, tmp_path / "again.png")
    assert again.read_bytes() == path.read_bytes()
