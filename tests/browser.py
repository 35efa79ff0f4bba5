"""A real browser for the tests of pages: one headless Chromium for the whole run, a fresh page a test.

tests/conftest.py hands the fixtures to every test. The browser is the one that `BOZZETTO_CHROMIUM` names, or a Chromium
or Chrome on the path; without one, or without playwright, the tests are skipped and say so. Nothing is ever downloaded.
Once it is open, playwright's event loop counts as running in the tests' thread: asyncio.run needs a thread of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# WebGL by software, so that it is the same on every machine; nothing that a browser does behind one's back.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """Path of a Chromium to drive, or None."""
    named = os.environ.get("BOZZETTO_CHROMIUM")
    if named:
        return named if os.path.isfile(named) else None
    return next((path for path in map(shutil.which, NAMES) if path), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser, started at first use and closed at the end of the run."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium found: install one (Debian: apt-get install chromium) or set BOZZETTO_CHROMIUM")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


def _is_complaint(kind: str, text: str) -> bool:
    """Software WebGL notes that reading a picture back takes time; the page cannot help it."""
    return kind in ("error", "warning") and "GPU stall due to ReadPixels" not in text


@contextmanager
def fresh_page(browser: Browser) -> Iterator[Page]:
    """A page of 960 x 720 in a profile of its own. What its scripts complain of fails the test that used it."""
    context = browser.new_context(viewport={"width": 960, "height": 720})
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda said: complaints.append(said.text) if _is_complaint(said.type, said.text) else None)
    yield opened
    context.close()
    assert not complaints, complaints


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page for one test."""
    with fresh_page(browser) as opened:
        yield opened
