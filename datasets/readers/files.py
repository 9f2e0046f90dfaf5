"""From the path that an annotation gives to a file below its folder: the one place where that is decided.

An annotation comes from the internet. It must not name a file outside of the folder that the catalogue entry gives, by
`..`, by an absolute path, or through a link that was unpacked with it. The folder itself may be a link: the user named
it. Where pictures are links on purpose, `$ULLAVA_LINKS` lists the folders that they may lead to.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any


def inside(root: Path, relative: Any, where: str) -> Path:
    """Joins a path that an annotation file gives to the folder it counts from. Every reader joins here and only here.

    Raises:
        ValueError: it is no path, is absolute, or leads out of `root`, by itself or through a link.
    """
    if not isinstance(relative, str) or "\0" in relative:
        raise ValueError(f"{where}: expected the path of a file below {root}, found {relative!r}")
    inner = os.path.normpath(relative)
    if os.path.isabs(inner) or inner.split(os.sep)[0] in ("..", "."):
        raise ValueError(f"{where}: {relative!r} leads out of {root}; expected a path below it")
    step = str(root)
    for name in inner.split(os.sep):
        step = os.path.join(step, name)
        if os.path.islink(step):
            check_link(root, step, where)
    return root / inner


def check_link(root: Path, link: str, where: str) -> None:
    """Follows a link below `root`.

    Raises:
        ValueError: it leads to a place that is neither below `root` nor allowed.
    """
    target = os.path.realpath(link)
    if not any(Path(target).is_relative_to(home) for home in homes(root, os.environ.get("ULLAVA_LINKS", ""))):
        raise ValueError(
            f"{where}: {link} is a link to {target}, out of {root}; name that folder in the catalogue entry, or allow "
            f"what it leads to: ULLAVA_LINKS={os.path.dirname(target)}"
        )


@lru_cache(maxsize=64)
def homes(root: Path, allowed: str) -> tuple[str, ...]:
    """Folders that a link below `root` may lead to."""
    return tuple(os.path.realpath(home) for home in (root, *filter(None, allowed.split(os.pathsep))))


def by_stem(folder: Path, ending: str = "") -> dict[str, Path]:
    """Files of a folder and of the folders in it, by path without suffix, sorted.

    Args:
        ending: of the names of the files that are meant, suffix included, e.g. "_gtFine_labelIds.png"; the stem is what
            stands before it. "" takes all.

    Raises:
        ValueError: two files differ in their suffix only, or a link leads out of `folder`.
    """
    paths: dict[str, Path] = {}
    for path in sorted(files(folder, folder)):
        if not path.name.endswith(ending):
            continue
        relative = path.relative_to(folder)
        stem = str(relative).removesuffix(ending) if ending else str(relative.with_suffix(""))
        if stem in paths:
            raise ValueError(f"{folder}: {paths[stem].name} and {path.name} have one stem; which is meant?")
        paths[stem] = path
    return paths


def chosen(listed: Path, known: Collection[str]) -> list[str]:
    """Stems, as `by_stem` has them, that the first path of each line of a split's text file names.

    Of each path the shortest end that is among `known` is meant; where none is, its stem stands for what is missing.
    """
    stems = []
    for line in filter(str.strip, listed.read_text(encoding="utf-8").splitlines()):
        path = Path(line.split()[0]).with_suffix("").parts
        ends = ("/".join(path[start:]) for start in reversed(range(len(path))))
        stems.append(next((end for end in ends if end in known), path[-1]))
    return stems


def paired(folders: Sequence[tuple[Path, Mapping[str, Path]]], stems: Sequence[str]) -> list[tuple[Path, ...]]:
    """For each stem its file in each folder, of which two may be one.

    Raises:
        FileNotFoundError: a folder lacks some.
        ValueError: there are no stems.
    """
    for folder, paths in folders:
        if lacking := [stem for stem in stems if stem not in paths]:
            raise FileNotFoundError(f"{folder}: {len(lacking)} of {len(stems)} files are missing, e.g. {lacking[0]}")
    if not stems:
        raise ValueError(f"{' + '.join(str(folder) for folder, _ in folders)}: no records; expected one at least")
    return [tuple(paths[stem] for _, paths in folders) for stem in stems]


def files(folder: Path, root: Path) -> list[Path]:
    """Files of a folder and of the folders in it; hidden ones are left out."""
    paths = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                check_link(root, entry.path, str(root))
                if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(entry.path)):
                    raise ValueError(f"{entry.path}: a link to a folder that it lies in; remove it")
            paths += files(Path(entry.path), root) if entry.is_dir() else [Path(entry.path)]
    return paths
