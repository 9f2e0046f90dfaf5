"""Folders as an ullava wrote them that knew no checksums: what is wrong in their files is seen by what they hold."""

import json
from pathlib import Path


def without_sums(folder: Path) -> None:
    """Takes the sums out of a folder's card, and out of a checkpoint's list all but the sizes."""
    card = json.loads((folder / "ullava.json").read_text())
    card.pop("files", None)
    (folder / "ullava.json").write_text(json.dumps(card))
    if (folder / "files.json").is_file():
        names = [name for name in json.loads((folder / "files.json").read_text()) if name != "trainer_state.json"]
        sizes = {name: (folder / name).stat().st_size for name in names}
        (folder / "files.json").write_text(json.dumps(sizes))
