"""Our folders, as transformers' `AutoConfig` knows them; apart from the model, so that it is cheap to import."""

from transformers.configuration_utils import PreTrainedConfig


class UllavaConfig(PreTrainedConfig):
    """The `config.json` of a folder of ours; `ullava.json` says it in full (models/folders/manifest.py)."""

    model_type = "ullava"
