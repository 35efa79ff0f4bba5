from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bozzetto.bench.datasets import iterate_heads, load_head, load_packed_heads, pack_heads
from bozzetto.bench.draws import head_generator
from bozzetto.bench.heads import HeadsConfig
from bozzetto.bench.heads_model import load_head_model
from bozzetto.bench.heads_render import HeadRenderer
from bozzetto.bench.heads_sample import sample_head
from bozzetto.bench.make_set import make_set
from bozzetto.bench.stage import light_direction, rotation_from_rpy
from bozzetto.errors import InputError
from bozzetto.geometry.pose import rotation_matrix
from bozzetto.geometry.shade import light_direction as geometry_light_direction


def config(model: Path, out: Path, **changes: object) -> HeadsConfig:
    return replace(HeadsConfig(out, model=model, size=24, test=3), **changes)  # type: ignore[arg-type]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_head_depends_on_seed_split_and_index_alone(toy_model: Path, tmp_path: Path) -> None:
    make_set(config(toy_model, tmp_path / "a"))
    make_set(config(toy_model, tmp_path / "b", train=1, test=2))
    make_set(config(toy_model, tmp_path / "c", seed=1, test=1))
    a, b, c = (load_head(tmp_path / d / "test", 0) for d in "abc")
    assert torch.equal(a.image, b.image)
    assert not torch.equal(a.image, c.image)
    assert not torch.equal(a.image, load_head(tmp_path / "b" / "train", 0).image)


def test_resuming_makes_what_is_missing_and_ends_where_one_run_ends(toy_model: Path, tmp_path: Path) -> None:
    assert make_set(config(toy_model, tmp_path / "whole", relit=1)) == 3
    assert make_set(config(toy_model, tmp_path / "parts", relit=1, test=1)) == 1
    assert make_set(config(toy_model, tmp_path / "parts", relit=1)) == 2
    (tmp_path / "parts" / "test" / "000001.png").unlink()
    assert make_set(config(toy_model, tmp_path / "parts", relit=1)) == 1
    whole, parts = tmp_path / "whole" / "test", tmp_path / "parts" / "test"
    assert bytes_of(whole).keys() == bytes_of(parts).keys()
    for x, y in zip(iterate_heads(whole), iterate_heads(parts), strict=True):
        for f in fields(x):
            torch.testing.assert_close(getattr(x, f.name), getattr(y, f.name), rtol=0, atol=0, equal_nan=True)
    assert (whole / "000001.png").read_bytes() == (parts / "000001.png").read_bytes()


def test_several_processes_make_the_same_files(toy_model: Path, tmp_path: Path) -> None:
    make_set(config(toy_model, tmp_path / "one", images_only=True))
    told: list[tuple[str, int]] = []
    make_set(config(toy_model, tmp_path / "two", images_only=True, workers=2), lambda *head: told.append(head))
    assert told == [("test", 0), ("test", 1), ("test", 2)]
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_conventions_are_those_of_the_geometry() -> None:
    angles = np.array([0.2, -0.5, 0.1])
    np.testing.assert_allclose(rotation_from_rpy(angles), rotation_matrix(torch.tensor(angles)[None])[0], atol=1e-12)
    light = np.array([0.4, 0.5, -0.7, 0.3])
    np.testing.assert_allclose(light_direction(light), geometry_light_direction(torch.tensor(light)[None])[0])


def test_other_settings_in_the_same_folder_are_refused(toy_model: Path, tmp_path: Path) -> None:
    make_set(config(toy_model, tmp_path, test=1))
    with pytest.raises(InputError, match=r"other settings \(size\)"):
        make_set(config(toy_model, tmp_path, size=32))


@pytest.mark.parametrize("content", [None, b"", b"not a zip", b"PK\x03\x04cut"])
def test_a_bad_model_file_is_refused_in_one_sentence(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        make_set(config(path, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_an_even_supersample_is_refused(toy_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="odd"):
        make_set(config(toy_model, tmp_path, supersample=2))


def test_packing_keeps_every_number(toy_model: Path, tmp_path: Path) -> None:
    make_set(config(toy_model, tmp_path, turned_yaws_deg=(-20.0, 20.0), relit=1))
    pack_heads(tmp_path / "test", tmp_path / "packed.npz")
    packed = load_packed_heads(tmp_path / "packed.npz")
    assert len(packed) == 3
    assert packed.turned_yaw_deg.tolist() == [[-20, 20]] * 3
    for i in range(3):
        alone = load_head(tmp_path / "test", i)
        for f in fields(alone):
            torch.testing.assert_close(
                getattr(packed.take(i), f.name), getattr(alone, f.name), rtol=0, atol=0, equal_nan=True
            )


def test_the_view_moves_canonical_points_to_where_they_are_seen(toy_model: Path) -> None:
    """Points seen at the view of zeros, moved by the stored view about (0, 0, 1), are the points seen in the photo."""
    renderer = HeadRenderer(load_head_model(toy_model), 48)
    sample = sample_head(head_generator(0, "test", 3), modes=3)
    view, canonical = renderer.render(sample), renderer.canonical(sample)
    assert np.abs(canonical.view).max() < 1e-9
    camera = renderer.camera
    row, column = np.nonzero(canonical.mask & (canonical.normal[..., 2] < -0.8))
    ray = np.stack([(column - camera.centre_px), (row - camera.centre_px), np.full(len(row), camera.focal_px)], 1)
    points = ray / camera.focal_px * canonical.depth[row, column, None]
    centre = np.array([0, 0, 1])
    moved = (points - centre) @ rotation_from_rpy(view.view[:3]).T + centre + view.view[3:]
    pixel = np.round(moved[:, :2] / moved[:, 2:] * camera.focal_px + camera.centre_px).astype(int)
    inside = ((pixel >= 0) & (pixel < 48)).all(1)
    seen = view.depth[pixel[inside, 1], pixel[inside, 0]]
    assert inside.sum() > 300
    assert np.nanmedian(np.abs(seen - moved[inside, 2])) < 5e-4


def test_turning_to_the_own_pose_changes_nothing(toy_model: Path) -> None:
    renderer = HeadRenderer(load_head_model(toy_model), 24)
    drawn = sample_head(head_generator(0, "test", 1), modes=3)
    sample = replace(drawn, pose_rad=drawn.pose_rad * (0, 1, 0), shift=np.zeros(3))
    np.testing.assert_allclose(
        renderer.turned(sample, sample.pose_rad[1]).image, renderer.render(sample).image, atol=1e-6
    )


def test_the_picture_is_albedo_times_shading(toy_model: Path) -> None:
    renderer = HeadRenderer(load_head_model(toy_model), 32, supersample=1)
    view = renderer.render(sample_head(head_generator(0, "test", 0), modes=3))
    again = np.clip(view.albedo * view.shading[..., None], 0, 1) ** (1 / 1.6)
    differing = np.abs(again - view.image).max(-1)[view.mask] > 1e-5
    assert differing.mean() < 0.05  # the lashes, drawn over it
    lambert = np.maximum(0, view.normal @ light_direction(view.light))
    np.testing.assert_allclose((view.light[0] + view.light[1] * lambert)[view.mask], view.shading[view.mask], atol=1e-5)
