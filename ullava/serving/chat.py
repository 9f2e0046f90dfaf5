"""`ullava chat`: a conversation about a picture, typed in the terminal or on a page of this machine (`--serve`)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ullava.evaluation.ask.ask import add_model, open_model
from ullava.evaluation.ask.chat import converse, listen
from ullava.evaluation.ask.infer import medium, told, write
from ullava.serving.serve import HERE, open_page


def main(arguments: Sequence[str]) -> None:
    """Talks until the user ends; writes every answer as `ullava infer` does."""
    parser = argparse.ArgumentParser(prog="ullava chat", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("picture", nargs="?", help="or a video")
    parser.add_argument(
        "--serve", nargs="?", type=int, const=7860, metavar="PORT", help="a page of this machine; default: %(const)s"
    )
    add_model(parser, Path("runs/chat"))
    options = parser.parse_args(list(arguments))
    if options.picture and options.serve is not None:
        raise ValueError(f"--serve: the page asks for its pictures; leave {options.picture} out")
    about = medium(options.picture) if options.picture else None
    answerer = open_model(options)
    if options.serve is not None:
        with open_page(answerer, options.out, options.serve) as server:
            print(f"open http://{HERE}:{server.server_port}   (from elsewhere: ssh -L; Ctrl-C ends)", flush=True)
            return server.serve_forever()
    print("/picture FILE: another picture; /new: forget what was said; /end: stop")
    for line in write(options.out, converse(answerer, about, listen), options.save):
        print(f"  {told(line)}")
    print(f"wrote {options.out}")
