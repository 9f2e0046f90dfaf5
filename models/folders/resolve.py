"""The folders that a model section names, each as a path of this machine."""

from ullava.configs.schema import ModelConfig
from ullava.models.folders.hub import local_folder
from ullava.models.folders.manifest import FOUNDED


def named_folders(config: ModelConfig) -> dict[str, str]:
    """Key in the YAML -> what the user wrote there, for every foundation that is named."""
    heads = {f"model.heads.{head}.{option}": (config.heads.get(head) or {}).get(option) for head, option in FOUNDED}
    vision = {"model.vision.tower": config.vision.tower} if config.vision else {}
    return {"model.llm": config.llm} | vision | {key: name for key, name in heads.items() if name}


def resolve_folders(config: ModelConfig, *, weights: bool = True, strict: bool = True) -> ModelConfig:
    """`config` with every foundation as a path of this machine; hub ids are fetched, or found in the cache.

    Args:
        weights: False fetches configurations and tokenizers alone.
        strict: False leaves what cannot be fetched as it stands.

    Raises:
        FileNotFoundError: a hub id that cannot be had; says the key and the command that fetches it.
    """
    places = {}
    for key, name in named_folders(config).items():
        try:
            places[key] = local_folder(name, key, weights=weights)
        except FileNotFoundError:
            if strict:
                raise
            places[key] = name
    if all(places[key] == name for key, name in named_folders(config).items()):
        return config
    heads = {
        head: {
            option: places.get(f"model.heads.{head}.{option}", value) for option, value in (options or {}).items()
        }
        for head, options in config.heads.items()
    }  # fmt: skip
    vision = config.vision and config.vision.model_copy(update={"tower": places["model.vision.tower"]})
    return config.model_copy(update={"llm": places["model.llm"], "vision": vision, "heads": heads})
