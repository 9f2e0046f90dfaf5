import pytest

from ullava.configs.load import ConfigError
from ullava.configs.messages import located, run_command


def end(error: BaseException, *arguments: str) -> int:
    """Exit status of a command that raises `error`."""

    def main(rest):
        assert "--debug" not in rest
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command(main, arguments)
    return ended.value.code


@pytest.mark.parametrize("kind", [ConfigError, ValueError, LookupError, FileNotFoundError])
def test_what_the_user_can_cure_ends_in_its_message(kind, capsys):
    assert end(kind("my.yaml: no key 'modle'")) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: my.yaml: no key 'modle'\n") and "Traceback" not in printed


def test_debug_shows_where():
    with pytest.raises(ValueError, match="here"):
        run_command(lambda rest: exec("raise ValueError('here')"), ["--debug"])


@pytest.mark.parametrize("kind", [KeyError, IndexError, TypeError, AssertionError])
def test_a_defect_of_ours_is_never_dressed_as_bad_input(kind):
    with pytest.raises(kind):
        run_command(lambda rest: (_ for _ in ()).throw(kind("x")), [])


def test_an_interrupted_command_ends_quietly(capsys):
    assert end(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_a_place_stands_before_every_line():
    with pytest.raises(LookupError) as raised, located("my.yaml"), located("data[0]"):
        raise LookupError("no task 'ress'\nno task 'recc'")
    assert str(raised.value) == "my.yaml: data[0]: no task 'ress'\nmy.yaml: data[0]: no task 'recc'"


@pytest.mark.parametrize("kind", [KeyError, TypeError])
def test_a_defect_is_given_no_place(kind):
    with pytest.raises(kind) as raised, located("my.yaml"):
        raise kind("x")
    assert raised.value.args == ("x",)


def test_what_a_worker_raised_is_told_without_its_traceback(capsys):
    wrapped = "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File"
    assert end(ValueError(f"{wrapped}\nValueError: a.jpg: broken; fetch it again\n")) == 1
    assert capsys.readouterr().err.startswith("error: a.jpg: broken; fetch it again\n")
