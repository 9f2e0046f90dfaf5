"""LLaVA's projector files, `mm_projector.bin`: the first stage's only result, for a language model and a CLIP apart.

Some hold `model.embed_tokens.weight`, too: the rows of the marks around a picture were tuned with it, and the marks
stand behind the vocabulary (arXiv:2304.08485, train.py: tune_mm_mlp_adapter).
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import AddedToken
from torch import Tensor
from transformers import AutoConfig

from ullava.configs.schema import ModelConfig, VisionConfig
from ullava.models.backbones.projector import projector
from ullava.models.backbones.vision_tower import read_settings
from ullava.models.convert.folder import new, spelling
from ullava.models.convert.kinds import MARKS, MODEL_KINDS
from ullava.models.folders.checkpoints import LEARNED, write
from ullava.models.folders.manifest import write_card
from ullava.models.folders.trust import NEVER
from ullava.models.text.tokenization import legacy, open_tokenizer
from ullava.models.weights.files import open_weights
from ullava.models.weights.table import Line, Table

EMBEDDINGS, LM_HEAD = "model.embed_tokens.weight", "lm_head.weight"
TABLE = Table([Line("model.mm_projector.{x}", "projector.{x}")])
TUNED = {2: ("IMAGE_BEGIN", "IMAGE_END"), 3: ("IMAGE_PATCH", "IMAGE_BEGIN", "IMAGE_END")}  # new rows -> whose they are


def convert_projector(
    source: str | Path, destination: str | Path, *, llm: str, vision: str, trust: bool = False
) -> Path:
    """Writes a folder that stands on `llm` and `vision`, and holds what the projector's file does.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: there is something already; a file is missing; a key is
            unknown, missing or of another shape.
    """
    target = new(destination)
    theirs = open_weights(source, trust=trust)
    held, tuned = open_weights(llm), theirs.pop(EMBEDDINGS, None)
    ours, unknown = TABLE.read(theirs)
    name = "mlp2" if "projector.2.weight" in ours else "linear"
    eyes = read_settings(vision, "config.json", "--vision")
    seen, said = eyes.get("vision_config", eyes)["hidden_size"], AutoConfig.from_pretrained(llm, **NEVER).hidden_size
    with torch.device("meta"):
        expected = {f"projector.{n}": tensor.shape for n, tensor in projector(name, seen, said).state_dict().items()}
    TABLE.check(ours, unknown, expected, str(source))
    tokenizer = open_tokenizer(llm)
    words = grown(held, tuned, tokenizer, source) if tuned is not None else held
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    old = Path(llm, "tokenizer.model").is_file()
    config = ModelConfig(
        llm=str(Path(llm).resolve()), projector=name,
        vision=VisionConfig(tower=str(Path(vision).resolve()), aspect="crop"),
        tokens=spelling(MODEL_KINDS["llava"], tokenizer.get_vocab()), tokenization="legacy" if old else "native",
    )  # fmt: skip
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (legacy(tokenizer) if old else tokenizer).save_pretrained(partial)
    learned = ours | {f"llm.{n}": words[n] for n in (EMBEDDINGS, LM_HEAD) if n in words}
    write(partial / LEARNED, learned)
    write_card(partial, config, vocabulary=len(words[EMBEDDINGS]), learned=learned)
    os.replace(partial, target)
    return target


def grown(held: Mapping[str, Tensor], tuned: Tensor, tokenizer, source: str | Path) -> dict[str, Tensor]:
    """The language model's words with the tuned rows of the marks; the last layer knows those by the mean of all.

    Raises:
        ValueError: the rows are neither a whole vocabulary nor those of the marks.
    """
    base = held[EMBEDDINGS]
    rows = torch.cat([base, tuned.to(base.dtype)]) if len(tuned) in TUNED else tuned.to(base.dtype)
    count = len(rows) - len(base)
    if count not in (0, *TUNED) or rows.shape[1] != base.shape[1]:
        raise ValueError(
            f"{source}: {EMBEDDINGS} has shape {tuple(tuned.shape)}, expected {tuple(base.shape)} with 0, 2 or 3 rows "
            "more; take the language model that this projector was trained with"
        )
    tokenizer.add_tokens([AddedToken(MARKS[mark], special=True) for mark in TUNED.get(count, ())])
    table = held[LM_HEAD]
    return {EMBEDDINGS: rows, LM_HEAD: torch.cat([table, table.mean(0, keepdim=True).expand(count, -1)])}
