"""Google's bodies into contents, vectors into Google's answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onesense import Content, Part
from onesense.errors import EmptyInput, InvalidInput, TooLarge
from onesense.server import gemini_wire as wire
from onesense.server.protojson import read
from onesense.server.sources import FileRef
from onesense.types import Embedding, Features, Task


def wanted(**fields: Any) -> wire.Wanted:
    return wire.read_wanted(read(wire.EMBED_REQUEST, fields))


def content(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"parts": list(parts)}


def test_parts_keep_their_order_and_files_are_opened_in_it() -> None:
    found = wanted(
        content=content(
            {"text": "a"},
            {"fileData": {"fileUri": "files/x", "mimeType": "image/png"}},
            {"inlineData": {"data": "aGk=", "mimeType": "audio/wav"}},
            {"fileData": {"fileUri": "files/y"}},
        )
    )
    assert found.refs == [FileRef("files/x", "image/png"), FileRef("files/y", None)]
    job = found.job([Part.bytes(b"X"), Part.bytes(b"Y")], honours_task=False)
    assert [p.value for p in job.content.parts] == ["a", b"X", b"hi", b"Y"]
    assert job.content.parts[2].mime_type == "audio/wav"


def test_a_window_belongs_to_its_part_also_where_that_is_a_file() -> None:
    found = wanted(
        content=content(
            {"fileData": {"fileUri": "files/x"}, "videoMetadata": {"startOffset": "1s", "endOffset": "2.5s", "fps": 4}},
            {"text": "a"},
        )
    )
    first, second = found.job([Part.bytes(b"X")], honours_task=False).content.parts
    assert (first.start_s, first.end_s, first.fps) == (1.0, 2.5, 4.0)
    assert (second.start_s, second.fps) == (None, None)


def test_the_config_wins_over_the_old_fields() -> None:
    found = wanted(
        content=content({"text": "a"}),
        outputDimensionality=5,
        taskType="CLUSTERING",
        embedContentConfig={"outputDimensionality": 7, "taskType": "RETRIEVAL_QUERY", "autoTruncate": False},
    )
    assert (found.dim, found.task, found.auto_truncate) == (7, Task.SEARCH_QUERY, False)


def test_task_and_title_count_where_they_are_honoured_only() -> None:
    found = wanted(content=content({"text": "a"}), title="T")
    assert found.job([], honours_task=True).task is Task.SEARCH_DOCUMENT
    assert found.job([], honours_task=True).content == Content("a", title="T")
    assert found.job([], honours_task=False).task is None
    assert found.job([], honours_task=False).content == Content("a")


def test_a_video_is_heard_unless_its_sound_is_not_wanted() -> None:
    part = {"inlineData": {"data": "aGk="}}
    for wanted_sound, expected in ((None, True), (True, True), (False, False)):
        config = {} if wanted_sound is None else {"audioTrackExtraction": wanted_sound}
        job = wanted(content=content(part), embedContentConfig=config).job([], honours_task=False)
        assert job.content.parts[0].sound is expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "contents is not specified"),
        ({"content": {}}, "contents is not specified"),
        ({"content": content()}, "contents is not specified"),
        ({"content": content({})}, "empty Part"),
        ({"content": content({"text": ""})}, "empty Part"),
        ({"content": content({"text": "a"}, {"text": ""})}, "empty Part"),
        ({"content": content({"thought": True})}, "empty Part"),
        ({"content": content({"inlineData": {}})}, "empty Part"),
        ({"content": content({"inlineData": {"mimeType": "image/png"}})}, "`inlineData.data` is missing"),
        ({"content": content({"inlineData": {"data": ""}})}, "`inlineData.data` is missing"),
        ({"content": content({"fileData": {"mimeType": "image/png"}})}, "`fileData.fileUri` is missing"),
    ],
)
def test_nothing_to_embed_is_refused_in_googles_words(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(EmptyInput, match=said.replace(".", r"\.")):
        wanted(**fields)


def test_a_window_of_a_text_means_nothing() -> None:
    with pytest.raises(InvalidInput, match="videoMetadata"):
        wanted(content=content({"text": "a", "videoMetadata": {"fps": 1}}))


def test_usage_is_summed_by_modality_in_both_of_googles_spellings() -> None:
    found = [Embedding(np.ones(1), 5, {"text": 2, "image": 3}), Embedding(np.ones(1), 4, {"text": 4}, truncated=True)]
    usage = wire.usage(found)
    expected = [{"modality": "TEXT", "tokenCount": 6}, {"modality": "IMAGE", "tokenCount": 3}]
    assert usage == {
        "promptTokenCount": 9,
        "totalTokenCount": 9,
        "promptTokensDetails": expected,
        "promptTokenDetails": expected,
    }
    assert wire.embedding(found[1])["statistics"]["truncated"] is True


def test_counted_tokens() -> None:
    found = [Features(None, 3, {"pdf": 3}), Features(None, 1, {"text": 1})]
    assert wire.counted(found)["totalTokens"] == 4
    assert wire.counted(found)["promptTokensDetails"][0] == {"modality": "DOCUMENT", "tokenCount": 3}


def test_an_error_names_its_entry() -> None:
    error = wire.fault_of_item(TooLarge("too long"), 3)
    assert (type(error), str(error)) == (TooLarge, "requests[3]: too long")
    assert isinstance(error, InvalidInput)
    assert error.violations == (("requests[3].content", "too long"),)
