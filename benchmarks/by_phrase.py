"""Scores of the embedded world by kind of phrase and of question.

python benchmarks/by_phrase.py runs/demo/predictions.jsonl
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.datasets.tiny_world.words import is_relational  # noqa: E402

QUESTIONS = {"How many": "count", "Is there": "existence", "Are there": "existence", "What": "attribute"}
TASKS = ("res", "rec", "vqa")


def kind(task: str, question: str) -> str:
    """What a question wants to know."""
    if task in ("res", "rec"):
        return "relation" if is_relational(question) else "attribute"
    known = next((found for words, found in QUESTIONS.items() if question.startswith(words)), None)
    return known or ("attribute" if " or " in question else "relation")


def main(path: str) -> None:
    """Prints the mean of every score of a question, by task and kind."""
    found = defaultdict(list)
    for line in map(json.loads, Path(path).read_text().splitlines()):
        if line["dataset"] == "tiny_test" and line["task"] in TASKS and line["answers"] == "generated":
            found[line["task"], kind(line["task"], line["question"])].append(line["metrics"])
    for (task, name), marks in sorted(found.items()):
        keys = sorted({key for mark in marks for key, value in mark.items() if isinstance(value, int | float)})
        means = "  ".join(f"{key} {sum(mark.get(key, 0) for mark in marks) / len(marks):.3f}" for key in keys)
        print(f"{task:<5}{name:<10}{len(marks):>5}  {means}")


if __name__ == "__main__":
    main(*sys.argv[1:])
