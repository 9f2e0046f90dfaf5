"""`on_bad_sample: quarantine`: what stands in for a bad record is a pure function of its place, listed, and bounded."""

import errno
import json
from dataclasses import dataclass
from multiprocessing import Process
from pathlib import Path

import numpy as np
import pytest

from ullava.datasets.structures import Dialogue, Picture, Sample, Turn
from ullava.tasks.mixture import Mixture, MixtureEntry
from ullava.training.bad_samples import Quarantine, forget, report_lines
from ullava.training.train_dataset import TrainDataset


@dataclass(frozen=True)
class Reader:
    """Records by number; those in `unread` fail in the reader."""

    count: int
    unread: frozenset[int] = frozenset()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index in self.unread:
            raise ValueError(f"toy/{index}: no key 'image'")
        return Sample(f"toy/{index}", (Picture(Path(f"{index}.jpg")),))


class Ask:
    def dialogue(self, sample, rng):
        return Dialogue(f"{sample.id}~{rng.integers(1 << 30)}", sample, (Turn("What?", "That."),))


class Writer:
    """Stands for the processor: fails on the pictures in `broken`."""

    def __init__(self, *broken: int, error: Exception | None = None):
        self.broken, self.error = {f"{index}.jpg" for index in broken}, error

    def __call__(self, dialogue):
        path = dialogue.sample.media[0].path
        if str(path) in self.broken:
            raise self.error or ValueError(f"{path}: the picture is truncated")
        return dialogue.id


@pytest.fixture
def feed(tmp_path):
    """Makes what the Trainer is fed of 40 records, and its list."""

    def make(*broken, unread=(), share=0.5, error=None, seed=1):
        mixture = Mixture([MixtureEntry(Reader(40, frozenset(unread)), Ask())], seed)
        quarantine = Quarantine(tmp_path / "bad_samples.jsonl", ["toy"], 40, share)
        return TrainDataset(mixture, Writer(*broken, error=error), quarantine)

    return make


def drawn(rows, places=None):
    return {place: rows.write(place)[0].id for place in places or [(0, k) for k in range(40)]}


def listed(rows):
    return [json.loads(line) for line in rows.quarantine.path.read_text().splitlines()]


def test_sound_samples_are_those_of_a_run_that_stops(feed):
    rows = feed(3, 9, unread=[17])
    strict, mixture = TrainDataset(rows.mixture, Writer()), rows.mixture
    sound = [(0, k) for k in range(40) if mixture.place(0, k)[1] not in (3, 9, 17)]
    assert len(sound) == 37 and drawn(rows, sound) == drawn(strict, sound)
    assert not rows.quarantine.path.exists()


def test_what_stands_in_depends_on_the_place_alone(feed, tmp_path):
    first = drawn(feed(3, 9, 10, 11, unread=[17]))
    forget(tmp_path)
    backwards = [(0, k) for k in reversed(range(40))]
    assert drawn(feed(3, 9, 10, 11, unread=[17]), backwards) == first
    numbers = {int(name.split("/")[1].split("~")[0]) for name in first.values()}
    assert not numbers & {3, 9, 10, 11, 17}


def test_the_list_names_place_record_file_cause_and_stand_in(feed):
    rows = feed(3, unread=[17])
    found = drawn(rows)
    lines = {line["record"]: line for line in listed(rows)}
    assert lines.keys() == {3, 17}
    epoch, position = lines[3]["epoch"], lines[3]["position"]
    assert rows.mixture.place(epoch, position) == (0, 3)
    assert (lines[3]["dataset"], lines[3]["id"], lines[3]["files"]) == ("toy", "toy/3", ["3.jpg"])
    assert lines[3]["cause"] == "3.jpg: the picture is truncated"
    assert lines[3]["stand_in"] == found[epoch, position]
    assert (lines[17]["id"], lines[17]["files"], lines[17]["cause"]) == (None, [], "toy/17: no key 'image'")


def test_a_run_that_goes_on_lists_nothing_twice(feed, tmp_path):
    before = feed(3, 9)
    drawn(before)
    once = listed(before)
    drawn(before, [(0, k) for k in range(20, 40)])  # the same process again
    drawn(feed(3, 9))  # another process
    assert listed(before) == once
    assert list(report_lines(tmp_path)) == [
        f"toy: 2 bad records, met at 2 places, where others stood in; {before.quarantine.path} lists them"
    ]


def test_a_larger_share_stops(feed):
    rows = feed(3, 9, 21, share=0.05)
    with pytest.raises(ValueError, match=r"3 of 40 records are bad, more than training.bad_share 0.05, the last for: "):
        drawn(rows)
    forget(rows.quarantine.path.parent)
    drawn(feed(3, 9, share=0.05))  # 2 of 40 are just the share
    with pytest.raises(ValueError, match="3 of 40 records are bad"):
        drawn(feed(3, 9, 21, share=0.05))  # what another process listed counts


def test_a_set_without_a_sound_record_stops(feed):
    with pytest.raises(ValueError, match="toy: expected a sound record, found 17 bad ones after each other"):
        drawn(feed(*range(40), share=0.99))


def test_what_the_machine_lacks_is_no_samples_fault(feed):
    error = OSError(errno.EMFILE, "Too many open files")
    wrapped = ValueError("0.jpg: the picture is broken (Too many open files)")
    wrapped.__cause__ = error
    for one in (error, wrapped, KeyError("a defect")):
        with pytest.raises(type(one)):
            drawn(feed(*range(40), error=one))


def test_processes_write_one_list(feed):
    rows = feed(*range(0, 40, 4))
    workers = [Process(target=drawn, args=(rows, [(0, k) for k in range(n, 40, 3)])) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = listed(rows)
    assert {line["record"] for line in found} == set(range(0, 40, 4))
    assert len({(line["position"], line["record"]) for line in found}) == len(found) >= 10


def test_a_list_with_half_a_line_says_so(feed):
    rows = feed(3)
    rows.quarantine.path.write_text('{"epoch": 0, "pos')
    with pytest.raises(ValueError, match="bad_samples.jsonl: a line is broken"):
        drawn(rows)


@pytest.mark.slow
def test_a_run_goes_on_past_a_broken_picture(suffer, run_of, patchwork, tmp_path):
    tree = json.loads(Path(patchwork["captions"]["annotations"]).read_text())
    for picture in tree["images"]:
        data = (Path(patchwork["captions"]["images"]) / picture["file_name"]).read_bytes()
        (tmp_path / picture["file_name"]).write_bytes(data[:40] if picture["id"] == 2 else data)
    (tmp_path / "captions.json").write_text(json.dumps(tree))
    own = {"own": {"reader": "coco_captions", "annotations": str(tmp_path / "captions.json"), "images": str(tmp_path)}}
    how = {"max_steps": 2, "batch_size": 4, "workers": 2, "on_bad_sample": "quarantine", "bad_share": 0.2}
    run = run_of(tmp_path / "run", data=("captions",), training=how)
    (end,) = suffer((run | {"data": [{"dataset": "own", "task": "captioning"}], "datasets": own}, []))
    assert end.codes == (0,), end.said
    assert "own: 1 bad records, met at 1 places" in end.said
    (line,) = (tmp_path / "run" / "bad_samples.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == "own/2" and "truncated" in json.loads(line)["cause"]


def test_a_bad_record_counts_once_however_many_places_meet_it(feed):
    # Two of 40 records are bad, a share of 0.05; over three epochs they are met at six places at least, 0.15.
    rows = feed(3, 9, share=0.05)
    drawn(rows, [(epoch, k) for epoch in range(3) for k in range(40)])
    lines = listed(rows)
    assert {line["record"] for line in lines} == {3, 9} and len(lines) >= 6
    assert "toy: 2 bad records, met at" in next(report_lines(rows.quarantine.path.parent))


def test_spares_come_from_a_stream_of_their_own(feed):
    mixture = feed().mixture
    # 3 names the stream of spares: a run that goes on tomorrow has to draw the same (tasks/mixture.py).
    assert mixture.spares((2, 5), 4) == np.random.default_rng((1, 3, 2, 5)).integers(40, size=4).tolist()
    streams = [np.random.default_rng((1, stream, 2, 5)).integers(40, size=4).tolist() for stream in (0, 1, 2, 4)]
    assert mixture.spares((2, 5), 4) not in streams
