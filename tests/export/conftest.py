from __future__ import annotations

import pytest
from synthetic_dome import dome

from bozzetto.results import Reconstruction


@pytest.fixture(scope="session")
def scene() -> Reconstruction:
    return dome()
