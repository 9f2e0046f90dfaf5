"""Every way in which the package is imported: a checkout with and without links, another folder, workers, a wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("configs", "datasets", "tasks", "models", "evaluation")
BUILT = ("pyproject.toml", "README.md", "LICENSE", "ullava", *ROOMS)
SPAWN = """
import multiprocessing
from ullava.configs.load import find_shipped

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(find_shipped, ["runs/mine"]))
"""
UNDER_TORCHRUN = "import os; from ullava.configs.tokens import SEG; print(SEG, os.environ['RANK'])"


def run(*words: str, at: Path, package: Path = ROOT, **variables: str) -> str:
    """What a command prints, run with `package` on Python's path."""
    environment = os.environ | {"PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1", **variables}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def copy(target: Path, *, links: bool) -> Path:
    """A copy of what a wheel is built from; without links each is a text file, as by core.symlinks=false of git."""
    target.mkdir()
    for name in BUILT:
        source = ROOT / name
        if source.is_file():
            shutil.copy(source, target)
        else:
            shutil.copytree(source, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for room in () if links else ROOMS:
        link = target / "ullava" / room
        words = str(link.readlink())
        link.unlink()
        link.write_text(words)
    return target


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_bare_checkout_runs_from_its_root_and_from_elsewhere(elsewhere, tmp_path):
    at = tmp_path if elsewhere else ROOT
    assert run("-m", "ullava", "--version", at=at).startswith("ullava ")
    assert "usage: ullava train" in run("-m", "ullava", "train", "--help", at=at)


def test_a_script_at_the_root_needs_no_path(tmp_path):
    assert "YAML" in run(str(ROOT / "train_ullava_core.py"), "--help", at=tmp_path, package=tmp_path)


def test_an_editable_install_is_a_path_to_the_root(tmp_path):
    """What pip's editable install of this layout amounts to: a finder or a .pth file that names the checkout."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "ullava.pth").write_text(f"{ROOT}\n")
    code = f"import site; site.addsitedir({str(site)!r}); import ullava.tasks.mixture, ullava; print(ullava.__file__)"
    assert run("-c", code, at=tmp_path, package=site).strip() == str(ROOT / "ullava" / "__init__.py")


def test_a_spawned_worker_imports_it_again(tmp_path):
    (tmp_path / "work.py").write_text(SPAWN)
    assert run(str(tmp_path / "work.py"), at=tmp_path).strip() == "['runs/mine']"


def test_a_checkout_without_symbolic_links_opens_its_rooms(tmp_path):
    bare = copy(tmp_path / "checkout", links=False)
    code = "import ullava.configs.load as load, ullava.tasks.mixture as mixture; print(load.CONFIGS, mixture.__file__)"
    place, module = run("-c", code, at=tmp_path, package=bare).split()
    assert (place, module) == (str(bare / "configs"), str(bare / "tasks" / "mixture.py"))
    assert "usage: ullava eval" in run("-m", "ullava", "eval", "--help", at=tmp_path, package=bare)


@pytest.mark.slow
def test_torchrun_starts_it(tmp_path):
    (tmp_path / "work.py").write_text(UNDER_TORCHRUN)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(tmp_path / "work.py"))
    assert sorted(run(*launcher, at=tmp_path).split("\n")) == ["", "[SEG] 0", "[SEG] 1"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A folder in which a wheel of this tree is unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copy(folder / "source", links=True)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(source))
    run(*pip, *build, at=folder)
    (file,) = folder.glob("*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "target"), str(file), at=folder)
    shutil.rmtree(source)
    return folder / "target"


@pytest.mark.slow
def test_a_wheel_holds_the_rooms_the_recipes_and_the_zoo(wheel):
    rooms = {path.name for path in (wheel / "ullava").iterdir()}
    assert {*ROOMS, "commands", "py.typed"} <= rooms and not (wheel / "configs").exists()
    shipped = {path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml")}
    shipped |= {path.relative_to(ROOT) for path in (ROOT / "models" / "zoo").rglob("*") if path.is_file()}
    assert not [path for path in shipped if not (wheel / "ullava" / path).is_file()]


@pytest.mark.slow
def test_a_wheel_checks_and_plans_a_shipped_recipe_by_its_name(wheel, tmp_path):
    def ullava(*words: str) -> str:
        return run("-m", "ullava", *words, at=tmp_path, package=wheel, ULLAVA_DATA=str(tmp_path / "data"))

    assert ullava("--version").startswith("ullava ")
    ullava("prepare", "tiny_world", "--scenes", "12", "--videos", "2")
    assert "stage1.yaml is sound" in ullava("check", "tiny/stage1")
    assert "| fits | yes |" in ullava("plan", "tiny/stage1")
