"""A result beside its truth: the truth beside itself is twice the same, and it is the truth."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bozzetto.bench.beside import (
    LABELS,
    beside_frames,
    beside_sheet,
    check_same_photo,
    lit_pairs,
    pairs,
    truth_scene,
)
from bozzetto.bench.datasets import HeadTruth, load_packed_heads
from bozzetto.bench.novel import seen_truth
from bozzetto.bench.run_heads import packed_heads
from bozzetto.bench.stage import GAMMA
from bozzetto.cli.main import execute
from bozzetto.errors import InputError
from bozzetto.export.paths import turn_path
from bozzetto.export.turn import unlit
from bozzetto.geometry.warp import turned_with
from bozzetto.results import Reconstruction
from bozzetto.types import Camera
from tiny_heads import write_heads


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> HeadTruth:
    """A sphere that is turned by 40 degrees in its photo."""
    return load_packed_heads(write_heads(tmp_path_factory.mktemp("heads") / "heads.npz", 2)).take(1)


def test_the_truth_beside_itself_is_the_same_picture_twice_from_every_side(head: HeadTruth) -> None:
    views = turn_path(8)
    drawn = list(pairs(truth_scene(head), head, views, 32))
    assert len(drawn) == 8
    for ours, true in drawn:
        assert (ours - true).abs().max() < 2e-3
    assert (drawn[0][1] - drawn[2][1]).abs().mean() > 0.01  # it turns


def test_another_frame_and_scale_of_the_truth_is_shown_from_the_same_sides(head: HeadTruth) -> None:
    """What a photo leaves open is taken out: the same sphere, taken for one that was turned less."""
    record = truth_scene(head)
    other = dataclasses.replace(record, view=record.view * torch.tensor([1.0, 0.5, 1, 1, 1, 1]))
    (ours, _), (straight, _) = (next(iter(pairs(r, head, torch.zeros(1, 6), 32))) for r in (other, record))
    turned_back = torch.tensor([[0.0, float(record.view[1]) / 2, 0, 0, 0, 0]])
    (expected, _) = next(iter(pairs(record, head, -turned_back, 32)))
    assert (ours - expected).abs().mean() < 0.02 < (ours - straight).abs().mean()


def test_the_truth_turned_is_what_was_rendered_from_there() -> None:
    """Of a packaged head: its drawn truth against the rendering of its mesh, where the front shows it."""
    head = load_packed_heads(packed_heads(64)).take(6)
    for place, yaw_deg in enumerate(head.turned_yaw_deg[0].tolist()):
        view = torch.tensor([[0.0, math.radians(yaw_deg), 0, 0, 0, 0]])
        seen = seen_truth(head.canonical_depth, view, Camera(64))[0] > 0
        inside = torch.nn.functional.max_pool2d(1 - seen.float()[None], 5, 1, 2)[0] == 0
        ((_, true),) = pairs(truth_scene(head), head, view, 64)
        error = (true - head.turned_image[0, place]).abs().mean(0, keepdim=True)[inside]
        assert inside.float().mean() > 0.3
        assert error.mean() < (0.005 if yaw_deg == 0 else 0.02), yaw_deg


def test_the_truth_is_drawn_from_the_larger_rendering_of_the_same_head() -> None:
    head, large = (load_packed_heads(packed_heads(size)).take(6) for size in (64, 128))
    place = large.turned_yaw_deg[0].tolist().index(0)
    view = torch.zeros(1, 6)
    inside = torch.nn.functional.max_pool2d((large.canonical_depth[0].isnan()).float()[None], 7, 1, 3)[0] == 0
    rendered = large.turned_image[0, place]
    errors = []
    for drawn_from in (None, large):
        ((_, true),) = pairs(truth_scene(head), head, view, 128, drawn_from)
        errors.append(float((true - rendered).abs().mean(0, keepdim=True)[inside].mean()))
    assert errors[1] < 0.004 < errors[0] / 1.5  # the rendering itself; the smaller one is blurred
    frame = next(iter(beside_frames(truth_scene(head), head, 2, 128, large=large)))
    assert np.abs(frame[:128, :128] / 255 - large.image[0].permute(1, 2, 0).numpy()).max() < 0.003


def test_frames_are_photo_ours_and_truth_side_by_side(head: HeadTruth) -> None:
    record = truth_scene(head)
    frames = list(beside_frames(record, head, 4, 31))
    assert {frame.shape for frame in frames} == {(32 + 20, 3 * 32, 3)}
    pictures = np.stack(frames).astype(int)[:, :32]
    assert (np.ptp(pictures[:, :, :32], axis=0) == 0).all()  # the photo stands still
    assert np.abs(pictures[:, :, 32:64] - pictures[:, :, 64:]).max() <= 2
    assert np.ptp(pictures[:, :, 32:], axis=0).max() > 20
    assert np.array_equal(frames[0], frames[2])  # the middle of the swing, there and back


def sphere_record(head: HeadTruth) -> Reconstruction:
    """The sphere with its one colour, which is the same object in every frame."""
    colour = (head.albedo[0] ** (1 / GAMMA)).flatten(1).amax(1)
    return dataclasses.replace(truth_scene(head), albedo=colour[:, None, None].expand(3, *head.image.shape[-2:]))


@pytest.mark.parametrize("number", [0, 1])
def test_a_perfect_object_is_lit_as_the_truth_is_under_any_lamp(number: int, tmp_path: Path) -> None:
    """Seen from the front, and turned by 40 degrees, where a strip is hidden from the front."""
    head = load_packed_heads(write_heads(tmp_path / "heads.npz", 2, size=64)).take(number)
    lights = torch.cat((head.light, head.relit_light[0]))
    inside = torch.nn.functional.max_pool2d(1 - head.mask.float(), 13, 1, 6)[0, 0] == 0
    assert inside.sum() > 200
    record = sphere_record(head)
    darker = dataclasses.replace(record, albedo=0.5 * record.albedo)  # albedo is known up to a factor
    for one in (record, darker):
        drawn = list(lit_pairs(one, head, lights, head.image.shape[-1]))
        for ours, true in drawn:
            away = (ours - true).abs()[:, inside]
            assert away.median() < 0.01
            assert away.mean() < 0.03
            assert number == 1 or away.max() < 0.02
        assert (drawn[0][1] - drawn[1][1]).abs()[:, inside].mean() > 0.01


def test_a_heads_normals_are_the_true_ones_once_turned() -> None:
    head = load_packed_heads(packed_heads(64), novel=True).take(6)  # turned by 27 degrees
    record = truth_scene(head)
    normal = turned_with(record.view[None], unlit(record, 64, cut=False)[1])
    inside = torch.nn.functional.max_pool2d(1 - head.mask.float(), 7, 1, 3)[0, 0] == 0
    angle = (normal * head.normal).sum(1).clamp(-1, 1).acos()[0][inside]
    assert angle.rad2deg().median() < 3


def test_the_truth_relit_is_what_was_rendered_under_these_lamps() -> None:
    head = load_packed_heads(packed_heads(64)).take(6)
    inside = torch.nn.functional.max_pool2d(1 - head.mask.float(), 5, 1, 2)[0] == 0
    drawn = lit_pairs(truth_scene(head), head, head.relit_light[0], 64)
    for (_, true), rendered in zip(drawn, head.relit_image[0], strict=True):
        assert ((true - rendered).abs().mean(0, keepdim=True)[inside]).mean() < 0.01


def test_relit_frames_keep_the_pose_and_move_the_light(tmp_path: Path) -> None:
    head = load_packed_heads(write_heads(tmp_path / "heads.npz", 2, size=64)).take(1)
    frames = np.stack(list(beside_frames(sphere_record(head), head, 4, 64, "relight"))).astype(int)
    assert frames.shape == (4, 64 + 20, 3 * 64, 3)
    alike = np.abs(frames[:, :64, 64:128] - frames[:, :64, 128:]).mean(axis=-1)[:, head.mask[0, 0].numpy()]
    assert np.median(alike) <= 3  # of 255
    for place in (64, 128):
        upper, left, lower, right = frames[:, :64, place : place + 64].mean(axis=-1)
        assert upper[:32].mean() > lower[:32].mean() + 5
        assert left[:, :32].mean() > right[:, :32].mean() + 5


def test_the_sheet_has_three_rows_of_five(head: HeadTruth) -> None:
    page = beside_sheet(truth_scene(head), head, "Test head 1")
    assert page.width > 5 * 168
    assert page.height > 3 * 168
    assert LABELS == ("photo", "ours", "truth")


def test_another_photos_result_is_refused(head: HeadTruth) -> None:
    record = truth_scene(head)
    check_same_photo(record, head)
    with pytest.raises(InputError, match="another photo"):
        check_same_photo(dataclasses.replace(record, image=1 - record.image), head)
    dark = dataclasses.replace(head, turned_image=head.turned_image[:, :0], turned_yaw_deg=head.turned_yaw_deg[:, :0])
    with pytest.raises(InputError, match="no picture from the front"):
        truth_scene(dark)


def test_the_command_draws_a_result_beside_its_head(
    head: HeadTruth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = write_heads(tmp_path / "heads.npz", 2)
    truth_scene(head).save(tmp_path / "result", formats=())
    given = ["bench", "beside", "--test-heads", str(packed), "--result", str(tmp_path / "result")]
    small = ["--size", "32", "--seconds", "1", "--fps", "4", "--out", str(tmp_path / "out")]
    assert execute([*given, *small, "--head", "1"]) == 0
    sheet, film = map(Path, capsys.readouterr().out.split())
    assert (sheet.name, film.name) == ("head_001_sheet.png", "head_001.webp")
    with Image.open(film) as moving, Image.open(sheet) as page:
        assert moving.size == (96, 52)
        assert moving.n_frames > 1
        page.load()
    assert execute([*given, *small, "--head", "1", "--path", "relight"]) == 0
    assert capsys.readouterr().out.split()[1].endswith("head_001_relight.webp")
    for number, words in (("0", "another photo"), ("7", "no test head 7")):
        assert execute([*given, *small, "--head", number, "--out", str(tmp_path / "not")]) == 2
        told = capsys.readouterr().err
        assert words in told
        assert told.count("\n") == 1
    assert not (tmp_path / "not").exists()
