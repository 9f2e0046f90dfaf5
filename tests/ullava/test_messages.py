import pytest

from ullava.configs.load import ConfigError
from ullava.messages import run_command


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
