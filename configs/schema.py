"""What a run is made of: every key a YAML may hold, with its unit and default. No key is read anywhere else."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Part = Literal[
    "projector", "embeddings", "lm_head", "llm", "lora", "vision", "mask_decoder", "sam_encoder", "heads", "detector",
    "iou_head",
]  # fmt: skip
Precision = Literal["bf16", "fp16", "fp32", "8bit", "4bit"]  # of answering; the last two: of the language model
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
MOST = 1_000_000  # passes, or times as often: beyond, a number was mistyped
Often = Annotated[float, Field(gt=0, le=MOST)]
Options = dict[str, Any]  # arguments of the class that a registry finds; checked where it is built


class Section(BaseModel):
    """A mapping that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class VisionConfig(Section):
    """The tower that sees (u-LLaVA, arXiv:2311.05348, section 3)."""

    tower: str  # folder of a CLIP or SigLIP
    layer: int = -2  # which of its hidden states; -1 is the last
    aspect: Literal["pad", "crop"] = "pad"  # pad: white square around; crop: shorter side, then the centre
    frames: int = Field(default=8, ge=1)  # of a video: this many temporal tokens, then the patches' means over time
    sampling: Literal["uniform", "head_tail", "fps"] = "uniform"  # which frames those are (datasets/moments.py)
    fps: float = Field(default=1.0, gt=0)  # with `sampling: fps`, frames a second


class LoraConfig(Section):
    """Low-rank adapters of the language model (arXiv:2106.09685)."""

    rank: int = Field(default=8, ge=1)  # of the two factors
    alpha: float = Field(default=16, gt=0)  # their product is scaled by alpha / rank
    dropout: float = Field(default=0.05, ge=0, lt=1)  # of the adapter's input
    targets: tuple[str, ...] = ("q_proj", "v_proj")  # names of linear layers inside the language model


class ModelConfig(Section):
    """Which weights to start from, and which heads to attach."""

    llm: str  # folder of a causal language model, or of an ullava run to go on from
    vision: VisionConfig | None = None  # None: as the run that `llm` names
    projector: Literal["linear", "mlp2"] = "linear"  # one linear layer, or two with GELU between
    conversation: str = "vicuna_v1"  # a name in models/text/conversation.py
    lora: LoraConfig | None = None
    heads: dict[str, Options] = {}  # head name -> its options
    tokens: dict[str, str] = {}  # our name of a token -> this checkpoint's spelling, e.g. {SEG: "<ins>"}
    tokenization: Literal["legacy", "native"] | None = None  # None: as the run that `llm` names, else native
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"  # of the language model
    from_scratch: tuple[Literal["llm", "vision", "sam"], ...] = ()  # built from config.json with random weights


class LossConfig(Section):
    """Weights of the losses (u-LLaVA, arXiv:2311.05348, section 3), and where masks are compared."""

    lm: Weight = 1.0  # cross-entropy of the tokens of the answers
    mask_bce: Weight = 2.0  # binary cross-entropy of masks, mean over pixels
    mask_dice: Weight = 0.5  # Dice loss of masks
    box_l1: Weight = 1.0  # L1 distance of boxes
    box_giou: Weight = 1.0  # 1 - generalised IoU of boxes
    detector_focal: Weight = 1.0  # focal loss of the head `detector`
    keyword_alignment: Weight = 1.0  # of the mask head's `fusion`: a [KEY] state against its word
    contrast: Weight = 1.0  # of the head `contrast`: a region against its whole phrase
    multi_label: Weight = 1.0  # of the head `contrast`: a region against each of its words
    resolution: Literal["original", "decoder"] = "original"  # masks are compared at the picture's size, or SAM's
    others: dict[str, Weight] = {}  # of heads from elsewhere; a YAML may write them beside ours
    declared: ClassVar[dict[str, float]] = {}  # such a loss -> its weight where the YAML is silent

    @classmethod
    def declare(cls, weights: Mapping[str, float]) -> None:
        """Makes known the losses of a head, and what they weigh where a YAML is silent."""
        cls.declared.update({name: weight for name, weight in weights.items() if name not in cls.model_fields})

    @model_validator(mode="before")
    @classmethod
    def knows_declared_losses(cls, section: Any) -> Any:
        """Takes the weights of declared losses; what nobody declares is refused like any unknown key."""
        if not isinstance(section, dict):
            return section
        others = {name: weight for name, weight in section.items() if name in cls.declared}
        kept = {name: weight for name, weight in section.items() if name not in others}
        return kept | {"others": {**(kept.get("others") or {}), **others}} if others else kept

    def weights(self) -> dict[str, float]:
        """Loss name -> weight."""
        return self.declared | self.model_dump(exclude={"resolution", "others"}) | self.others


class DataRow(Section):
    """One line of the training mixture."""

    dataset: str  # a name in the catalogue
    task: str  # a name in the task registry
    portion: float = Field(default=1.0, gt=0, le=MOST)  # passes over its records per epoch: 0.5 a half, 2.0 twice
    family: str | None = None  # with `sampling`: rows of one name share one of its rates; None: a family by itself
    rate: float = Field(default=1.0, gt=0, le=MOST)  # with `sampling`: how often in its family; equal rates are LISA's
    mirror: bool = False  # half of its samples are seen as in a mirror; for tasks whose words name no side
    exclude: tuple[str, ...] = ()  # datasets, such as a val split: none of their pictures is drawn from this one
    options: Options = {}  # of the task


class SamplingConfig(Section):
    """LISA's way to mix (arXiv:2308.00692): rows of `data` by rate instead of portion, in epochs of a given size."""

    rates: tuple[Often, ...] = Field(min_length=1)  # of the families, in the order of `data`
    samples_per_epoch: int = Field(ge=1)  # of all devices together


class EvaluationRow(Section):
    """One line of the results."""

    dataset: str  # a name in the catalogue
    task: str  # a name in the task registry
    answers: Literal["generated", "given"] = "generated"  # given: the written answers are read instead
    limit: int | None = Field(default=None, ge=1)  # at most this many samples, evenly spread over the dataset
    shuffled: bool = False  # control: each question is asked of another sample's picture
    protocol: Literal["ullava_trainer", "ullava", "lisa", "lasagna"] = "ullava_trainer"  # whose rules: ours, or theirs
    boxes: str | dict[str, Options] | None = None  # where boxes come from: a source, or {source: its options}
    trivial: str | None = None  # also score the baselines that never look, learned from this training dataset
    metrics: tuple[str, ...] | None = None  # instead of the task's own: [generalised_iou], [vqa_choice]
    options: Options = {}  # of the task

    @model_validator(mode="before")
    @classmethod
    def reads_given_answers(cls, row: Any) -> Any:
        """The published programs score the answers that are written, but for one that names all classes.

        That one takes any name for the class that is spelt most like it (LaSagnA, test_sem.py).
        """
        if not isinstance(row, dict) or row.get("protocol", "ullava_trainer") == "ullava_trainer":
            return row
        if row["protocol"] == "lasagna" and row.get("task") == "multi_target":
            return row | {"options": {"spelling": 0.0} | (row.get("options") or {})}
        if row.get("answers", "given") != "given":
            raise ValueError(f"protocol {row['protocol']!r} scores given answers; leave `answers` out, or the protocol")
        return row | {"answers": "given"}


class TrainingConfig(Section):
    """How long, how fast, how precisely."""

    epochs: float = Field(default=1.0, gt=0, le=MOST)  # passes over the mixture
    max_steps: int | None = Field(default=None, ge=1)  # optimizer steps in all, whatever `epochs` says
    batch_size: int = Field(default=16, ge=1)  # samples per device
    accumulate: int = Field(default=1, ge=1)  # batches to one optimizer step
    max_length: int = Field(default=512, ge=16)  # tokens of a row, patches included; whole turns are cut beyond
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"  # of frozen weights and autocast; what learns is float32
    deepspeed: str | None = None  # a name in configs/deepspeed/ or a path
    fsdp: bool = False  # share out the weights by PyTorch's FSDP instead
    schedule: Literal["cosine", "linear", "constant"] = "cosine"  # of the learning rate, after its rise
    warmup_ratio: float = Field(default=0.03, ge=0, le=1)  # share of the steps in which the learning rate rises
    weight_decay: Weight = 0.0  # of AdamW
    betas: tuple[Share, Share] = (0.9, 0.999)  # of AdamW
    max_grad_norm: Weight = 1.0  # longer gradients are scaled down to this norm; 0: none is
    gradient_checkpointing: bool = False  # keep few activations and compute the others twice
    cache_features: bool = False  # keep the frozen towers' features of every picture in memory
    workers: int = Field(default=4, ge=0)  # processes that read data; 0: the main one does
    on_bad_sample: Literal["stop", "quarantine"] = "stop"  # quarantine: bad_samples.jsonl says what stood in for what
    bad_share: float = Field(default=0.01, ge=0, lt=1)  # with quarantine: stop when more of the records are bad
    seed: Seed = 42  # of every random draw
    log_every: int = Field(default=10, ge=1)  # optimizer steps
    save_every: int | None = Field(default=None, ge=1)  # optimizer steps; None: at each epoch's end
    keep: int = Field(default=2, ge=1)  # checkpoints that stay, the best one apart
    report_to: tuple[str, ...] = ("tensorboard",)  # loggers of transformers; log.jsonl is always written


class GenerationConfig(Section):
    """How answers are generated and scored."""

    batch_size: int = Field(default=16, ge=1)  # questions per device
    max_new_tokens: int = Field(default=128, ge=1)  # an answer is cut beyond
    num_beams: int = Field(default=1, ge=1)  # 1: no beam search
    temperature: float = Field(default=0.0, ge=0)  # 0: greedy
    top_p: float = Field(default=1.0, gt=0, le=1)  # with a temperature: nucleus sampling
    precision: Precision = "fp32"  # 8bit and 4bit quantise the language model only
    options: Options = {}  # any more of transformers' `generate`, e.g. {repetition_penalty: 1.2}
    workers: int = Field(default=2, ge=0)  # processes that read data; 0: the main one does
    seed: Seed = 42  # of every random draw


class RunConfig(Section):
    """One stage of training."""

    output_dir: str  # folder of all that the run writes
    plugins: tuple[str, ...] = ()  # modules outside the package to import first; see docs/extending.md
    model: ModelConfig
    learn: dict[Part, Weight]  # part -> peak learning rate; what is not named is frozen
    new_embeddings_only: bool = False  # of the part `embeddings`, train only the rows of this stage's added tokens
    losses: LossConfig = LossConfig()
    data: tuple[DataRow, ...] = Field(min_length=1)
    sampling: SamplingConfig | None = None  # None: by the portions in `data`
    datasets: dict[str, Options] = {}  # own catalogue entries
    evaluate: tuple[EvaluationRow, ...] = ()  # at the end of every epoch
    best: str | None = None  # "dataset/task/score": keeps the checkpoint where it is highest
    generation: GenerationConfig = GenerationConfig()
    training: TrainingConfig = TrainingConfig()


class EvaluationConfig(Section):
    """One batch evaluation of one trained model."""

    output_dir: str  # folder of all that the run writes
    plugins: tuple[str, ...] = ()  # modules outside the package to import first; see docs/extending.md
    model: str  # folder of a run, a checkpoint or a merged model
    evaluate: tuple[EvaluationRow, ...] = Field(min_length=1)
    datasets: dict[str, Options] = {}  # own catalogue entries
    generation: GenerationConfig = GenerationConfig()
