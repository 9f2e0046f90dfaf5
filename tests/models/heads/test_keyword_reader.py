"""[SEG] and [KEY] in one head: whose keyword is whose, what a missing one is, and that all of it learns."""

from dataclasses import replace

import pytest
import torch

from ullava.configs.tokens import KEY, SEG
from ullava.datasets.structures import Dialogue, Promise, Sample, Turn
from ullava.models.batching.collator import Collator
from ullava.models.heads.keyword_reader import PUBLISHED, pairs, shared

ANSWERS = {"red circle": "[KEY] red circle [SEG].", "square": "[KEY] square [SEG].", None: "[SEG]."}
FORMS = {
    "ours": {},
    "published": PUBLISHED,
    "main": {"self_attention": False, "upsample": 12, "pairing": "per_picture", "alignment": "first_token"},
    "figure": {"mlp": False, "upsample": 12, "pairing": "per_picture"},
}


@pytest.fixture
def said(world):
    """Makes a dialogue about a picture: one turn for each keyword, None where nobody knows one."""

    def say(name: str, *keywords: str | None, picture: int = 0) -> Dialogue:
        region, turns, promises = world.region(picture), [], []
        for number, keyword in enumerate(keywords):
            turns.append(Turn("Where is it?", ANSWERS[keyword]))
            promises += [Promise(KEY, region, number, (keyword,))] if keyword else []
            promises += [Promise(SEG, region, number)]
        return Dialogue(name, Sample(name, (world.picture(picture),), (region,)), tuple(turns), tuple(promises))

    return say


@pytest.fixture
def listening(fresh, zoo):
    """Assembles a network whose mask head hears [KEY]."""
    return lambda **fusion: fresh(heads={"mask": {"sam": str(zoo / "sam"), "fusion": fusion}})


def batch_of(assembled, *dialogues):
    collate = Collator(assembled.processor.tokenizer.pad_token_id, assembled.model.tokens)
    return collate([assembled.processor(dialogue) for dialogue in dialogues])


def prompts(assembled, batch, change=None):
    """The prompts of a batch; `change` (token, number) moves one state."""
    head, given = assembled.model.heads["mask"], []
    for seed, token in enumerate((SEG, KEY)):
        count = len(batch.promised[token])
        states = torch.randn(count, 32, generator=torch.Generator().manual_seed(seed))
        if change and change[0] == token:
            states[change[1]] += 1
        given.append(states)
    with torch.no_grad():
        return head.prompts(given[0], batch, given[1])[0]


def moved(assembled, batch, token: str, number: int) -> list[bool]:
    """Which prompts hear that one state has changed."""
    return ((prompts(assembled, batch) - prompts(assembled, batch, (token, number))).abs().amax(1) > 1e-6).tolist()


def test_a_mask_hears_the_keyword_of_its_own_answer(listening, said):
    assembled = listening()
    batch = batch_of(assembled, said("a", "red circle", None, "square"), said("b", "square", picture=1))
    found = pairs(batch.promised[SEG], batch.promised[KEY])
    assert found.int().tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]  # the second answer has none
    assert moved(assembled, batch, KEY, 0) == [True, False, False, False]
    assert moved(assembled, batch, KEY, 1) == [False, False, True, False]
    assert moved(assembled, batch, SEG, 1) == [False, True, False, False]


def test_two_masks_of_one_answer_take_their_keywords_in_order(listening, world, said):
    region = world.region()
    order = [(KEY, "square"), (SEG, None), (KEY, "red circle"), (SEG, None)]
    promises = tuple(Promise(token, region, 0, (word,) if word else ()) for token, word in order)
    turn = Turn("Where are they?", "[KEY] square [SEG], [KEY] red circle [SEG].")
    both = Dialogue("both", Sample("both", (world.picture(0),), (region,)), (turn,), promises)
    assembled = listening()
    batch = batch_of(assembled, both)
    assert pairs(batch.promised[SEG], batch.promised[KEY]).int().tolist() == [[1, 0], [0, 1]]
    assert moved(assembled, batch, KEY, 0) == [True, False]


def test_published_sentences_of_one_picture_mix(listening, said):
    assembled = listening(**PUBLISHED)
    batch = batch_of(assembled, said("a", "red circle", "square"), said("b", "square", picture=1))
    assert shared(batch.promised[SEG], batch.promised[KEY], 3).int().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]
    assert moved(assembled, batch, KEY, 0) == [True, True, False]
    assert moved(assembled, batch, KEY, 2) == [False, False, True]


def test_where_no_keyword_was_said_a_zero_is_read(listening, said):
    for form in ({}, PUBLISHED):
        assembled = listening(**form)
        batch = batch_of(assembled, said("a", None), said("b", "square", picture=1))
        fusion, state = assembled.model.heads["mask"].fusion, torch.randn(1, 32)
        with torch.no_grad():
            zero = fusion.attention(state[None], torch.zeros(1, 1, 32))[0]
            found = fusion(torch.cat([state, state]), torch.randn(1, 32), batch.promised[SEG], batch.promised[KEY])
        torch.testing.assert_close(found[:1], zero)
        assert (found[1] - zero[0]).abs().max() > 1e-4


def test_a_keyword_is_drawn_nowhere_and_counted_where_it_has_words(listening, said):
    batch = batch_of(listening(), said("a", "red circle", None))
    assert batch.promised[KEY].masks == () and len(batch.promised[KEY].boxes) == 0
    assert batch.counts["keyword"] == 1 and batch.counts["mask"] == 2
    assert len(batch.promised[KEY].words) == 1 and len(batch.promised[KEY].words[0]) == 1


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_weight_of_the_fusion_learns(listening, said, form):
    assembled = listening(**FORMS[form])
    model, head = assembled.model, assembled.model.heads["mask"]
    batch = batch_of(assembled, said("a", "red circle", "square", "red circle"), said("b", "square", picture=1))
    model.requires_grad_(True)
    before = {name: weight.detach().clone() for name, weight in head.fusion.named_parameters()}
    optimizer = torch.optim.Adam(head.fusion.parameters(), lr=1e-2)
    model(batch).total.backward()
    optimizer.step()
    after = dict(head.fusion.named_parameters())
    still = {name for name, weight in before.items() if torch.equal(weight, after[name])}
    assert still == set()


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("kind", ["chat", "no keyword"])
def test_ranks_without_promises_use_every_weight(listening, world, said, form, kind):
    assembled = listening(**FORMS[form])
    assembled.model.requires_grad_(True)
    batch = batch_of(assembled, world.chat() if kind == "chat" else said("a", None))
    loss = assembled.model(batch)
    assert loss.parts["keyword_alignment"].item() == 0
    loss.total.backward()
    without = {name for name, p in assembled.model.heads["mask"].fusion.named_parameters() if p.grad is None}
    assert without == set()


def test_answers_are_read_with_their_keywords(listening, said):
    """Given answers and a batch of them go the same way: the second picture's mask is that of its own keyword."""
    from ullava.configs.schema import GenerationConfig
    from ullava.models.answering import Answerer

    answerer = Answerer(listening(), GenerationConfig())
    pair = said("a", "red circle"), said("b", "square", picture=1)
    together = answerer(pair, given=True)
    for dialogue, answer in zip(pair, together, strict=True):
        (alone,) = answerer([dialogue], given=True)
        torch.testing.assert_close(*(torch.from_numpy(one.predictions["mask"][0]) for one in (answer, alone)))
    other = replace(pair[0], turns=(Turn("Where is it?", "[KEY] square [SEG]."),))
    (changed,) = answerer([other], given=True)
    assert abs(changed.predictions["mask"][0] - together[0].predictions["mask"][0]).max() > 1e-5


def test_a_checkpoint_without_fusion_goes_on_with_it(listening, fresh, zoo, tmp_path):
    from ullava.models.folders import checkpoints

    plain = fresh(heads={"mask": {"sam": str(zoo / "sam")}})
    checkpoints.save(tmp_path / "lisa", plain.model, plain.config, plain.processor.tokenizer)
    heads = {"mask": {"sam": str(zoo / "sam"), "fusion": {}}}
    grown = fresh(llm=str(tmp_path / "lisa"), heads=heads)
    for name, weight in plain.model.heads["mask"].named_parameters():
        torch.testing.assert_close(dict(grown.model.heads["mask"].named_parameters())[name], weight)
    checkpoints.save(tmp_path / "keyseg", grown.model, grown.config, grown.processor.tokenizer)
    again = fresh(llm=str(tmp_path / "keyseg"), heads=heads)
    for name, weight in grown.model.heads["mask"].fusion.named_parameters():
        torch.testing.assert_close(dict(again.model.heads["mask"].fusion.named_parameters())[name], weight)


def test_an_unknown_option_is_said(listening):
    with pytest.raises(ValueError, match="model.heads.mask.fusion: no option 'residuals'; did you mean 'residual'"):
        listening(residuals=True)
