"""`training.on_bad_sample: quarantine`: a run that goes on past a sample it cannot use, and says so.

`bad_samples.jsonl` in the run's folder holds a line for each: where in the mixture, which record and files, why, and
what stood in for it. The stand-in is another record of the same row, drawn by (seed, epoch, position) alone: the same
for any number of ranks and workers, and again after a kill. When more than `training.bad_share` of all records are bad,
or a place finds no sound record, the run stops.
"""

import errno
import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ullava.configs.messages import OURS
from ullava.configs.schema import RunConfig
from ullava.datasets.structures import Dialogue
from ullava.models.batching.example import Example
from ullava.tasks.mixture import Mixture

FILE = "bad_samples.jsonl"
BAD = (ValueError, LookupError, OSError)  # what readers, tasks and the processor raise about a sample
MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ENOTCONN}  # not the sample's fault
SPARES = 16  # records that may stand in for one; with a share of 1 % bad, all are bad once in 10**32 places


def quarantine(config: RunConfig, mixture: Mixture) -> "Quarantine | None":
    """Opens the quarantine that the YAML asks for; None where a bad sample stops the run."""
    if config.training.on_bad_sample == "stop":
        return None
    records = sum(len(row.reader) for row in mixture.rows)
    names = [row.dataset for row in config.data]
    return Quarantine(Path(config.output_dir, FILE), names, records, config.training.bad_share)


class Quarantine:
    """Finds a sound record for each place, and lists the bad ones. Every worker of every rank has one of its own.

    Args:
        path: of the list, which all of them write.
        names: of the rows' datasets.
        records: of all rows together; share: how many of these may be bad.
    """

    def __init__(self, path: Path, names: Sequence[str], records: int, share: float):
        self.path, self.names, self.records, self.share = path, names, records, share
        self.offset, self.listed = 0, set()

    def sound(
        self, mixture: Mixture, place: tuple[int, int], write: Callable[[Dialogue], Example]
    ) -> tuple[Dialogue, Example]:
        """The dialogue and the row at a place: of the record that should stand there, or of the first sound spare.

        Raises:
            ValueError: too many bad records, or none that is sound.
        """
        row, record = mixture.place(*place)
        lines: list[dict[str, Any]] = []
        for candidate in (record, *mixture.spares(place, SPARES)):
            try:
                dialogue = mixture.dialogue(place, candidate)
                written = write(dialogue)
            except BAD as error:
                if isinstance(error, OURS) or of_machine(error):
                    raise
                lines.append(self.line(mixture, place, row, candidate, error))
                continue
            if lines:
                self.add(lines, dialogue.id)
            return dialogue, written
        self.add(lines, None)
        raise ValueError(
            f"{self.names[row]}: expected a sound record, found {len(lines)} bad ones after each other, the last for: "
            f"{lines[-1]['cause']}; see {self.path}"
        )

    def line(self, mixture: Mixture, place: tuple[int, int], row: int, record: int, error: Exception) -> dict[str, Any]:
        """What the list says about one bad record."""
        try:
            sample = mixture.rows[row].reader[record]
            name, files = sample.id, [str(medium.path) for medium in sample.media]
        except BAD:  # the record itself is what cannot be read; `error` says so
            name, files = None, []
        return {
            "epoch": place[0], "position": place[1], "dataset": self.names[row], "row": row, "record": record,
            "id": name, "files": files, "cause": str(error),
        }  # fmt: skip

    def add(self, lines: Sequence[dict[str, Any]], taken: str | None) -> None:
        """Appends to the list what is not in it yet: a run that goes on from a checkpoint meets places again.

        Args:
            taken: id of the sample that stands in; None where there is none.

        Raises:
            ValueError: the list holds more bad records than may be.
        """
        with self.path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(self.offset)
            self.listed |= {key(line) for line in parsed(file, self.path)}
            for line in lines:
                if key(line) not in self.listed:
                    file.write(json.dumps(line | {"stand_in": taken}, ensure_ascii=False) + "\n")
                    self.listed.add(key(line))
            file.flush()
            self.offset = file.tell()
        bad = len({(row, record) for _, _, row, record in self.listed})
        if bad > self.share * self.records:
            raise ValueError(
                f"{bad} of {self.records} records are bad, more than training.bad_share {self.share:g}, the last "
                f"for: {lines[-1]['cause']}; {self.path} lists them: repair them, or see `ullava check --depth all`"
            )


def key(line: dict[str, Any]) -> tuple[int, int, int, int]:
    """Returns what tells a line of the list from all others."""
    return line["epoch"], line["position"], line["row"], line["record"]


def parsed(lines: Iterator[str], path: Path) -> Iterator[dict[str, Any]]:
    """Yields the lines of a list."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}: a line is broken ({error}: {line[:40]!r}); take it out") from error


def of_machine(error: Exception) -> bool:
    """Whether the machine is at fault and not the sample: out of memory or of open files, a lost mount."""
    return any(isinstance(cause, OSError) and cause.errno in MACHINE for cause in (error, error.__cause__))


def forget(folder: str | Path) -> None:
    """Deletes the list of a run that begins anew."""
    if not int(os.environ.get("RANK", 0)):
        Path(folder, FILE).unlink(missing_ok=True)


def report_lines(folder: str | Path) -> Iterator[str]:
    """Yields a line for each dataset of which others stood in for bad records."""
    path = Path(folder, FILE)
    if path.is_file() and not int(os.environ.get("RANK", 0)):
        with path.open(encoding="utf-8") as file:
            lines = list(parsed(file, path))
        places = Counter(line["dataset"] for line in lines)
        for name, count in places.items():
            bad = {line["record"] for line in lines if line["dataset"] == name}
            yield f"{name}: {len(bad)} bad records, met at {count} places, where others stood in; {path} lists them"
