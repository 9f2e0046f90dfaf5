#!/usr/bin/env bash
# peft's modules_to_save=["proj"] also trains whole copies of q_proj, k_proj ...; target_modules=["proj"] does not.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 peft==0.21.2 transformers==5.24.0 accelerate==1.15.0 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys

import peft
from peft import LoraConfig, get_peft_model
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(16, 16, bias=False) for _ in range(4))


class SeeingModel(nn.Module):
    """A projector called `proj` in front of a language model's layer, as vision-language models have it."""

    def __init__(self):
        super().__init__()
        self.proj, self.attention, self.lm_head = nn.Linear(8, 16), Attention(), nn.Linear(16, 32)


def trained(**options) -> list[str]:
    """Names of the modules that peft makes trainable, each once."""
    model = get_peft_model(SeeingModel(), LoraConfig(r=2, **options))
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    cut = (name.removeprefix("base_model.model.").split(".modules_to_save")[0].split(".lora_")[0] for name in names)
    return list(dict.fromkeys(cut))


print("peft", peft.__version__)
print("expected: both options mean the module `proj`, as target_modules matches whole parts of a name")
targets = trained(target_modules=["proj"])
saved = trained(target_modules=["lm_head"], modules_to_save=["proj"])
print("seen: target_modules=['proj'] trains", targets)
print("      modules_to_save=['proj'] (with LoRA on lm_head alone) trains", saved)
extra = {f"attention.{name}_proj" for name in "qkvo"}
sys.exit(0 if targets == ["proj"] and extra <= set(saved) else "changed: modules_to_save matches whole names")
EOF
