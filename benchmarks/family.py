"""What each part of the family is worth on the embedded world: the same training with it and without, three seeds each.

    ./shells/demo.sh --family                      first: the models that the trainings go on from
    python benchmarks/family.py                    every setting; goes on where it was stopped
    python benchmarks/family.py --only keyseg      some of them
    python benchmarks/family.py --minutes 1 --seeds 0 1

Each training is the command that a user types, with the same number of steps for all settings of a recipe: as many as
an idle core does in --minutes. The page, benchmarks/family.md, is written anew after each.
"""

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.load import load
from ullava.configs.messages import run_command
from ullava.configs.schema import RunConfig
from ullava.demo.demo import ROOT, run
from ullava.demo.family import last_evaluation
from ullava.evaluation.engine.results import named_score, read_results
from ullava.evaluation.report.forgetting import KEPT
from ullava.models.folders.manifest import CARD

REPORT = ROOT / "benchmarks" / "family.md"
TEST = "tiny_test"
SAVED = ("training.save_every=200", "training.keep=1")  # so that a stopped one goes on
SAMPLES_A_MINUTE = 1200  # of any recipe, on an idle core: pictures are encoded when they first come
PARENT = {"lisa": "base", "lasagna": "base", "keyseg": "lisa", "sd_parts": "lisa"}
SCORES = {
    "lisa": ("reasoning/gIoU",),
    "lasagna": ("multi_target/mIoU", "multi_target/presence_F1"),
    "keyseg": ("keyword/gIoU", "keyword/keyword_acc"),
    "sd_parts": ("part/gIoU",),
}
CHAT = tuple(f"{task}/{score}" for task, score in KEPT.items())
PSEUDO = ("data.0.dataset=parts_pseudo", "datasets.parts_pseudo.masks={family}/pseudo_masks")
Change = Callable[[RunConfig], list[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where trainings lie, and how long they are.

    Attributes:
        family: the models that they go on from, as the demo leaves them.
        runs: takes their folders.
        minutes: of each, on an idle core.
    """

    family: Path
    runs: Path
    minutes: float

    def folder(self, setting: "Setting", seed: int) -> Path:
        """The folder of a training."""
        return self.runs / f"{self.minutes:g}min" / setting.name / f"seed{seed}"

    def overrides(self, setting: "Setting") -> list[str]:
        """What it changes."""
        return [word.replace("{family}", str(self.family.absolute())) for word in setting.change(setting.config)]

    def steps(self, setting: "Setting") -> int:
        """Of a training."""
        return round(self.minutes * SAMPLES_A_MINUTE / setting.config.training.batch_size)


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to train a recipe.

    Attributes:
        name: its folder.
        group: settings of one group are compared; the first is the recipe as it stands.
        says: what is changed.
        change: the overrides that do so; `{family}` in them is `Place.family`.
    """

    name: str
    group: str
    recipe: str
    says: str
    change: Change

    @property
    def path(self) -> str:
        """Of the recipe's YAML."""
        return f"configs/tiny/{self.recipe}.yaml"

    @property
    def config(self) -> RunConfig:
        """The recipe as it stands."""
        return load(ROOT / self.path, RunConfig)


def keep(config: RunConfig) -> list[str]:
    """The recipe as it stands."""
    return []


def override(*words: str) -> Change:
    """Keys that are set, whatever the recipe says."""
    return lambda config: list(words)


def option(task: str, **options: object) -> Change:
    """Options of every row of a task, trained or asked."""

    def change(config: RunConfig) -> list[str]:
        return [
            f"{key}.{n}.options.{name}={json.dumps(value)}"
            for key, rows in (("data", config.data), ("evaluate", config.evaluate))
            for n, row in enumerate(rows) if row.task == task
            for name, value in options.items()
        ]  # fmt: skip

    return change


def without_rehearsal(config: RunConfig) -> list[str]:
    """No captions and no questions; the rates of what is left are as they were."""
    left = [n for n, row in enumerate(config.data) if row.task not in KEPT]
    rows = [config.data[n].model_dump(mode="json", exclude_defaults=True) for n in left]
    words = [f"data={json.dumps(rows)}"]
    if config.sampling:
        families = list(dict.fromkeys(row.family or n for n, row in enumerate(config.data)))
        kept = {config.data[n].family or n for n in left}
        rates = [rate for family, rate in zip(families, config.sampling.rates, strict=True) if family in kept]
        words.append(f"sampling.rates={json.dumps(rates)}")
    return words


SETTINGS = (
    Setting("lasagna_whole", "LaSagnA", "lasagna", "all three strategies", keep),
    Setting("lasagna_all_classes", "LaSagnA", "lasagna", "every class in the query, no random list",
            option("multi_target", subset=False, exam_classes=0)),  # and all in one question of an exam
    Setting("lasagna_shuffled", "LaSagnA", "lasagna", "the answer in an order of its own",
            option("multi_target", order="shuffle")),
    Setting("lasagna_no_negatives", "LaSagnA", "lasagna", "absent classes are left out of the answer",
            option("multi_target", negatives=False)),
    Setting("keyseg_residual", "KeySeg", "keyseg", "fusion with residual", keep),
    Setting("keyseg_no_residual", "KeySeg", "keyseg", "fusion without residual",
            override("model.heads.mask.fusion.residual=false")),
    Setting("keyseg_plain", "KeySeg", "keyseg", "no fusion: the mask from [SEG] alone",
            override("model.heads.mask.fusion=null")),
    Setting("lisa_rehearsal", "rehearsal", "lisa", "captions and questions among the data", keep),
    Setting("lisa_no_rehearsal", "rehearsal", "lisa", "none of them", without_rehearsal),
    Setting("parts_contrast", "contrast, from drawn masks", "sd_parts", "contrastive losses", keep),
    Setting("parts_no_contrast", "contrast, from drawn masks", "sd_parts", "without them",
            override("losses.contrast=0", "losses.multi_label=0")),
    Setting("words_contrast", "contrast, from masks that LISA drew", "sd_parts", "contrastive losses",
            override(*PSEUDO)),
    Setting("words_no_contrast", "contrast, from masks that LISA drew", "sd_parts", "without them",
            override(*PSEUDO, "losses.contrast=0", "losses.multi_label=0")),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, and writes the page after each training."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [*dict.fromkeys(setting.recipe for setting in SETTINGS), *(setting.name for setting in SETTINGS)]
    parser.add_argument("--only", nargs="+", choices=sorted(set(names)), metavar="NAME", help="recipes or settings")
    parser.add_argument("--minutes", type=float, default=2.0, help="of training, on an idle core; default: %(default)s")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: %(default)s")
    parser.add_argument("--family", type=Path, default=Path("runs/family"), help="default: %(default)s")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"), help="default: %(default)s")
    parser.add_argument("--report", action="store_true", help="only write the page, of what is there")
    chosen = parser.parse_args(arguments)
    place = Place(chosen.family, chosen.runs, chosen.minutes)
    os.chdir(ROOT)  # the recipes name their foundations from here
    wanted = [one for one in SETTINGS if not chosen.only or {one.name, one.recipe} & set(chosen.only)]
    for seed in chosen.seeds:  # a seed of everything first, so that a page is soon worth reading
        for setting in () if chosen.report else wanted:
            if not is_done(place.folder(setting, seed)):
                train(setting, seed, place)
                write(place, chosen.seeds)
    print(write(place, chosen.seeds))


def is_done(folder: Path) -> bool:
    """Whether a training was also evaluated."""
    return (folder / CARD).is_file() and bool(list(folder.glob("evaluation/step-*/results.json")))


def train(setting: Setting, seed: int, place: Place) -> None:
    """Trains a setting with a seed, or goes on with it, and asks its rows.

    Raises:
        FileNotFoundError: the model to go on from is not there.
    """
    parent = place.family / PARENT[setting.recipe]
    if not (parent / CARD).is_file():
        raise FileNotFoundError(f"{parent}: no model to go on from; run ./shells/demo.sh --family first")
    words = [f"output_dir={place.folder(setting, seed)}", f"model.llm={parent}", f"training.seed={seed}"]
    words += [f"training.max_steps={place.steps(setting)}", *SAVED, *place.overrides(setting)]
    run(["python", "train_ullava_core.py", "--cfg_path", setting.path, *words])


def write(place: Place, seeds: Sequence[int]) -> str:
    """Writes the page, and returns it."""
    text = "\n".join(page(place, seeds)) + "\n"
    REPORT.write_text(text, encoding="utf-8")
    return text


def page(place: Place, seeds: Sequence[int]) -> Iterator[str]:
    """Yields its lines."""
    yield "# What each part of the family is worth\n"
    yield f"{datetime.date.today()}, {os.cpu_count()} CPU cores ({platform.machine()}), `python benchmarks/family.py`:"
    yield f"trainings of {place.minutes:g} minutes on an idle core from the models of `./shells/demo.sh --family`, all"
    yield "settings of a recipe for the same number of steps; generated answers on `tiny_test`. Mean and standard"
    yield "deviation over seeds, which draw the data, their order and what begins at random."
    for group in dict.fromkeys(setting.group for setting in SETTINGS):
        members = [setting for setting in SETTINGS if setting.group == group]
        names = (*SCORES[members[0].recipe], *CHAT)
        yield f"\n## {group}\n\n| setting | seeds | steps | {' | '.join(names)} |\n|{'---|' * (len(names) + 3)}"
        for setting in members:
            yield line(setting, names, place, seeds)


def line(setting: Setting, names: Sequence[str], place: Place, seeds: Sequence[int]) -> str:
    """A setting's scores over those seeds that are done."""
    folders = [folder for seed in seeds if is_done(folder := place.folder(setting, seed))]
    found = [read_results(last_evaluation(folder) / "results.json") for folder in folders]
    scores = ([named_score(results, f"{TEST}/{name}") for results in found] for name in names)
    cells = [spread([score for score in values if score is not None]) for values in scores]
    return f"| {setting.says} | {len(found)} | {place.steps(setting)} | {' | '.join(cells)} |"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation; of one value, itself."""
    if not values:
        return "not yet"
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    run_command(main)
