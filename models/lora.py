"""Low-rank adapters of the language model (arXiv:2106.09685), put in by peft."""

import re
from typing import cast

from peft import LoraConfig as PeftLoraConfig
from peft import inject_adapter_in_model
from torch import nn

from ullava.configs.registry import nearest
from ullava.configs.schema import LoraConfig


def add_lora(llm: nn.Module, config: LoraConfig) -> PeftLoraConfig:
    """Puts adapters beside the linear layers of `llm` that `config.targets` names, and nowhere else.

    Raises:
        LookupError: a target names no linear layer; lists those there are.
    """
    linear = {name for name, module in llm.named_modules() if isinstance(module, nn.Linear) and name != "lm_head"}
    endings = {name.rpartition(".")[2] for name in linear}
    for target in config.targets:
        if target not in endings:
            raise LookupError(f"model.lora.targets: no linear layer {target!r}; {nearest(target, endings)}")
    wanted = "|".join(map(re.escape, config.targets))
    # Whole names, and no modules_to_save: findings/peft_modules_to_save.sh
    settings = PeftLoraConfig(
        r=config.rank,
        lora_alpha=cast(int, config.alpha),  # peft declares an int, and divides it by the rank
        lora_dropout=config.dropout,
        target_modules=sorted(name for name in linear if re.fullmatch(rf".*\.({wanted})", name)),
        bias="none",
        task_type="CAUSAL_LM",
    )
    inject_adapter_in_model(settings, llm)
    return settings
