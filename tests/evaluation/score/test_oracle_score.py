"""`ullava score` on the oracles' own files: every primary value, edge cases included."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from tests.shared import SHARED
from ullava.evaluation.engine.results import read_results
from ullava.evaluation.metrics.captions.caption_tokens import tokenize
from ullava.evaluation.metrics.saliency import Saliency
from ullava.evaluation.score.grey_resize import resize_grey
from ullava.evaluation.score.score import main

ORACLES = SHARED / "oracles"
GENERALISED = {"N_acc": "N-acc", "T_acc": "T-acc"}
UNIONS = {"ALL_plain_multi": ["plain", "multi"], "ALL_with_notarget": ["plain", "multi", "notarget"]}
SALIENT = {"MAE": "MAE", "S": "Smeasure", "wF": "wFmeasure"}
SALIENT |= {f"{kind}{of}": f"{kind}{of}m" for of in "FE" for kind in ("adp", "max", "mean")}
CAPTION = {f"BLEU-{n}": f"Bleu_{n}" for n in range(1, 5)} | {"ROUGE-L": "ROUGE_L", "CIDEr-D": "CIDEr"}
pytestmark = [pytest.mark.shared, pytest.mark.skipif(not ORACLES.is_dir(), reason=f"no {ORACLES}")]


@pytest.fixture
def score(tmp_path):
    """Runs the verb; returns its rows by their dataset."""

    def run(*arguments):
        out = tmp_path / "scores.json"
        main([*map(str, arguments), "--out", str(out)])
        rows = {row["dataset"]: row for row in read_results(out)["rows"]}
        assert not any(row["missing"] or row["extra"] for row in rows.values())
        return rows

    return run


def expected(family):
    return json.loads((ORACLES / family / "expected.json").read_text())


def check(row, values):
    """`values`: our name -> {"value", "abs_tol"}."""
    for name, value in values.items():
        number, found = float(value["value"]), row["metrics"][name]
        wrong = found is not None if math.isnan(number) else abs(found - number) > value["abs_tol"]
        assert not wrong, (row["dataset"], name, found, number)


def suites_of(score, *options):
    """The row of every suite, unions of suites among them."""
    listed = ORACLES / "res" / "cases.json"
    rows = score("masks", "--list", listed, *options)
    for name, parts in UNIONS.items():
        if all(part in rows for part in parts):
            rows |= {name: next(iter(score("masks", "--list", listed, *options, "--suites", *parts).values()))}
    return rows


def test_oracle_score_masks(score):
    rows, suites = suites_of(score), expected("res")["suites"]
    assert suites.keys() <= rows.keys()
    for name, suite in suites.items():
        primary = suite["primary"]
        assert rows[name]["count"] == suite["n_masks"]
        check(rows[name], {key: primary[key] for key in ("gIoU", "cIoU")})
        check(rows[name], {f"P@{t}": value for t, value in primary.get("precision", {}).items()})


def test_oracle_score_generalised_masks(score):
    rows = suites_of(score, "--generalised")
    for name, suite in expected("res")["suites"].items():
        values = suite["primary"].get("generalised", {})
        check(rows[name], {GENERALISED.get(key, key.replace("Pr@", "P@")): value for key, value in values.items()})


def test_oracle_score_boxes(score):
    file, primary = ORACLES / "rec" / "boxes.json", expected("rec")["primary"]["Acc@0.5_float64"]
    (row,) = score("boxes", "--pred", file, "--gt", file).values()
    assert row["count"] == primary["n"]
    check(row, {"acc@0.5": primary})


def test_oracle_score_semantic(score):
    rows, values = score("semantic", "--list", ORACLES / "semseg" / "cases.json"), expected("semseg")
    for suite in json.loads((ORACLES / "semseg" / "cases.json").read_text()):
        row, theirs = rows[suite["suite"]], values[suite["suite"]]
        check(row, {name: theirs["primary"][name] for name in ("mIoU", "pixel_acc")})
        union = theirs["semseg_hszhao"]["union"]
        for label, value in enumerate(theirs["semseg_hszhao"]["inter"]):
            found = row["classes"][str(label)]["IoU"]
            assert found is None if union[label] == 0 else abs(found - value / union[label]) < 1e-12


def test_oracle_score_salient(score):
    listed, values = ORACLES / "salient" / "cases.json", expected("salient")
    for part, only in (("all", ()), ("regular_only", ("--only", *values["regular_ids"]))):
        (row,) = score("salient", "--list", listed, *only).values()
        primary = values[f"primary_dataset_{part}"]
        check(row, {ours: primary[theirs] for ours, theirs in SALIENT.items()})


def test_oracle_score_salient_resized():
    metric = Saliency()
    for case in expected("salient")["resized_with_cv2_INTER_LINEAR_to_gt_size"]:
        grey, truth = (np.array(Image.open(ORACLES / case[key]).convert("L")) for key in ("pred", "gt"))
        found = metric.score([metric.measure(resize_grey(grey, truth.shape), truth > 128)])
        for ours, theirs in SALIENT.items():
            assert theirs not in case or abs(found[ours] - case[theirs]) <= 1e-9, (case["pred"], ours)


def test_oracle_score_captions(score):
    """By the words that Python cuts; those are the reference's but for odd strings (test_oracle_caption)."""
    for name, values in expected("caption").items():
        files = (ORACLES / "caption" / f"{name}_{kind}.json" for kind in ("results", "annotations"))
        (row,) = score("captions", "--pred", next(files), "--gt", next(files)).values()
        same = words_agree(name, values["tokenized"])
        if same or name != "edge":
            corpus, tolerance = values["corpus"], 1e-9 if same else 2e-3
            check(row, {ours: {"value": corpus[theirs], "abs_tol": tolerance} for ours, theirs in CAPTION.items()})


def words_agree(name, words):
    """Whether Python cuts every text as the reference does."""
    results = json.loads((ORACLES / "caption" / f"{name}_results.json").read_text())
    annotations = json.loads((ORACLES / "caption" / f"{name}_annotations.json").read_text())["annotations"]
    ours = {str(one["image_id"]): tokenize(one["caption"]) for one in results}
    references = {}
    for one in annotations:
        references.setdefault(str(one["image_id"]), []).append(tokenize(one["caption"]))
    return ours == words["hypotheses"] and references == words["references"]


def test_oracle_score_vqa(score):
    for name, values in expected("vqa").items():
        files = (ORACLES / "vqa" / f"{name}_{kind}.json" for kind in ("results", "annotations"))
        rows = score("vqa", "--pred", next(files), "--gt", next(files))
        primary = values["primary"]["accuracy_percent"]
        check(rows[f"{name}_annotations"], {"accuracy": {key: value / 100 for key, value in primary.items()}})


def test_oracle_score_salient_on_pysodmetrics_own_pictures(score):
    """Their examples/test_data, and what their examples/version_performance.json says of it since version 1.4.0."""
    folder = ORACLES.parent / "realdata" / "pysodmetrics_testdata"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    (row,) = score("salient", "--pred", folder / "preds", "--gt", folder / "masks").values()
    published = {
        "MAE": 0.03705558476661653, "S": 0.9029761578759272, "wF": 0.5579812753638986,
        "adpE": 0.9408760066970617, "meanE": 0.9566258293508704, "maxE": 0.9669544828922699,
        "adpF": 0.5816750824038355, "meanF": 0.577051059518767, "maxF": 0.5886784581120638,
    }  # fmt: skip
    check(row, {name: {"value": value, "abs_tol": 1e-9} for name, value in published.items()})
