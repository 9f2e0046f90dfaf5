"""ullava: one language model that talks, points and segments.

The rooms of the house are the folders beside this one, and links to them lie in this one, so that any tool can follow
an import. A wheel holds the rooms themselves.
"""

from pathlib import Path

__version__ = "0.1.0"

_rooms = ("configs", "datasets", "tasks", "models", "evaluation")
if not all((Path(__file__).parent / room).is_dir() for room in _rooms):  # a checkout without symbolic links
    __path__.append(str(Path(__file__).resolve().parents[1]))
