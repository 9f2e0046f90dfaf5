"""Tables of names that are read in two directions: from a published checkpoint to ours, and back.

    Line("blocks.{i}.norm1.{x}", "layers.{i}.layer_norm1.{x}")      one tensor, two names
    Line("pe.matrix", ("shared.matrix", "prompt.matrix"))           one tensor there, equal copies here
    Line("attn.in_proj_{x}", ("q.{x}", "k.{x}", "v.{x}"), "rows")   one tensor there, its rows shared out here

`{i}` and `{j}` stand for a number, `{x}` for any text; both sides hold the same fields. The first line that matches a
name owns it, so what is special stands above what is general.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ullava.configs.registry import listing

FIELD = re.compile(r"\{(\w)\}")


def pattern(template: str) -> re.Pattern[str]:
    """The expression that a template's names match, a named group for each field."""
    parts = FIELD.split(template)
    written = [
        re.escape(part) if n % 2 == 0 else f"(?P<{part}>{'.+' if part == 'x' else r'[0-9]+'})"
        for n, part in enumerate(parts)
    ]
    return re.compile("".join(written))


@dataclass(frozen=True)
class Line:
    """What one tensor (or one family of them) is called there and here.

    Attributes:
        theirs: template of the published name.
        ours: template of our name, or of several.
        how: of several, whether they are equal "copies" or share out its "rows" (axis 0, equal parts).
    """

    theirs: str
    ours: str | tuple[str, ...]
    how: Literal["copies", "rows"] = "copies"

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Our templates."""
        return (self.ours,) if isinstance(self.ours, str) else self.ours

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], tuple[re.Pattern[str], ...]]:
        """Of their name, and of ours."""
        return pattern(self.theirs), tuple(map(pattern, self.targets))

    def under(self, theirs: str, ours: str) -> "Line":
        """The same line with something before both names."""
        return Line(theirs + self.theirs, tuple(ours + target for target in self.targets), self.how)


@dataclass(frozen=True)
class Table:
    """A kind's lines, and what its files may hold that nobody reads.

    Attributes:
        lines: the first that matches owns a name.
        ignored: expressions of names that a published file may hold or lack: buffers, copies.
    """

    lines: Sequence[Line]
    ignored: Sequence[str] = field(default=())

    def under(self, theirs: str, ours: str) -> "Table":
        """The same table with something before the names: a model inside another."""
        return Table(
            [line.under(theirs, ours) for line in self.lines], [re.escape(theirs) + name for name in self.ignored]
        )

    def __add__(self, other: "Table") -> "Table":
        return Table([*self.lines, *other.lines], [*self.ignored, *other.ignored])

    def owner(self, name: str) -> tuple[Line, dict[str, str]] | None:
        """The line of a published name, and the values of its fields."""
        for line in self.lines:
            if found := line.patterns[0].fullmatch(name):
                return line, found.groupdict()
        return None

    def reads(self, name: str) -> tuple[str, ...]:
        """Our names of a published one; none where it is ignored.

        Raises:
            LookupError: the table does not know it.
        """
        if any(re.fullmatch(expression, name) for expression in self.ignored):
            return ()
        found = self.owner(name)
        if found is None:
            raise LookupError(f"no such weight in this kind of checkpoint: {name}")
        return tuple(fill(target, found[1]) for target in found[0].targets)

    def writes(self, name: str) -> str:
        """The published name of one of ours.

        Raises:
            LookupError: the table has no place for it.
        """
        for line in self.lines:
            for expression in line.patterns[1]:
                if found := expression.fullmatch(name):
                    return fill(line.theirs, found.groupdict())
        raise LookupError(f"this kind of checkpoint has no place for {name}")

    def read(self, theirs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """(our tensors, published names that the table does not know)."""
        ours, unknown = {}, []
        for name, tensor in theirs.items():
            try:
                names = self.reads(name)
            except LookupError:
                unknown.append(name)
                continue
            ours |= zip(names, self.parts(name, tensor, len(names)), strict=True)
        return ours, unknown

    def parts(self, name: str, tensor: Tensor, count: int) -> Iterable[Tensor]:
        """What each of our `count` names gets of a published tensor."""
        found = self.owner(name)
        return tensor.chunk(count) if found and found[0].how == "rows" and count else [tensor] * count

    def check(self, ours: Mapping[str, Tensor], unknown: Iterable[str], expected: Mapping[str, torch.Size], where: str):
        """Holds tensors against the shapes that they have to have.

        Args:
            ours, unknown: what `read` gave.
            expected: our name -> shape, of every weight of the model.
            where: the checkpoint, for the message.

        Raises:
            ValueError: lists every key that is unknown, missing, or of another shape, by its published name.
        """
        unknown = [*unknown, *(self.writes(name) for name in ours if name not in expected)]
        missing = [self.writes(name) for name in expected if name not in ours]
        faults = [f"{name} is unknown" for name in dict.fromkeys(unknown)]
        faults += [f"{name} is missing" for name in dict.fromkeys(missing)]
        faults += [
            f"{self.writes(name)} has shape {tuple(tensor.shape)}, expected {tuple(expected[name])}"
            for name, tensor in ours.items()
            if name in expected and tensor.shape != expected[name]
        ]
        if faults:
            listed = listing(f"{where}: {len(faults)} keys do not fit this kind of checkpoint", faults)
            raise ValueError(f"{listed}; nothing was loaded: take a whole file of that kind, or another KIND")

    def write(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Published tensors; the inverse of `read`, bit for bit.

        Raises:
            LookupError: the table has no place for one of ours.
            ValueError: copies that are one tensor there differ here, or one of several parts is missing.
        """
        theirs: dict[str, Tensor] = {}
        for name in ours:
            there = self.writes(name)
            if there not in theirs:
                theirs[there] = self.join(there, ours)
        return theirs

    def join(self, there: str, ours: Mapping[str, Tensor]) -> Tensor:
        """One published tensor from its parts or copies."""
        owner = self.owner(there)
        assert owner is not None  # `writes` made the name of one of the lines
        line, values = owner
        names = [fill(target, values) for target in line.targets]
        if line.how == "rows":
            missing = [name for name in names if name not in ours]
            if missing:
                raise ValueError(f"{there}: is made of {', '.join(names)}; {', '.join(missing)} missing")
            return torch.cat([ours[name] for name in names])
        first, *others = (ours[name] for name in names if name in ours)
        if not all(torch.equal(first, other) for other in others):
            raise ValueError(f"{there}: is one tensor there, and {', '.join(names)} differ here")
        return first


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its fields filled in."""
    return FIELD.sub(lambda found: values[found[1]], template)
