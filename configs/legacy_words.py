"""What the keys of u-LLaVA's YAML files are called here, and which of them never had an effect, or are not needed.

Read from its programs (OPPOMKLab/u-LLaVA 0416b33 and 986c4fa: utils/config_builder.py, train_ullava*.py, dataset/,
processors/); its training section is transformers' TrainingArguments.
"""

from dataclasses import dataclass, field
from pathlib import Path

ARCHITECTURES = ("ullava_core", "ullava")
CONVERSATIONS = {"conv_simple": "simple", "conv_sep2": "vicuna_v1", "conv_llama2": "llama2"}
PROJECTORS = {"mlp": "linear", "mlp2x": "mlp2"}  # u-LLaVA's `mlp` is one linear layer
DEEPSPEED = {  # the first release's file also moved the optimizer's states to the CPU
    ("ullava_v1", "bf16_zero2.json"): "zero2_offload", ("ullava", "bf16_zero2.json"): "zero2",
    ("ullava_v1", "zero2.json"): "zero2_offload", ("ullava", "zero2.json"): "zero2_offload",
}  # fmt: skip
SCHEDULES = {"constant_with_warmup": "constant"}
LOSSES = {  # their name: ours, and their default
    "ce_loss_weight": ("lm", 1.0), "bce_loss_weight": ("mask_bce", 2.0), "dice_loss_weight": ("mask_dice", 0.5),
    "l1_loss_weight": ("box_l1", 1.0), "iou_loss_weight": ("box_giou", 1.0),
}  # fmt: skip
TEXTS = (
    "llm_path", "vision_encoder", "sam_pretrained", "grounding_path", "path", "anno_dir", "image_dir", "template_root",
    "output_dir", "deepspeed", "projector_type", "conv_type", "lr_scheduler_type", "evaluation_strategy",
)  # fmt: skip
NUMBERS = ("portion", "lora_r", "lora_alpha", "n_frm", "learning_rate", "vision_hidden_layer")
TRAINING = {
    "num_train_epochs": "epochs", "max_steps": "max_steps", "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "accumulate", "model_max_length": "max_length", "warmup_ratio": "warmup_ratio",
    "weight_decay": "weight_decay", "max_grad_norm": "max_grad_norm", "dataloader_num_workers": "workers",
    "seed": "seed", "logging_steps": "log_every", "save_total_limit": "keep",
}  # fmt: skip

IDLE = {  # (root, key): why it never had an effect in u-LLaVA
    ("model", "image_size"): "SAM's frame was 1024 whatever it said",
    ("processor", "image_size"): "pictures took the size in preprocessor_config.json",
    ("dataset", "data_type"): "it was stored and never read",
    ("eval_dataset", "data_type"): "it was stored and never read",
}
DROPPED = {  # (root, key): who does here what it did
    ("model", "out_dim"): "SAM's own width is taken",
    ("task", "collator_type"): "there is one collator",
    ("processor", "mean"): "the tower's folder says it",
    ("processor", "std"): "the tower's folder says it",
    ("processor", "min_scale"): "frames are not cropped at random",
    ("processor", "max_scale"): "frames are not cropped at random",
    ("dataset", "image_token_len"): "the tower's patches are counted",
    ("eval_dataset", "image_token_len"): "the tower's patches are counted",
    ("dataset", "vis_processor"): "a record says whether it shows pictures or a video",
    ("eval_dataset", "vis_processor"): "a record says whether it shows pictures or a video",
    ("training", "remove_unused_columns"): "batches are our own",
    ("training", "disable_tqdm"): "the board shows the steps",
    ("training", "tf32"): "PyTorch's own default stands",
    ("training", "per_device_eval_batch_size"): "`generation.batch_size` says it",
    ("training", "cache_dir"): "nothing is downloaded",
    ("training", "optim"): "AdamW it is",
    ("training", "report_to"): "TensorBoard and log.jsonl are always written",
}
FILES = ("anno_dir", "image_dir", "template_root", "portion")
DATASET = ("data_type", "image_token_len", "vis_processor", "build_info")
KNOWN = {  # every key that u-LLaVA's programs take, and that can mean something here
    "model": (
        "arch", "llm_path", "vision_encoder", "projector_type", "vision_hidden_layer", "projector_from_scratch",
        "conv_type", "sam_pretrained", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules",
        "train_mask_decoder", "out_dim", "image_size", "grounding_path", *LOSSES,
    ),
    "task": ("type", "collator_type"),
    "processor": ("path", "image_size", "aspect_ratio", "n_frm", "mean", "std", "min_scale", "max_scale"),
    "dataset": DATASET, "eval_dataset": DATASET, "build_info": FILES,
    "training": (
        "deepspeed", "output_dir", "learning_rate", "fp16", "bf16", "lr_scheduler_type", "gradient_checkpointing",
        "evaluation_strategy", "eval_strategy", "save_strategy", "save_steps", "adam_beta1", "adam_beta2", *TRAINING,
        *(key for root, key in DROPPED if root == "training"),
    ),
}  # fmt: skip
ROOTS = tuple(root for root in KNOWN if root != "build_info")


@dataclass
class Notes:
    """Remarks on a file: `faults` prevent its translation, `comments` are written into the translated file."""

    faults: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def refuse(self, *faults: str) -> None:
        """Adds a fault, which prevents the translation of the file."""
        self.faults.extend(faults)

    def say(self, text: str) -> None:
        """Adds a comment, once."""
        if (line := f"# {text}") not in self.comments:
            self.comments.append(line)


def place(path: str) -> str:
    """Returns our place of data that u-LLaVA looks for at `path`, from the working directory.

    What is not there counts from our data root, and so does what is under u-LLaVA's, `./dataset_zoo`.
    """
    if Path(path).exists():
        return str(Path(path).absolute())
    parts = Path(path).parts
    return str(Path(*parts[1:])) if parts and parts[0] == "dataset_zoo" else str(Path(path))
