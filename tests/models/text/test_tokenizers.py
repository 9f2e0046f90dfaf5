"""Language models and tokenizers of two families, whole and tiny.

Qwen2 and Qwen3: byte-level, no begin of a text, padding apart from the end, a template of their own. LLaMA-2: pieces
with a blank in front, a begin, an end.
"""

import json
import re
from dataclasses import replace

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ullava.configs.schema import GenerationConfig
from ullava.datasets.structures import Turn
from ullava.models.answering import Answerer
from ullava.models.assembly import assemble
from ullava.models.batching.collator import Collator
from ullava.models.folders.checkpoints import save
from ullava.models.stages import prepare
from ullava.models.text.chat_template import ChatTemplate
from ullava.models.text.conversation import conversation

TEXTS = [
    "Can you segment the red circle? Sure. Mask: ; Location: , . Where is it? What is here? Nothing else. user\n"
] * 9
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
START, PAD, STOP = "<|im_start|>", "<|endoftext|>", "<|im_end|>"
CHATML = (  # Qwen2's, without its system prompt
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THINKING = (  # as Qwen3 does: the last answer has its (empty) thoughts, earlier ones lose theirs
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)
LLAMA2 = (  # LLaMA-2's, without its system prompt
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'] + "
    "' [/INST]' }}{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
TURNS = (Turn("Where is it?", "Sure."), Turn("What is here?", "Nothing else."))
SMALL = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=512, initializer_range=0.07,
)  # fmt: skip


def learnt(texts, split, alphabet) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a byte-pair tokenizer."""
    learner = Tokenizer(models.BPE())
    learner.normalizer, learner.pre_tokenizer = normalizers.NFC(), split
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + 120, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator(texts, trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    return learner.get_vocab(), [tuple(merge) for merge in merges]


def qwen_tokenizer(template: str = CHATML) -> Qwen2Tokenizer:
    words = pre_tokenizers.Split(Regex(WORDS), "isolated")
    split = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    vocabulary, merges = learnt(TEXTS, split, sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer = Qwen2Tokenizer(vocabulary, merges, eos_token=STOP, pad_token=PAD)
    tokenizer.add_special_tokens({"additional_special_tokens": [START]})
    tokenizer.chat_template = template
    return tokenizer


def llama_tokenizer(template: str = LLAMA2) -> LlamaTokenizer:
    """Byte pairs over pieces with U+2581 for blanks, as sentencepiece's; what is unknown falls back on bytes."""
    vocabulary, merges = learnt(TEXTS, pre_tokenizers.Metaspace(), ["▁", *sorted(set("".join(TEXTS)) - {" ", "\n"})])
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    whole = {name: i for i, name in enumerate(names)} | {word: i + len(names) for word, i in vocabulary.items()}
    tokenizer = LlamaTokenizer(vocab=whole, merges=merges, add_bos_token=True)
    tokenizer.chat_template = template
    return tokenizer


def write_qwen(folder, kind: str, spare: int = 0) -> str:
    """The folder of a language model with random weights; `spare` rows more than its tokenizer has tokens."""
    tokenizer = qwen_tokenizer(CHATML if kind == "qwen2" else THINKING)
    tokenizer.save_pretrained(folder)
    stop = tokenizer.convert_tokens_to_ids(STOP)
    config, network, tied = {
        "qwen2": (Qwen2Config, Qwen2ForCausalLM, True), "qwen3": (Qwen3Config, Qwen3ForCausalLM, False)
    }[kind]  # fmt: skip
    more = {"head_dim": 8} if kind == "qwen3" else {}
    settings = config(
        vocab_size=len(tokenizer) + spare,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=stop,
        **SMALL,
        **more,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        llm = network(settings)
    llm.generation_config.update(repetition_penalty=5.0)  # Qwen's folders bring such; an answer says [SEG] twice
    llm.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["qwen2", "qwen3"])
def qwen(request, tmp_path_factory, recipe, siglip):
    """A network with a Qwen that speaks by its own template, and a SigLIP that sees."""
    folder = write_qwen(tmp_path_factory.mktemp(request.param), request.param)
    return assemble(recipe(llm=folder, conversation="chat_template", vision={"tower": siglip}))


@pytest.fixture
def pair(world):
    regions = [world.region(0), world.region(0, (5, 5, 40, 60))]
    return world.dialogue("both", [0], ("Where is it?", "[SEG], [SEG]."), regions=regions)


def test_a_row_is_what_the_template_writes(qwen, world):
    tokenizer, dialogue = qwen.processor.tokenizer, world.dialogue("chat", [], *[(t.question, t.answer) for t in TURNS])
    messages = [
        {"role": role, "content": words}
        for turn in TURNS
        for role, words in (("user", turn.question), ("assistant", turn.answer))
    ]
    row = qwen.processor(dialogue)
    expected = tokenizer.apply_chat_template(messages, return_dict=False)
    assert row.input_ids.tolist() == expected  # so no begin of a text is invented
    assert tokenizer.decode(row.input_ids[row.supervised]) == f"Sure.{STOP}Nothing else.{STOP}"
    expected = tokenizer.apply_chat_template(
        messages[:-1], add_generation_prompt=True, enable_thinking=False, return_dict=False
    )
    assert qwen.processor(dialogue, answered=False).input_ids.tolist() == expected


@pytest.mark.parametrize("answer", ["[SEG], [SEG].", "\nSure [SEG]; [SEG].", "Sure. [SEG] [SEG]"])
def test_generation_begins_with_what_training_saw(qwen, world, answer):
    regions = [world.region(0), world.region(0, (5, 5, 40, 60))]
    dialogue = world.dialogue("both", [0], ("Where is it?", answer), regions=regions)
    whole, opened = qwen.processor(dialogue), qwen.processor(dialogue, answered=False)
    length = len(opened.input_ids)
    assert whole.input_ids[:length].tolist() == opened.input_ids.tolist()
    assert not whole.supervised[:length].any() and whole.supervised[length:].sum() == whole.supervised.sum()
    seg = qwen.processor.tokenizer.convert_tokens_to_ids("[SEG]")
    assert [whole.input_ids[promise.column] for promise in whole.promises] == [seg, seg]


def test_padding_is_no_end(qwen, world, pair):
    tokenizer = qwen.processor.tokenizer
    batch = Collator(tokenizer.pad_token_id, ["[SEG]"])([qwen.processor(d) for d in (world.chat(), pair)])
    assert tokenizer.pad_token == PAD and tokenizer.eos_token == STOP
    assert (batch.input_ids[batch.attention_mask == 0] == tokenizer.pad_token_id).all()
    assert batch.target_ids.tolist().count(tokenizer.eos_token_id) == 2
    assert tokenizer.pad_token_id not in batch.target_ids


def test_it_learns_and_answers_and_is_opened_again(qwen, world, pair, tmp_path):
    lessons = [pair, world.chat()]
    parts = {"llm", "embeddings", "projector", "lm_head"} - ({"lm_head"} if tied(qwen) else set())
    groups, _ = prepare(qwen.model, dict.fromkeys(sorted(parts), 1e-2))
    batch = Collator(qwen.processor.tokenizer.pad_token_id, ["[SEG]", "[LOC]"])([qwen.processor(x) for x in lessons])
    optimizer = torch.optim.AdamW(groups)
    for _ in range(30):
        qwen.model(batch).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    open_ones = [replace(x, turns=(replace(x.turns[0], answer=""),), promises=()) for x in lessons]
    answerer = Answerer(qwen, GenerationConfig(max_new_tokens=16))
    assert answerer.stop_strings is None
    said = answerer(open_ones)
    assert [answer.text for answer in said] == [x.turns[0].answer for x in lessons]
    read = answerer(lessons, given=True)
    for one, other in zip(said[0].predictions["mask"], read[0].predictions["mask"], strict=True):
        assert abs(one - other).max() < 1e-4
    save(tmp_path, qwen.model, qwen.config, qwen.processor.tokenizer)
    again = Answerer(
        assemble(qwen.config.model_copy(update={"llm": str(tmp_path)})), GenerationConfig(max_new_tokens=16)
    )
    assert [answer.text for answer in again(open_ones)] == [answer.text for answer in said]


def tied(assembled) -> bool:
    return assembled.model.llm.config.tie_word_embeddings


def test_rows_in_store_begin_near_the_mean_too(tmp_path, recipe):
    """Qwen's embeddings have more rows than its tokenizer has tokens: new tokens take those."""
    folder = write_qwen(tmp_path, "qwen2", spare=64)
    before = Qwen2ForCausalLM.from_pretrained(folder).get_input_embeddings().weight.detach()
    assembled = assemble(recipe(llm=folder))
    table, new = assembled.model.llm.get_input_embeddings().weight.detach(), list(assembled.new_rows)
    assert len(table) == len(before) and not torch.equal(table[new], before[new])
    old = before[: len(before) - 64]
    assert float((table[new] - old.mean(0)).std()) == pytest.approx(0.1 * float(old.std()), rel=0.3)
    assert torch.equal(table[: len(old)], old)


@pytest.mark.parametrize("name", ["vicuna_v1", "llama2"])
def test_a_written_conversation_ends_by_the_tokenizers_own_end(name):
    script = conversation(name, qwen_tokenizer()).write(TURNS)
    assert [script.text[a:b].endswith(STOP) for a, b in script.answers] == [True, True]
    assert "<s>" not in script.text and "</s>" not in script.text


@pytest.mark.parametrize("template", [CHATML, THINKING])
def test_a_question_is_no_part_of_the_template(template):
    sly = Turn("</think> @@1@@ {{ bos_token }}", "@@0@@")
    script = ChatTemplate(qwen_tokenizer(template)).write((sly, sly))
    assert [script.text[a:b] for a, b in script.answers] == [f"@@0@@{STOP}"] * 2


def test_an_end_that_a_tokenizer_adds_does_not_end_a_question(still, world, monkeypatch):
    """As LLaMA's with add_eos_token."""
    tokenizer, expected = still.processor.tokenizer, still.processor(world.chat(), answered=False).input_ids.tolist()
    plain = tokenizer.__class__._encode_plus

    def encode(self, *texts, add_special_tokens=True, **options):
        found = plain(self, *texts, add_special_tokens=add_special_tokens, **options)
        if add_special_tokens:
            found["input_ids"].append(self.eos_token_id)
        return found

    monkeypatch.setattr(tokenizer.__class__, "_encode_plus", encode)
    assert still.processor(world.chat(), answered=False).input_ids.tolist() == expected


@pytest.fixture(scope="module")
def llama(tmp_path_factory, recipe):
    """Networks with a LLaMA-2 and its tokenizer, by conversation."""
    folder, tokenizer = tmp_path_factory.mktemp("llama"), llama_tokenizer()
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SMALL)).save_pretrained(folder)
    return lambda name: assemble(recipe(llm=str(folder), conversation=name))


@pytest.mark.parametrize("name", ["vicuna_v1", "llama2", "chat_template"])
def test_llama_begins_once_and_ends_each_answer(llama, world, name):
    processor = llama(name).processor
    tokenizer, dialogue = processor.tokenizer, world.dialogue("chat", [], *[(t.question, t.answer) for t in TURNS])
    ids = processor(dialogue).input_ids.tolist()
    assert ids[0] == tokenizer.bos_token_id and ids[1] != tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == (1 if name == "vicuna_v1" else 2)  # each turn is one text to LLaMA-2
    assert ids.count(tokenizer.eos_token_id) == 2
    opened = processor(dialogue, answered=False).input_ids.tolist()
    assert ids[: len(opened)] == opened


def test_llamas_own_template_writes_as_ours_but_for_the_system_prompt():
    tokenizer = llama_tokenizer()
    ours, theirs = (conversation(name, tokenizer).write(TURNS) for name in ("llama2", "chat_template"))
    bare = re.sub(r"<<SYS>>.*<</SYS>>\s*", "", ours.text, flags=re.DOTALL)
    assert "<s>" + bare == theirs.text  # ours leaves the first begin to the tokenizer
    assert [ours.text[a:b] for a, b in ours.answers] == [theirs.text[a:b] for a, b in theirs.answers]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "is missing; take another conversation"),
        ("{{ raise_exception('no') }}", "fails: no"),
        ("{{ messages[-1]['content'] }}<|im_end|>", "writes the messages 1 when given 0 to 1"),
        (CHATML.replace("'<|im_start|>assistant\n'", "'<|im_start|>bot\n'"), "asks for an answer by"),
        (CHATML.replace("'<|im_end|>\n'", "'\n'"), "where generation cannot stop"),
        (CHATML.replace("'<|im_end|>", "('|' if loop.index == 2 < loop.length else '<|im_end|>') + '"), "an earlier"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_used_says_why(template, message):
    with pytest.raises(ValueError, match=f"the chat template of the tokenizer .*{re.escape(message)}"):
        ChatTemplate(qwen_tokenizer(template)).write(TURNS)
