"""Every folder says what it is, and opens on the foundations that it was trained on."""

import json
import logging
import shutil
import subprocess
from importlib.metadata import version

import pytest
from safetensors.torch import load_file, save_file

from tests.older import without_sums
from ullava.models.assembly import assemble, reopen
from ullava.models.folders.checkpoints import save
from ullava.models.folders.manifest import ROOT, commit, fingerprint, foundations, read_card

LEARN = {"learn": {"projector": 1e-3}}


@pytest.fixture
def own(zoo, tmp_path):
    """Foundations of one's own, to be changed."""
    return shutil.copytree(zoo, tmp_path / "zoo")


@pytest.fixture
def config(recipe, own):
    heads = {"mask": {"sam": str(own / "sam")}}
    return recipe(llm=str(own / "llm"), vision={"tower": str(own / "clip")}, heads=heads)


@pytest.fixture
def run(config, tmp_path):
    """The folder of a run."""
    assembled = assemble(config)
    save(tmp_path / "run", assembled.model, assembled.config, assembled.processor.tokenizer, run=LEARN)
    return tmp_path / "run"


def change(folder) -> tuple[str, str]:
    """Gives a foundation other weights; returns its hash before and after."""
    before, file = fingerprint(folder), folder / "model.safetensors"
    tensors = load_file(file)
    next(iter(tensors.values())).add_(1)
    save_file(tensors, file, {"format": "pt"})
    return before, fingerprint(folder)


def test_a_folder_says_what_it_is(run, own):
    card = json.loads((run / "ullava.json").read_text())
    assert card["run"] == LEARN
    assert card["packages"]["torch"] == version("torch")
    assert card["commit"] == commit()
    assert card["model"]["heads"] == {"mask": {"sam": str(own / "sam")}}
    hashes = {"llm": fingerprint(own / "llm"), "vision": fingerprint(own / "clip"), "sam": fingerprint(own / "sam")}
    assert card["trained"] == [LEARN | {"foundations": hashes}]
    assert card["bases"] == dict(zip(foundations(read_card(run).config).values(), hashes.values(), strict=True))


def test_a_child_knows_what_its_parents_learned(config, run, tmp_path):
    child = assemble(config.model_copy(update={"llm": str(run)}))
    save(
        tmp_path / "two", child.model, child.config, child.processor.tokenizer, run={"learn": {"heads": 1e-4}}
    )  # fmt: skip
    assert [stage["learn"] for stage in read_card(tmp_path / "two").trained] == [{"projector": 1e-3}, {"heads": 1e-4}]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_commit_is_that_of_the_checkout():
    asked = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    assert commit().removesuffix("-dirty") == subprocess.run(asked, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("tower", ["llm", "clip", "sam"])
def test_changed_weights_are_refused_with_both_hashes(run, own, tower):
    before, after = change(own / tower)
    with pytest.raises(ValueError, match=f"run was trained on .*{tower} with sha256 {before}, found {after} in"):
        reopen(run)


def test_changed_weights_are_taken_where_the_user_says_so(run, own, caplog):
    before, after = change(own / "sam")
    with caplog.at_level(logging.WARNING, "ullava"):
        assert reopen(run, allow_mismatch=True).config.heads["mask"]["sam"] == str(own / "sam")
    assert before in caplog.text and after in caplog.text


@pytest.mark.parametrize("tower", ["clip", "sam"])
def test_a_child_on_other_foundations_is_refused_with_both_hashes(recipe, config, run, own, tmp_path, tower):
    other = shutil.copytree(own / tower, tmp_path / "other")
    place = {"vision": {"tower": str(other)}} if tower == "clip" else {"heads": {"mask": {"sam": str(other)}}}
    section = config.model_dump() | {"llm": str(run)} | place
    assemble(recipe(**section))  # the same weights at another place
    before, after = change(other)
    with pytest.raises(ValueError, match=f"{tower} with sha256 {before}, found {after} in .*other; .*--allow-mismatch"):
        assemble(recipe(**section))
    assemble(recipe(**section), allow_mismatch=True)


def test_a_foundation_may_be_a_file(own):
    assert fingerprint(own / "sam" / "model.safetensors") == fingerprint(own / "sam")


@pytest.mark.parametrize("name", ["learned.safetensors", "tokenizer.json", "config.json"])
def test_a_flipped_bit_beside_the_card_is_named(run, name):
    content = bytearray((run / name).read_bytes())
    content[-9] ^= 1
    (run / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"run/{name}: expected sha256 .*, found .*; it was changed; copy"):
        reopen(run)


def test_a_card_without_sums_opens_and_says_so(run, caplog):
    without_sums(run)
    with caplog.at_level(logging.WARNING, "ullava"):
        reopen(run)
    assert "wrote no checksums there" in caplog.text


def test_a_foundation_whose_settings_changed_is_refused(recipe, config, run, own, tmp_path):
    """Another activation gives other numbers, and nothing fails."""
    path = own / "clip" / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(settings.items())) | {"transformers_version": "9"}, indent=7))
    reopen(run)  # it says what it said
    path.write_text(json.dumps(settings | {"hidden_act": "relu"}))
    with pytest.raises(ValueError, match="clip with other settings: config.json changed since; put .*--allow-mismatch"):
        reopen(run)
    with pytest.raises(ValueError, match="clip with other settings: config.json changed since"):
        assemble(recipe(**config.model_dump() | {"llm": str(run)}))
    reopen(run, allow_mismatch=True)
