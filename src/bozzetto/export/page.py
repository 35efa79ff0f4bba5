"""Self-contained pages: a template, one style, one script and data, allowed to load nothing from anywhere.

Whatever is put into a page is escaped for the place where it goes, and the page's Content-Security-Policy lets run the
one script and the one style whose hashes it names: nothing that a file name or a record smuggles in.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

_PLACE = re.compile(r"\{\{(\w+)\}\}")


@lru_cache(maxsize=8)
def asset(name: str) -> str:
    """A text file of the package's assets."""
    return (files("bozzetto") / "assets" / name).read_text("utf-8")


def json_in_html(value: Any) -> str:
    """JSON that may stand inside a script element: no character of it can end the element or open another."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(content: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii") + "'"


def policy(script: str, style: str, pictures: str) -> str:
    """The page's Content-Security-Policy: this script, this style, pictures from `pictures`, and nothing else."""
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src {pictures}; "
        "base-uri 'none'; form-action 'none'"
    )


def fill(template: str, texts: dict[str, str], raw: dict[str, str]) -> str:
    """The template with each `{{name}}` replaced once: `texts` escaped, `raw` as they are.

    Raises:
        KeyError: the template has a place that neither names.
    """
    values = {name: html.escape(text, quote=True) for name, text in texts.items()} | raw
    return _PLACE.sub(lambda place: values[place[1]], template)


def page(
    name: str, texts: dict[str, str], data: Any, pictures: str = "data: blob:", raw: dict[str, str] | None = None
) -> str:
    """The page of the assets NAME.html, NAME.css and NAME.js, with `data` as JSON in its element `data`.

    Args:
        texts: escaped and put into the template's places.
        data: JSON for the script to read.
        pictures: sources of pictures, as a Content-Security-Policy writes them.
        raw: HTML for the template's places, escaped by whoever made it.
    """
    script, style = asset(f"{name}.js"), asset(f"{name}.css")
    fixed = {
        "policy": policy(script, style, pictures),
        "style": style,
        "script": script,
        "data": json_in_html(data),
    }
    return fill(asset(f"{name}.html"), texts, (raw or {}) | fixed)
