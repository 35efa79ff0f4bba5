"""The gallery's first page, as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

from bozzetto.export.page import page
from bozzetto.gallery.cards import PICTURES, UNKNOWN, Card

# Beside the pages, wherever the site lies; browsers do not agree that a file's neighbours are its own.
SOURCES = "'self' file:"
KEYS = ("category", "prior", "preset")
MARK = '<meta name="generator" content="bozzetto gallery">'


def index_html(cards: Sequence[Card], title: str) -> str:
    """The page that shows every card."""
    raw = {
        "mark": MARK,
        "cards": "\n".join(_card(card) for card in cards),
        "filters": "\n".join(_filter(key, cards) for key in KEYS),
        "kinds": "\n".join(_option(name, label) for name, label in PICTURES.items()),
    }
    count = "1 object" if len(cards) == 1 else f"{len(cards)} objects"
    data = {"cards": [card.to_json() for card in cards]}
    return page("gallery", {"title": title, "count": count}, data, SOURCES, raw)


def _option(value: str, label: str) -> str:
    return f'<option value="{html.escape(value)}">{html.escape(label)}</option>'


def _filter(key: str, cards: Sequence[Card]) -> str:
    values = sorted({getattr(card, key) for card in cards})
    options = "".join(_option(value, value) for value in values)
    return f'<label>{key.title()}<select id="{key}"><option value="">All</option>{options}</select></label>'


def _card(card: Card) -> str:
    name, slug = html.escape(card.name), card.slug
    known = [value for value in (card.category, card.prior, card.preset) if value != UNKNOWN]
    kind = html.escape(" · ".join(known))
    return (
        f'<article data-slug="{slug}">'
        f'<a href="{slug}.viewer.html"><span class="pair">'
        f'<img src="{slug}.pose.jpg" width="320" height="320" loading="lazy" alt="{name}, as in the photo">'
        f'<img class="turned" src="{slug}.left.jpg" width="320" height="320" loading="lazy" alt=""></span>'
        f"<h2>{name}</h2></a>"
        f'<p class="kind">{kind}</p><p class="scores">{html.escape(card.line)}</p>'
        f'<label class="pick"><input type="checkbox" value="{slug}" aria-label="Compare {name}">Compare</label>'
        "</article>"
    )
