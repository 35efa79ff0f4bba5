"""The site of many results: what it says, what it shows in a real browser, and that it appears whole or not at all."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image
from seen import choose, open_page, tensor_of
from synthetic_dome import dome

from bozzetto.cli.main import execute
from bozzetto.config import ViewConfig
from bozzetto.errors import InputError, OutputError
from bozzetto.export.turn import turned
from bozzetto.gallery import find_results, write_site
from bozzetto.gallery.cards import PICTURES, UNKNOWN, card_of, slugs
from bozzetto.general_model import GeneralFacts, GeneralModel, refining
from bozzetto.nets.networks import make_networks
from bozzetto.pipeline import plan
from bozzetto.presets import PRESETS
from bozzetto.results import Provenance, Reconstruction
from bozzetto.results.facts import OTHER_PRESET, facts_of, preset_of
from browser import fresh_page
from tiny_run import photo, write_gan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

# Until every picture that has a name is loaded. (The page's policy forbids playwright's own way to wait.)
DECODED = "Promise.all([...document.images].filter(image => image.src).map(image => image.decode())).then(() => 0)"

TINY = GeneralFacts("tiny", "heads", "MIT", 16, 8, 0.25, ViewConfig(), (0.0,) * 6, "g", "0" * 64, 3, offset=True)
EVIL = "<script>window.ran=1</script><img src=x onerror=window.ran=1>"


def provenance(preset: str, prior: str, category: str, **more: object) -> Provenance:
    fit = dataclasses.replace(PRESETS[preset], prior=dataclasses.replace(PRESETS[preset].prior, shape=prior))
    return Provenance(input_name="x.png", config={"category": category, "fit": fit}, **more)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three results, one of them named as nobody should name one."""
    folder = tmp_path_factory.mktemp("results")
    made = {
        "head one": provenance("quick", "ellipsoid", "heads", seconds={"prior": 61.0, "step1": 6.4}),
        "head two": provenance(
            "rep", "box", "heads", seconds={"all": 5.0}, metrics={"mad_depth_deg": 12.345, "side_x100": 0.6}
        ),
        EVIL.replace("/", "\u2215"): provenance("quick", "box", EVIL),
    }
    for (name, told), yaw in zip(made.items(), (0.2, -0.2, 0.0), strict=True):
        record = dome(24, view=(0.0, yaw, 0.0, 0.0, 0.0, 0.0))
        dataclasses.replace(record, provenance=told).save(folder / name, formats=[])
    return folder


@pytest.fixture(scope="module")
def site(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    assert write_site(find_results([results]), out, EVIL) == out / "index.html"
    return out


@pytest.fixture(scope="module")
def opened(browser: Browser, site: Path) -> Iterator[Page]:
    with fresh_page(browser) as page:
        open_page(page, site / "index.html")
        yield page


def names(page: Page) -> list[str]:
    return page.locator("#grid article h2").all_inner_texts()


def test_every_object_is_there_with_what_made_it_its_scores_and_seconds(opened: Page) -> None:
    assert opened.inner_text("#count") == "3 objects"
    cards = dict(zip(names(opened), opened.locator("#grid article").all(), strict=True))
    one, two = cards["head one"], cards["head two"]
    assert one.locator(".kind").inner_text() == "heads · ellipsoid · quick"
    assert one.locator(".scores").inner_text() == "1 min 07 s"
    assert two.locator(".kind").inner_text() == "heads · box · rep"
    assert two.locator(".scores").inner_text() == "MAD 12.35° · SIDE ×100 0.60 · 5.0 s"
    opened.evaluate(DECODED)
    widths = opened.evaluate("[...document.querySelectorAll('#grid img')].map(image => image.naturalWidth)")
    assert widths == [320] * 6


def test_names_are_text_and_run_nothing(opened: Page) -> None:
    assert opened.evaluate("window.ran") is None
    assert opened.inner_text("h1") == EVIL
    assert any(name.startswith("<script>") for name in names(opened))


def test_filters_and_groups_arrange_the_grid(opened: Page) -> None:
    opened.select_option("#preset", "quick")
    assert len(names(opened)) == 2
    assert opened.inner_text("#count") == "2 objects"
    opened.select_option("#prior", "ellipsoid")
    assert names(opened) == ["head one"]
    for key in ("preset", "prior"):
        opened.select_option(f"#{key}", "")
    opened.select_option("#group", "prior")
    groups = opened.locator("#grid > *").evaluate_all("all => all.map(e => e.tagName === 'H2' ? e.textContent : '.')")
    assert groups == ["box", ".", ".", "ellipsoid", "."]
    opened.select_option("#group", "")
    assert len(names(opened)) == 3


def test_the_wipe_shows_the_first_on_its_left_and_the_second_on_its_right(opened: Page, site: Path) -> None:
    opened.check('.pick input[value="head-one"]')
    assert opened.is_hidden("#compare")
    opened.check('.pick input[value="head-two"]')
    opened.select_option("#kind", "photo")
    wipe = opened.locator(".wipe")
    wipe.scroll_into_view_if_needed()
    box = wipe.bounding_box()
    assert box is not None
    side = round(box["width"])
    ours = {slug: tensor_of(_resized(site / f"{slug}.photo.jpg", side)) for slug in ("head-one", "head-two")}

    def seen(part: int) -> torch.Tensor:
        opened.fill("#wipe", str(part))
        opened.evaluate(DECODED)
        return tensor_of(wipe.screenshot())[:, :side, :side]

    assert (ours["head-one"] - ours["head-two"]).abs().mean() > 0.02
    for part, left, right in ((50, "head-one", "head-two"), (0, "head-two", "head-two"), (100, "head-one", "head-one")):
        picture = seen(part)
        assert (picture - ours[left])[:, 4:-4, 4 : side // 2 - 8].abs().mean() < 0.015
        assert (picture - ours[right])[:, 4:-4, side // 2 + 8 : -4].abs().mean() < 0.015
    assert opened.inner_text("#second-name").startswith("head two · MAD")
    opened.check('.pick input[value^="script"]')  # a third takes the place of the first
    assert opened.locator(".pick input:checked").count() == 2
    opened.click("#close")
    assert opened.is_hidden("#compare")
    assert opened.locator(".pick input:checked").count() == 0


# Of the comparison's panel: its height, whether the page is wider than the window, and the pictures' share of its area.
FILLED = """() => {
  const panel = document.getElementById("compare").getBoundingClientRect();
  const area = [...document.querySelectorAll("#compare figure :is(.wipe, .whole > img)")]
    .map(element => element.getBoundingClientRect()).reduce((sum, box) => sum + box.width * box.height, 0);
  return [panel.height, document.documentElement.scrollWidth, area / (panel.width * panel.height)];
}"""


@pytest.mark.parametrize("size", [(1280, 800), (960, 720), (390, 844)])
def test_the_two_pictures_fill_the_comparison_and_it_fits_the_window(
    page: Page, site: Path, size: tuple[int, int]
) -> None:
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    open_page(page, site / "index.html")
    for slug in ("head-one", "head-two"):
        page.check(f'.pick input[value="{slug}"]')
    page.evaluate(DECODED)
    height, wide, share = page.evaluate(FILLED)
    assert height <= size[1]
    assert wide == size[0]
    assert share > 0.6
    for slug, name in (("head-one", "head one"), ("head-two", "head two")):
        image = page.get_by_role("img", name=f"{name}: As in the photo")
        assert (image.get_attribute("src") or "") == f"{slug}.pose.jpg"


def _resized(path: Path, side: int) -> bytes:
    buffer = io.BytesIO()
    Image.open(path).resize((side, side), Image.Resampling.BILINEAR).save(buffer, format="PNG")
    return buffer.getvalue()


def test_an_object_opens_its_viewer(page: Page, site: Path) -> None:
    open_page(page, site / "index.html")
    page.click("article[data-slug=head-two] a")
    page.wait_for_selector("html[data-ready] #object[data-frames]")
    assert "head-two.viewer.html" in page.url
    choose(page, "normal")


def test_a_phones_width_holds_everything(opened: Page) -> None:
    opened.set_viewport_size({"width": 360, "height": 740})
    assert opened.evaluate("document.documentElement.scrollWidth") == 360
    opened.set_viewport_size({"width": 960, "height": 720})


def test_the_site_holds_what_it_names_and_is_replaced_whole(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site([results / "head one", results / "head two"], out)
    (out / "CNAME").write_text("mine")
    write_site([results / "head one"], out)
    kinds = {f"head-one.{kind}.jpg" for kind in PICTURES}
    assert {path.name for path in out.iterdir()} == {"index.html", "head-one.viewer.html", "CNAME", *kinds}


def test_a_damaged_result_leaves_the_old_site_and_nothing_else(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site([results / "head one"], out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    broken = tmp_path / "broken"
    dome(24).save(broken, formats=[])
    (broken / "scene.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(OutputError, match="cut off or altered"):
        write_site([results / "head two", broken], out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "site"]


def test_other_folders_are_refused(results: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>my own page")
    with pytest.raises(OutputError, match="holds other files"):
        write_site([results / "head one"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    with pytest.raises(InputError, match="holds none"):
        find_results([tmp_path])
    with pytest.raises(InputError, match="one result at least"):
        write_site([], tmp_path / "site")


def test_results_are_found_in_folders_each_once(results: Path) -> None:
    found = find_results([results / "head two", results, results / "head one"])
    assert [path.name for path in found][:2] == ["head two", EVIL.replace("/", "\u2215")]
    assert len(found) == 3


def test_the_command_prints_the_first_page(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "s"
    assert execute(["gallery", str(results / "head one"), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'index.html'}\n"
    assert execute(["gallery", str(tmp_path / "nothing"), "-o", str(out)]) == 2


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_known_by_its_numbers_whatever_it_started_from(name: str) -> None:
    told = preset_of(provenance(name, "box", "x"))
    assert told == name


def test_a_preset_is_known_in_what_a_run_keeps(tmp_path: Path) -> None:
    """In the settings as the pipeline writes them, and in those of a version that had fewer."""
    gan = write_gan(tmp_path / "tiny.safetensors")
    kept = plan(photo(), gan, preset="quick", mask="none").settings()
    assert preset_of(Provenance(config=kept)) == "quick"
    turn = {name: value for name, value in kept["fit"]["turn"].items() if not name.startswith("wide")}
    older = {**kept["fit"], "turn": turn, "compute": {"precision": "bf16", "gan_precision": "bf16"}}
    assert preset_of(Provenance(config={**kept, "fit": older})) == "quick"
    other = plan(photo(), gan, config=dataclasses.replace(PRESETS["quick"], stages=()), mask="none").settings()
    assert preset_of(Provenance(config=other)) == OTHER_PRESET


def test_a_fit_from_a_general_model_is_known_as_such() -> None:
    model = GeneralModel(make_networks(16, 8, torch.Generator().manual_seed(0), width=0.25), TINY, "0" * 64)
    told = {
        refine: Provenance(config={"fit": refining(PRESETS["refine"], model, refine), "general_sha256": "0" * 64})
        for refine in (None, 7, 0)
    }
    assert {refine: preset_of(one) for refine, one in told.items()} == {None: "refine", 7: OTHER_PRESET, 0: "preview"}
    card = card_of(dataclasses.replace(dome(16), provenance=told[None]), "x", "x")
    assert card.prior == "general model"
    assert facts_of(told[None], 16)["Starting shape"] == "general model"


def test_other_numbers_are_no_preset() -> None:
    fit = PRESETS["quick"]
    other = dataclasses.replace(fit, optim=dataclasses.replace(fit.optim, lr=0.123))
    assert preset_of(Provenance(config={"fit": other})) == OTHER_PRESET
    for nothing in ({}, {"fit": {}}, {"fit": {"prior": {"shape": "box"}}}):
        assert preset_of(Provenance(config=nothing)) == ""
        assert card_of(dataclasses.replace(dome(16), provenance=Provenance(config=nothing)), "x", "x").preset == UNKNOWN


def test_slugs_are_plain_and_different() -> None:
    made = slugs(["Ä b", "a/b", "A B", "a-b-2", "", "../..", EVIL])
    assert len(set(made)) == 7
    assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in made)


def test_the_pictures_are_those_of_the_films(site: Path, results: Path) -> None:
    record = Reconstruction.load(results / "head one")
    (front,) = turned(record, record.view[None], 320)
    kept = tensor_of((site / "head-one.pose.jpg").read_bytes())
    assert (front - kept).abs().mean() < 0.01
