from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bozzetto.results import Reconstruction

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))  # the synthetic object is shared with the export tests

from synthetic_dome import dome


@pytest.fixture(scope="session")
def record() -> Reconstruction:
    return dome()
