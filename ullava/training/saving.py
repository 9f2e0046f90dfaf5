"""Checkpoints that are whole or not there.

A checkpoint is written into `partial-checkpoint-N`, brought to the disk, and renamed to `checkpoint-N`: the name is the
mark that it is whole. `files.json` in it holds size and sha256 of each file, so that one which was cut or changed
later, by a full disk, a broken copy or a flipped bit, is known before anything is read.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

from safetensors import SafetensorError

from ullava.models.folders.checkpoints import CARD
from ullava.models.folders.sums import sum_of, verify_file

PARTIAL, BAD, FILES, STATE = "partial-", "bad-", "files.json", "trainer_state.json"
log = logging.getLogger("ullava")
NAME = re.compile(r"checkpoint-(\d+)")
WRITERS = ("PytorchStreamWriter", "inline_container")  # how torch.save says that the system refused to write


def checkpoint(output: str | Path, step: int) -> Path:
    """Path of the checkpoint of a step."""
    return Path(output, f"checkpoint-{step}")


def checkpoints(output: str | Path) -> list[Path]:
    """The checkpoints in a run's folder, oldest first."""
    names = ((NAME.fullmatch(path.name), path) for path in Path(output).glob("checkpoint-*"))
    return [path for _, path in sorted((int(match[1]), path) for match, path in names if match)]


def last_checkpoint(output: str | Path, *, skip_bad: bool = False) -> Path | None:
    """The newest checkpoint; None where there is none.

    Args:
        skip_bad: put those that are not whole aside, as bad-checkpoint-N, and take the newest that is.

    Raises:
        ValueError: it is not whole; says which file, and how to take the one before.
    """
    for folder in reversed(checkpoints(output)):
        try:
            verify(folder)
        except ValueError as error:
            if not skip_bad:
                raise
            bad = folder.with_name(f"{BAD}{folder.name}")
            discard(bad)
            os.rename(folder, bad)
            log.warning("put aside as %s: %s", bad.name, error)
            continue
        return folder
    return None


def verify(folder: Path) -> None:
    """Compares the files of a checkpoint with what was written.

    Raises:
        ValueError: a file is missing or has another size.
    """
    for name in (CARD, FILES, STATE):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: holds no {name}; {cure(folder)}")
    try:
        known = json.loads((folder / FILES).read_text())
        json.loads((folder / STATE).read_text())
    except ValueError as error:
        raise ValueError(f"{folder}: {FILES} or {STATE} is broken JSON ({error}); {cure(folder)}") from error
    if any(isinstance(expected, int) for expected in known.values()):
        log.warning("%s: an older ullava wrote no checksums there; only the sizes of its files are compared", folder)
    for name, expected in known.items():
        sums = [{"bytes": expected}] if isinstance(expected, int) else expected if name == STATE else [expected]
        verify_file(folder / name, sums, cure(folder))


def cure(folder: Path) -> str:
    """Writes what to do about a checkpoint that cannot be used."""
    older = [path for path in checkpoints(folder.parent) if path != folder]
    then = f"goes on from {older[-1].name}" if older else "begins anew"
    return f"with --skip-bad-checkpoint the same command puts it aside and {then}"


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Names the checkpoint where its contents cannot be read, or belong to another run.

    Raises:
        ValueError: with the cure.
    """
    try:
        yield
    except (RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError, UnpicklingError) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        cause = "a file holds what is no state" if isinstance(error, UnpicklingError) else cause
        raise ValueError(
            f"{folder}: cannot be gone on from ({cause}); {cure(folder)}; or name another output_dir"
        ) from error


def sweep(output: str | Path) -> list[str]:
    """Removes what a killed run was writing or deleting; returns the names."""
    left = sorted(Path(output).glob(f"{PARTIAL}checkpoint-*"))
    for path in left:
        shutil.rmtree(path)
    return [path.name for path in left]


def aside(final: Path) -> Path:
    """Path at which a checkpoint is written before it gets its name."""
    return final.with_name(PARTIAL + final.name)


@contextmanager
def room(output: str | Path, partial: Path | None = None) -> Iterator[None]:
    """Explains how to go on where the disk is full, and deletes `partial`, which was being written.

    Raises:
        OSError: the disk is full, or refuses.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(writer in str(error) for writer in WRITERS):
            raise
        if partial:
            shutil.rmtree(partial, ignore_errors=True)
        whole = checkpoints(output)
        then = f"goes on from {whole[-1].name}, which is whole" if whole else "begins anew"
        raise OSError(
            f"{output}: weights could not be written ({str(error).splitlines()[0]}; {shutil.disk_usage(output).free:,} "
            f"bytes are free there); make room, or lower training.keep: the same command {then}"
        ) from error


def seal(final: Path) -> None:
    """Gives a written checkpoint its name, once every byte of it is on the disk."""
    folder = aside(final)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {str(path.relative_to(folder)): sum_of(path) for path in files if path.name != STATE}
    (folder / FILES).write_text(json.dumps(sums | {STATE: [sum_of(folder / STATE)]}, indent=2))
    for path in (*files, folder / FILES, folder):
        sync(path)
    discard(final)
    os.rename(folder, final)
    sync(final.parent)


def restate(folder: Path) -> None:
    """Gives a checkpoint that stands the state that lies aside in it; whenever this ends, its sums are true."""
    new = aside(folder / STATE)
    known = json.loads((folder / FILES).read_text())
    replace(folder / FILES, json.dumps(known | {STATE: [sum_of(folder / STATE), sum_of(new)]}, indent=2))
    os.replace(new, folder / STATE)


def replace(path: Path, text: str) -> None:
    """Writes a file as a whole: who reads it finds the old text or the new one."""
    partial = path.with_name(PARTIAL + path.name)
    partial.write_text(text)
    sync(partial)
    os.replace(partial, path)


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(folder: Path) -> None:
    """Deletes a checkpoint; it is out of sight before its first file goes."""
    if folder.is_dir():
        gone = folder.with_name(f"{PARTIAL}{folder.name}-old")
        os.rename(folder, gone)
        shutil.rmtree(gone)


def rotate(output: str | Path, keep: int, best: int | None = None) -> None:
    """Deletes all but the newest `keep` checkpoints and that of the step `best`."""
    for path in checkpoints(output)[:-keep]:
        if path != checkpoint(output, best or 0):
            discard(path)
