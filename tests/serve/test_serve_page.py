"""The page in a real browser: a photo is dropped, watched, and comes out as an object."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from serving import server

from bozzetto.serve.foreman import STOPPED

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHOTO = Path(__file__).parents[1] / "photos" / "cat.jpg"  # Chelsea, a photograph of 451 x 300 px; see NOTICE
HEAD = Path(__file__).parents[2] / "src" / "bozzetto" / "assets" / "demo_head.png"
OUTLINED = """() => [...document.querySelectorAll("*")]
  .filter(element => getComputedStyle(element).outlineStyle !== "none").map(element => element.id || element.tagName)"""
PIXELS = "id => { const c = document.getElementById(id); return c.toDataURL(); }"


@pytest.fixture(scope="module")
def address(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of heads; it starts only where there is a browser."""
    with server(tmp_path_factory.mktemp("page"), "head_settings") as (_, _, address):
        yield address


def drop(page: Page, path: Path, name: str) -> None:
    """Drop a file onto the page as a person does."""
    data = page.evaluate_handle(
        """([bytes, name]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name));
          return data;
        }""",
        [list(path.read_bytes()), name],
    )
    page.dispatch_event("#drop", "dragenter", {"dataTransfer": data})
    assert page.locator("#drop.over").count() == 1
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})


def test_a_dropped_photo_becomes_an_object_before_ones_eyes(page: Page, address: str, tmp_path: Path) -> None:
    page.set_default_timeout(60_000)
    page.goto(address)
    assert "token" not in page.url
    page.locator("#gan option").first.wait_for(state="attached")
    page.locator("#gan").select_option("cats")
    page.locator("summary").click()
    page.locator("#mask").select_option("border")
    name = "<img src=x onerror=document.title=1>.jpg"
    drop(page, PHOTO, name)
    page.wait_for_function("() => document.getElementById('detail-title').textContent")
    assert page.locator("#detail-title").inner_text() == name  # as text: nothing of it ran
    page.locator("#working").wait_for()
    assert page.locator("#said").inner_text() == ""  # of a photo that is worked on, not that it were in the queue
    page.locator("#turner").wait_for()  # the object appears while it is being fitted
    assert page.locator("#now").inner_text().startswith("Step ")
    first = page.evaluate(PIXELS, "turn")
    slider = page.get_by_label("Turn", exact=True)
    slider.focus()
    slider.press("Home")
    one_side = page.evaluate(PIXELS, "turn")
    slider.press("End")
    assert page.evaluate(PIXELS, "turn") != one_side
    assert first.startswith("data:image/png")

    page.get_by_role("link", name="Download everything").wait_for()
    assert page.locator("#state").inner_text().startswith("Done")
    assert page.locator("#working").is_hidden()
    viewer = page.frame_locator("#viewer")
    viewer.locator("canvas").first.wait_for()
    assert page.evaluate("document.getElementById('viewer').contentDocument") is None  # its own, opaque origin
    shown = page.locator("#files a").all_inner_texts()
    assert {"mesh.glb", "recon.png", "scene.safetensors", "viewer.html"} <= set(shown)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything").click()
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as packed:
        assert packed.testzip() is None
        assert {Path(member).name for member in packed.namelist()} == set(shown)
    with page.expect_download() as download:
        page.get_by_role("link", name="recon.png").click()
    download.value.save_as(tmp_path / "recon.png")
    with Image.open(tmp_path / "recon.png") as picture:
        assert picture.size == (64, 64)
    with page.expect_download() as download:
        page.get_by_role("link", name="input.png").click()
    download.value.save_as(tmp_path / "input.png")
    with Image.open(tmp_path / "input.png") as given, Image.open(PHOTO) as photo:
        square = photo.crop((75, 0, 375, 300)).resize((64, 64), Image.Resampling.BOX)  # its middle, where the cat is
        assert np.abs(np.asarray(given.convert("RGB"), float) - np.asarray(square, float)).mean() < 4
    assert page.title() == "Bozzetto"

    page.reload()  # the cookie opens it again, and the object is still there
    page.get_by_role("link", name="Download everything").wait_for()
    assert page.locator("#list li").count() == 1


def test_photos_are_cancelled_resumed_and_deleted_by_buttons(page: Page, address: str) -> None:
    page.set_default_timeout(60_000)
    page.goto(address)
    page.locator("#preset option").first.wait_for(state="attached")
    page.get_by_label("Schedule").select_option("long")
    before = page.locator("#list li").count()
    page.locator("#photo").set_input_files([HEAD, HEAD])
    page.get_by_text("1 photo is in the queue.").wait_for()  # the other is worked on, which the list says
    assert page.locator("#list li").count() == before + 2
    assert page.evaluate("document.activeElement.id") == "detail-title"  # a screen reader goes on there
    assert page.evaluate(OUTLINED) == []
    waiting, at_work = page.locator("#list button").nth(0), page.locator("#list button").nth(1)
    waiting.get_by_text("Waiting, next in turn").wait_for()
    waiting.click()
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_function("() => !document.getElementById('said').textContent")  # nothing is in the queue any more
    page.get_by_role("button", name="Resume").wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.wait_for_function("n => document.querySelectorAll('#list li').length === n", arg=before + 1)
    page.locator("#list button").nth(0).click()
    at_work = page.locator("#list button").nth(0)
    at_work.get_by_text(re.compile("Working")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Resume").wait_for()
    assert STOPPED in page.locator("#state").inner_text()
    page.get_by_role("button", name="Delete").click()
    page.wait_for_function("n => document.querySelectorAll('#list li').length === n", arg=before)


def test_a_key_that_chooses_photos_shows_where_it_is(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#gan option").first.wait_for(state="attached")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "photo"
    assert "drop" in page.evaluate(OUTLINED)


def test_what_is_no_photo_is_told_on_the_page(browser: Browser, address: str, tmp_path: Path) -> None:
    page = browser.new_page()  # not the fixture's: the browser itself complains of the answer 400
    page.goto(address)
    page.locator("#gan option").first.wait_for(state="attached")
    (tmp_path / "cat.png").write_text("no cat")
    page.locator("#photo").set_input_files(tmp_path / "cat.png")
    said = page.locator("#said.bad")
    said.wait_for()
    assert said.inner_text().startswith("cat.png: The photo is not an image that can be read")
    page.close()


def test_everything_has_a_name_and_fits_a_phone(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(address)
    page.locator("#gan option").first.wait_for(state="attached")
    page.evaluate("document.querySelector('details').open = true")
    unnamed = """() => [...document.querySelectorAll("input, select, button, canvas, img, iframe, progress")]
      .filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim() || e.title || e.hasAttribute("alt")))
      .map(e => e.outerHTML)"""
    assert page.evaluate(unnamed) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    live = page.evaluate("[...document.querySelectorAll('[aria-live], [role=status], [role=alert]')].length")
    assert live == 3
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert {"photo", "gan", "preset", "mask", "prior", "crop", "category", "seed", "mask_file"} <= set(reached)
