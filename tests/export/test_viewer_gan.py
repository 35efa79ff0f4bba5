"""The viewer's pictures through the GAN, in a real browser: what it shows are the stored pictures."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from seen import START_ZOOM, air, choose, open_page, read_at, settle, shown

from bozzetto.export.atlas import TILE_PX, atlas_of, laid_out
from bozzetto.export.paths import gan_lights, gan_views
from bozzetto.export.viewer import write_viewer
from bozzetto.results import Reconstruction
from bozzetto.types import ThroughGan
from browser import fresh_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLOSE = 0.006  # mean difference of values in [0, 1]: a step and a half of a picture file


def patterns(size: int, light: torch.Tensor) -> ThroughGan:
    """Smooth colours that tell place, number and row."""
    views, lights = gan_views(), gan_lights(light)
    ticks = torch.linspace(0, 1, size)

    def pictures(count: int, blue: float) -> torch.Tensor:
        phase = 3 * torch.arange(count)[:, None, None] / count
        across = torch.sin(3 * ticks[None, None] + phase).expand(-1, size, -1)
        down = torch.cos(3 * ticks[None, :, None] + phase).expand(-1, -1, size)
        whole = torch.stack((0.5 + 0.4 * across, 0.5 + 0.4 * down, torch.full_like(down, blue)), dim=1)
        return (whole * 255).round().to(torch.uint8)

    return ThroughGan(pictures(len(views), 0.3), views, pictures(len(lights), 0.7), lights)


@pytest.fixture(scope="module")
def kept(scene: Reconstruction) -> ThroughGan:
    return patterns(scene.size, scene.light)


@pytest.fixture(scope="module")
def shared(
    browser: Browser, scene: Reconstruction, kept: ThroughGan, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("gan") / "viewer.html"
    write_viewer(dataclasses.replace(scene, through_gan=kept), path)
    with fresh_page(browser) as page:
        open_page(page, path)
        yield page


@pytest.fixture
def opened(shared: Page) -> Page:
    """The one page, showing the pictures through the GAN as it does at first."""
    shared.set_viewport_size({"width": 960, "height": 720})
    shared.check("#drag-turn", force=True)
    choose(shared, "gan")
    shared.click("#reset")
    return shared


def assert_shows(page: Page, picture: torch.Tensor) -> None:
    """The canvas is this picture, [3, S, S] of 0 to 255, up to the picture's edges."""
    seen = read_at(shown(page), picture.shape[-1], picture.shape[-1])
    difference = (seen - picture / 255).abs()
    assert difference.mean() < CLOSE
    assert difference.max() < 6 * CLOSE


def slide(page: Page, name: str, value: float) -> None:
    page.locator(f"#gan-{name}").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')) }", str(value)
    )


def test_the_shown_pixels_are_the_stored_pictures(opened: Page, kept: ThroughGan) -> None:
    for place in (0, 7, 12, 24):
        slide(opened, "turn", -float(kept.turn_view[place, 1]))
        assert_shows(opened, kept.turn[place])
    for place in (0, 5, 8, 16):
        slide(opened, "light", math.pi * place / 16)
        assert_shows(opened, kept.relight[place])
    middle = (kept.turn_view[3, 1] + kept.turn_view[4, 1]) / 2
    slide(opened, "turn", -float(middle))
    assert_shows(opened, (kept.turn[3].float() + kept.turn[4].float()) / 2)


def test_it_opens_with_the_photos_own_turn(opened: Page, scene: Reconstruction, kept: ThroughGan) -> None:
    place = (float(scene.view[1]) + math.radians(30)) / math.radians(60) * 24
    left = int(place)
    own = torch.lerp(kept.turn[left].float(), kept.turn[left + 1].float(), place - left)
    assert_shows(opened, own)
    assert air(opened) == pytest.approx([(1 - START_ZOOM) / 2] * 4, abs=0.003)


def says(page: Page, text: str) -> None:
    """Wait until the status line, which is written with the next frame, says so; fails after Playwright's limit."""
    page.wait_for_function("text => document.querySelector('#status').innerText.includes(text)", arg=text)


def test_keys_turn_as_they_turn_the_object_and_stop_at_the_last_picture(opened: Page, kept: ThroughGan) -> None:
    opened.focus("#object")
    for _ in range(12):
        opened.keyboard.press("ArrowRight")
    assert_shows(opened, kept.turn[0])
    says(opened, "through the GAN: turned 30° right, in the photo's light")
    choose(opened, "lit")  # the object stands as in the picture
    says(opened, "right")
    choose(opened, "gan")
    opened.focus("#object")
    opened.keyboard.press("ArrowLeft")
    assert_shows(opened, kept.turn[2])  # five degrees back at once: nothing was counted beyond the end
    opened.keyboard.press("Shift+ArrowRight")
    says(opened, "in the photo's pose")


def test_the_pads_light_chooses_the_picture_lit_from_there(opened: Page, kept: ThroughGan) -> None:
    box = opened.locator("#pad").bounding_box()
    assert box is not None
    for x, y, place in ((-0.6, 0.0, 0), (0.0, -0.6, 8), (0.6, 0.0, 16), (0.5, 0.4, 16)):
        opened.click("#pad", position={"x": (x + 1) / 2 * box["width"], "y": (y + 1) / 2 * box["height"]})
        assert_shows(opened, kept.relight[place])
    assert opened.get_attribute("#gan-turn", "aria-valuetext") == "11° left, as in the photo"


def test_its_sliders_have_names_and_words_and_what_means_nothing_there_is_off(opened: Page) -> None:
    turn = opened.get_by_role("slider", name="Turned")
    lamp = opened.get_by_role("slider", name="Lit", exact=True)
    turn.focus()
    opened.keyboard.press("Home")
    settle(opened)
    assert turn.get_attribute("aria-valuetext") == "30° left"
    lamp.focus()
    opened.keyboard.press("End")
    settle(opened)
    assert lamp.get_attribute("aria-valuetext") == "from right"
    for name in ("Ambient", "Diffuse", "Photo to frontal"):
        assert opened.get_by_role("slider", name=name).is_disabled()
    assert opened.get_by_role("radio", name="Points").is_disabled()
    choose(opened, "lit")
    settle(opened)
    assert opened.get_by_role("slider", name="Ambient").is_enabled()
    assert turn.count() == 0


def test_the_saved_picture_is_the_one_that_is_shown(opened: Page, kept: ThroughGan) -> None:
    slide(opened, "light", math.pi / 2)
    settle(opened)
    with opened.expect_download() as saved:
        opened.click("#picture")
    with Image.open(saved.value.path()) as image:
        assert image.size == (1024, 1024)
        picture = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
    small = read_at(picture, kept.relight.shape[-1], kept.relight.shape[-1])
    assert (small - kept.relight[8] / 255).abs().mean() < CLOSE


# Whether the middle of each of these is in sight and not under anything else.
IN_SIGHT = """(all) => all.every((element) => {
  const box = element.getBoundingClientRect();
  const found = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return found === element || element.contains(found);
})"""


@pytest.mark.parametrize("size", [(1280, 720), (1280, 800), (844, 390)])
def test_the_buttons_are_in_sight_however_long_the_panel_is(opened: Page, size: tuple[int, int]) -> None:
    opened.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    buttons, words = opened.get_by_role("button"), opened.locator("#facts dd, #help")
    assert buttons.all_inner_texts() == ["Reset", "Save picture", "Download GLB"]
    for colour in ("lit", "gan"):
        choose(opened, colour)
        settle(opened)
        opened.locator("aside").evaluate("aside => aside.scrollTo(0, 0)")
        assert buttons.evaluate_all(IN_SIGHT)
        assert not words.last.evaluate_all(IN_SIGHT)  # the panel is longer than the page
        opened.locator("aside").evaluate("aside => aside.scrollTo(0, aside.scrollHeight)")
        assert buttons.evaluate_all(IN_SIGHT)
        assert words.last.evaluate_all(IN_SIGHT)


def test_what_a_key_focuses_is_not_under_the_buttons(opened: Page) -> None:
    opened.set_viewport_size({"width": 1280, "height": 500})
    choose(opened, "lit")
    settle(opened)
    opened.locator("aside").evaluate("aside => aside.scrollTo(0, 0)")
    opened.focus("#drag-turn")
    reached = []
    while "reset" not in reached:
        opened.keyboard.press("Tab")
        reached.append(opened.evaluate("document.activeElement.id"))
        assert opened.locator(":focus").evaluate_all(IN_SIGHT), reached
    assert {"pad", "ambient", "diffuse", "canonical"} < set(reached)


def test_a_result_without_them_has_no_such_choice(page: Page, scene: Reconstruction, tmp_path: Path) -> None:
    open_page(page, write_viewer(scene, tmp_path / "viewer.html"))
    assert page.get_by_role("radio", name="Through the GAN").count() == 0
    assert page.get_by_role("slider", name="Turned").count() == 0


# ---------------------------------------------------------------- what the page is given


def test_the_atlas_is_every_picture_in_order_of_turn_and_of_light(scene: Reconstruction, kept: ThroughGan) -> None:
    mixed = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    shuffled = dataclasses.replace(kept, turn=kept.turn[mixed], turn_view=kept.turn_view[mixed])
    data = atlas_of(shuffled)
    assert data == atlas_of(kept)
    assert data["yaw"] == kept.turn_view[:, 1].tolist()
    torch.testing.assert_close(torch.tensor(data["around"]), torch.linspace(0, math.pi, 17))
    assert data["reach"] == pytest.approx(0.8)
    with Image.open(io.BytesIO(base64.b64decode(data["pictures"]))) as image:
        whole = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    side, columns = scene.size, data["columns"]
    assert whole.shape == (3, data["rows"] * side, columns * side)
    for place, picture in enumerate(torch.cat((kept.turn, kept.relight))):
        top, left = place // columns * side, place % columns * side
        assert (whole[:, top : top + side, left : left + side] - picture).abs().mean() < 2


def test_a_grid_that_is_not_full_repeats_its_last_picture() -> None:
    pictures = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    assert torch.equal(laid_out(pictures, 3)[0, ::2, ::2], torch.tensor([[0, 1, 2], [3, 4, 4]], dtype=torch.uint8))


def test_large_pictures_are_shrunk_to_what_any_phone_takes() -> None:
    flat = torch.full((25, 3, 300, 300), 7, dtype=torch.uint8)
    light = torch.tensor([0.5, 0.4, 0.3, 0.4])
    data = atlas_of(ThroughGan(flat, gan_views(), flat[:17], gan_lights(light)))
    assert data["tile"] == TILE_PX
    assert data["columns"] * TILE_PX <= 4096
