"""The embedded world: drawn scenes of which everything is known, for tests and the demo.

Scenes hold five or six things among which every referred one has rivals of its shape and of its color, over a cluttered
background; videos show one thing that moves. A scene is a pure function of (split, seed, index), whoever draws it, and
no two splits share one; the foundation models' own scenes are a split apart. Written in the formats of real data, so
that every reader reads it (`tiny_world_files`). What came later (`tiny_world_reasons`, `tiny_world_parts`) draws from
sources of its own, so that earlier files stay as they were.
"""

import json
import multiprocessing
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ullava.configs.registry import nearest
from ullava.datasets.tiny_world.files import Record, dump, write_annotations, write_scene, write_video
from ullava.datasets.tiny_world.labels import FINE
from ullava.datasets.tiny_world.parts import write_parts
from ullava.datasets.tiny_world.pixels import masks
from ullava.datasets.tiny_world.reasons import EXPLANATIONS, write_reasons
from ullava.datasets.tiny_world.scene import sample_scene

SPLITS = {"tiny_train": 1, "tiny_val": 2, "tiny_test": 3}  # the first number of a scene's seed; 0 is pretraining's
FOLDERS = ("images", "labels", FINE, "salient", "videos", "reason_seg/explanatory")
SCENE, VIDEO, REST, REASONS = range(4)
VERSION = 3


def draw_world(root: Path, split: str, scenes: int, videos: int = 0, seed: int | None = None, workers: int = 2) -> Path:
    """Writes a split to `root/split` and returns that folder; a split that lies there already is kept.

    Args:
        root: usually `data_root() / "tiny_world"`, where the catalogue looks.
        seed: another world of the same split; None is 0, the one that results are reported on.

    Raises:
        LookupError: no such split.
        FileExistsError: `root/split` holds another world.
    """
    if split not in SPLITS:
        raise LookupError(f"no split {split!r}; {nearest(split, SPLITS)}")
    folder = Path(root) / split
    world = {"split": split, "scenes": scenes, "videos": videos, "seed": seed or 0, "version": VERSION}
    if drawn(folder, world):
        return folder
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    jobs = [(SCENE, i) for i in range(scenes)] + [(VIDEO, i) for i in range(videos)]
    records = run(partial(write, folder, SPLITS[split], seed or 0), jobs, workers, split)
    rng = np.random.default_rng((SPLITS[split], seed or 0, REST))
    write_annotations(folder, split, records[:scenes], records[scenes:], rng)
    dump(folder / EXPLANATIONS, [record["explanation"] for record in records[:scenes]])
    write_parts(folder, SPLITS[split], seed or 0, scenes // 4, masked=0.5 if split == "tiny_train" else 1.0)
    (folder / "world.json").write_text(json.dumps(world), encoding="utf-8")
    return folder


def drawn(folder: Path, world: dict) -> bool:
    """Whether this very world lies in `folder`."""
    path = folder / "world.json"
    if not path.is_file():
        return False
    existing = json.loads(path.read_text(encoding="utf-8"))
    if existing != world:
        raise FileExistsError(f"{folder}: holds {existing}, wanted {world}; delete the folder or choose another root")
    return True


def run(write_one, jobs: list[tuple[int, int]], workers: int, title: str) -> list[Record]:
    """Does the jobs in order, in as many processes, with a progress bar."""
    bar = partial(tqdm, total=len(jobs), desc=f"drawing {title}", unit="scene", mininterval=1, leave=False)
    if workers < 2:
        return list(bar(map(write_one, jobs)))
    with multiprocessing.get_context("forkserver").Pool(workers) as pool:
        return list(bar(pool.imap(write_one, jobs, chunksize=64)))


def write(folder: Path, code: int, seed: int, job: tuple[int, int]) -> Record:
    """Writes one scene or one video."""
    kind, index = job
    rng = np.random.default_rng((code, seed, kind, index))
    if kind == VIDEO:
        return write_video(folder, index, rng)
    record = write_scene(folder, index, rng)
    return record | write_family(folder, code, seed, index)


def write_family(folder: Path, code: int, seed: int, index: int) -> Record:
    """Writes what the LISA family asks about a scene, which is drawn again as it was."""
    scene = sample_scene(np.random.default_rng((code, seed, SCENE, index)))
    rng = np.random.default_rng((code, seed, REASONS, index))
    return {"explanation": write_reasons(folder, index, scene, masks(scene), rng)}
