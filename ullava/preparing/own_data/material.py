"""What of own data a recipe trains on: which split, by which tasks, and what is asked for at the end."""

from collections.abc import Mapping, Sequence
from typing import Any

from ullava.preparing.own_data.catalogue import held_out
from ullava.preparing.own_data.pages import Instance, Page, Split
from ullava.preparing.own_data.recipes import Material

SENTENCE_ENDS = (".", "?", "!", ":")  # `ullava ask` takes what ends so for a whole question
Prepared = tuple[Split, list[Page], Mapping[str, dict[str, Any]]]  # a split, its pages, its catalogue entries


def choose_material(name: str, splits: Sequence[Prepared]) -> Material | None:
    """The material of the split to train on; None where no object can be asked for.

    Args:
        name: of the dataset.
        splits: all of them; `train`, or the first, is trained on, another one is held out.
    """
    split, pages, own = next((prepared for prepared in splits if prepared[0].name == "train"), splits[0])
    known = [entry for _, _, entries in splits for entry in entries]
    whole = next(iter(own))
    train = f"{whole}_train" if f"{whole}_train" in own else whole
    others = (other for other in (f"{whole}_val", f"{name}_val", f"{name}_test") if other in known and other != train)
    val = next(others, None)
    if train != whole:
        outside = held_out(split.images, pages, own[train]["every"])
        pages = [page for page in pages if page.file not in outside]
    tasks = tasks_of(pages, own[train]["by_task"])
    if not tasks:
        return None
    page, phrase = example(pages, next(iter(tasks)))
    used = {key: entry for _, _, prepared in splits for key, entry in prepared.items() if key in (train, val)}
    entries = {
        key: entry | {"by_task": {task: way for task, way in entry["by_task"].items() if task in tasks}}
        for key, entry in used.items()
    }
    return Material(name, entries, train, val, tasks, split.images / page.file, phrase)


def tasks_of(pages: Sequence[Page], known: Mapping[str, Any]) -> dict[str, int]:
    """Tasks by which all objects are asked for that can be -> how many records each has.

    Masks by phrase (`res`); by class (`semantic`) where some have no phrase; boxes alone by phrase or class (`rec`).
    """
    masked = [(page, instance) for page in pages for instance in page.instances if instance.segmentation]
    if not masked:
        asked = [page.file for page in pages if any(answers("rec", page, thing) for thing in page.instances)]
        return {"rec": len(asked)} if asked else {}
    tasks = {}
    phrased = sum(bool(instance.phrases) for _, instance in masked)
    if "semantic" in known and phrased < len(masked):
        tasks["semantic"] = len({page.file for page, instance in masked if answers("semantic", page, instance)})
    asked = [pair for pair in masked if answers("res", *pair)]
    if asked and "res" in known and (phrased or not tasks):
        tasks = {"res": len(asked)} | tasks
    return tasks


def answers(task: str, page: Page, instance: Instance) -> tuple[str, ...]:
    """Returns the texts that name an instance in a task: its phrases, or its class where that is unambiguous.

    `semantic` asks for classes, where every object of the class has a mask.
    """
    if task == "semantic":
        whole = all(other.segmentation for other in page.instances if other.label == instance.label)
        return (instance.label,) if whole else ()
    return instance.phrases or ((instance.label,) if page.alone(instance) else ())


def example(pages: Sequence[Page], task: str) -> tuple[Page, str]:
    """A picture and what can be asked for in it, a phrase rather than a whole sentence where there is one."""
    pairs = [
        (page, phrase)
        for page in pages
        for instance in page.instances
        if instance.segmentation or task == "rec"
        for phrase in answers(task, page, instance)
    ]
    return next((pair for pair in pairs if not pair[1].endswith(SENTENCE_ENDS)), pairs[0])
