"""The source itself: nothing in it evaluates text, opens an archive, or reads a pickle that may hold a program."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("configs", "datasets", "tasks", "models", "evaluation", "ullava", "benchmarks")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """(path:line, dotted name of what is called, call) of every call there is."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def options(call: ast.Call) -> dict[str | None, str]:
    """Keyword -> its source."""
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def test_no_text_is_evaluated():
    names = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "marshal.loads", "runpy.run_path"}
    assert not [place for place, name, _ in calls() if name in names]


def test_no_shell_is_asked():
    assert not [place for place, _, call in calls() if options(call).get("shell") not in (None, "False")]


def test_no_archive_is_unpacked():
    # Members of zip and tar files may be called `../x`; nothing here opens any: sets and weights arrive unpacked.
    verbs = ("extract", "extractall", "unpack_archive")
    opened = ("tarfile.open", "TarFile", "zipfile.ZipFile", "ZipFile")
    assert not [place for place, name, _ in calls() if name.split(".")[-1] in verbs or name in opened]


def test_no_pickle_is_read_but_plain_data():
    reads = {"pickle.load", "pickle.loads", "np.load", "numpy.load", "joblib.load", "shelve.open"}
    found = [(place, options(call)) for place, name, call in calls() if name in reads]
    careless = [place for place, said in found if said.get("allow_pickle") != "False"]
    assert not careless, "references by readers/refer.py, weights by safetensors"
    found = [(place, options(call)) for place, name, call in calls() if name == "torch.load"]
    unsafe = [place for place, said in found if said.get("weights_only") in (None, "False")]
    assert found and not unsafe, "weights_only=True, or as the user's own --trust says"


def test_yaml_is_read_by_the_safe_loader_only():
    loads = [call for _, name, call in calls() if name in ("yaml.load", "yaml.load_all", "yaml.unsafe_load")]
    assert loads and all(ast.unparse(call.args[1]) == "Yaml12Loader" for call in loads)


def test_no_class_of_transformers_may_bring_code_or_fetch_any():
    asked = [
        place
        for place, name, call in calls()
        if name.startswith("Auto") and name.endswith(".from_pretrained") and options(call).get(None) != "NEVER"
    ]
    assert not asked, "give **NEVER of models/folders/trust.py"
    assert not [place for place, _, call in calls() if options(call).get("trust_remote_code") not in (None, "False")]
