"""SAM's two ends, a batch at once against one by one: pictures in its encoder, [SEG] states in its mask decoder.

    python benchmarks/sam.py --size tiny
    python benchmarks/sam.py --size vit_b --pictures 4 --rounds 3
    python benchmarks/sam.py --size vit_h --precision bf16        on a GPU

Weights are random. Both ways give the same numbers (said in the last line), take turns within a run, and are compared
round by round, so that the ratio holds also where other work shares the machine. One by one is what the references do:
a loop over pictures, and for each picture one call of the decoder (LISA, model/LISA.py; u-LLaVA, models/ullava.py).
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from transformers import SamConfig, SamModel

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.ledger import clock, machine, table, this_device
from ullava.configs.messages import run_command
from ullava.datasets.images import View
from ullava.models.assembly import PRECISIONS
from ullava.models.heads.mask import MaskHead
from ullava.models.segmenters.sam import MEAN, STD, SamSegmenter, SamTower, revive
from ullava.models.tiny import tiny_sam

WIDTHS = {"vit_b": (768, 12, 12), "vit_l": (1024, 24, 16), "vit_h": (1280, 32, 16)}  # width, blocks, heads
LLM_WIDTH = 64  # of the states; what the projection costs is no part of this


def build(size: str, dtype: torch.dtype, device: torch.device) -> MaskHead:
    """A mask head on a random SAM of a published size."""
    if size == "tiny":
        sam = tiny_sam()
    else:
        width, blocks, heads = WIDTHS[size]
        sam = SamModel(SamConfig(vision_config={
            "hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads, "mlp_dim": 4 * width,
            "global_attn_indexes": list(range(blocks // 4 - 1, blocks, blocks // 4)), "initializer_range": 0.02,
        }))  # fmt: skip
        revive(sam)
    sam = sam.to(device, dtype).eval()
    view = View(sam.config.vision_config.image_size, "corner", (0, 0, 0))
    segmenter = SamSegmenter(sam, SamTower(sam.vision_encoder, view, MEAN, STD, size))
    return MaskHead(LLM_WIDTH, segmenter).to(device, dtype)


def ways(head: MaskHead, pictures: int, prompts: int, device: torch.device) -> dict[str, tuple[Callable, Callable]]:
    """What is done -> (at once, one by one); each gives the same tensor."""
    side, dtype = head.tower.view.side, next(head.parameters()).dtype
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (pictures, side, side, 3), dtype=torch.uint8, generator=rng).to(device)
    sizes = [(side * 3 // 4, side)] * pictures
    channels = head.segmenter.prompt_width
    grid = torch.randn(pictures, prompts, 1, channels, generator=rng).to(device, dtype)

    def encode(numbers: list[int]) -> Tensor:
        return head.tower.features(head.tower.normalise(pixels[numbers]), [sizes[n] for n in numbers])

    def decode(features: Tensor, grid: Tensor) -> Tensor:
        return head.decode((features,), grid)[0]

    features = encode(list(range(pictures)))
    return {
        f"encode {pictures} pictures": (
            lambda: encode(list(range(pictures))), lambda: torch.cat([encode([n]) for n in range(pictures)]),
        ),
        f"decode {pictures} x {prompts} states": (
            lambda: decode(features, grid),
            lambda: torch.cat([decode(features[n : n + 1], grid[n : n + 1]) for n in range(pictures)]),
        ),
        f"decode {pictures} x {prompts} states, one call a state": (
            lambda: decode(features, grid),
            lambda: torch.cat([
                torch.cat([decode(features[n : n + 1], grid[n : n + 1, k : k + 1]) for k in range(prompts)], 1)
                for n in range(pictures)
            ]),
        ),
    }  # fmt: skip


def seconds(work: Callable, read: Callable[[], float]) -> float:
    """How long a call takes."""
    start = read()
    work()
    return read() - start


def main(arguments: list[str]) -> None:
    """Prints the figures as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["tiny", *WIDTHS], default="tiny")
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=3, help="[SEG] states of a picture")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=list(PRECISIONS), default="fp32")
    options = parser.parse_args(arguments)
    device = this_device()
    torch.manual_seed(0)
    head, read, rows = build(options.size, PRECISIONS[options.precision], device), clock(device), []
    with torch.no_grad():
        for name, (at_once, singly) in ways(head, options.pictures, options.prompts, device).items():
            off = (at_once() - singly()).abs().max().item()
            rounds = [(seconds(at_once, read), seconds(singly, read)) for _ in range(options.rounds)]
            once, alone = (median(column) for column in zip(*rounds, strict=True))
            rows.append((name, once, alone, median(b / a for a, b in rounds), off))
    print(f"{options.size}, {options.precision}; {machine(device)}\n")
    print(table(("what", "at once, s", "one by one, s", "times faster", "largest difference"), rows))


if __name__ == "__main__":
    run_command(main)
