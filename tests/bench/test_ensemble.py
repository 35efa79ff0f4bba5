"""Photos' networks together compute what they compute apart."""

from __future__ import annotations

import pytest
import torch

from bozzetto.bench.ensemble import NAMES, EnsembleConfig, apart, time_ensemble, together
from bozzetto.errors import InputError
from bozzetto.nets.networks import make_networks


@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_are_those_of_each_by_itself(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    nets = [getattr(make_networks(16, 8, rng, width=0.25), name).double() for _ in range(3)]
    images = torch.rand(3, 2, 3, 16, 16, generator=rng, dtype=torch.float64) * 2 - 1
    alone = apart(nets, images)
    found, gradients = together(nets, images)
    assert len(gradients) == len(alone[0][1]) > 2
    for photo, (output, own) in enumerate(alone):
        assert torch.allclose(found[photo], output, atol=1e-12)
        for mine, theirs in zip(own, gradients, strict=True):
            assert torch.allclose(theirs[photo], mine, rtol=1e-8, atol=1e-12)
    assert not torch.allclose(found[0], found[1])


def test_the_timing_has_every_network_and_their_sum() -> None:
    found = time_ensemble(EnsembleConfig(size=16, photos=2, batch=1, width=0.125, repeats=1))
    rows = {row["network"]: row for row in found["rows"]}
    assert set(rows) == {*NAMES, "all"}
    for side in ("ms_apart", "ms_together"):
        assert rows["all"][side] == pytest.approx(sum(rows[name][side] for name in NAMES), abs=0.05)
    with pytest.raises(InputError, match="1 at least"):
        time_ensemble(EnsembleConfig(photos=0))
