"""Pages are whole, small, silent on every network, and run nothing that a record smuggles in."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from seen import open_page

from bozzetto.export.page import asset, fill, json_in_html
from bozzetto.export.page import page as page_html
from bozzetto.export.viewer import viewer_html, write_viewer
from bozzetto.results import Reconstruction

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EVIL = "</script><script>window.ran=1</script><img src=x onerror='window.ran=1'>{{data}}\u2028\"'&<!--.png"


def evil(scene: Reconstruction) -> Reconstruction:
    provenance = dataclasses.replace(
        scene.provenance, input_name=EVIL, generator_name=EVIL, config={"category": EVIL, "fit": {"prior": 3}}
    )
    return dataclasses.replace(scene, provenance=provenance)


def test_names_are_shown_and_never_run(page: Page, scene: Reconstruction, tmp_path: Path) -> None:
    open_page(page, write_viewer(evil(scene), tmp_path / "viewer.html"))
    assert page.evaluate("window.ran") is None
    assert page.locator("img").count() == 1
    assert page.text_content("h1") == EVIL
    assert page.text_content("#facts div:nth-child(1) dd") == EVIL
    with page.expect_download() as saved:
        page.click("#glb")
    assert re.fullmatch(r"[\w-]+\.glb", saved.value.suggested_filename)


def test_nothing_is_asked_of_a_network_and_nothing_foreign_may_run(
    browser: Browser, scene: Reconstruction, tmp_path: Path
) -> None:
    context = browser.new_context()
    opened, asked = context.new_page(), []
    opened.on("request", lambda request: asked.append(request.url.split(":")[0]))
    open_page(opened, write_viewer(scene, tmp_path / "viewer.html"))
    assert asked.count("file") == 1
    assert set(asked) <= {"file", "data", "blob"}
    refused = opened.evaluate("fetch('data:text/plain,x').then(() => 'went through', () => 'refused')")
    opened.evaluate(
        "() => { const s = document.createElement('script'); s.text = 'window.ran = 1'; document.body.append(s) }"
    )
    opened.evaluate("() => { document.body.insertAdjacentHTML('beforeend', '<b id=b onclick=\"window.ran=1\">x</b>') }")
    opened.click("#b", force=True)
    assert refused == "refused"
    assert opened.evaluate("window.ran") is None
    context.close()


def test_the_page_is_small_and_names_no_address_to_load_from(scene: Reconstruction) -> None:
    html = viewer_html(scene)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert data
    assert len(html.encode()) - len(data[1]) < 2_000_000
    assert not re.search(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=""", html)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    assert policy[1].startswith("default-src 'none'")
    assert "unsafe" not in policy[1]
    assert json.loads(data[1])["grid"] % (scene.size - 1) == 1


def test_the_licence_of_three_js_goes_with_it() -> None:
    script = asset("viewer.js")
    assert "three.js authors" in script
    assert "The above copyright notice and this permission notice shall be included" in script


@pytest.mark.parametrize("name", ["viewer", "gallery"])
def test_an_asset_can_stand_inside_its_element(name: str) -> None:
    assert "</script" not in asset(f"{name}.js").lower()
    assert "<!--" not in asset(f"{name}.js")
    assert "</style" not in asset(f"{name}.css").lower()
    assert "\r" not in asset(f"{name}.js") + asset(f"{name}.css")


def test_json_in_html_is_the_same_json_without_a_sign_that_ends_a_script() -> None:
    text = json_in_html({"a": EVIL})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": EVIL}


def test_places_are_filled_once_and_escaped() -> None:
    assert fill("{{a}} {{b}}", {"a": "<{{b}}>"}, {"b": "<i>"}) == "&lt;{{b}}&gt; <i>"
    with pytest.raises(KeyError):
        fill("{{c}}", {}, {})
    assert "{{" not in page_html("viewer", {"title": "x"}, {}).split("<script", 1)[0]


def test_writing_a_page_starts_no_other_program(
    scene: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scripts are built once and lie in the package: whoever installs it needs no node."""
    monkeypatch.setenv("PATH", "")
    started: list[object] = []
    sys.addaudithook(lambda event, told: started.append(told) if event in ("subprocess.Popen", "os.exec") else None)
    write_viewer(scene, tmp_path / "viewer.html")
    assert not started
