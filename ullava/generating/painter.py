"""Paints pictures by Stable Diffusion, with a ControlNet or without, through diffusers, which is an extra.

Weights come from local folders. Noise is drawn on the CPU by one generator a picture, so that a picture starts from
the same noise on any device and in any batch.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ullava.generating.plan import Job, PlanConfig
from ullava.models.folders.trust import NEVER, check_folder

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
CPU = "cpu"


class Painter:
    """Paints jobs.

    Args:
        plan: whose pipeline is opened.
        device: "cuda:1", "cpu"; on the last it paints in fp32.

    Raises:
        ImportError: diffusers is not installed.
        FileNotFoundError, LookupError, ValueError: a folder or scheduler that is none.
    """

    def __init__(self, plan: PlanConfig, device: str):
        self.plan = plan
        self.pipeline = open_pipeline(plan).to(device, torch.float32 if device == CPU else DTYPES[plan.dtype])
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(self, jobs: Sequence[Job]) -> list[Image.Image | None]:
        """A picture for each job; None where the safety checker refused it."""
        plan, (height, width) = self.plan, self.plan.size
        control: dict[str, Any] = {}
        if plan.control:
            control["image"] = [look(job, plan.size) for job in jobs]
            control["controlnet_conditioning_scale"] = plan.control.scale
        painted = self.pipeline(
            prompt=[job.prompt for job in jobs],
            negative_prompt=[plan.negative_prompt] * len(jobs),
            num_inference_steps=plan.steps, guidance_scale=plan.guidance, height=height, width=width,
            generator=[torch.Generator(CPU).manual_seed(job.seed) for job in jobs],
            output_type="pil", **control,
        )  # fmt: skip
        refused = getattr(painted, "nsfw_content_detected", None) or [False] * len(jobs)
        return [None if bad else picture for picture, bad in zip(painted.images, refused, strict=True)]


def open_pipeline(plan: PlanConfig) -> Any:
    """The pipeline that the plan names, with its scheduler and its ControlNet."""
    try:
        diffusers = import_module("diffusers")  # an extra, which need not be there
    except ImportError as error:
        raise ImportError("generate-images needs diffusers: pip install 'ullava[diffusion]'") from error
    check_folder(plan.model, "model")
    kind, options = diffusers.StableDiffusionPipeline, {}
    if not plan.safety_checker:
        options |= {"safety_checker": None, "requires_safety_checker": False}
    if plan.control:
        check_folder(plan.control.model, "control.model")
        kind = diffusers.StableDiffusionControlNetPipeline
        options["controlnet"] = read(diffusers.ControlNetModel, plan.control.model, "control.model")
    pipeline = read(kind, plan.model, "model", **options)
    if plan.scheduler:
        scheduler = getattr(diffusers, plan.scheduler, None)
        if scheduler is None or not hasattr(scheduler, "set_timesteps"):
            raise LookupError(f"scheduler: diffusers has no scheduler {plan.scheduler!r}; e.g. DDIMScheduler")
        pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    return pipeline


def read(kind: Any, folder: str, key: str, **options: Any) -> Any:
    """A class of diffusers from a folder.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, or it holds something else.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{key}: {folder}: no such folder; download it first, nothing is fetched here")
    try:
        return kind.from_pretrained(folder, local_files_only=NEVER["local_files_only"], **options)
    except (OSError, ValueError) as error:
        raise ValueError(f"{key}: {folder}: holds no {kind.__name__} ({error})") from error


def look(job: Job, size: tuple[int, int]) -> Image.Image:
    """The render that the ControlNet sees, as large as the picture to be.

    Args:
        size: (H, W) of the picture.

    Raises:
        ValueError: the job has no render.
    """
    if job.render is None:
        raise ValueError(f"{job.file}: expected a render for the ControlNet, found none")
    height, width = size
    with Image.open(job.render.picture) as render:
        return render.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
