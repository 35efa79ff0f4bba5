"""How fast a viewer page opens and turns in a headless browser: python viewer/measure.py PAGE.html

Needs playwright and an installed Chromium, as the tests of pages do. Drawing is by software, so that it says what a
machine without a graphics card gives.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import FLAGS, chromium

OPENINGS = 7
TURNS = 60

# Milliseconds from the navigation's start.
FIRST = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
  object: performance.getEntriesByName("first-picture")[0].startTime,
})"""

# Turns by a degree as often as the browser draws; reading a pixel waits until the picture is really there.
TURN = """(count) => new Promise((done) => {
  const canvas = document.getElementById("object");
  const gl = canvas.getContext("webgl2");
  const pixel = new Uint8Array(4);
  const first = Number(canvas.dataset.frames);
  const start = performance.now();
  const step = () => {
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    const drawn = Number(canvas.dataset.frames) - first;
    if (drawn >= count) return done((1000 * drawn) / (performance.now() - start));
    canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    requestAnimationFrame(step);
  };
  step();
})"""


def opening(browser: Browser, address: str) -> tuple[dict[str, float], float]:
    """Milliseconds to the first paint and the first picture of the object, and frames a second, in a fresh profile."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_timeout(200)
    told = page.evaluate(FIRST), page.evaluate(TURN, TURNS)
    context.close()
    return told


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit("Name a viewer.html: python viewer/measure.py results/demo/viewer.html")
    path = chromium()
    if path is None:
        sys.exit("No Chromium was found; install one, or set BOZZETTO_CHROMIUM to its path.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        opening(browser, Path(sys.argv[1]).resolve().as_uri())  # the disk's and the browser's caches
        told = [opening(browser, Path(sys.argv[1]).resolve().as_uri()) for _ in range(OPENINGS)]
        print(f"Chromium {browser.version}, 1280 x 800, software rendering, median of {OPENINGS} openings")
        browser.close()
    print(f"first paint   {statistics.median(first['paint'] for first, _ in told):.0f} ms")
    print(f"first object  {statistics.median(first['object'] for first, _ in told):.0f} ms")
    print(f"turning       {statistics.median(frames for _, frames in told):.1f} frames a second")


if __name__ == "__main__":
    main()
