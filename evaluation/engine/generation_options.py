"""Whether transformers' `generate` takes what a YAML says about generation, found on a network of a few numbers."""

from collections.abc import Iterator
from typing import Any

from ullava.configs.registry import SHOWN, nearest
from ullava.configs.schema import GenerationConfig

OURS = {  # keys of `generate` that the answerer sets, and what sets them in a YAML
    "eos_token_id": "model.conversation", "pad_token_id": "the tokenizer", "stop_strings": "model.conversation",
    "return_dict_in_generate": "the answerer", "use_cache": "the answerer", "num_return_sequences": "the answerer",
    "output_hidden_states": "the answerer", "output_attentions": "the answerer", "max_length": "max_new_tokens",
}  # fmt: skip
WORDS = 40_000  # rows of the small network's vocabulary: options may name tokens by their ids


def generation_faults(generation: GenerationConfig) -> Iterator[str]:
    """Yields what is wrong with a `generation:` section that its schema cannot see: a line each.

    Unknown options are told with the nearest that transformers' GenerationConfig has; whether values fit together is
    tried by generating two tokens with them.
    """
    if not generation.options and generation.num_beams == 1 and not generation.temperature:
        return
    import transformers  # a second, which only options cost

    known = {name for name in transformers.GenerationConfig().to_dict() if not name.startswith("_")} - OURS.keys()
    known -= {"transformers_version"}
    sound = True
    for name, value in generation.options.items():
        if name in OURS:
            yield f"generation.options: {name!r} is set by {OURS[name]}, found {SHOWN.repr(value)}; take it out"
        elif name not in known:
            yield f"generation.options: generate has no option {name!r}; {nearest(name, known)}"
        else:
            continue
        sound = False
    if sound and (fault := attempt(generation)):
        yield f"generation: {fault}; see transformers' GenerationConfig"


def attempt(generation: GenerationConfig) -> str | None:
    """Generates with a tiny random network; returns what goes wrong, None where nothing does."""
    import torch
    from transformers import GenerationConfig as Settings
    from transformers import LlamaConfig, LlamaForCausalLM

    from ullava.models.answering import generation_keywords

    small = LlamaConfig(
        vocab_size=WORDS, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
    )  # fmt: skip
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(generation.seed)
        llm: Any = LlamaForCausalLM(small).eval()  # transformers does not type its `generate`
        llm.generation_config = Settings()
        keywords = generation_keywords(generation) | {"max_new_tokens": 2}
        try:
            result = llm.generate(
                inputs_embeds=torch.zeros(2, 3, 8), attention_mask=torch.ones(2, 3, dtype=torch.long), **keywords,
                eos_token_id=[2], pad_token_id=0, return_dict_in_generate=True, use_cache=True, synced_gpus=False,
            )  # fmt: skip
        except Exception as error:  # whatever transformers raises about what the user wrote
            return f"transformers refuses {SHOWN.repr(generation.options)}: {' '.join(str(error).split())}"
    if len(result.sequences) != 2:
        return f"options: expected one answer a question, found {len(result.sequences)} for 2"
    return None
