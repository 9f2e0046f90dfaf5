"""Makes a run whole: one folder that stands on no other and may be moved anywhere.

    ullava.json             the card; its folders lie beside it
    llm/                    a Hugging Face folder: adapters folded in, the vocabulary grown, the tokenizer
    vision/, sam/ ...       the other foundations as they are
    learned.safetensors     all else that learned: projector, heads, and towers that are no longer as they were
    tokenizer files

The language model goes from disk to disk, a file at a time: no more than one of its files is in memory, as often as
safetensors copies it, beside the adapters.
"""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import GENERATION_CONFIG_NAME

from ullava.configs.registry import listing
from ullava.configs.schema import ModelConfig
from ullava.models.backbones.language_model import open_llm
from ullava.models.folders.checkpoints import ADAPTER, LEARNED, read, write
from ullava.models.folders.manifest import Card, foundations, known, rehouse, write_card
from ullava.models.folders.trust import NEVER
from ullava.models.text.tokenization import open_tokenizer
from ullava.models.weights.files import INDEXES, WHOLE, read_file
from ullava.models.weights.progress import progress

LLM, VISION, SAM = "llm", "vision", "sam"
INDEX, SHARD = INDEXES[0], "5GB"
OTHER_FRAMEWORKS = ("*.h5", "*.msgpack", "*.ot", "*.onnx", ".*")  # files of a published folder that nobody here reads


def merge(run: str, destination: str, *, allow_mismatch: bool = False) -> None:
    """Writes the whole model of a run, a checkpoint or a merged folder; the language model in its published precision.

    Raises:
        FileNotFoundError, ValueError: `run` is no such folder, or does not hold what it says.
        FileExistsError: there is something at `destination`.
    """
    target = Path(destination)
    if target.exists():
        raise FileExistsError(f"{destination}: exists already; name another folder, or remove this one")
    card = known(run, allow_mismatch=allow_mismatch)
    aside = target.with_name(f"{target.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    learned = Learned(card)
    write_llm(aside / LLM, card, learned)
    others = {name: learned[name] for name in learned.names if not name.startswith("llm.")}
    write(aside / LEARNED, others)
    for folder in (aside, aside / LLM):
        open_tokenizer(run).save_pretrained(folder)
    config = copy_foundations(aside, card)
    write_card(aside, config, vocabulary=card.vocabulary, learned=others, merged=True, trained=card.trained)
    os.replace(aside, target)


class Learned:
    """What a run learned, read from its folder a tensor at a time.

    Raises:
        ValueError: the files are broken, or do not hold what the card says.
    """

    def __init__(self, card: Card):
        self.card, self.path = card, card.folder / LEARNED
        self.names = set(list_names(self.path))
        lost = sorted(card.learned ^ self.names)
        if lost:
            raise ValueError(listing(f"{self.path}: {len(lost)} weights are not those of its card", lost))
        held = read(card.folder / ADAPTER) if card.config.lora else {}
        self.adapters = {"llm." + name.removeprefix("base_model.model."): tensor for name, tensor in held.items()}

    def __getitem__(self, name: str) -> Tensor:
        with safe_open(self.path, "pt") as file:
            return file.get_tensor(name)

    def folded(self, name: str, tensor: Tensor) -> Tensor:
        """A weight of the language model as it is now, in the precision it was published in."""
        now = self[name] if name in self.names else tensor
        down, up = (self.adapters.get(name.removesuffix("weight") + f"lora_{side}.weight") for side in "AB")
        lora = self.card.config.lora
        if down is not None and up is not None and lora is not None:
            now = now.float() + up.float() @ down.float() * (lora.alpha / lora.rank)
        return now.to(tensor.dtype).contiguous()

    def expected(self) -> set[str]:
        """Names of the language model's weights that are no longer as published."""
        folded = {name.rpartition(".lora_")[0] + ".weight" for name in self.adapters}
        return folded | {name for name in self.names if name.startswith("llm.")}


def list_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file; none of them is read.

    Raises:
        ValueError: the file is broken, or missing.
    """
    try:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); copy it again, or take an older checkpoint") from error


def write_llm(folder: Path, card: Card, learned: Learned) -> None:
    """The language model alone, as any program opens it; as many files as its base has.

    Raises:
        ValueError: the base has no such weights as were learned.
    """
    settings = AutoConfig.from_pretrained(card.config.llm, **NEVER)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(settings)
    own = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    tied = set(network.state_dict()) - own
    folder.mkdir()
    places: dict[str, str] = {}
    size = 0
    with published(card, {name for name, _ in network.named_parameters()}) as files:
        for number, path in enumerate(progress(files, "merging the language model"), 1):
            name = f"model-{number:05}-of-{len(files):05}.safetensors" if len(files) > 1 else WHOLE[0]
            shard = {n: learned.folded(f"llm.{n}", t) for n, t in read_file(path).items() if n not in tied}
            save_file(shard, folder / name, {"format": "pt"})
            places |= dict.fromkeys(shard, name)
            size += sum(tensor.nbytes for tensor in shard.values())
            del shard  # before the next one is read
    lost = sorted(learned.expected() - {f"llm.{name}" for name in places})
    if lost:
        raise ValueError(listing(f"{card.folder}: {len(lost)} learned weights are not of {card.config.llm}", lost))
    if len(files) > 1:
        (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": places}, indent=1))
    settings.vocab_size = card.vocabulary
    settings.architectures = [type(network).__name__]
    settings.save_pretrained(folder)
    said = Path(card.config.llm, GENERATION_CONFIG_NAME)
    (folder / said.name).write_text(said.read_text() if said.is_file() else network.generation_config.to_json_string())


@contextmanager
def published(card: Card, names: Set[str]) -> Iterator[list[Path]]:
    """The weight files of the language model's folder, under the names that its network gives them.

    A network that was drawn, or one whose published names transformers translates, is written down for the moment.
    """
    base = Path(card.config.llm)
    indexes = [base / name for name in INDEXES if (base / name).is_file()]
    wholes = [base / name for name in WHOLE if (base / name).is_file()]
    held: Collection[str] = ()
    if indexes:
        places = json.loads(indexes[0].read_text())["weight_map"]
        held, files = places.keys(), [base / name for name in sorted(set(places.values()))]
    elif wholes:
        files = wholes[:1]
        held = read_file(files[0]).keys()
    if "llm" not in card.config.from_scratch and names <= set(held):
        yield files
        return
    with TemporaryDirectory(dir=card.folder) as place:
        dtype = AutoConfig.from_pretrained(base, **NEVER).dtype or torch.float32
        open_llm(card.config, dtype).save_pretrained(place, max_shard_size=SHARD)
        yield sorted(Path(place).glob("*.safetensors"))


def copy_foundations(folder: Path, card: Card) -> ModelConfig:
    """Copies the other foundations, and returns the model section in which all of them lie inside."""
    names = {card.config.llm: LLM}
    for name, base in progress(foundations(card.config).items(), "copying foundations"):
        if name == "llm":
            continue
        names[base] = name + ("".join(Path(base).suffixes[-1:]) if Path(base).is_file() else "")
        if Path(base).is_file():
            shutil.copy(base, folder / names[base])
        else:
            shutil.copytree(base, folder / names[base], ignore=shutil.ignore_patterns(*OTHER_FRAMEWORKS))
    drawn = tuple(name for name in card.config.from_scratch if name != "llm")
    return rehouse(card.config, names.__getitem__).model_copy(update={"lora": None, "from_scratch": drawn})
