"""`python -m ullava.documenting`: writes docs/configuration.md anew; `--check` only says whether it is up to date."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ullava.configs.messages import run_command
from ullava.documenting.configuration import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def main(arguments: Sequence[str]) -> None:
    """Writes the page, or compares it.

    Raises:
        ValueError: `--check`, and the page is not what the code says.
    """
    parser = argparse.ArgumentParser(prog="python -m ullava.documenting", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    options = parser.parse_args(list(arguments))
    text = page()
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
        print(f"wrote {PAGE}")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        raise ValueError(f"{PAGE}: out of date; run python -m ullava.documenting and commit the page")


if __name__ == "__main__":
    run_command(main)
