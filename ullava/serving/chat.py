"""`ullava chat`: a conversation about a picture, typed in the terminal or on a page of this machine (`--serve`)."""

from collections.abc import Sequence
from pathlib import Path

from ullava.configs.arguments import PORT, Parser
from ullava.evaluation.ask.options import add_answering, open_model


def main(arguments: Sequence[str]) -> None:
    """Talks until the user ends; writes every answer as `ullava infer` does.

    Raises:
        FileNotFoundError, ValueError: no such picture or model, or a picture beside `--serve`.
        OSError: the port is taken.
    """
    parser = Parser(prog="ullava chat", description="Talks about a picture, turn by turn, here or on a page.")
    parser.add_argument("picture", nargs="?", help="or a video")
    parser.add_argument(
        "--serve", nargs="?", type=PORT, const=7860, metavar="PORT", help="a page of this machine; default: %(const)s"
    )
    add_answering(parser, Path("runs/chat"))
    options = parser.parse(arguments)
    if options.picture and options.serve is not None:
        raise ValueError(f"--serve: the page asks for its pictures; leave {options.picture} out")
    from ullava.evaluation.ask.chat import converse, read_line
    from ullava.evaluation.ask.infer import describe, medium, write
    from ullava.serving.serve import HERE, open_page

    about = medium(options.picture) if options.picture else None
    answerer = open_model(options)
    if options.serve is not None:
        with open_page(answerer, options.out, options.serve) as server:
            print(f"open http://{HERE}:{server.server_port}   (from elsewhere: ssh -L; Ctrl-C ends)", flush=True)
            return server.serve_forever()
    print("/picture FILE: another picture; /new: forget what was said; /end: stop")
    for line in write(options.out, converse(answerer, about, read_line), options.save):
        print(f"  {describe(line)}")
    print(f"wrote {options.out}")
