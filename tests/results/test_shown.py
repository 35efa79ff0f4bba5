"""A record shows itself: in a notebook, and in the browser."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from bozzetto.config import FitConfig
from bozzetto.presets import PRESETS
from bozzetto.results import Reconstruction
from bozzetto.results.facts import duration, facts_of, scores_of, seconds_of
from bozzetto.results.provenance import Provenance

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_notebook_gets_the_viewer_in_a_sandbox(page: Page, record: Reconstruction) -> None:
    hostile = dataclasses.replace(record.provenance, input_name='"><script>parent.ran=1</script>')
    page.set_content(dataclasses.replace(record, provenance=hostile)._repr_html_())
    frame = page.frame_locator("iframe")
    frame.locator("html[data-ready]").wait_for()
    assert frame.locator("#object").get_attribute("data-frames") is not None
    assert page.evaluate("window.ran") is None
    assert page.locator("script").count() == 0
    assert page.get_attribute("iframe", "sandbox") == "allow-scripts allow-downloads"


def test_show_writes_the_page_and_opens_it(
    record: Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert record.show(tmp_path / "a b.html") == tmp_path / "a b.html"
    assert opened == [(tmp_path / "a b.html").as_uri()]
    assert record.show(tmp_path / "quiet.html", browser=False).read_bytes() == (tmp_path / "a b.html").read_bytes()
    assert len(opened) == 1


def test_view_is_the_pose_and_called_it_is_show(record: Reconstruction, tmp_path: Path) -> None:
    page = record.show(tmp_path / "show.html", browser=False).read_bytes()
    view: Any = record.view
    assert view(tmp_path / "view.html", browser=False) == tmp_path / "view.html"
    assert (tmp_path / "view.html").read_bytes() == page
    # and in all else it is a tensor that knows nothing of its record
    assert isinstance(view, torch.Tensor)
    plain = vars(record)["view"]
    for made in (view[None], view + 0, view.clone(), copy.deepcopy(view), torch.stack([view, view]), plain):
        assert type(made) is torch.Tensor
    assert torch.equal(view, plain)
    assert view.data_ptr() == plain.data_ptr()
    assert type(pickle.loads(pickle.dumps(view))) is torch.Tensor
    again = pickle.loads(pickle.dumps(record))
    assert torch.equal(again.view, view)
    moved = dataclasses.replace(record, light=record.light + 1)
    assert type(vars(moved)["view"]) is torch.Tensor
    assert moved.view(tmp_path / "moved.html", browser=False).read_bytes() != page
    assert [field.name for field in dataclasses.fields(record)].count("view") == 1


def replaced_prior(preset: str, shape: str) -> FitConfig:
    fit = PRESETS[preset]
    return dataclasses.replace(fit, prior=dataclasses.replace(fit.prior, shape=shape))


def test_the_page_lists_preset_and_scores_beside_the_object(page: Page, record: Reconstruction, tmp_path: Path) -> None:
    made = Provenance(
        config={"fit": replaced_prior("rep", "ellipsoid")}, metrics={"mad_depth_deg": 12.345, "side_x100": 0.61}
    )
    dataclasses.replace(record, provenance=made).show(tmp_path / "a.html", browser=False)
    page.goto((tmp_path / "a.html").as_uri())
    page.locator("html[data-ready]").wait_for()
    rows = page.locator("#facts div").evaluate_all("all => all.map(row => [...row.children].map(e => e.textContent))")
    assert [row for row in rows if row[0] in ("Preset", "MAD", "SIDE ×100")] == [
        ["Preset", "rep"],
        ["MAD", "12.35°"],
        ["SIDE ×100", "0.61"],
    ]


def test_facts_name_what_is_known_and_nothing_else() -> None:
    assert facts_of(Provenance(), 64) == {"Size": "64 px"}
    told = facts_of(
        Provenance(
            input_name="a.png",
            config={"category": "cat", "fit": replaced_prior("quick", "box")},
            seed=0,
            generator_name="g",
            seconds={"mask": 0.5, "stages": {"one": 59.0}},
            metrics={"mad_depth_deg": 10.0, "side_x100": 0.5, "coverage": 1.0},
        ),
        64,
    )
    assert told == {
        "Photo": "a.png",
        "Generator": "g",
        "Category": "cat",
        "Starting shape": "box",
        "Preset": "quick",
        "Seed": "0",
        "Size": "64 px",
        "Made in": "1 min 00 s",
        "MAD": "10.00°",
        "SIDE ×100": "0.50",
    }


def test_odd_records_give_fewer_facts_and_no_error() -> None:
    odd = Provenance(config={"category": 3, "fit": [1]}, seconds={"a": "x", "b": None}, metrics={"side_x100": "x"})
    assert facts_of(odd, 8) == {"Size": "8 px"}
    assert seconds_of(odd) == 0
    assert scores_of(odd) == {}


def test_durations_read_well() -> None:
    assert [duration(value) for value in (0.04, 9.96, 38.4, 59.6, 307.2)] == [
        "0.0 s",
        "10.0 s",
        "38 s",
        "1 min 00 s",
        "5 min 07 s",
    ]
