"""Reads the comment at the end of a field's line in the source as the field's documentation."""

import ast
import inspect
import io
import tokenize
from collections.abc import Collection


def field_comments(cls: type) -> dict[str, str]:
    """Field name -> the comments at the end of its lines.

    Args:
        cls: a class whose fields are annotated in its body.
    """
    source = inspect.cleandoc("\n" + inspect.getsource(cls))
    words = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.ClassDef)  # `getsource` of a class
    return {
        node.target.id: " ".join(words[line] for line in range(node.lineno, node.end_lineno + 1) if line in words)
        for node in definition.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno
    }


def argument_texts(docstring: str, known: Collection[str]) -> dict[str, str]:
    """Argument -> its text, from the `Args:` and `Attributes:` of a docstring; "a, b: text" speaks of both.

    Args:
        docstring: as `inspect.getdoc` gives it.
        known: the arguments there are; "None: no such" explains none of them.
    """
    texts: dict[str, str] = {}
    section = False
    names: list[str] = []
    for line in docstring.splitlines():
        depth = len(line) - len(line.lstrip())
        if depth == 0 and line.strip():
            section, names = line.rstrip() in ("Args:", "Attributes:"), []
        elif section and depth == 4:
            for part in line.strip().split("; "):  # "width: of this; view: of that"
                head, _, text = part.partition(": ")
                if text and {name.strip() for name in head.split(",")} <= set(known):
                    names = [name.strip() for name in head.split(",")]
                    texts |= dict.fromkeys(names, text)
                else:
                    texts |= {name: f"{texts[name]}; {part}" for name in names}
        elif section and depth > 4:
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
    return texts


def description(docstring: str) -> str:
    """A docstring without its `Args:`, `Attributes:`, `Raises:` and `Example:`."""
    kept, skipping = [], False
    for line in docstring.splitlines():
        if line and not line[0].isspace():
            skipping = line.rstrip() in ("Args:", "Attributes:", "Raises:", "Example:", "Returns:", "Yields:")
        if not skipping:
            kept.append(line)
    return "\n".join(kept).strip()
