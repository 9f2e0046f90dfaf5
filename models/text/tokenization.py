"""Cuts texts as transformers 4.29 to 4.31 did, with which LLaVA, u-LLaVA and the LISA family were trained.

Today's tokenizers treat the text beside an added token otherwise. That moves the token before [SEG], whose state draws
the mask. The old rule: a text is cut at the added tokens; beside one, all whitespace of the text goes; each piece that
is left is encoded by itself, so each gets the space that SentencePiece puts in front of a text. `<s>`, `</s>` and
`<unk>` cut, too, but leave whitespace alone.

The rule is written into the tokenizer itself (tokenizer.json), so every token still knows its characters, and the
folder says the same to any program that opens it.
"""

import json
import re
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ullava.configs.tokens import TAG
from ullava.models.folders.trust import NEVER, no_code
from ullava.models.text.sentencepiece import SPACE, open_sentencepiece

CUTTING = ("bos_token", "eos_token", "unk_token")  # they leave whitespace alone
ROLES = (*CUTTING, "pad_token")


def open_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """A folder's tokenizer.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it cannot be read.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"model.llm: {folder}: no such folder; expected a Hugging Face folder or an ullava run")
    if Path(folder, "tokenizer.json").is_file():
        with no_code(folder, "model.llm"):
            return AutoTokenizer.from_pretrained(folder, **NEVER)
    if Path(folder, "tokenizer.model").is_file():
        return open_sentencepiece(folder)
    raise FileNotFoundError(f"model.llm: {folder}: holds no tokenizer.json; expected a language model's folder")


def legacy(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """The same vocabulary under the old rule; to be called when all tokens are added.

    Raises:
        ValueError: the tokenizer is not of SentencePiece's kind: the old rule is about no other.
    """
    is_fast = isinstance(tokenizer, PreTrainedTokenizerFast)  # only these have a tokenizer.json
    rules = json.loads(tokenizer.backend_tokenizer.to_str()) if is_fast else None
    if rules is None or rules["model"]["type"] != "BPE" or SPACE not in rules["model"]["vocab"]:
        raise ValueError(
            f"model.tokenization: legacy is for LLaMA's kind of tokenizer (SentencePiece), {tokenizer.name_or_path} "
            "has another; take native"
        )
    marks: set[str | None] = {getattr(tokenizer, role) for role in CUTTING}
    # findings/llama_added_tokens.sh
    for token in rules["added_tokens"]:
        strips = token["content"] not in marks
        token |= {"lstrip": strips, "rstrip": strips, "normalized": False, "single_word": False}
    rules["pre_tokenizer"], rules["normalizer"] = (
        None,
        in_sequence("normalizers", {"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE)),
    )
    rules["decoder"] = in_sequence(
        "decoders", replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}, *closer(rules["added_tokens"], marks),
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(rules)), clean_up_tokenization_spaces=False,
        name_or_path=tokenizer.name_or_path, model_max_length=tokenizer.model_max_length,
        chat_template=tokenizer.chat_template,
        **{role: getattr(tokenizer, role) for role in ROLES if getattr(tokenizer, role)},
    )  # fmt: skip


def in_sequence(name: str, *steps: dict) -> dict:
    """Steps one after another, as tokenizer.json writes them."""
    return {"type": "Sequence", name: list(steps)}


def replace(text: str, by: str, kind: str = "String") -> dict:
    """A step that replaces a text, or what a pattern matches."""
    return {"type": "Replace", "pattern": {kind: text}, "content": by}


def closer(added: list[dict], marks: set[str | None]) -> list[dict]:
    """Steps that take back, in reading, the spaces which the rule put behind added tokens.

    Whether there was one in the text is lost: none is before a mark of punctuation, or in a tag.
    """
    tokens = [re.escape(token["content"]) for token in added if token["content"] not in marks]
    behind = replace(f"(?<={'|'.join(tokens)}) +(?![ \\w])", "", "Regex")
    return [behind, replace(f"(?<={re.escape(TAG)}) ", "", "Regex")] if tokens else []
