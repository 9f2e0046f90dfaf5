"""How a run is shared out, and what it says before it waits."""

from ullava.training.distributed import held_up


def test_a_compile_that_was_killed_is_named_before_everybody_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    assert held_up() is None
    lock = tmp_path / "py311_cpu" / "cpu_adam" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert str(lock) in held_up() and "delete it" in held_up()
