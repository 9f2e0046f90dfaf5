"""Masks and their names: who is whose positive, where gradients go, and what ranks share."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from ullava.configs.tokens import SEG
from ullava.datasets.images import View
from ullava.datasets.masks import IGNORED
from ullava.models import losses
from ullava.models.assembly import assemble
from ullava.models.batching.collator import Collator, stand
from ullava.models.folders.checkpoints import save
from ullava.models.heads.contrast import ContrastHead
from ullava.models.heads.mask import MaskLogits
from ullava.models.heads.named import meanings, named
from ullava.models.heads.pooling import under

WIDTH, SEEN = 8, 4
HANDLE, LID, MUG, POT = (3,), (4, 5), (6,), (7,)
OF_MUG, OF_POT, LID_OF = (3, 9, 6), (3, 9, 7), (4, 5, 9, 7)
WORDS = ((OF_MUG, HANDLE, MUG), (OF_POT, HANDLE, POT), (LID_OF, LID, POT))


@pytest.fixture
def table():
    torch.manual_seed(1)
    return nn.Embedding(12, WIDTH)


@pytest.fixture
def head(table):
    def make(**options):
        torch.manual_seed(0)
        head = ContrastHead(WIDTH, SEEN, View(32, "corner"), channels=6, hidden=16, **options)
        head.bind_embeddings(table)
        return head

    return make


class Held:
    """Of a batch, what this head reads."""

    def __init__(self, words):
        one = stand([(n, 0) for n in range(len(words))], range(len(words)), [(16, 32)] * len(words))
        self.promised = {SEG: replace(one, words=tuple(words))}


def masks(words, logits=None, features=None):
    count = len(words)
    torch.manual_seed(2)
    return MaskLogits(
        torch.randn(count, 16, 16) if logits is None else logits,
        Held(words).promised[SEG],
        features=torch.randn(max(count, 1), SEEN, 4, 4) if features is None else features,
    )


def test_contrastive_is_infonce_both_ways_where_all_names_differ():
    similarity = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    # rows: log(e^2 + e^1) - 2, log(e^0 + e^3) - 3; columns: log(e^2 + e^0) - 2, log(e^1 + e^3) - 3; halves
    rows = [math.log(math.e**2 + math.e) - 2, math.log(1 + math.e**3) - 3]
    columns = [math.log(math.e**2 + 1) - 2, math.log(math.e + math.e**3) - 3]
    expected = [(row + column) / 2 for row, column in zip(rows, columns, strict=True)]
    assert losses.contrastive(similarity, torch.eye(2)).tolist() == pytest.approx(expected, abs=1e-6)


def test_things_of_one_name_are_no_negatives_of_each_other_by_name():
    sharp = torch.tensor([[50.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    belongs = torch.tensor([[1, 0], [1, 0], [0, 1]])
    # a name of two things is right for each: log 2 is what soft cross-entropy leaves, halved; nothing for the other
    assert losses.contrastive(sharp, belongs).tolist() == pytest.approx([math.log(2) / 2, math.log(2) / 2, 0], abs=1e-5)


def test_several_names_share_a_thing_alike():
    even = torch.zeros(1, 4)
    # softmax over 4 equal names, any share of them: log 4; over the only thing: 0; halved
    belongs = torch.tensor([[1, 1, 1, 0]])
    assert losses.contrastive(even, belongs).tolist() == pytest.approx([math.log(4) / 2], abs=1e-6)


def test_equal_words_are_one_and_whole_phrases_come_first():
    names = named((*WORDS, WORDS[0]), torch.device("cpu"))
    assert names.known == (OF_MUG, OF_POT, LID_OF, HANDLE, MUG, POT, LID)
    assert names.whole.int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert names.belongs[1].int().tolist() == [0, 1, 0, 1, 0, 1, 0]


def test_a_word_means_the_mean_of_its_pieces_and_does_not_learn(table):
    found = meanings((LID, MUG), table)
    torch.testing.assert_close(found[0], table.weight[[4, 5]].mean(0))
    torch.testing.assert_close(found[1], table.weight[6])
    assert not found.requires_grad


def test_the_mean_under_a_mask_counts_the_picture_alone():
    features = torch.zeros(1, SEEN, 4, 4)
    features[0, 0, :2, :2], features[0, 1, :2, 2:], features[0, 2, 2:] = 1, 1, 1  # a picture of 16 x 32 ends at row 2
    logits = torch.full((1, 16, 16), -50.0)
    logits[:, :, :8] = 50  # the left half, in the padding, too
    found = under(masks(WORDS[:1], logits, features), View(32, "corner"), truly=True)
    torch.testing.assert_close(found, torch.tensor([[1.0, 0, 0, 0]]))


def test_where_there_is_a_true_mask_it_is_meant_and_nothing_else_is_learned_by_it():
    features = torch.zeros(2, SEEN, 4, 4)
    features[:, 0, :2, :2], features[:, 1, :2, 2:] = 1, 1  # left and right of pictures of 16 x 32
    logits = torch.full((2, 16, 16), -50.0)
    logits[:, :, :8] = 50  # the left
    logits.requires_grad_()
    seen = masks(WORDS[:2], logits, features)
    right = torch.zeros(16, 32, dtype=torch.uint8)
    right[:, 16:] = 1
    right[0, 0] = IGNORED
    seen = replace(seen, promised=replace(seen.promised, masks=(right,), with_mask=(0,)))
    found = under(seen, View(32, "corner"), truly=True)
    torch.testing.assert_close(found, torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0]]))
    (grads,) = torch.autograd.grad(found[0].sum() * 2 + found[1, 1], logits)
    assert not grads[0].any()
    predicted = under(seen, View(32, "corner"), truly=False)
    torch.testing.assert_close(predicted, torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0]]))


def test_a_loss_for_every_promise_that_has_words(head):
    some = head()
    words = (WORDS[0], (), WORDS[1], WORDS[2])
    batch = Held(words)
    predicted = some(torch.zeros(4, WIDTH), batch, masks(words))
    torch.testing.assert_close(predicted.norm(dim=1), torch.ones(4))
    assert [len(loss) for loss in some.losses(predicted, batch).values()] == [3, 3]
    assert len(some.results(predicted, batch)) == 4


def test_gradients_reach_the_mask_and_never_the_words(head, table):
    logits = torch.randn(3, 16, 16, requires_grad=True)
    some, batch = head(), Held(WORDS)
    found = some.losses(some(torch.zeros(3, WIDTH), batch, masks(WORDS, logits)), batch)
    sum(loss.sum() for loss in found.values()).backward()
    assert logits.grad[:, :8].abs().sum() > 0 and not logits.grad[:, 8:].any()  # rows below 8 of 16 are padding
    assert table.weight.grad is None


def test_the_state_may_be_read_instead_of_the_picture(head):
    some, batch = head(reads="state"), Held(WORDS)
    states = torch.randn(3, WIDTH, requires_grad=True)
    sum(loss.sum() for loss in some.losses(some(states, batch, masks(WORDS)), batch).values()).backward()
    assert states.grad.abs().sum() > 0


@pytest.mark.parametrize("reads", ["mask", "predicted", "state"])
@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("words", [(), ((),), WORDS[:1]])
def test_every_parameter_is_used_however_little_is_promised(head, reads, norm, words):
    some, batch = head(reads=reads, norm=norm), Held(words)
    logits = torch.randn(len(words), 16, 16, requires_grad=True)
    states = torch.zeros(len(words), WIDTH, requires_grad=True)
    found = some.losses(some(states, batch, masks(words, logits)), batch)
    assert {len(loss) for loss in found.values()} == {sum(map(bool, words))}
    sum(loss.sum() for loss in found.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in some.parameters())


def test_a_batch_is_learned(head):
    some, batch = head(), Held(WORDS)
    logits = nn.Parameter(torch.zeros(3, 16, 16))
    optimizer = torch.optim.Adam([*some.parameters(), logits], lr=3e-2)
    seen = masks(WORDS)
    values = []
    for _ in range(60):
        found = some.losses(some(torch.zeros(3, WIDTH), batch, replace(seen, logits=logits)), batch)
        total = sum(loss.mean() for loss in found.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        values.append(found["contrast"].mean().item())
    assert values[0] > 0.5 and values[-1] < 0.05


def test_it_is_no_sharper_than_a_hundred(head):
    some, batch = head(), Held(WORDS)
    predicted = some(torch.zeros(3, WIDTH), batch, masks(WORDS))
    with torch.no_grad():
        some.by_phrase.log.fill_(math.log(100))
        most = some.losses(predicted, batch)["contrast"]
        some.by_phrase.log.fill_(9.0)
        torch.testing.assert_close(some.losses(predicted, batch)["contrast"], most)


def worded(world, number, words):
    """A question about a mask that has names, and no truth."""
    region = world.region(number, mask=None)
    dialogue = world.dialogue(f"named{number}", [number], ("Where is it?", "[SEG]."), regions=(region,))
    return replace(dialogue, promises=(replace(dialogue.promises[0], words=words),))


HEADS = {"contrast": {"channels": 8, "hidden": 16, "norm": "batch"}}


@pytest.fixture
def model(recipe):
    return lambda **changes: assemble(recipe(**({"heads": {"mask": recipe().heads["mask"], **HEADS}} | changes)))


def test_a_network_learns_masks_from_words_alone(model, world):
    assembled = model()
    collate = Collator(assembled.processor.tokenizer.pad_token_id, assembled.model.tokens)
    named = [worded(world, n, words) for n, words in enumerate((("red circle", "circle"), ("blue square", "square")))]
    batch = collate([assembled.processor(dialogue) for dialogue in named])
    assert batch.counts["named"] == 2 and batch.counts["mask"] == 0
    found = assembled.model(batch)
    assert found.parts["contrast"] > 0 and found.parts["mask_bce"] == 0
    found.parts["contrast"].backward()
    heads = assembled.model.heads
    assert all(p.grad.abs().sum() > 0 for p in heads["mask"].project.parameters())
    assert not [name for name, p in heads["contrast"].named_parameters() if p.grad is None and "by_word" not in name]


def test_what_it_has_learned_is_saved_with_its_running_statistics(model, recipe, tmp_path):
    parent = model()
    parent.model.heads["contrast"].thing[1].running_mean.fill_(0.7)
    save(tmp_path, parent.model, parent.config, parent.processor.tokenizer)
    child = model(llm=str(tmp_path))
    mine, yours = (one.model.heads["contrast"].state_dict() for one in (child, parent))
    assert all(torch.equal(mine[name], yours[name]) for name in yours)


def test_it_is_nothing_without_masks(recipe):
    with pytest.raises(LookupError, match="model.heads.contrast: it reads what mask predicts; name the head mask, too"):
        assemble(recipe(heads=HEADS))


RANKS = """
import sys, torch, torch.distributed as dist
from ullava.models.heads.contrast import gathered
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
for count in (1, (2, 0)[rank]):
    things = torch.full((count, 3), float(rank + 1), requires_grad=True)
    everyones, words, start = gathered(things, [((rank, n),) for n in range(count)])
    (everyones.sum() * (rank + 1)).backward()  # in all, each thing is counted by 1 of rank 0 and 2 of rank 1
    print(everyones[:, 0].tolist(), words, start, things.grad[:, 0].tolist())
"""


@pytest.mark.slow
def test_ranks_are_each_others_negatives_and_gradients_go_home(tmp_path):
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANKS, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    first, second = (process.communicate(timeout=300)[0].splitlines()[-2:] for process in ranks)
    even, uneven = "[1.0, 2.0] [((0, 0),), ((1, 0),)]", "[1.0, 1.0] [((0, 0),), ((0, 1),)]"
    assert first == [f"{even} 0 [3.0]", f"{uneven} 0 [3.0, 3.0]"]
    assert second == [f"{even} 1 [3.0]", f"{uneven} 2 []"]
