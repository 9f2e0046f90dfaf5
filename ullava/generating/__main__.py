"""`ullava generate-images PLAN.yaml`: paints what is not painted yet, this process's share of it.

manifest.jsonl has a line for each picture: part, object, prompt, seed, and all that it was painted with.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ullava.configs.arguments import COUNT, WHOLE, Parser, add_yaml, yaml_of
from ullava.configs.load import load
from ullava.configs.messages import run_command
from ullava.datasets.tables import read_lines
from ullava.generating.plan import Job, PlanConfig, jobs

MANIFEST = "manifest.jsonl"
SHOWN = 6  # lines of a dry run


def main(arguments: Sequence[str]) -> None:
    """Paints as the command line says."""
    parser = Parser(prog="ullava generate-images", description="Paints what is not painted yet of a plan.")
    add_yaml(parser, "a plan (images/parts shows every key)", "output=generated size=[512,512]")
    parser.add_argument("--dry_run", "--dry-run", action="store_true", help="say what would be painted, and end")
    parser.add_argument("--rank", type=WHOLE, default=int(os.environ.get("RANK", 0)), help="this process's number ...")
    parser.add_argument("--world", type=COUNT, default=int(os.environ.get("WORLD_SIZE", 1)), help="... of so many; "
                        "under torchrun both are known")  # fmt: skip
    parser.add_argument("--device", help="default: the GPU of this process, or else the CPU")
    options = parser.parse(arguments)
    path, overrides = yaml_of(options)
    plan = load(path, PlanConfig, overrides)
    if not 0 <= options.rank < options.world:
        raise ValueError(f"--rank: expected a number below --world {options.world}, found {options.rank}")
    every = list(jobs(plan))
    mine = every[options.rank :: options.world]  # the same share whenever a process starts
    left = list(unpainted(plan, mine))
    if options.dry_run:
        print(summary(plan, every, left))
        return
    painted = paint(plan, left, options.device or own_device()) if left else 0
    refused = f", {len(left) - painted} refused by the safety checker" if painted < len(left) else ""
    print(f"{plan.output}: {len(every)} pictures, {len(mine)} of them this process's: {len(mine) - len(left)} were "
          f"there, {painted} painted{refused}")  # fmt: skip


def paint(plan: PlanConfig, left: Sequence[Job], device: str) -> int:
    """Paints jobs in batches; what has a line in the manifest is whole. Returns how many pictures there are now."""
    from ullava.generating.painter import Painter  # torch and diffusers: only where there is something to paint

    painter, output, count = Painter(plan, device), Path(plan.output), 0
    starts = range(0, len(left), plan.batch_size)
    for start in tqdm(starts, desc="painting", unit="batch", leave=False):
        batch = left[start : start + plan.batch_size]
        for job, picture in zip(batch, painter(batch), strict=True):
            if picture is not None:
                write(job, plan, picture, output)
                count += 1
            note(output, facts(job, plan) | ({"refused": True} if picture is None else {}))
    return count


def write(job: Job, plan: PlanConfig, picture: Image.Image, output: Path) -> None:
    """Writes a picture and its mask, each whole or not at all."""
    files = {job.file: picture}
    if job.mask:
        files[job.mask] = mask_of(job, plan.size)
    for name, image in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".partial")
        image.save(aside, "png")
        os.replace(aside, path)


def mask_of(job: Job, size: tuple[int, int]) -> Image.Image:
    """The mask of a job's render, as large as the picture: 0 and 255.

    Args:
        size: (H, W) of the picture.

    Raises:
        ValueError: the job has no render, or its render no mask.
    """
    if job.render is None or job.render.mask is None:
        raise ValueError(f"{job.file}: expected a render with a mask, found none; only such jobs have a mask")
    height, width = size
    with Image.open(job.render.mask) as mask:
        grey = np.asarray(mask.convert("L").resize((width, height), Image.Resampling.NEAREST))
    return Image.fromarray((grey > 127).astype(np.uint8) * 255)


def facts(job: Job, plan: PlanConfig) -> dict[str, Any]:
    """The line of the manifest: everything that decides how a picture looks."""
    line = {"file": job.file, "part": job.part, "object": job.whole, "prompt": job.prompt}
    line |= {"negative_prompt": plan.negative_prompt, "seed": job.seed, "steps": plan.steps}
    line |= {"guidance": plan.guidance, "size": list(plan.size), "model": plan.model, "scheduler": plan.scheduler}
    if job.render and plan.control:
        line |= {"control": str(job.render.picture), "control_model": plan.control.model}
        line |= {"control_scale": plan.control.scale} | ({"mask": job.mask} if job.mask else {})
    return line


def note(output: Path, line: Mapping[str, Any]) -> None:
    """Adds a line to the manifest in one write, so that several processes may."""
    output.mkdir(parents=True, exist_ok=True)
    handle = os.open(output / MANIFEST, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (json.dumps(line, ensure_ascii=False) + "\n").encode())
    finally:
        os.close(handle)


def unpainted(plan: PlanConfig, every: Sequence[Job]) -> Iterator[Job]:
    """Yields the jobs of which the manifest says nothing, or whose file is gone.

    Raises:
        FileExistsError: a picture was painted otherwise than the plan says.
    """
    output = Path(plan.output)
    path = output / MANIFEST
    done = {line["file"]: line for line in read_lines(path)} if path.is_file() else {}
    for job in every:
        line = done.get(job.file)
        if line is None or not (line.get("refused") or (output / job.file).is_file()):
            yield job
            continue
        changed = [key for key, value in facts(job, plan).items() if line.get(key) != value]
        if changed:
            raise FileExistsError(
                f"{output / job.file}: painted with another {', '.join(changed)}; name another output, or remove it"
            )


def summary(plan: PlanConfig, every: Sequence[Job], left: Sequence[Job]) -> str:
    """What would be painted, as text: pictures by part, and the first few prompts."""
    pairs = Counter((job.part, job.whole) for job in every)
    parts = Counter(part for part, _ in pairs)
    lines = [f"{plan.output}: {len(every)} pictures, {len(left)} of them left for this process"]
    lines += [f"  {part}: {count} objects" for part, count in parts.items()]
    lines += [f"  {job.file}  seed {job.seed}  {job.prompt}" for job in left[:SHOWN]]
    masked = sum(job.mask is not None for job in every)
    return "\n".join([*lines, *([f"  {masked} with masks, from renders"] if masked else [])])


def own_device() -> str:
    """The GPU of this process under torchrun, the first one without, or the CPU."""
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    run_command(main)
