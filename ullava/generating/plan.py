"""The plan of what is painted: its YAML schema, and the list of pictures that follows from it.

The seed of a picture follows from its part, object and number alone, so that any share of the pictures, on any GPU, in
any order and after any stop, gives the same files.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ullava.configs.schema import Section
from ullava.generating.renders import Render, find_renders, folder_of

NAME = re.compile(r"[\w-]+( [\w-]+)*")  # of a part or an object, and with underscores of its folder


class ControlConfig(Section):
    """A ControlNet (arXiv:2302.05543), and the renders of 3D models that it holds on to."""

    model: str  # folder of the ControlNet: of depths, normals or edges, as the renders are
    renders: str  # folder of <object>_<part>_<view>.png, and of <object>_<part>_<view>_mask.png: the part in that view
    scale: float = Field(1.0, ge=0)  # how much it is listened to


class PlanConfig(Section):
    """One set of pictures."""

    output: str  # folder to write
    model: str  # folder of a diffusion pipeline, such as Stable Diffusion 1.5; nothing is downloaded
    parts: dict[str, tuple[str, ...]] = Field(min_length=1)  # part -> objects that have it
    prompts: tuple[str, ...] = Field(("a photo of a {object} with a clearly visible {part}",), min_length=1)
    negative_prompt: str = ""
    count: int = Field(10, ge=1)  # pictures of each part of each object; with `control`, of each of its renders
    steps: int = Field(50, ge=1)
    guidance: float = Field(7.5, ge=0)
    size: tuple[int, int] = (512, 512)  # (H, W)
    batch_size: int = Field(4, ge=1)
    dtype: Literal["fp16", "bf16", "fp32"] = "fp16"
    scheduler: str | None = None  # a class of diffusers, e.g. DDIMScheduler; None: the pipeline's own
    safety_checker: bool = False  # leave out what the pipeline's own checker takes offence at
    seed: int = 0
    control: ControlConfig | None = None

    @field_validator("parts")
    @classmethod
    def are_names(cls, parts: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Looks whether every name can be a folder's."""
        for name in (*parts, *(whole for wholes in parts.values() for whole in wholes)):
            if not NAME.fullmatch(name):
                raise ValueError(f"expected words, found {name!r}")
        return parts

    @field_validator("prompts")
    @classmethod
    def fill_in(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        """Tries every prompt."""
        for prompt in prompts:
            try:
                prompt.format(part="part", object="object")
            except (LookupError, ValueError) as error:
                raise ValueError(f"expected no other slots than {{object}} and {{part}}, found {prompt!r}") from error
        return prompts


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to paint.

    Attributes:
        file: where, below the output.
        seed: of its noise, 63 bits.
        render: what its shape is taken from; None without control.
    """

    part: str
    whole: str
    file: str
    prompt: str
    seed: int
    render: Render | None = None

    @property
    def mask(self) -> str | None:
        """Where its mask lies, below the output; None where nobody knows it."""
        return self.file.removesuffix(".png") + "_mask.png" if self.render and self.render.mask else None


def jobs(plan: PlanConfig) -> Iterator[Job]:
    """Yields every picture of a plan, in the order of its parts.

    Raises:
        FileNotFoundError, ValueError: see `find_renders`.
    """
    pairs = [(part, whole) for part, wholes in plan.parts.items() for whole in wholes]
    renders = find_renders(Path(plan.control.renders), pairs) if plan.control else {}
    for part, whole in pairs:
        for render in renders.get((part, whole), [None]):
            for number in range(plan.count):
                stem = f"{render.view}_{number:06d}" if render else f"{number:06d}"
                prompt = plan.prompts[number % len(plan.prompts)].format(part=part, object=whole)
                file = f"{folder_of(part)}/{folder_of(whole)}/{stem}.png"
                yield Job(part, whole, file, prompt, seed_of(plan.seed, part, whole, stem), render)


def seed_of(seed: int, *names: str) -> int:
    """A number of 63 bits that follows from all of these, on any machine."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
