"""Registers our folders with transformers' Auto classes: `import ullava.auto` before they are asked for one.

    import ullava.auto
    from transformers import AutoModelForCausalLM, AutoProcessor

    model = AutoModelForCausalLM.from_pretrained("runs/ullava_stage2")
    processor = AutoProcessor.from_pretrained("runs/ullava_stage2")

`import ullava` alone registers nothing, and loads neither torch nor transformers.
"""

from transformers import AutoConfig, AutoModelForCausalLM, AutoProcessor

from ullava.models.asking import Reply
from ullava.models.auto import UllavaForCausalLM
from ullava.models.auto_config import UllavaConfig
from ullava.models.auto_processor import UllavaProcessor

__all__ = ["Reply", "UllavaConfig", "UllavaForCausalLM", "UllavaProcessor"]

AutoConfig.register(UllavaConfig.model_type, UllavaConfig, exist_ok=True)
AutoModelForCausalLM.register(UllavaConfig, UllavaForCausalLM, exist_ok=True)
AutoProcessor.register(UllavaConfig, UllavaProcessor, exist_ok=True)
