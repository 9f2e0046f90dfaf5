"""What the wheel holds: a subpackage that pyproject.toml forgets vanishes from it in silence."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUP = PROJECT["tool"]["setuptools"]
ROOMS = ("ullava", "configs", "datasets", "tasks", "models", "evaluation")


def package_of(folder: Path) -> str:
    """The import name of a folder of modules."""
    parts = folder.relative_to(ROOT).parts
    return ".".join(parts if parts[0] == "ullava" else ("ullava", *parts))


def test_every_folder_with_modules_is_a_listed_package():
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert sorted(SETUP["packages"]) == sorted(package_of(folder) for folder in folders)


def test_every_room_has_its_place():
    assert SETUP["package-dir"] == {package_of(ROOT / room): room for room in ROOMS}


def test_every_file_beside_the_modules_is_package_data():
    known = {ROOT / SETUP["package-dir"][package]: globs for package, globs in SETUP["package-data"].items()}
    inside = {path for room, globs in known.items() for glob in globs for path in room.glob(glob)}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                assert path in inside, f"pyproject.toml: no package-data matches {path.relative_to(ROOT)}"


def test_hugging_face_datasets_keeps_its_name():
    assert not (ROOT / "datasets" / "__init__.py").exists(), "it would shadow the installed `datasets`"
    assert "datasets" in PROJECT["project"]["dependencies"], "without it transformers takes our folder for it"


def test_every_shell_can_be_run_and_passes_its_arguments_on():
    shells = [path for path in (ROOT / "shells").glob("*.sh") if path.name != "environment.sh"]
    for shell in [*shells, ROOT / ".ci" / "run"]:
        assert shell.stat().st_mode & 0o111, f"{shell.name} is not executable"
    for shell in shells:
        text = shell.read_text(encoding="utf-8")
        assert '"$@"' in text and len(text.splitlines()) <= 12, shell.name


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text and "9. Accepting Warranty" in text


def test_every_hook_before_a_commit_is_a_check_of_ci():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    checks = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert repository["repo"] == "local"  # others are fetched from a network
    for hook in repository["hooks"]:
        assert any(line.split("#")[0].strip().removesuffix(" .") == hook["entry"] for line in checks), hook["id"]
