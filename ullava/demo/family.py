"""LISA, LaSagnA, KeySeg and parts on the embedded world: each is a page of YAML that goes on from another.

    stage1 -> base -> lisa -> keyseg, sd_parts
                   -> lasagna

The base is this world's LLaVA: it captions and answers, and has no head. Every recipe's own rows ask it for what it
teaches, and again for captions and answers, so that the page says what each has forgotten. Two are trained once more as
controls: KeySeg without its fusion, and parts without a mask that anybody drew. Recipes that need nothing of each other
are trained at once.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ullava.configs.load import data_root, load
from ullava.configs.schema import RunConfig
from ullava.demo.demo import QUICK_ANSWERS, QUICK_TRAIN, ROOT, Job, Together
from ullava.evaluation.engine.predictions import read_predictions, replacing
from ullava.evaluation.engine.results import ResultRow, Results, read_results, write_results
from ullava.evaluation.report.forgetting import KEPT, forgetting_table
from ullava.evaluation.report.main_scores import summary_table
from ullava.evaluation.report.report import write_report

BASE = "base"
QUICK_WORLD = ("--scenes", "12", "--videos", "2")
QUICK_LIMIT = 4  # samples of each row


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training.

    Attributes:
        name: its folder under the output.
        title: what the page calls it.
        config: its YAML in configs/tiny.
        parent: the folder it goes on from; None: the YAML's own.
        overrides: what it changes in the YAML.
        control: end of its datasets' names in the results, where it is one.
        drawn: it learns from masks that its parent draws.
    """

    name: str
    title: str
    config: str
    parent: str | None = None
    overrides: tuple[str, ...] = ()
    control: str = ""
    drawn: bool = False


PSEUDO = "pseudo_masks"
RECIPES = (  # in the order in which free cores take them: the longest first
    Recipe("stage1", "Stage I", "stage1"),
    Recipe(BASE, "Base: captions and answers", "chat", "stage1"),
    Recipe("lisa", "LISA", "lisa", BASE),
    Recipe("lasagna", "LaSagnA", "lasagna", BASE),
    Recipe("keyseg", "KeySeg", "keyseg", "lisa"),
    Recipe("sd_parts", "Parts", "sd_parts", "lisa"),
    Recipe("keyseg_plain", "KeySeg without fusion", "keyseg", "lisa", ("model.heads.mask.fusion=null",), "plain"),
    Recipe(
        "sd_parts_words", "Parts without masks", "sd_parts", "lisa", ("data.0.dataset=parts_pseudo",), "words", True
    ),
)
FOLDERS = (*(recipe.name for recipe in RECIPES), PSEUDO)
ASKS = (  # what LISA is asked for instead of a part, of which it has never heard
    "handle=ring",
    "tail=square",
    "lid of the pot=triangle above the circle",
    "lid of the box=triangle above the square",
    "wheel of the cart=circle below the triangle",
    "wheel of the plane=circle below the cross",
)
TRUST = ("--quality", "0", "--stability", "0.7")


def commands(output: Path, *, quick: bool, seen: Sequence[str] = ()) -> Iterator[list[str] | Together]:
    """Yields each command, or those that run at once, when those before have run."""
    yield ["python", "-m", "ullava", "prepare", "tiny_world", *(QUICK_WORLD if quick else ())]
    stage1, base, *others = RECIPES
    yield train(stage1, output, quick=quick, seen=seen)
    yield train(base, output, quick=quick)
    yield Together(jobs(others, output, quick=quick))


def jobs(recipes: Sequence[Recipe], output: Path, *, quick: bool) -> Iterator[Job]:
    """Yields the trainings, and what draws masks before the one that learns from them."""
    own = {recipe.name for recipe in recipes}
    for recipe in recipes:
        if quick and recipe.control:
            continue  # there is nothing yet that a control could be held against
        needed = (log(output, recipe.parent),) if recipe.parent in own else ()
        if recipe.drawn:
            assert recipe.parent is not None  # it learns from masks that its parent draws
            masks = log(output, PSEUDO)
            yield Job(draw_masks(output, recipe.parent), masks, needed)
            needed = (masks,)
        yield Job(train(recipe, output, quick=quick), log(output, recipe.name), needed)


def log(output: Path, name: str) -> Path:
    """Where the output of a command goes that runs beside others."""
    return output / f"{name}.txt"


def train(recipe: Recipe, output: Path, *, quick: bool, seen: Sequence[str] = ()) -> list[str]:
    """The command that trains a recipe, and asks its rows at the end."""
    path = f"configs/tiny/{recipe.config}.yaml"
    words = ["python", "train_ullava_core.py", "--cfg_path", path, f"output_dir={output / recipe.name}"]
    begins = [f"model.llm={output / recipe.parent}"] if recipe.parent else seen
    masks = [f"datasets.parts_pseudo.masks={(output / PSEUDO).absolute()}"] if recipe.drawn else ()
    return [*words, *begins, *recipe.overrides, *masks, *(shorten(path) if quick else ())]


def draw_masks(output: Path, model: str) -> list[str]:
    """The command by which a model draws masks of the parts."""
    pictures = data_root() / "tiny_world" / "tiny_train" / "parts"
    words = ["python", "-m", "ullava", "prepare", PSEUDO, str(output / model), str(pictures), str(output / PSEUDO)]
    return [*words, *TRUST, "--asks", *ASKS]


def shorten(path: str) -> list[str]:
    """What makes a recipe a matter of seconds."""
    rows = load(ROOT / path, RunConfig).evaluate
    limits = [f"evaluate.{n}.limit={QUICK_LIMIT}" for n in range(len(rows))]
    return [*QUICK_TRAIN, *limits, *(QUICK_ANSWERS if rows else ())]


def report(output: Path, steps: Sequence[str]) -> tuple[Path, str]:
    """Brings all rows together, and writes the page; returns its path and what it comes to."""
    results, predictions = output / "results.json", output / "predictions.jsonl"
    merge(output, results, predictions)
    logs = {recipe.title: output / recipe.name for recipe in RECIPES if (output / recipe.name).is_dir()}
    page = write_report(
        output / "report.html", results, predictions, logs, {}, commands=steps, title="The LISA family, in one house"
    )
    scored = read_results(results)
    return page, f"{summary_table(scored)}\n\n{forgetting_table(scored)}"


def merge(output: Path, results: Path, predictions: Path) -> None:
    """Writes the rows and predictions of every recipe's last evaluation into one file each; `model` says whose.

    Of a control stand the rows of its own task, under a dataset's name of its own.

    Raises:
        FileNotFoundError: a recipe was never evaluated.
    """
    merged: Results = {"rows": [], "run": {"base": BASE, "models": {}}}
    with replacing(predictions) as file:
        for recipe in RECIPES:
            if recipe.parent is None or (recipe.control and not (output / recipe.name).is_dir()):
                continue
            folder = last_evaluation(output / recipe.name)
            scored = read_results(folder / "results.json")
            merged["rows"] += [row | {"model": recipe.name} for row in own_rows(recipe, scored["rows"])]
            merged["run"]["models"][recipe.name] = scored["run"]
            for line in () if recipe.control else read_predictions(folder / "predictions.jsonl"):
                file.write(json.dumps(line | {"model": recipe.name}, ensure_ascii=False) + "\n")
    write_results(merged, results)


def own_rows(recipe: Recipe, rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The rows of a recipe as they are merged."""
    if not recipe.control:
        return list(rows)
    return [row | {"dataset": f"{row['dataset']}_{recipe.control}"} for row in rows if row["task"] not in KEPT]


def last_evaluation(run: Path) -> Path:
    """The folder of a run's last evaluation.

    Raises:
        FileNotFoundError: there is none; says what asks for one.
    """
    results = [path.parent for path in run.glob("evaluation/step-*/results.json")]
    if not results:
        raise FileNotFoundError(f"{run}: holds no evaluation; its YAML lacks `evaluate:`, or it was stopped before")
    return max(results, key=lambda folder: int(folder.name.partition("-")[2]))
