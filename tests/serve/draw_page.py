"""Draws docs/images/serve.webp: python tests/serve/draw_page.py docs/images/serve.webp

The page while it works on the bundled head with the built-in generator, three quarters through.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image
from playwright.sync_api import sync_playwright
from serving import server

from browser import FLAGS, chromium

HEAD = Path(__file__).parents[2] / "src" / "bozzetto" / "assets" / "demo_head.png"


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.set_default_timeout(600_000)
        with server(Path(folder), "published_settings") as (_, _, address):
            page.goto(address)
            page.locator("#gan option").first.wait_for(state="attached")
            page.locator("#photo").set_input_files(HEAD)
            page.wait_for_function("() => document.getElementById('bar').value > 0.75")
            page.locator("#angle").fill("3")
            page.locator("#angle").blur()
            with Image.open(io.BytesIO(page.screenshot())) as shot:
                shot.convert("RGB").save(out, quality=88, method=6)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
