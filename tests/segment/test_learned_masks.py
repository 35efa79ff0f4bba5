"""Masks that a generator taught."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bozzetto import inputs
from bozzetto.bench.datasets import load_packed_heads
from bozzetto.bench.masks import MasksConfig, overlap, score_masks
from bozzetto.bench.run_heads import packed_heads
from bozzetto.cli.main import execute
from bozzetto.errors import CheckpointError, InputError
from bozzetto.gan.zoo import load_gan
from bozzetto.learn_masks import Job, learn_masks, varied
from bozzetto.segment.constant import ConstantSegmenter
from bozzetto.segment.learned import ASSETS, BUILT_IN, LearnedSegmenter
from bozzetto.segment.mask_net import KIND, MaskNet, read_mask_net
from bozzetto.segment.regions import fill_holes, largest_region
from bozzetto.segment.registry import mask_photo
from bozzetto.segment.segmenter import OBJECT_LEVEL


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Heard:
    """A `CountProgress` that remembers."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, int, int]] = []

    def on_note(self, text: str) -> None: ...

    def on_count(self, what: str, done: int, total: int, loss: float | None = None) -> None:
        self.counts.append((what, done, total))


@pytest.fixture(scope="module")
def heads_masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learnt from the built-in heads in a fraction of the usual time."""
    heard = Heard()
    out = tmp_path_factory.mktemp("masks") / "new" / "heads.safetensors"  # a folder that is not there
    assert learn_masks(Job("heads", out, pictures=192, parts_from=96, steps=120), heard) == out
    assert heard.counts[-1] == ("network", 120, 120)
    assert ("pictures", 192, 192) in heard.counts
    return out


def test_masks_learnt_from_the_generator_alone_are_those_of_heads_it_has_not_drawn(heads_masks: Path) -> None:
    """No label, no mask, no rendering was seen; the whole picture as the mask has 0.83."""
    rows = score_masks(MasksConfig(masks=f"learned:{heads_masks},none", n=100))["rows"]
    assert rows[0]["iou_mean"] > 0.9
    assert rows[0]["unusable"] == 0
    assert rows[1]["iou_mean"] < 0.84


def test_a_mirrored_photo_has_the_mirrored_score(heads_masks: Path) -> None:
    photos = load_packed_heads(packed_heads(64)).image[:4]
    segmenter = LearnedSegmenter(heads_masks)
    torch.testing.assert_close(segmenter(photos.flip(3), "heads").score, segmenter(photos, "heads").score.flip(3))


def test_masks_have_no_holes_and_one_region(heads_masks: Path) -> None:
    photos = load_packed_heads(packed_heads(64)).image[:8]
    mask = LearnedSegmenter(heads_masks)(photos, "heads").mask
    inside = mask >= OBJECT_LEVEL
    assert torch.equal(fill_holes(inside), inside)
    assert torch.equal(largest_region(inside), inside)


def test_two_learnings_with_one_seed_are_one(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for path in paths:
        learn_masks(Job("heads", path, pictures=40, parts_from=32, steps=3), Heard())
    first, second = map(load_file, paths)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_file_says_what_it_is_and_a_sheet_lies_beside_it(heads_masks: Path) -> None:
    _, facts = read_mask_net(heads_masks)
    assert facts["kind"] == KIND
    assert facts["generator"] == "heads"
    assert facts["category"] == "heads"
    assert heads_masks.with_suffix(".png").is_file()


@pytest.mark.parametrize("category", BUILT_IN)
def test_the_built_in_ones_belong_to_their_category_and_are_found_by_it(category: str) -> None:
    _, facts = read_mask_net(ASSETS / BUILT_IN[category])
    assert facts["category"] == category
    image = torch.rand(3, 64, 64, generator=seeded())
    assert mask_photo(image, category, segmenter="learned").segmenter == "learned"


def test_a_category_without_a_file_is_told_how_to_make_one() -> None:
    with pytest.raises(InputError, match="bozzetto gan masks"):
        mask_photo(torch.rand(3, 64, 64, generator=seeded()), "heads", segmenter="learned")


def test_other_files_are_refused(tmp_path: Path, heads_masks: Path) -> None:
    path = tmp_path / "other.safetensors"
    state = load_file(heads_masks)
    save_file(state, path)
    with pytest.raises(CheckpointError, match="not a file of"):
        LearnedSegmenter(path)
    save_file({**state, "last.bias": torch.tensor([float("nan")])}, path, {"kind": KIND})
    with pytest.raises(CheckpointError, match="not finite"):
        LearnedSegmenter(path)
    save_file({name: value for name, value in state.items() if name != "last.bias"}, path, {"kind": KIND})
    with pytest.raises(CheckpointError, match="lacks"):
        LearnedSegmenter(path)
    save_file({name: value.to(torch.float8_e4m3fn) for name, value in state.items()}, path, {"kind": KIND})
    with pytest.raises(CheckpointError, match="another kind"):
        LearnedSegmenter(path)
    for other in ("cats_64.safetensors", "cats_general_64.safetensors"):
        with pytest.raises(CheckpointError, match="not a file of"):
            LearnedSegmenter(ASSETS / other)
    with pytest.raises(InputError, match="no weight file"):
        LearnedSegmenter(tmp_path)
    path.write_bytes(heads_masks.read_bytes()[:20_000])
    with pytest.raises(CheckpointError, match="whole"):
        LearnedSegmenter(path)
    with pytest.raises(InputError, match="no weight file"):
        LearnedSegmenter(tmp_path / "none.safetensors")


def test_variations_move_picture_and_mask_alike() -> None:
    mask = torch.zeros(6, 1, 64, 64)
    mask[:, :, 20:40, 12:44] = 1
    picture = mask.expand(-1, 3, -1, -1)
    pictures, masks = varied(picture, mask, seeded())
    middle = (pictures.amin((1, 2, 3), keepdim=True) + pictures.amax((1, 2, 3), keepdim=True)) / 2
    off = ((pictures.mean(1, keepdim=True) > middle) != (masks > 0.5)).float().mean()
    assert off < 0.02
    assert not torch.equal(masks[0], masks[1])


def test_overlap_is_intersection_over_union() -> None:
    a, b = torch.zeros(3, 1, 4, 4, dtype=torch.bool), torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    a[0, 0, :2], b[0, 0, 1:3] = True, True
    a[1], b[1] = True, True
    assert overlap(a, b).tolist() == pytest.approx([1 / 3, 1, 1])


def test_the_network_is_small() -> None:
    assert sum(p.numel() for p in MaskNet().parameters()) < 30_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pictures", "3"], "--pictures must be"),
        (["--groups", "1"], "--groups must be"),
        (["--steps", "0"], "--steps must be"),
        (["--psi", "nan"], "--psi must be"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "masks.safetensors"
    assert execute(["gan", "masks", "heads", "-o", str(out), *arguments]) != 0
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "masks.safetensors"
    out.write_bytes(b"mine")
    assert execute(["gan", "masks", "heads", "-o", str(out)]) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == b"mine"


def test_a_picture_where_the_sheet_goes_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photo.png").write_bytes(b"mine")
    assert execute(["gan", "masks", "heads", "-o", str(tmp_path / "photo.safetensors")]) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_learned_masks_are_not_asked_about_a_whole_photo(monkeypatch: pytest.MonkeyPatch, heads_masks: Path) -> None:
    """They know one framing; and their file is no other segmenter's."""
    asked: list[tuple[str, object]] = []

    def make(name: str, weights: object = None) -> ConstantSegmenter:
        asked.append((name, weights))
        return ConstantSegmenter()

    monkeypatch.setattr(inputs, "make_segmenter", make)
    choice = inputs.chooser("auto", f"learned:{heads_masks}", "car", load_gan("cars").info)
    inputs.read_picture(torch.rand(3, 90, 140, generator=seeded()), 64, choice)
    assert asked
    assert all(name != "learned" and weights is None for name, weights in asked)


def test_reading_a_file_asks_torchs_own_generator_for_nothing(heads_masks: Path) -> None:
    before = torch.get_rng_state()
    LearnedSegmenter(heads_masks)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_command_scores_segmenters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["bench", "masks", "--masks", "border,none", "--n", "2", "--json", str(tmp_path / "m.json")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "m.json")
    assert execute(["bench", "masks", "--masks", "nobody", "--json", str(tmp_path / "n.json")]) != 0
    assert "no segmenter 'nobody'" in capsys.readouterr().err
