"""Writes a network that is in memory as a whole folder, which opens wherever it is moved to."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import PreTrainedTokenizerBase

from ullava.configs.schema import ModelConfig
from ullava.models.convert.merge import merge
from ullava.models.folders.checkpoints import save
from ullava.models.folders.manifest import CARD, open_card
from ullava.models.ullava import Ullava


def write_whole(folder: str | Path, model: Ullava, config: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Writes what learned, then merges it with its foundations; the folder has its card last.

    Args:
        folder: new, or one without a card (other files stay), or a whole one, of which every file is replaced.
        config: of the model, naming the folders of its foundations.

    Raises:
        FileExistsError: the folder is a run's or a checkpoint's, whose files would be lost.
        FileNotFoundError, ValueError: a foundation is no longer where it was, or no longer what it was.
    """
    folder = Path(folder)
    card = open_card(folder)
    if card is not None and not card.merged:
        raise FileExistsError(f"{folder}: holds a run or a checkpoint, whose files would be lost; name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent) as aside:
        learned, merged = Path(aside, "learned"), Path(aside, "whole")
        save(learned, model, config, tokenizer)
        merge(str(learned), str(merged))
        folder.mkdir(exist_ok=True)
        (folder / CARD).unlink(missing_ok=True)  # a folder with a card is complete
        for path in sorted(merged.iterdir(), key=lambda path: path.name == CARD):
            replace(folder / path.name, path)


def replace(old: Path, new: Path) -> None:
    """Moves `new` to where `old` is."""
    if old.is_dir():
        shutil.rmtree(old)
    os.replace(new, old)
