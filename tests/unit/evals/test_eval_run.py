from __future__ import annotations

import json
from itertools import pairwise

import pytest
from planted import N

from onesense.errors import InvalidInput, NotFound, UnsupportedModality
from onesense.evals.packs import Packs, write_pack
from onesense.evals.run import Step, evaluate, task_names
from onesense.types import Part

SOME = ["glossary", "captions"]


def test_a_report_carries_what_a_number_needs(oracle, data):
    report = evaluate(oracle, data, SOME, seed=3, limit=9, command="onesense eval --limit 9")
    fields = json.loads(report.to_json())
    assert fields == report.to_dict()
    assert fields["format"] == "onesense.eval.v1"
    assert (fields["model"], fields["revision"], fields["dim"]) == ("planted", "1", 256)
    assert (fields["seed"], fields["limit"], fields["command"]) == (3, 9, "onesense eval --limit 9")
    assert fields["machine"] and fields["started"] and fields["version"]
    assert [task["name"] for task in fields["tasks"]] == SOME
    for task in fields["tasks"]:
        assert task["split"] and task["prompts"] and task["error"] is None and task["n_embedded"] > 0
        assert all(result["n"] <= 20 and result["value"] == 1.0 for result in task["results"])


def test_the_table_is_for_people(oracle, data):
    text = evaluate(oracle, data, ["glossary", "ntrex", "composed"], limit=4).to_markdown()
    assert "| glossary | question → definition | R@1 | 100.0 | " in text
    assert "| ntrex | variants of 50 % or more | count | 2 |  | 2 |" in text
    assert "best averaging | R@1 points | +0.0 |" in text
    assert "not comparable with a full run" in text
    assert "not comparable" not in evaluate(oracle, data, ["glossary"]).to_markdown()


def test_all_tasks_run_on_the_tiny_packs(oracle, data):
    report = evaluate(oracle, Packs(data), dims=(64,))
    assert [task.task.name for task in report.tasks] == task_names() and not report.failed
    assert report.seconds > 0


def test_what_tasks_share_is_embedded_once(oracle, data):
    alone = evaluate(oracle, data, ["pdf"]).tasks[0].n_embedded
    _, after = evaluate(oracle, data, ["tables", "pdf"]).tasks
    assert after.n_embedded == alone - N  # the questions were there already


class Blind:
    """A model without eyes."""

    def __init__(self, oracle) -> None:
        self.oracle, self.info = oracle, oracle.info

    def embed(self, contents, *, dim=None, task=None):
        if any(isinstance(part.value, bytes) for content in contents for part in content.parts):
            raise UnsupportedModality("`blind` has no sense for pictures")
        return self.oracle.embed(contents)


def test_a_task_that_fails_does_not_take_the_others_with_it(oracle, data):
    report = evaluate(Blind(oracle), data, ["captions", "glossary"])
    assert [task.task.name for task in report.failed] == ["captions"]
    assert report.tasks[0].to_dict()["error"]["code"] == "unsupported_modality"
    assert report.tasks[1].results[0].value == 1.0
    assert "**captions** was not measured: `blind` has no sense for pictures" in report.to_markdown()


def test_progress_moves_and_ends(oracle, data):
    steps: list[Step] = []
    evaluate(oracle, data, SOME, progress=steps.append)
    assert (steps[0].task, steps[0].done, steps[0].n_embedded) == ("glossary", 0, 0)
    assert steps[-1].done == steps[-1].n_tasks == 2 and steps[-1].n_embedded > 0
    assert all(a.n_embedded <= b.n_embedded for a, b in pairwise(steps))


def test_a_model_may_be_named(data):
    report = evaluate("tiny", data, ["glossary", "composed"], limit=3)
    assert report.model == "tiny" and report.dim == 3072
    assert report.tasks[0].error is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tasks": ["nonsense"]}, NotFound, "glossary"),
        ({"limit": 1}, InvalidInput, "limit 1"),
        ({"dims": (0,)}, InvalidInput, "output sizes"),
        ({"dims": ()}, InvalidInput, "output sizes"),
    ],
)
def test_bad_options_are_refused(oracle, data, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(oracle, data, **options)


def test_a_missing_pack_is_named_before_work_begins(oracle, tmp_path):
    write_pack(tmp_path, {"text/x.tsv.xz": b""})
    with pytest.raises(NotFound, match="task `captions` reads the pack `images/captions`"):
        evaluate(oracle, tmp_path, ["captions"])
    assert not oracle.calls


def test_a_model_that_does_not_exist_is_named(data):
    with pytest.raises(NotFound, match="no-such-model"):
        evaluate("no-such-model", data, ["glossary"])


def test_the_embedder_handed_in_stays_open(oracle, data):
    oracle.close = lambda: pytest.fail("closed somebody else's model")
    evaluate(oracle, data, ["glossary"])


def test_media_reaches_the_model_as_encoded_files(oracle, data):
    evaluate(oracle, data, ["captions"])
    media = [part for content, _ in oracle.calls for part in content.parts if isinstance(part.value, bytes)]
    assert media and all(isinstance(part, Part) and part.mime_type == "image/webp" for part in media)
