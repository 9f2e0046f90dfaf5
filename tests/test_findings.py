"""What is asked of findings/: scripts that stand by themselves, pin what they install, and are listed. None is run."""

import re
import stat
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FINDINGS = ROOT / "findings"
SCRIPTS = sorted(FINDINGS.glob("*.sh"))
CODE = [path for room in ("configs", "datasets", "tasks", "models", "evaluation", "ullava")
        for path in sorted((ROOT / room).rglob("*.py"))]  # fmt: skip
NAMED = re.compile(r"findings/(\w+\.sh)")
ROW = re.compile(r"^\| \[(?P<script>\w+\.sh)\]\((?P<link>\w+\.sh)\) \|.*\| `(?P<code>[\w/.]+)` \|$", re.MULTILINE)

script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def rows() -> dict[str, str]:
    """Script -> the file of ours that works around it, of each line of the table."""
    return {row["script"]: row["code"] for row in ROW.finditer((FINDINGS / "README.md").read_text())}


def python_in(text: str) -> str:
    """The programs that a script holds, one after another."""
    return "\n".join(re.findall(r"<<'EOF'.*?\n(.*?)\nEOF\n", text, re.DOTALL))


def installed(text: str) -> list[str]:
    """What a script's `pip install` lines ask for, without their options."""
    commands = re.findall(r"pip install ((?:[^\n]*\\\n)*[^\n]*)", text)
    words = re.sub(r"\$\{TORCH_INDEX_URL.*?\}", "", " ".join(commands)).replace("\\\n", " ").split()
    return [word for word in words if not word.startswith("-")]


def test_there_are_ten_findings_or_more():
    assert len(SCRIPTS) >= 10


@script
def test_a_finding_runs_by_itself_in_a_folder_that_goes_away(path):
    text = path.read_text()
    assert path.stat().st_mode & stat.S_IXUSR
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text
    assert re.search(r'^(\w+)=\$\(mktemp -d\)\ntrap \'rm -rf "\$\1"\' EXIT\ncd "\$\1"$', text, re.MULTILINE)


@script
def test_a_finding_pins_all_that_it_installs(path):
    packages = installed(path.read_text())
    assert packages
    assert [name for name in packages if not re.fullmatch(r"[\w.-]+==\d[\w.]*", name)] == []


@script
def test_a_finding_runs_none_of_our_code_and_fails_where_the_behaviour_changes(path):
    program = python_in(path.read_text())
    assert program
    assert "ullava" not in program
    for said in ("expected:", "seen:"):
        assert re.search(rf"print\(f?[\"']{said}", program)
    assert re.search(r'sys\.exit\(0 if .* else "changed: ', program)


def test_the_readme_lists_every_finding_once():
    listed = [row["script"] for row in ROW.finditer((FINDINGS / "README.md").read_text())]
    assert listed == [path.name for path in SCRIPTS]
    assert all(row["script"] == row["link"] for row in ROW.finditer((FINDINGS / "README.md").read_text()))


def test_the_files_that_work_around_them_exist():
    assert [code for code in rows().values() if not (ROOT / code).is_file()] == [], "moved? correct findings/README.md"


def test_findings_that_the_code_names_exist_and_name_it_back():
    listed = rows()
    for path in CODE:
        for name in NAMED.findall(path.read_text()):
            place = path.relative_to(ROOT).as_posix()
            assert (FINDINGS / name).is_file(), f"{place} names findings/{name}, which is not there"
            assert listed[name] == place, f"findings/README.md: {name}: says {listed[name]}, {place} names it"
