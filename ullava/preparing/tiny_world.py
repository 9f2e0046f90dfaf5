"""The embedded world, drawn from a seed."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ullava.configs.arguments import COUNT, RANDOM_SEED
from ullava.configs.load import data_root
from ullava.datasets.tiny_world.world import draw_world
from ullava.preparing.base import PREPARATIONS, Kind

WORLD = {"tiny_train": (6000, 1000), "tiny_val": (200, 50), "tiny_test": (400, 100)}  # split -> scenes, videos


@PREPARATIONS.register("tiny_world")
class TinyWorld(Kind):
    """Draws the embedded world: scenes and films of which everything is known.

    A split that lies there already, drawn from the same numbers, is kept.
    """

    reads = "nothing"
    writes = "a folder for each split, in the formats of real data; the catalogue knows them by the splits' names"

    def ask(self, parser: ArgumentParser) -> None:
        parser.add_argument("--splits", nargs="+", default=list(WORLD), help="default: " + " ".join(WORLD))
        parser.add_argument("--scenes", type=COUNT, help="pictures of each split; default: " + sizes(0))
        parser.add_argument("--videos", type=COUNT, help="videos of each split; default: " + sizes(1))
        parser.add_argument("--seed", type=RANDOM_SEED, help="another world of the same size")
        parser.add_argument("--root", type=Path, help="default: tiny_world/ under the data root")

    def prepare(self, options: Namespace) -> str:
        lines = []
        for split in options.splits:
            scenes, videos = WORLD.get(split, (0, 0))
            scenes = scenes if options.scenes is None else options.scenes
            videos = videos if options.videos is None else options.videos
            folder = draw_world(options.root or data_root() / "tiny_world", split, scenes, videos, options.seed)
            lines.append(f"{folder}: {scenes} scenes, {videos} videos")
        return "\n".join(lines)


def sizes(which: int) -> str:
    """The default sizes of the splits, as text."""
    return ", ".join(f"{split} {counts[which]}" for split, counts in WORLD.items())
