"""What pages say: the commands, Python and YAML in their fenced blocks. For tests/test_documents.py and its like."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
ELSEWHERE = {"extending.md"}  # a page that a test of its own runs, plugins and all: tests/test_extending.py
WALKS = [page for page in PAGES if page.name not in ELSEWHERE]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: where it stands.
        language: the word behind the fence.
        text: what stands between the fences.
    """

    page: Path
    language: str
    text: str


def blocks(page: Path, language: str) -> list[Block]:
    """The fenced blocks of a language, from top to bottom."""
    return [Block(page, name, text) for name, text in FENCE.findall(page.read_text()) if name == language]


def commands(page: Path) -> list[str]:
    """The command lines in a page's bash blocks, without their comments, continued lines joined."""
    text = "\n".join(block.text for block in blocks(page, "bash")).replace("\\\n", " ")
    words = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [shlex.join(line) for line in words if line]


def anchors(page: Path) -> set[str]:
    """What may stand behind # in a link to a page: headings as Python-Markdown's toc names them, and given ids."""
    prose = FENCE.sub("", page.read_text())
    found = set(re.findall(r"\{ #([\w-]+) \}", prose))
    for heading in re.findall(r"^#+ (.*)$", prose, re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", re.sub(r"\{.*\}|[`*]", "", heading)).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", plain))
    return found


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures that lie in this repository."""
    prose = FENCE.sub("", page.read_text())
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target]
