#!/usr/bin/env bash
# Under DeepSpeed with bf16, transformers' Trainer rounds every float it feeds: a box at pixel 1001 is taught as 1000.
# Needs g++: DeepSpeed compiles its communication for the CPU.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
export TORCH_EXTENSIONS_DIR="$place/extensions" DS_ACCELERATOR=cpu
export RANK=0 LOCAL_RANK=0 WORLD_SIZE=1 MASTER_ADDR=127.0.0.1 MASTER_PORT="$((20000 + RANDOM % 20000))"
"${PYTHON:-python3}" -m venv venv
export PATH="$place/venv/bin:$PATH"
pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 numpy==2.4.6 setuptools==84.2.1 wheel==0.45.1 ninja==1.13.2 \
  py-cpuinfo==9.0.0
pip install --quiet --no-compile --disable-pip-version-check --no-build-isolation deepspeed==0.19.8
python - 2> log <<'EOF' || { cat log; exit 1; }
import sys
from importlib.metadata import version

import torch
from torch import nn
from transformers import PrinterCallback, Trainer, TrainingArguments

TRUTH = [1001.0, 503.0, 1279.0, 717.0]  # x0, y0, x1, y1 in pixels
DEEPSPEED = {"zero_optimization": {"stage": 0}, "bf16": {"enabled": True}, "train_micro_batch_size_per_gpu": 1}


class BoxModel(nn.Module):
    """Learns boxes, and notes what it was taught."""

    def __init__(self):
        super().__init__()
        self.head, self.taught = nn.Linear(4, 4), []

    def forward(self, states: torch.Tensor, boxes: torch.Tensor) -> dict[str, torch.Tensor]:
        self.taught = boxes[0].tolist()
        return {"loss": (self.head(states).float() - boxes.float()).abs().mean()}


def taught(deepspeed: dict | None) -> list[float]:
    """The box that reaches the model, in a run in bf16."""
    arguments = TrainingArguments(
        output_dir="run", per_device_train_batch_size=1, max_steps=1, report_to=[], use_cpu=True, bf16=True,
        deepspeed=deepspeed, save_strategy="no", disable_tqdm=True, remove_unused_columns=False,
    )
    data = [{"states": torch.zeros(4), "boxes": torch.tensor(TRUTH)}]
    trainer = Trainer(model=BoxModel(), args=arguments, train_dataset=data)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.model.taught


plain, sharded = taught(None), taught(DEEPSPEED)
print("transformers", version("transformers"), "with deepspeed", version("deepspeed"))
print(f"expected: bf16=True computes in bfloat16, and the target {TRUTH} arrives as it is in the data set")
print(f"seen: {plain} without DeepSpeed, {sharded} with it")
sys.exit(0 if plain == TRUTH and sharded == [1000.0, 504.0, 1280.0, 716.0] else "changed: targets are not rounded")
EOF
