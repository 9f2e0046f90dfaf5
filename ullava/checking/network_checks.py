"""What keeps the network of a YAML from being put together, found without its weights: on PyTorch's meta device."""

from collections.abc import Iterator
from pathlib import Path

from ullava.configs.schema import ModelConfig, RunConfig
from ullava.evaluation.engine.opening import WRONG
from ullava.models.assembly import blueprint
from ullava.models.folders.checkpoints import LEARNED
from ullava.models.folders.manifest import Card, check_foundations, foundations, open_card
from ullava.models.inheritance import inherit
from ullava.models.processor_from_config import processor_from_config
from ullava.models.stages import let_towers_learn, prepare


def network_faults(config: RunConfig, *, allow_mismatch: bool = False) -> Iterator[str]:
    """Yields what keeps a stage from being put together and from learning: a line each.

    The folders that it names are there (`config_checks.model_faults`).

    Args:
        allow_mismatch: other foundations will do than the run that `model.llm` names was trained on.
    """
    try:
        parent = open_card(config.model.llm)
        if parent:
            check_parent(config.model, parent, allow_mismatch=allow_mismatch)
        model = blueprint(config.model, learns=config.learn)
        let_towers_learn(model, config.learn)
        prepare(model, config.learn)
        processor_from_config(config.model, max_length=config.training.max_length)
    except WRONG as error:
        yield from str(error).splitlines()


def check_parent(config: ModelConfig, parent: Card, *, allow_mismatch: bool = False) -> None:
    """Compares a YAML with the run that it goes on from; hashes nothing but foundations that lie elsewhere now.

    Raises:
        FileNotFoundError, ValueError: a foundation of the parent is gone, or the YAML names another.
    """
    for base in [*parent.bases, parent.folder / LEARNED]:
        if not Path(base).exists():
            raise FileNotFoundError(f"{base}: no such file or folder; {parent.folder} needs it, put it back there")
    theirs = foundations(parent.config)
    moved = [name for name, base in foundations(inherit(config, parent)).items() if theirs.get(name, base) != base]
    if moved:
        check_foundations(inherit(config, parent), parent, allow_mismatch=allow_mismatch)
