from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bozzetto.bench.plot import draw_plot, nice_step, seed_means
from bozzetto.bench.rows import ROWS
from bozzetto.bench.summary import SCORES, mean_of, sd_of, summarise_row, wins
from bozzetto.bench.table import cell, depth_table, markdown, more_table, told_heads
from bozzetto.bench.units import Unit


def unit(head: int, seed: int | None, side: float, mad: float, yaw_deg: float = 0.0, **more: float) -> Unit:
    scores = {"side_x100": float(side), "mad_depth_deg": float(mad), "coverage": 1.0, **more}
    turned = (0.0, math.radians(yaw_deg), 0.0, 0.0, 0.0, 0.0)
    return Unit("quick", head, seed, scores, 2.0 + head, (0.0,) * 6, turned)


TWO_BY_TWO = [
    unit(0, 0, 1.0, 10.0, 30.0),
    unit(1, 0, 3.0, 20.0),
    unit(0, 1, 2.0, 12.0, 30.0),
    unit(1, 1, 4.0, 26.0),
]


def test_means_and_spreads_over_heads_and_seeds() -> None:
    row = summarise_row(ROWS["quick"], TWO_BY_TWO, 64)
    assert (row["name"], row["n"], row["size"], row["seeds"]) == ("quick", 2, 64, [0, 1])
    assert row["side_mean"] == 2.5
    assert row["side_sd"] == pytest.approx(math.sqrt(2))  # heads 1.5 and 3.5
    assert row["side_seed_sd"] == pytest.approx(math.sqrt(0.5))  # seeds 2 and 3
    assert row["mad_mean"] == 17
    assert row["mad_sd"] == pytest.approx(12 / math.sqrt(2))  # heads 11 and 23
    assert row["mad_seed_sd"] == pytest.approx(4 / math.sqrt(2))  # seeds 15 and 19
    assert row["seconds_mean"] == 2.5
    assert row["coverage_mean"] == 1
    assert (row["yaw25_n"], row["yaw25_side_mean"], row["yaw25_mad_mean"]) == (1, 1.5, 11)
    assert len(row["heads"]) == 4


def test_every_score_has_its_three_numbers_and_what_is_not_known_is_none() -> None:
    row = summarise_row(ROWS["constant"], [unit(0, None, 1, 2, edge_correctness=math.nan)], 64)
    for score in SCORES:
        assert {f"{score.name}_{part}" for part in ("mean", "sd", "seed_sd")} <= set(row)
    assert row["side_mean"] == 1
    assert row["seeds"] == []
    for name in ("side_sd", "side_seed_sd", "edge_correctness_mean", "novel_psnr_mean", "view_aligned_error_mean"):
        assert row[name] is None, name
    assert (row["yaw25_n"], row["yaw25_side_mean"]) == (0, None)


def test_a_score_that_some_heads_lack_is_the_mean_of_the_others() -> None:
    units = [unit(0, None, 1, 2, edge_correctness=0.5), unit(1, None, 1, 2, edge_correctness=math.nan)]
    assert summarise_row(ROWS["constant"], units, 64)["edge_correctness_mean"] == 0.5
    assert mean_of([None, math.nan, math.inf]) is None
    assert sd_of([1.0, math.nan, 3.0]) == pytest.approx(math.sqrt(2))


def test_the_common_turn_is_taken_out_seed_by_seed() -> None:
    """Views that always say 0: seeds differ in nothing, and the mean of yaws 10, 20, 30 is what alignment finds."""
    units = [unit(h, s, 1, 1, yaw) for s in (0, 1) for h, yaw in enumerate((10.0, 20.0, 30.0))]
    row = summarise_row(ROWS["quick"], units, 64)
    assert row["view_aligned_error_mean"] == pytest.approx(20 / 3, abs=1e-5)
    assert row["view_aligned_error_seed_sd"] == pytest.approx(0, abs=1e-9)


def test_heads_are_won_by_the_mean_over_seeds() -> None:
    mine = summarise_row(ROWS["quick"], TWO_BY_TWO, 64)
    other = summarise_row(ROWS["constant"], [unit(0, None, 1.6, 10.0), unit(1, None, 3.6, 30.0)], 64)
    assert wins(mine, other) == {"side": 2, "mad": 1, "both": 1}


def content() -> dict[str, object]:
    rows = [
        summarise_row(ROWS["perfect"], [unit(h, None, 0, 0) for h in (0, 1)], 64),
        summarise_row(ROWS["constant"], [unit(h, None, 3, 30) for h in (0, 1)], 64),
        summarise_row(ROWS["quick"], TWO_BY_TWO, 64),
    ]
    about = {"file": "heads.npz", "heads": [0, 1], "yaw_over_deg": 0.0, "mask": "auto"}
    return {"rows": rows, "test_heads": about, "machine": {"cpu": "x"}, "versions": {"torch": "2"}}


def test_cells_say_mean_and_both_spreads_and_dashes_where_there_is_nothing() -> None:
    row = summarise_row(ROWS["quick"], TWO_BY_TWO, 64)
    scores = {score.name: score for score in SCORES}
    assert cell(row, scores["mad"]) == "17.00 ± 8.49 (± 2.83)"
    assert cell(row, scores["mad"], 0) == "17 ± 8 (± 3)"
    assert cell(row, scores["novel_psnr"]) == "–"
    alone = summarise_row(ROWS["constant"], [unit(0, None, 1, 2)], 64)
    assert cell(alone, scores["mad"]) == "2.00"


@pytest.mark.parametrize("build", [depth_table, more_table])
def test_tables_have_a_cell_for_every_column(build: Callable[..., tuple[list[str], list[list[str]]]]) -> None:
    rows = content()["rows"]
    heads, lines = build(rows)
    assert len(lines) == 3
    assert {len(line) for line in lines} == {len(heads)}


@pytest.mark.parametrize(
    ("numbers", "over", "told"),
    [
        ([0, 1, 2], 0.0, "Heads 0 to 2"),
        ([4], 0.0, "Heads 4"),
        ([1, 5, 9], 25.0, "Heads 1, 5, 9 (those turned by more than 25 degrees)"),
    ],
)
def test_the_page_names_the_heads(numbers: list[int], over: float, told: str) -> None:
    assert told_heads({"heads": numbers, "yaw_over_deg": over}) == told


def test_the_page_says_that_the_published_data_differ_and_who_beats_whom() -> None:
    text = markdown(content())
    assert "The data differ" in text
    assert "| supervised | 0.410 | 10.78 |" in text
    assert "`quick` beats `constant` on 1 of 2 heads in SIDE, on 2 in MAD, on 1 in both." in text
    assert "beats `perfect`" not in text


@pytest.mark.parametrize("limit", [0.02, 0.9, 3.0, 47.0, 5000.0])
def test_the_axis_has_a_few_round_marks(limit: float) -> None:
    step = nice_step(limit)
    assert 2 <= limit / step <= 6
    assert float(f"{step:.0e}"[0]) in (1, 2, 5)


def test_the_plot_has_a_line_a_row_and_marks_where_the_seeds_are() -> None:
    rows = content()["rows"]
    assert isinstance(rows, list)
    heights = [draw_plot(rows[:k]).height for k in (1, 2, 3)]
    assert heights[2] - heights[1] == heights[1] - heights[0] > 0
    assert seed_means(rows[2], "side") == [2.0, 3.0]
    assert len(draw_plot(rows).getcolors(10**6)) > 3
