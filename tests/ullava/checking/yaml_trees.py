"""Random YAML trees over the tiny world and a tiny zoo, sound ones and broken ones, for test_check_equals_run.py."""

import copy
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Tree = dict[str, Any]
TASKS = ("captioning", "vqa", "res", "rec", "salient", "semantic", "reasoning", "multi_target", "keyword", "part")
ROW = {  # of `evaluate`: key -> values, some of which do not fit
    "dataset": ["tiny_val", "tiny_vla", "tiny_train", "tiny_train_chat", 3],
    "task": [*TASKS, "rez", None],
    "trivial": ["tiny_train", "tiny_trian", "tiny_val", "tiny_train_chat"],
    "protocol": ["ullava_trainer", "ullava", "lisa", "lasagna", "liza"],
    "metrics": [
        [], ["mask_iou"], ["generalised_iou"], ["captions"], ["vqa_choice"], ["vqa_exact"], ["presence"], ["saliency"],
        ["mean_iou"], ["keyword_acc"], ["naming"], ["yes_no"], ["box_accuracy"], ["mask_iuo"], "mask_iou",
    ],
    "answers": ["given", "generated", "gven"],
    "boxes": [
        "box", "mask2box", "detector", {"mask2box": {"least": 0.2}}, {"mask2box": {"leest": 0.2}},
        {"grounding": {"weights": "nowhere"}}, {"box": None, "mask2box": None}, {}, "bux",
    ],
    "limit": [1, 2, 0, "one"],
    "shuffled": [True, False, "perhaps"],
    "options": [
        {}, {"says": ["SEG"]}, {"says": ["LOC"]}, {"says": ["KEY"]}, {"sayz": ["SEG"]}, {"says": "SEG"}, {"rounds": 0},
        {"phrases": "lisa"}, {"phrases": "liza"}, {"form": "nothing"}, 7,
    ],
}  # fmt: skip
DATA = {  # of `data`
    "dataset": ["tiny_train", "tiny_trian", "tiny_train_reasons", "tiny_train_chat"],
    "task": [*TASKS, "rez"],
    "portion": [2.0, 0.5, 0, -1, "twice", 1e-6],
    "family": ["one"], "rate": [2.0],
    "mirror": [True, "no"],
    "exclude": [["tiny_val"], ["tiny_vla"], ["tiny_train"], "tiny_val"],
    "options": ROW["options"],
}  # fmt: skip
SECTIONS: dict[str, list[Any]] = {  # key -> values; {zoo} is the folder of the tiny zoo
    "model.llm": ["{zoo}/llm", "{zoo}/clip", "nowhere", None],
    "model.vision.tower": ["{zoo}/clip", "{zoo}/llm", "nowhere"],
    "model.vision.layer": [-1, -2, 0, 9, -9],
    "model.vision.aspect": ["crop", "pad", "pat"],
    "model.vision": [None, {}],
    "model.projector": ["linear", "mlp2", "mlp3"],
    "model.conversation": ["simple", "vicuna_v1", "llama2", "plain", "chat_template", "vicuna"],
    "model.lora": [{}, {"rank": 2}, {"rank": 0}, {"targets": ["x_proj"]}, {"targets": ["k_proj"]}, {"rang": 2}],
    "model.heads.box": [{}, {"channels": 8}, {"chanels": 8}, {"channels": "many"}, None],
    "model.heads.mask": [{}, {"sam": "{zoo}/sam"}, {"sam": "nowhere"}, {"sam": "{zoo}/clip"}],
    "model.heads.mask.standardise": [True, "perhaps"],
    "model.heads.mask.fusion": [{}, {"nothing": 1}],
    "model.heads.contrast": [{}, {"nothing": 1}],
    "model.heads.detector": [{"weights": "nowhere"}, {}],
    "model.heads.bix": [{}],
    "model.heads": [{}, {"box": {"channels": 16}}],
    "model.tokens": [{"SEG": "<ins>"}, {"SAG": "<ins>"}, {"NEG": ""}],
    "model.tokenization": ["legacy", "native", "new"],
    "model.attention": ["eager", "sdpa", "flash_attention_2", "flash"],
    "model.from_scratch": [["llm"], ["sam"], ["vision"], ["clip"]],
    **{
        f"learn.{part}": [1e-3, -1.0, "fast"]
        for part in ("projector", "embeddings", "lm_head", "llm", "lora", "vision", "mask_decoder", "sam_encoder",
                     "heads", "detector", "iou_head", "projektor")
    },
    "learn": [{}, {"heads": 1e-3}, {"projector": 1e-3}],
    "new_embeddings_only": [True, False],
    "losses": [{"mask_bce": 1.0}, {"mask_dise": 1.0}, {"resolution": "decoder"}, {"resolution": "half"}],
    "sampling": [{"rates": [1], "samples_per_epoch": 4}, {"rates": [1, 2], "samples_per_epoch": 4},
                 {"rates": [1], "samples_per_epoch": 0}],
    "best": ["tiny_val/res/gIoU", "tiny_val/res/gIuO", "tiny_val/vqa/accuracy", "gIoU"],
    "generation.options": [{"repetition_penalty": 1.2}, {"repetition_penality": 1.2}, {"repetition_penalty": "much"},
                           {"num_return_sequences": 2}, {"no_repeat_ngram_size": 2}, {"max_length": 3}, {"top_k": -1}],
    "generation.num_beams": [2, 0],
    "generation.temperature": [0.7, -1],
    "generation.top_p": [0.9, 0],
    "generation.precision": ["bf16", "8bit", "fp8"],
    "generation.max_new_tokens": [1, 0],
    "training.precision": ["bf16", "fp64"],
    "training.schedule": ["linear", "constant", "square"],
    "training.max_length": [512, 64, 24, 8],
    "training.epochs": [0.5, 0],
    "training.batch_size": [2, 0],
    "training.accumulate": [2, 0],
    "training.deepspeed": ["zero9"],
    "training.fsdp": [False],
    "training.gradient_checkpointing": [True],
    "training.cache_features": [True],
    "training.on_bad_sample": ["quarantine", "ignore"],
    "training.save_every": [1, 0],
    "training.max_steps": [1, 0],
    "training.betas": [[0.9, 0.95], [0.9], [2, 2]],
    "training.weight_decay": [0.1, -1],
    "training.workers": [0, -1],
    "training.report_to": [[], ["tensorboard"], ["tensorbord"]],
    "datasets.mine": [{"reader": "refer"}, {"reader": "refar"}, {"by_task": {"res": {}}}],
    "output_dir": ["{zoo}/llm/config.json"],
    "evaluates": [[]],
    "evaluate": [[]],
}  # fmt: skip


@st.composite
def yaml_trees(draw: st.DrawFn, bases: dict[str, Tree], zoo: Path) -> Tree:
    """A tree: one of the bases, with up to three of its keys changed."""
    tree = copy.deepcopy(bases[draw(st.sampled_from(sorted(bases)))])
    sections = ["evaluate", "generation"] if isinstance(tree["model"], str) else ["evaluate", "data", "other", "other"]
    for _ in range(draw(st.integers(0, 3))):
        section = draw(st.sampled_from(sections))
        if section in ("evaluate", "data") and tree[section]:
            keys = ROW if section == "evaluate" else DATA
            key = draw(st.sampled_from(sorted(keys)))
            tree[section][0][key] = draw(st.sampled_from(keys[key]))
        else:
            known = [key for key in sorted(SECTIONS) if section == "other" or key.startswith(section)]
            key = draw(st.sampled_from(known))
            put(tree, key.split("."), placed(draw(st.sampled_from(SECTIONS[key])), zoo))
    return tree


def put(tree: Tree, keys: list[str], value: Any) -> None:
    """Writes a value into a tree, where there is a place for it."""
    *parents, leaf = keys
    node: Any = tree
    for key in parents:
        node = node.setdefault(key, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            return
    node[leaf] = copy.deepcopy(value)


def placed(value: Any, zoo: Path) -> Any:
    """A value with the folder of the zoo in it."""
    if isinstance(value, dict):
        return {key: placed(item, zoo) for key, item in value.items()}
    return value.replace("{zoo}", str(zoo)) if isinstance(value, str) else value
