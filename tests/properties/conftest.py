"""Where the modules that these tests share with others lie."""

from __future__ import annotations

import sys
from pathlib import Path

for _name in ("export", "fuzz", "gan"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _name))
