#!/usr/bin/env bash
# transformers' Trainer resumes with the checkpoint's save_steps and logging_steps, whatever its arguments say now.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 transformers==5.24.0 accelerate==1.15.0 numpy==2.4.6
venv/bin/python - <<'EOF' 2>/dev/null
import sys
from pathlib import Path

import torch
import transformers
from transformers import PrinterCallback, Trainer, TrainingArguments


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(1, 1)

    def forward(self, x, labels):
        return {"loss": torch.nn.functional.mse_loss(self.line(x), labels)}


ROWS = [{"x": torch.tensor([float(n)]), "labels": torch.tensor([2.0 * n])} for n in range(8)]


def train(until: int, every: int, resume: bool) -> list[dict]:
    """Trains until a step, saving and logging `every` so many."""
    arguments = TrainingArguments(
        output_dir="run", per_device_train_batch_size=1, max_steps=until, save_steps=every, logging_steps=every,
        report_to=[], use_cpu=True, disable_tqdm=True,
    )
    trainer = Trainer(model=Line(), args=arguments, train_dataset=ROWS)
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resume)
    return [line["step"] for line in trainer.state.log_history if "loss" in line]


train(2, 1, resume=False)
logged = train(8, 3, resume=True)
saved = sorted(int(path.name.split("-")[1]) for path in Path("run").glob("checkpoint-*"))
print("transformers", transformers.__version__)
print("expected: a run that saved and logged each step goes on with save_steps=3 and logging_steps=3, to step 8")
print(f"seen: checkpoints of steps {saved}, log lines of steps {logged}: each step still")
sys.exit(0 if saved == [1, 2, 3, 4, 5, 6, 7, 8] and logged == saved else "changed: the new arguments are heeded")
EOF
