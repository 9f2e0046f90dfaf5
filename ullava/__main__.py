"""The door: `ullava VERB ...`, also `python -m ullava VERB ...`. A verb loads what it needs, and nothing before."""

import argparse
import sys
from collections.abc import Callable, Sequence

from ullava import __version__
from ullava.configs.messages import run_command
from ullava.configs.registry import nearest


def train(arguments: list[str]) -> None:
    """train one stage: ullava train --cfg_path X.yaml [key=value ...]"""
    from ullava.training.train import main

    main(arguments)


def check(arguments: list[str]) -> None:
    """say what a YAML would do, and every fault in it and its data: ullava check X.yaml [--depth all]; --replay FILE"""
    if any(argument.startswith("--replay") for argument in arguments):
        from ullava.training.replay import main

        return main(arguments)
    from ullava.checking.check import main

    main(arguments)


def evaluate(arguments: list[str]) -> None:
    """score a trained model: ullava eval --cfg_path configs/eval/eval_res.yaml [key=value ...]"""
    from ullava.evaluation.eval_ullava import main

    main(arguments)


def plan(arguments: list[str]) -> None:
    """say what memory a stage takes on GPUs that need not be here: ullava plan X.yaml --gpus 4x24 [--size 7b]"""
    from ullava.memory.plan import main

    main(arguments)


def infer(arguments: list[str]) -> None:
    """answer questions about pictures, with masks and boxes: ullava infer --help"""
    from ullava.evaluation.inference_ullava import main

    main(arguments)


def ask(arguments: list[str]) -> None:
    """find a thing in a picture, or ask about it: ullava ask picture.jpg "the cup on the left" [--model RUN]"""
    from ullava.evaluation.ask.ask import main

    main(arguments)


def chat(arguments: list[str]) -> None:
    """talk about a picture, turn by turn: ullava chat picture.jpg [--model RUN]"""
    from ullava.serving.chat import main

    main(arguments)


def report(arguments: list[str]) -> None:
    """write the page of an evaluation anew: ullava report FOLDER [--train RUN ...] [--pictures N]"""
    from ullava.evaluation.report.report import main

    main(arguments)


def score(arguments: list[str]) -> None:
    """score files without a model: ullava score KIND --pred P --gt G [--out F]; KIND: masks, boxes, captions, ..."""
    from ullava.evaluation.score.score import main

    main(arguments)


def compare(arguments: list[str]) -> None:
    """hold several runs against each other, question by question: ullava compare RUN RUN ... [--out F]"""
    from ullava.evaluation.score.compare import main

    main(arguments)


def export_masks(arguments: list[str]) -> None:
    """draw ReasonSeg's annotations as masks: ullava export-masks ANNOTATIONS [DESTINATION]"""
    from ullava.evaluation.score.export_masks import main

    main(arguments)


def merge(arguments: list[str]) -> None:
    """write one whole model from what a run learned: ullava merge RUN DESTINATION"""
    parser = argparse.ArgumentParser(prog="ullava merge", description=merge.__doc__)
    parser.add_argument("run", help="folder of a run or a checkpoint")
    parser.add_argument("destination", help="folder to write: config, tokenizer, safetensors")
    parser.add_argument("--allow-mismatch", action="store_true", help="fold into other weights than it was trained on")
    options = parser.parse_args(arguments)
    from ullava.models.convert.merge import merge as write

    write(options.run, options.destination, allow_mismatch=options.allow_mismatch)
    print(f"wrote {options.destination}")


def convert(arguments: list[str]) -> None:
    """open a published checkpoint: ullava convert KIND SOURCE DESTINATION [--vision CLIP]"""
    from ullava.converting import convert as main

    print(main(arguments))


def export(arguments: list[str]) -> None:
    """write u-LLaVA's or SAM's own files: ullava export KIND SOURCE DESTINATION"""
    from ullava.converting import export as main

    print(main(arguments))


def prepare(arguments: list[str]) -> None:
    """make a dataset ready: ullava prepare KIND ...; `ullava prepare --help` lists the kinds"""
    from ullava.preparing.__main__ import main

    main(arguments)


def generate_images(arguments: list[str]) -> None:
    """paint pictures of objects with a part in sight: ullava generate-images PLAN.yaml [key=value ...] [--dry_run]"""
    from ullava.generating.__main__ import main

    main(arguments)


def demo(arguments: list[str]) -> None:
    """do the whole job on the embedded world, and write runs/demo/report.html"""
    from ullava.demo.demo import main

    main(arguments)


VERBS: dict[str, Callable[[list[str]], None]] = {
    "train": train, "check": check, "plan": plan, "eval": evaluate, "infer": infer, "ask": ask,
    "chat": chat, "report": report, "score": score,
    "compare": compare, "export-masks": export_masks, "merge": merge,
    "convert": convert, "export": export, "prepare": prepare, "demo": demo,
    "generate-images": generate_images,
}  # fmt: skip


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
    verbs = "\n".join(f"  {verb:<15} {does.__doc__}" for verb, does in VERBS.items())
    return f"usage: ullava VERB [ARGUMENTS]\n\n{verbs}\n\n`ullava VERB --help` says more; --debug shows tracebacks."


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `ullava ARGUMENTS`; exits with 1 and one message where the user can cure what went wrong."""
    run_command(dispatch, arguments)


if __name__ == "__main__":
    main()
