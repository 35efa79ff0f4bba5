"""The viewer in a real browser: it shows what our renderer renders."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from seen import START_ZOOM, air, choose, open_page, read_at, settle, shown, tensor_of, well_inside
from synthetic_dome import stepped

from bozzetto.export.colours import BACKGROUND
from bozzetto.export.formats import export_all
from bozzetto.export.images import depth_rgb, normal_rgb, shown_depth_range
from bozzetto.export.matting import object_mask
from bozzetto.export.turn import relit, turned
from bozzetto.export.viewer import write_viewer
from bozzetto.results import Reconstruction
from browser import fresh_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLOSE = 0.012  # mean difference of values in [0, 1]: three steps of a picture file
FINE = 4  # our pictures are compared at this many times the record's pixels


@pytest.fixture(scope="module")
def folder(scene: Reconstruction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("viewer")
    export_all(scene, out, ["viewer", "glb"])
    return out


@pytest.fixture(scope="module")
def shared(browser: Browser, folder: Path) -> Iterator[Page]:
    with fresh_page(browser) as page:
        open_page(page, folder / "viewer.html")
        yield page


@pytest.fixture
def opened(shared: Page) -> Page:
    """The one opened page, put back to how it opens."""
    shared.set_viewport_size({"width": 960, "height": 720})
    shared.emulate_media(color_scheme="light")
    shared.check("#drag-turn", force=True)
    choose(shared, "lit")
    choose(shared, "surface")
    shared.click("#reset")
    return shared


def frontal_inside(scene: Reconstruction, pixels: int = 3) -> torch.Tensor:
    return well_inside(object_mask(scene.canonical_mask[None], scene.normal[None])[0].round(), pixels)


def fine(scene: Reconstruction) -> int:
    return FINE * (scene.size - 1) + 1


def difference(page: Page, scene: Reconstruction, ours: torch.Tensor) -> torch.Tensor:
    """Of the canvas to a picture [3, n, n] of ours, mean over the colours; only where ours shows no background."""
    seen = read_at(shown(page), scene.size, ours.shape[-1])
    object_ = (ours - ours[:, :1, :1]).abs().amax(0, keepdim=True) > 0.02
    inside = well_inside(object_.float(), ours.shape[-1] // 16)
    assert inside.float().mean() > 0.1
    return (seen - ours).abs().mean(0)[inside]


def test_the_first_picture_is_the_reconstruction(opened: Page, scene: Reconstruction) -> None:
    seen = read_at(shown(opened), scene.size, scene.size)
    inside = well_inside(scene.mask, 3)
    assert inside.sum() > 100
    assert (seen - scene.recon.clamp(0, 1))[:, inside].abs().mean() < CLOSE


def test_it_opens_with_air_around_an_object_that_fills_its_picture(
    page: Page, scene: Reconstruction, tmp_path: Path
) -> None:
    whole = torch.ones_like(scene.canonical_mask)
    wall = dataclasses.replace(scene, canonical_mask=whole, depth=whole, view=torch.zeros(6))
    open_page(page, write_viewer(wall, tmp_path / "viewer.html"))
    for viewport in ((960, 720), (1280, 720), (390, 844)):
        page.set_viewport_size(dict(zip(("width", "height"), viewport, strict=True)))
        assert air(page) == pytest.approx([(1 - START_ZOOM) / 2] * 4, abs=0.02)
        page.focus("#object")
        page.keyboard.press("+")
        page.click("#reset")
        assert air(page) == pytest.approx([(1 - START_ZOOM) / 2] * 4, abs=0.02)


def test_turning_by_keys_shows_what_the_renderer_renders_from_there(opened: Page, scene: Reconstruction) -> None:
    opened.fill("#canonical", "1")
    before = shown(opened)
    opened.focus("#object")
    for _ in range(4):
        opened.keyboard.press("ArrowRight")
    assert (shown(opened) - before).abs().mean() > 0.01
    view = torch.tensor([[0, -math.radians(20), 0, 0, 0, 0]], dtype=torch.float32)
    (ours,) = turned(scene, view, fine(scene))
    assert difference(opened, scene, ours).mean() < CLOSE


def test_nodding_shows_what_the_renderer_renders_from_there(opened: Page, scene: Reconstruction) -> None:
    opened.fill("#canonical", "1")
    opened.focus("#object")
    for _ in range(3):
        opened.keyboard.press("ArrowDown")
    view = torch.tensor([[math.radians(15), 0, 0, 0, 0, 0]], dtype=torch.float32)
    (ours,) = turned(scene, view, fine(scene))
    assert difference(opened, scene, ours).mean() < CLOSE


def test_the_light_is_the_methods_own(opened: Page, scene: Reconstruction) -> None:
    opened.fill("#ambient", "0.2")
    opened.fill("#diffuse", "0.7")
    before = shown(opened)
    box = opened.locator("#pad").bounding_box()
    assert box is not None
    x, y = -0.5, -0.4  # left and above of the ball's middle, where it will be brightest
    place = {"x": (x + 1) / 2 * box["width"], "y": (y + 1) / 2 * box["height"]}
    opened.click("#pad", position=place)
    toward_viewer = math.sqrt(1 - x * x - y * y)
    light = torch.tensor([[0.2, 0.7, -x / toward_viewer, -y / toward_viewer]])
    (ours,) = relit(scene, light, fine(scene))
    assert difference(opened, scene, ours).mean() < CLOSE
    assert (shown(opened) - before).abs().mean() > 0.01


def test_dragging_the_light_on_the_picture_relights_and_does_not_turn(opened: Page, scene: Reconstruction) -> None:
    choose(opened, "normal")
    turned_not = shown(opened)
    choose(opened, "lit")
    before = shown(opened)
    opened.check("#drag-light", force=True)
    drag(opened, -90, -60)
    assert (shown(opened) - before).abs().mean() > 0.003
    choose(opened, "normal")
    assert torch.equal(shown(opened), turned_not)


def test_without_the_lamp_the_picture_is_albedo_times_ambient(opened: Page, scene: Reconstruction) -> None:
    opened.fill("#canonical", "1")
    opened.fill("#diffuse", "0")
    inside = frontal_inside(scene)
    for ambient in (0.3, 0.8):
        opened.fill("#ambient", str(ambient))
        seen = read_at(shown(opened), scene.size, scene.size)
        assert (seen - scene.albedo * ambient)[:, inside].abs().mean() < CLOSE
    # and the lamp's direction is nothing to it
    before = shown(opened)
    opened.click("#pad", position={"x": 20, "y": 30})
    assert torch.equal(shown(opened), before)


def test_the_other_pictures_are_those_of_the_result_folder(opened: Page, scene: Reconstruction) -> None:
    opened.fill("#canonical", "1")
    range_ = shown_depth_range(scene.depth, scene.canonical_mask, scene.depth_range)
    ours = {
        "albedo": scene.albedo,
        "shading": scene.shading.expand(3, -1, -1),  # this light's sum of strengths is below 1
        "normal": normal_rgb(scene.normal),
        "depth": depth_rgb(scene.depth, range_.near, range_.far),
    }
    inside = frontal_inside(scene, 4)
    assert inside.sum() > 60
    for name, picture in ours.items():
        choose(opened, name)
        seen = read_at(shown(opened), scene.size, scene.size)
        assert (seen - picture)[:, inside].abs().mean() < 2 * CLOSE, name


def test_the_photo_on_the_surface_is_the_photo_in_its_pose(opened: Page, scene: Reconstruction) -> None:
    choose(opened, "photo")
    seen = read_at(shown(opened), scene.size, scene.size)
    assert (seen - scene.image)[:, well_inside(scene.mask, 2)].abs().mean() < CLOSE
    opened.fill("#canonical", "1")
    assert (read_at(shown(opened), scene.size, scene.size) - seen).abs().mean() > 0.01


@pytest.mark.parametrize("form", ["wireframe", "points"])
def test_lines_and_points_lie_on_the_surface(opened: Page, scene: Reconstruction, form: str) -> None:
    ground = shown(opened)[:, :1, :1]

    def drawn() -> torch.Tensor:
        return ((shown(opened) - ground).abs().amax(0) > 0.02).float()

    surface = drawn()
    choose(opened, form)
    thin = drawn()
    grown = torch.nn.functional.max_pool2d(surface[None], 9, 1, 4)[0]
    assert 0.05 * surface.sum() < thin.sum() < surface.sum()
    assert (thin * (1 - grown)).sum() == 0
    # all over the object, and not in one corner of it
    blocks = torch.nn.functional.avg_pool2d(torch.stack((surface, thin))[None], 32)[0]
    assert bool((blocks[1][blocks[0] == 1] > 0).all())


def drag(page: Page, x: float, y: float) -> None:
    box = page.locator("#object").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + x, middle[1] + y, steps=4)
    page.mouse.up()


def test_a_drag_to_the_right_moves_the_near_side_to_the_right_and_reset_takes_all_back(opened: Page) -> None:
    first = shown(opened)
    drag(opened, 80, 0)
    assert "right" in opened.inner_text("#status")
    assert (shown(opened) - first).abs().mean() > 0.01
    opened.keyboard.press("Shift+ArrowLeft")
    opened.fill("#ambient", "0.1")
    opened.fill("#canonical", "0.5")
    opened.mouse.wheel(0, -300)
    opened.click("#reset")
    assert torch.equal(shown(opened), first)


def test_a_jump_in_depth_is_cut_as_it_is_in_the_films_and_the_gallery(page: Page, tmp_path: Path) -> None:
    scene = stepped()
    open_page(page, write_viewer(scene, tmp_path / "viewer.html"))
    page.fill("#canonical", "1")
    seen = read_at(shown(page), scene.size, fine(scene))
    (ours,) = turned(scene, torch.zeros(1, 6), fine(scene))
    theirs, in_films = (
        (picture - torch.tensor(ground)[:, None, None]).abs().amax(0) > 0.02
        for picture, ground in ((seen, shown(page)[:, 0, 0].tolist()), (ours, BACKGROUND))
    )
    assert 0.5 < in_films.float().mean() < 0.7
    inner = slice(FINE, -FINE)
    assert (theirs != in_films)[inner, inner].float().mean() < 0.01


def test_two_fingers_zoom(opened: Page) -> None:
    ground = shown(opened)[:, :1, :1]

    def size() -> float:
        return float(((shown(opened) - ground).abs().amax(0) > 0.02).float().mean())

    before = size()
    box = opened.locator("#object").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = opened.context.new_cdp_session(opened)

    def touch(kind: str, apart: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 60)
    for apart in (56, 52, 48, 44, 40):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    assert size() / before == pytest.approx((40 / 60) ** 2, rel=0.05)


def test_what_is_saved_is_the_mesh_and_the_picture(opened: Page, folder: Path, scene: Reconstruction) -> None:
    with opened.expect_download() as saved:
        opened.click("#glb")
    assert saved.value.suggested_filename == "dome.glb"
    assert Path(saved.value.path()).read_bytes() == (folder / "mesh.glb").read_bytes()
    with opened.expect_download() as saved:
        opened.click("#picture")
    assert saved.value.suggested_filename == "dome_view.png"
    picture = tensor_of(Path(saved.value.path()).read_bytes())
    assert picture.shape == (3, 1024, 1024)
    seen, kept = (read_at(image, scene.size, scene.size) for image in (shown(opened), picture))
    assert (seen - kept).abs().mean() < CLOSE


def test_a_phones_width_holds_everything_and_every_control_has_a_name(opened: Page) -> None:
    opened.set_viewport_size({"width": 360, "height": 740})
    settle(opened)
    assert opened.evaluate("document.documentElement.scrollWidth") == 360
    for control in ("Reset", "Save picture", "Download GLB"):
        opened.get_by_role("button", name=control).scroll_into_view_if_needed()
        assert opened.get_by_role("button", name=control).is_visible()
    for name in ("Ambient", "Diffuse", "Photo to frontal"):
        assert opened.get_by_role("slider", name=name).count() == 1
    for name in ("Lit", "Photo", "Albedo", "Shading", "Normals", "Depth", "Surface", "Wireframe", "Points"):
        assert opened.get_by_role("radio", name=name, exact=True).count() == 1
    pad = opened.get_by_role("slider", name="Direction of the light")
    assert "°" in (pad.get_attribute("aria-valuetext") or "")
    assert opened.get_by_role("application", name="The object in 3D").count() == 1
    assert opened.get_by_role("img", name="The photo that the object was made from").count() == 1


def test_the_dark_scheme_has_a_dark_ground_around_the_same_object(opened: Page, scene: Reconstruction) -> None:
    light = shown(opened)
    opened.emulate_media(color_scheme="dark")
    dark = shown(opened)
    assert light[:, 0, 0].min() > 0.85
    assert dark[:, 0, 0].max() < 0.15
    inside = well_inside(scene.mask, 3)
    same = read_at(light, scene.size, scene.size) - read_at(dark, scene.size, scene.size)
    assert same[:, inside].abs().max() == 0


def test_without_webgl_it_says_so(page: Page, folder: Path) -> None:
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto((folder / "viewer.html").as_uri())
    page.wait_for_selector("#trouble:not([hidden])")
    assert "WebGL" in page.inner_text("#trouble")


@pytest.mark.parametrize("colour", ["lit", "albedo"])
def test_a_texture_is_what_the_object_is_painted_with(
    page: Page, scene: Reconstruction, tmp_path: Path, colour: str
) -> None:
    """Stripes that the albedo knows nothing of, in their places; the other pictures are as without it."""
    wide = 4 * (scene.size - 1) + 1
    bright = (torch.arange(wide) // 12 % 2 * 200 + 20).to(torch.uint8)
    painted = dataclasses.replace(scene, texture=bright.expand(3, wide, wide).contiguous())
    open_page(page, write_viewer(painted, tmp_path / "viewer.html"))
    page.fill("#canonical", "1")
    choose(page, colour)
    light = scene.light if colour == "lit" else torch.tensor([1.0, 0.0, 0.0, 0.0])
    (ours,), (plain,) = (list(turned(one, torch.zeros(1, 6), fine(scene), light)) for one in (painted, scene))
    assert difference(page, scene, ours).mean() < 2 * CLOSE  # edges of stripes, read twice
    assert difference(page, scene, plain).mean() > 0.1
    choose(page, "normal")
    with_it = shown(page)
    open_page(page, write_viewer(scene, tmp_path / "viewer.html"))
    page.fill("#canonical", "1")
    choose(page, "normal")
    assert torch.equal(with_it, shown(page))
