"""ullava: one language model that talks, points and segments.

The rooms of the house are the folders beside this one. In a checkout they are found here, installed or not; in a
wheel they lie inside.
"""

from pathlib import Path

__version__ = "0.1.0"

_root = Path(__file__).resolve().parents[1]
if (_root / "pyproject.toml").is_file() and not (Path(__file__).parent / "models").is_dir():
    __path__.append(str(_root))

from ullava.auto_classes import register  # noqa: E402, of a room that had to be opened first

register()
