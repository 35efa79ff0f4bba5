"""What the timing of a generator reports; no time is judged."""

from __future__ import annotations

import json

import pytest
import torch

from bozzetto.bench.gan_speed import GanSpeedConfig, _discriminator, _generator, time_gan
from bozzetto.bench.steps import find_gan
from bozzetto.errors import InputError
from bozzetto.gan.plain import plain


def test_rows_hold_the_ratios_of_their_milliseconds() -> None:
    found = time_gan(GanSpeedConfig(size=16, batch=2, repeats=1, train_steps=1))
    json.dumps(found)
    assert [row["what"] for row in found["rows"]] == ["generator", "discriminator"]
    for row in found["rows"]:
        assert row["ratio_bf16"] == pytest.approx(row["ms_plain"] / row["ms_bf16"], rel=0.02, abs=0.02)
    assert found["training"]["images_per_s"] > 0


def test_both_sides_do_the_same_work() -> None:
    gan = find_gan(16, torch.device("cpu"))
    for work in (_generator, _discriminator):
        torch.testing.assert_close(work(gan, 2), work(plain(gan), 2), rtol=1e-3, atol=1e-5)


def test_no_repeat_is_refused() -> None:
    with pytest.raises(InputError, match="1 at least"):
        time_gan(GanSpeedConfig(repeats=0))
