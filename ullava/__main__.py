"""The door: `ullava VERB ...`, also `python -m ullava VERB ...`. A verb loads what it needs, and nothing before."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from ullava import __version__
from ullava.configs.messages import run_command
from ullava.configs.registry import nearest


@dataclass(frozen=True, slots=True)
class Verb:
    """A word behind `ullava`.

    Attributes:
        module: its `main` takes the arguments; imported when the verb is called.
        help: what the verb does, and how it is typed.
    """

    module: str
    help: str

    def __call__(self, arguments: Sequence[str]) -> None:
        """Runs the verb."""
        main: Callable[[Sequence[str]], None] = import_module(self.module).main
        main(arguments)


VERBS = {
    "train": Verb("ullava.commands.train", "train one stage: ullava train X.yaml [key=value ...]"),
    "check": Verb(
        "ullava.commands.check",
        "say what a YAML would do, and every fault in it and its data: ullava check X.yaml [--depth all]; "
        "--replay FILE",
    ),
    "plan": Verb(
        "ullava.commands.plan",
        "say what memory a stage takes on GPUs that need not be here: ullava plan X.yaml --gpus 4x24 [--size 7b]",
    ),
    "eval": Verb(
        "ullava.evaluation.eval_ullava",
        "score a trained model: ullava eval X.yaml [--model RUN] [key=value ...]",
    ),
    "infer": Verb(
        "ullava.evaluation.inference_ullava",
        "answer questions about pictures, with masks and boxes: ullava infer --help",
    ),
    "ask": Verb(
        "ullava.evaluation.ask.ask",
        'find a thing in a picture, or ask about it: ullava ask picture.jpg "the cup on the left" [--model RUN]',
    ),
    "chat": Verb(
        "ullava.serving.chat",
        "talk about a picture, turn by turn: ullava chat picture.jpg [--model RUN]",
    ),
    "report": Verb(
        "ullava.commands.report",
        "write the page of an evaluation anew: ullava report FOLDER [--train RUN ...] [--pictures N]",
    ),
    "score": Verb(
        "ullava.evaluation.score.score",
        "score files without a model: ullava score KIND --pred P --gt G [--out F]; KIND: masks, boxes, captions, ...",
    ),
    "compare": Verb(
        "ullava.commands.compare",
        "hold several runs against each other, question by question: ullava compare RUN RUN ... [--out F]",
    ),
    "export-masks": Verb(
        "ullava.commands.export_masks",
        "draw ReasonSeg's annotations as masks: ullava export-masks ANNOTATIONS [DESTINATION]",
    ),
    "merge": Verb(
        "ullava.commands.merge",
        "write one whole model from what a run learned: ullava merge RUN DESTINATION",
    ),
    "convert": Verb(
        "ullava.commands.convert",
        "open a published checkpoint: ullava convert KIND SOURCE DESTINATION [--vision CLIP]",
    ),
    "export": Verb(
        "ullava.commands.export",
        "write u-LLaVA's or SAM's own files: ullava export KIND SOURCE DESTINATION",
    ),
    "prepare": Verb(
        "ullava.preparing.__main__",
        "make a dataset ready: ullava prepare KIND ...; `ullava prepare --help` lists the kinds",
    ),
    "demo": Verb(
        "ullava.commands.demo",
        "do the whole job on the embedded world, and write runs/demo/report.html",
    ),
    "generate-images": Verb(
        "ullava.generating.__main__",
        "paint pictures of objects with a part in sight: ullava generate-images PLAN.yaml [key=value ...] [--dry_run]",
    ),
}


def dispatch(arguments: list[str]) -> None:
    """Hands the arguments to their verb.

    Raises:
        LookupError: no such verb.
    """
    verb, *rest = arguments or ["--help"]
    if verb in ("-h", "--help"):
        print(usage())
    elif verb == "--version":
        print(f"ullava {__version__}")
    elif verb in VERBS:
        sys.argv[0] = f"ullava {verb}"  # what a verb's --help calls itself
        VERBS[verb](rest)
    else:
        raise LookupError(f"ullava: no verb {verb!r}; {nearest(verb, VERBS)}")


def usage() -> str:
    """All verbs, a line each."""
    verbs = "\n".join(f"  {name:<15} {verb.help}" for name, verb in VERBS.items())
    return f"usage: ullava VERB [ARGUMENTS]\n\n{verbs}\n\n`ullava VERB --help` says more; --debug shows tracebacks."


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `ullava ARGUMENTS`; exits with 1 and one message where the user can cure what went wrong."""
    run_command(dispatch, arguments)


if __name__ == "__main__":
    main()
