"""The tower that sees: a CLIP or SigLIP that turns pictures into patch features for the language model."""

import json
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, PreTrainedConfig, SiglipVisionConfig, SiglipVisionModel

from ullava.datasets.images import View
from ullava.models.folders.trust import NEVER, check_folder, no_code

TOWERS = {  # model_type of a folder, of the pair of towers or of the seeing one alone -> the classes that open it
    kind: classes
    for classes in ((CLIPVisionModel, CLIPVisionConfig), (SiglipVisionModel, SiglipVisionConfig))
    for kind in (classes[1].model_type, classes[1].model_type.removesuffix("_vision_model"))
}


class FeatureCache:
    """Features of the pictures seen last, by key, on the host. Valid for one frozen tower and one View.

    With a capacity of 0 it keeps nothing and nothing leaves the device; a picture that stands twice in a batch is still
    encoded once.
    """

    def __init__(self, capacity: int | None = 256):
        self.capacity, self.kept = capacity, OrderedDict()

    def encode(self, pixels: Tensor, keys: Sequence[str], encode: Callable[[Tensor, list[int]], Tensor]) -> Tensor:
        """(N, ..) features of (N, ..) pixels; `encode` gets only the pictures that are not here, and their numbers."""
        first = {key: n for n, key in reversed(list(enumerate(keys)))}
        if self.capacity == 0:
            numbers = list(first.values())
            place = {key: n for n, key in enumerate(first)}
            return encode(pixels[numbers], numbers)[[place[key] for key in keys]]
        missing = [n for key, n in first.items() if key not in self.kept]
        if missing:
            fresh = encode(pixels[missing], missing).detach().cpu()
            self.kept.update((keys[n], features) for n, features in zip(missing, fresh, strict=True))
        features = torch.stack([self.kept[key] for key in keys])
        for key in first:
            self.kept.move_to_end(key)
        while self.capacity is not None and len(self.kept) > self.capacity:
            self.kept.popitem(last=False)
        return features.to(pixels.device, non_blocking=True)


class Tower:
    """A network over normalised pixels that stands outside the module tree while it is frozen.

    What the Trainer does not see is neither sharded nor saved, and is whole on every rank. A tower that learns is
    registered by the model, and then runs with gradients and without a cache.

    Attributes:
        module: the network.
        view: how a picture gets into its square.
        mean, std: (3,) of its normalisation, for pixels in 0..255.
        at_once: pictures that a frozen one encodes together: enough to keep a GPU busy, not a batch's memory. It is one
            where features are kept: a batch gives other last bits than a picture alone, so that what is kept would
            depend on the company in which a picture was first seen, and a resumed run on where it was stopped.
    """

    at_once = 64
    module: Any  # whose parts transformers does not type

    def __init__(self, module: nn.Module, view: View, mean: Sequence[float], std: Sequence[float], source: str):
        self.module, self.view, self.source = module.requires_grad_(False).eval(), view, source
        self.mean, self.std = torch.tensor(mean) * 255, torch.tensor(std) * 255
        self.learns, self.cache = False, FeatureCache()

    def let_learn(self) -> None:
        """From now on it runs with gradients and without a cache."""
        self.learns = True

    def remember(self, capacity: int | None) -> None:
        """Keeps the features of so many pictures; None: of all, 0: of none."""
        self.cache = FeatureCache(capacity)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 -> (N, 3, S, S) in the network's precision, on its device."""
        parameter = next(self.module.parameters())
        if parameter.device != pixels.device:
            self.module.to(pixels.device)
        self.mean, self.std = self.mean.to(pixels.device), self.std.to(pixels.device)
        return ((pixels - self.mean) / self.std).permute(0, 3, 1, 2).to(parameter.dtype)

    def encode(self, pixels: Tensor, keys: Sequence[str], *extras: Sequence) -> Tensor:
        """Features of (N, S, S, 3) uint8 pixels, from the cache where they are known.

        Args:
            pixels: (N, S, S, 3) uint8.
            keys: N names; equal names mean equal pixels.
            extras: further sequences of N that `features` wants.
        """
        if self.learns:
            return self.features(self.normalise(pixels), *extras)

        count = 1 if self.cache.capacity != 0 else self.at_once

        def frozen(missing: Tensor, numbers: list[int]) -> Tensor:
            portions = [numbers[k : k + count] for k in range(0, len(numbers), count)]
            with torch.no_grad(), torch.autocast(missing.device.type, enabled=False):
                return torch.cat([
                    self.features(self.normalise(part), *([extra[n] for n in portion] for extra in extras))
                    for part, portion in zip(missing.split(count), portions, strict=True)
                ])  # fmt: skip

        return self.cache.encode(pixels, keys, frozen)

    def features(self, pixels: Tensor, *extras: Sequence) -> Tensor:
        """Features of normalised pixels."""
        raise TypeError(f"{type(self).__name__} does not say what its features are")


class VisionTower(Tower):
    """Patch features of one hidden layer, without a class token (LLaVA, arXiv:2304.08485).

    A layer is what transformers calls `hidden_states[layer]`, in CLIP and SigLIP alike: -1 is what the last one gives,
    before the norm that SigLIP puts behind it.
    """

    def __init__(
        self, module: nn.Module, view: View, mean: Sequence[float], std: Sequence[float], source: str, *, layer: int
    ):
        super().__init__(module, view, mean, std, source)
        network = inner(module)
        layers = network.encoder.layers
        count = layer if layer >= 0 else len(layers) + 1 + layer
        if not 0 < count <= len(layers):
            raise ValueError(f"model.vision.layer: expected -{len(layers)} to -1, found {layer}")
        network.encoder.layers = layers[:count]  # what lies behind the layer that is read need not run
        if hasattr(network, "use_head"):  # SigLIP's norm and head stand behind the last layer
            network.post_layernorm, network.use_head, network.head = nn.Identity(), False, None
        self.classes = int(hasattr(network.embeddings, "class_embedding"))  # tokens before the patches
        config = network.config
        self.width, self.patches = config.hidden_size, (config.image_size // config.patch_size) ** 2

    def features(self, pixels: Tensor, *extras: Sequence) -> Tensor:
        """(N, 3, S, S) -> (N, patches, width)."""
        return self.module(pixels).last_hidden_state[:, self.classes :]


def inner(module: nn.Module) -> Any:  # a network whose parts transformers does not type
    """The network that holds the encoder; one level deeper in transformers before 5.18."""
    return getattr(module, "vision_model", module)


def open_vision(
    folder: str, *, layer: int, aspect: Literal["pad", "crop"], from_scratch: bool, dtype: torch.dtype
) -> VisionTower:
    """Opens the folder of a CLIP or SigLIP (config.json, preprocessor_config.json, weights), of any square size.

    Raises:
        FileNotFoundError: the folder or one of its files is missing.
        ValueError: another architecture, or `layer` is not one of its layers.
    """
    key = "model.vision.tower"
    settings = read_settings(folder, "preprocessor_config.json", key)
    kind = read_settings(folder, "config.json", key).get("model_type")
    if kind not in TOWERS:
        raise ValueError(f"{key}: {folder} holds a {kind!r}, expected one of {', '.join(sorted(TOWERS))}")
    module = open_module(*TOWERS[kind], folder, key, from_scratch, dtype)
    view = View(inner(module).config.image_size, aspect)
    return VisionTower(module, view, settings["image_mean"], settings["image_std"], folder, layer=layer)


def read_settings(folder: str, name: str, key: str) -> dict:
    """A JSON file of a weights folder."""
    path = Path(folder, name)
    if not path.is_file():
        files = " and ".join(dict.fromkeys(("config.json", name)))
        raise FileNotFoundError(f"{key}: {path}: no such file; expected a Hugging Face folder with {files}")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{key}: {path}: broken JSON ({error}); fetch the file again") from error


@contextmanager
def chance_of(folder: str) -> Iterator[None]:
    """Random numbers that depend on a folder's config.json alone.

    Whoever builds a network from scratch again, a later stage or an evaluation, gets the one that was learned with,
    whatever was drawn before.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(Path(folder, "config.json").read_bytes()))
        yield


def open_module(
    kind: Any, config_kind: type[PreTrainedConfig], folder: str, key: str, from_scratch: bool, dtype: torch.dtype,
    **changes: Any,
) -> Any:  # fmt: skip
    """A network of transformers' class `kind`, with its published weights or, when the YAML says so, random ones.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: the folder's weights are not those of its configuration, or of another architecture.
    """
    settings = read_settings(folder, "config.json", key)
    known = {config_kind.model_type, config_kind.model_type.removesuffix("_vision_model")}
    if settings.get("model_type") not in known:
        raise ValueError(f"{key}: {folder} holds a {settings.get('model_type')!r}, expected {config_kind.model_type!r}")
    if from_scratch:
        check_folder(folder, key)
        with chance_of(folder):
            return kind(config_kind.from_pretrained(folder, **changes)).to(dtype)
    return load_weights(kind, folder, key, dtype=dtype, **changes)


def load_weights(kind: Any, folder: str, key: str, **options: Any) -> Any:
    """A network of transformers' class `kind` with the weights in `folder`, every one of them.

    Raises:
        ValueError: weights are missing, broken, or not those of the folder's configuration.
    """
    check_folder(folder, key)
    try:
        with no_code(folder, key):
            module, loading = kind.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True, **NEVER, **options
            )
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{key}: {folder}: no readable weights ({error}); fetch them again") from error
    lost = sorted(loading["missing_keys"]) + sorted(map(str, loading["mismatched_keys"]))
    if lost:
        raise ValueError(f"{key}: {folder} lacks {len(lost)} weights of its own configuration: {', '.join(lost[:5])}")
    return module
