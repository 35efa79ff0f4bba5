"""Where the modules that these tests share with others lie."""

from __future__ import annotations

import sys
from pathlib import Path

for _folder in (Path(__file__).parent, Path(__file__).parents[1] / "gan"):
    sys.path.insert(0, str(_folder))
