"""The page docs/configuration.md: the schema's sections, then what each registry's names take as options."""

import inspect
from collections.abc import Iterator
from typing import Annotated, get_args, get_type_hints

from pydantic_core import PydanticUndefined

import ullava.datasets.readers
import ullava.evaluation.baselines
import ullava.evaluation.metrics
import ullava.models.heads
import ullava.tasks  # noqa: F401, these register what they hold
from ullava.configs import schema
from ullava.configs.registry import Registry
from ullava.datasets.readers.base import READERS
from ullava.documenting.comments import description, field_comments
from ullava.documenting.options import options_of
from ullava.documenting.tables import REQUIRED, Key, cell, in_words, table, written
from ullava.evaluation.baselines.base import BASELINES
from ullava.evaluation.engine.box_sources import BOX_SOURCES
from ullava.evaluation.metrics.base import METRICS
from ullava.models.heads.base import HEADS
from ullava.tasks.base import TASKS

FILES = {schema.RunConfig: "Training file", schema.EvaluationConfig: "Evaluation file"}
INTRODUCTION = """\
# Configuration

<!-- Written by `python -m ullava.documenting` from configs/schema.py and the registries. Change those, not this. -->

A run is one YAML file. This page lists every key that may stand in one. A key that is not listed here is an error; the
message names the nearest key. `ullava check FILE.yaml` reports all errors of a file at once, before any weight is
loaded.

On the command line a key is written with dots, and a place in a list with its number:

```text
ullava train tiny/stage2_lora training.batch_size=8 data.0.portion=0.5
```

Paths of data count from `$ULLAVA_DATA` (default: `data/`). All other paths count from the working directory.
"""
REGISTRIES = (
    ("Tasks", "tasks", TASKS, "`task:` in `data` and `evaluate`; the keys below stand under `options:` of its row."),
    ("Heads", "heads", HEADS, "A key of `model.heads`; the keys below stand under it."),
    ("Box sources", "box-sources", BOX_SOURCES, "`boxes:` in a row of `evaluate`: a name, or `{name: {key: value}}`."),
    ("Baselines", "baselines", BASELINES, "What `trivial:` in a row of `evaluate` adds: all that suit the task."),
    ("Metrics", "metrics", METRICS, "`metrics:` in a row of `evaluate`: a list of names, instead of the task's own."),
    ("Readers", "readers", READERS, "`reader:` of an entry under `datasets:`; [Data formats](data-formats.md) has an "
     "example of each."),
)  # fmt: skip


def page() -> str:
    """The whole page, in Markdown."""
    parts = [INTRODUCTION, *sections(), *(text for line in REGISTRIES for text in registry_parts(*line))]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def sections() -> Iterator[str]:
    """Yields the schema: the two kinds of file, then every section they hold, each once."""
    waiting: list[tuple[str, type[schema.Section]]] = [(title, section) for section, title in FILES.items()]
    done = set()
    while waiting:
        title, section = waiting.pop(0)
        if section not in done:
            done.add(section)
            yield section_part(title, section)
            prefix = "" if section in FILES else title.strip("`") + "."
            waiting += [(f"`{prefix}{key}`", inner) for key, inner in inner_sections(section)]


def inner_sections(section: type[schema.Section]) -> list[tuple[str, type[schema.Section]]]:
    """Returns the keys of a section that hold sections, each with its section."""
    pairs: list[tuple[str, type[schema.Section]]] = []
    for key, hint in get_type_hints(section).items():
        parts = [hint]
        while parts:
            part = parts.pop()
            parts += get_args(part)
            if isinstance(part, type) and issubclass(part, schema.Section):
                pairs.append((key, part))
    return pairs


def anchor(section: type[schema.Section]) -> str:
    """Returns the anchor of a section on the page."""
    return section.__name__.lower()


def section_part(title: str, section: type[schema.Section]) -> str:
    """A section's heading, what it is, and its keys."""
    inner = dict(inner_sections(section))
    links = {other: f"[a section](#{anchor(other)})" for other in inner.values()}
    hints = get_type_hints(section, include_extras=True)
    comments = field_comments(section)
    keys = [
        Key(
            name,
            in_words(Annotated[hints[name], *field.metadata] if field.metadata else hints[name], links),
            REQUIRED if field.default is PydanticUndefined else written(field.default),
            comments.get(name) or first_line(inner.get(name)),
        )
        for name, field in section.model_fields.items()
    ]
    return f"## {title} {{ #{anchor(section)} }}\n\n{escaped(inspect.getdoc(section) or '')}\n\n{table(keys)}"


def first_line(section: type[schema.Section] | None) -> str:
    """Returns the first line of a section's docstring, for the key that holds it."""
    return (inspect.getdoc(section) or "").partition("\n")[0] if section else ""


def registry_parts(title: str, key: str, registry: Registry, where: str) -> Iterator[str]:
    """Yields a registry's heading, then a part for each of its names."""
    yield f"## {title}\n\n{where}"
    for name, cls in sorted(registry.items()):
        heading = f"### `{name}` {{ #{key}-{name.replace('_', '-')} }}"
        text = description(inspect.getdoc(cls) or "")
        if registry is METRICS:  # formulas
            yield f"{heading}\n\n```text\n{text}\n```"
        elif registry is BASELINES:
            yield f"{heading}\n\n{escaped(text)}"
        else:
            keys = table(options_of(cls)) or "No options."
            yield f"{heading}\n\n{escaped(text)}\n\n{keys}"


def escaped(text: str) -> str:
    """A docstring as Markdown: indented lines, which hold formulas and examples, stay as they are."""
    return "\n".join(cell(line) if line and not line[0].isspace() else line for line in text.splitlines())
