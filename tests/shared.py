"""Where the material of tests marked `shared` lies; they skip where it is absent."""

import os
from pathlib import Path

SHARED = Path(os.environ.get("ULLAVA_SHARED") or Path(__file__).resolve().parents[2] / "shared")
