"""`ullava prepare keywords`: KeySeg's list from LISA's, REFER with keywords, and a language model that is asked."""

import json
import pickle

import pytest

from ullava.datasets.readers.regions.reason_seg import ReasonSeg
from ullava.datasets.readers.regions.refer import Refer
from ullava.datasets.tiny_world.world import draw_world
from ullava.preparing.__main__ import main
from ullava.preparing.keywords import of_explanations, of_phrases
from ullava.tasks.base import TASKS

BIN = {
    "image": "a.jpg", "json": "a.json", "query": "Where can we throw the scraps?",
    "outputs": "The trash can is the place for them.",
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return draw_world(tmp_path_factory.mktemp("drawn"), "tiny_test", scenes=8, workers=1)


def prepare(*arguments) -> None:
    main(["keywords", *map(str, arguments)])


def test_lisas_explanations_become_keysegs_list(tmp_path, capsys):
    source = tmp_path / "ReasonSeg" / "explanatory" / "train.json"
    source.parent.mkdir(parents=True)
    empty = BIN | {"query": "what", "outputs": "It is."}
    source.write_text(json.dumps([BIN, empty]))
    prepare(source)
    written = json.loads((tmp_path / "ReasonSeg" / "explanatory_key" / "keyword_outputs.json").read_text())
    assert written == [BIN | {"keyword": "trash can"}, empty | {"keyword": "(not found)"}]
    assert "2 texts, 1 keywords (0 of one word, 1 of two)" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="keyword_outputs.json exists"):
        prepare(source)


def test_the_embedded_worlds_explanations_give_keywords_that_the_reader_reads(tiny, tmp_path):
    output = tmp_path / "keywords.json"
    prepare(tiny / "reason_seg" / "explanatory" / "train.json", "--output", output)
    reader = ReasonSeg("toy", tiny / "reason_seg", images=tiny / "images", explanations=output)
    for sample in reader:
        (region,) = sample.regions
        assert region.keyword and region.keyword in region.reason
        assert TASKS.build("keyword", {}).eval_dialogues(sample)


def test_references_keep_everything_and_gain_keywords(tiny, tmp_path):
    output = tmp_path / "refs.json"
    prepare(tiny / "refs(tiny).p", "--output", output)
    before = pickle.loads((tiny / "refs(tiny).p").read_bytes())
    after = json.loads(output.read_text())
    for ref, found in zip(before, after, strict=True):
        for sentence, said in zip(ref["sentences"], found["sentences"], strict=True):
            assert said["keyword"].endswith(sentence["keyword"])  # the world's own is the noun alone
            assert sentence | {"keyword": said["keyword"]} == said
        assert ref | {"sentences": found["sentences"]} == found
    reader = Refer("toy", output, tiny / "instances.json", tiny / "images", keywords=True)
    assert all(region.keyword for sample in reader for region in sample.regions)


def test_what_a_model_says_counts_where_it_is_said():
    records = [BIN] * 4
    written = of_explanations(records, lambda asked: iter(["Trash can.", "the trash can", "bucket", ""]), "file")
    found = [record["keyword"] for record in written]
    assert found == ["trash can", "(not found) the trash can", "(not found) bucket", "(not found)"]


def test_references_are_not_changed_in_place():
    refs = [{"sentences": [{"sent": "left man"}]}]
    assert of_phrases(refs, lambda asked: iter(["dog"]))[0]["sentences"] == [{"sent": "left man", "keyword": None}]
    assert refs == [{"sentences": [{"sent": "left man"}]}]


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file; name LISA's"):
        prepare(tmp_path / "train.json")
    (tmp_path / "train.json").write_text(json.dumps([{"image": "a.jpg"}]))
    with pytest.raises(ValueError, match="record 0: expected `query`, `outputs` and `image`"):
        prepare(tmp_path / "train.json", "--output", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_a_local_encoder_decoder_is_asked(zoo, tmp_path, capsys):
    """A T5 of random weights proposes nonsense, which is noted as such."""
    import torch
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(zoo / "llm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = T5Config(
            vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
            decoder_start_token_id=tokenizer.pad_token_id or 0, pad_token_id=tokenizer.pad_token_id or 0,
        )  # fmt: skip
        T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    (tmp_path / "train.json").write_text(json.dumps([BIN] * 3))
    prepare(tmp_path / "train.json", "--model", tmp_path / "t5", "--batch-size", 2, "--output", tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert len(written) == 3 and len({record["keyword"] for record in written}) == 1
    assert "3 texts" in capsys.readouterr().out
