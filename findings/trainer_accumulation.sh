#!/usr/bin/env bash
# transformers' Trainer multiplies a segmentation model's loss and gradients by gradient_accumulation_steps.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys

import torch
import transformers
from transformers import (
    PrinterCallback,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    Trainer,
    TrainingArguments,
)

CONFIG = SegformerConfig(
    num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[3, 3], strides=[2, 2],
    num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16, num_labels=3, hidden_dropout_prob=0.0,
    classifier_dropout_prob=0.0, drop_path_rate=0.0,
)
draws = torch.Generator().manual_seed(0)
PICTURES = [
    {"pixel_values": torch.randn(3, 16, 16, generator=draws), "labels": torch.randint(0, 3, (16, 16), generator=draws)}
    for _ in range(4)
]


def step(batch: int, accumulation: int) -> tuple[float, float]:
    """Loss and norm of the gradient in the log of one optimizer step on the same four pictures."""
    torch.manual_seed(0)
    arguments = TrainingArguments(
        output_dir="run", per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation, max_steps=1,
        logging_steps=1, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
    )
    trainer = Trainer(model=SegformerForSemanticSegmentation(CONFIG), args=arguments, train_dataset=PICTURES)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.state.log_history[0]["loss"], trainer.state.log_history[0]["grad_norm"]


whole, parts = step(4, 1), step(1, 4)
print("transformers", transformers.__version__)
print("expected: 4 pictures in one batch, or in 4 batches of one that are accumulated, give one loss and one gradient")
print(f"seen: loss {whole[0]:.2f} and gradient {whole[1]:.3f} in one batch,", end=" ")
print(f"loss {parts[0]:.2f} and gradient {parts[1]:.3f} accumulated: {parts[0] / whole[0]:.2f} times as much")
ratio = parts[0] / whole[0]
sys.exit(0 if 3.5 < ratio < 4.5 else "changed: accumulation is divided out")
EOF
