"""`onesense search` and `onesense analyse`: every option does what it says, or is refused in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from onesense.cli.main import app
from onesense.index.collection import Collection

TEXTS = {
    "cat.txt": "the cat purrs on the sofa",
    "cat copy.txt": "the cat purrs on the sofa",
    "bread.txt": "flour, water and salt make bread",
    "tram.txt": "the tram number 28 climbs the hill",
    "harbour.txt": "ships wait in the harbour",
    "guitar.txt": "a guitar with six strings",
    "snow.txt": "snow covers the mountain hut",
    "garden.txt": "tomatoes ripen in the garden",
}


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("library")
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "long.txt").write_text("\n\n".join(f"{word} " * 80 for word in ("lamp", "chair", "desk")), "utf-8")
    Image.new("RGB", (32, 24), (200, 30, 30)).save(folder / "red.png")
    return folder


@pytest.fixture(scope="module")
def collection(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("collection") / "c.json"
    with Collection.open(path, model="tiny", dim=64) as opened:
        assert not opened.add([library]).failed
    return path


def search(collection: Path, *args: str | Path) -> dict[str, Any]:
    result = run("search", collection, "--json", *args)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def names(answer: dict[str, Any], field: str = "hits") -> list[str]:
    return [Path(row["path"]).name for row in answer[field]]


def refused(*args: str | Path) -> str:
    """The error's code and its message, told once for a program and once for a person."""
    result = run(*args, "--json")
    assert result.exit_code == 2, result.output
    error = json.loads(result.stdout)["error"]
    assert result.stderr.startswith("onesense: ") and "Traceback" not in result.output
    return f"{error['code']}: {error['message']}"


def test_more_like_a_path_or_an_id_of_the_collection(collection: Path, library: Path) -> None:
    by_path = names(search(collection, "--like", library / "cat.txt", "-k", "1"))
    assert by_path == ["cat copy.txt"]
    assert names(search(collection, "--like", f"{library / 'cat.txt'}#0", "-k", "1")) == by_path


def test_plus_and_minus_of_texts_and_files(collection: Path, library: Path) -> None:
    def place(name: str, *args: str | Path) -> int:
        return names(search(collection, "-t", "the tram climbs", "-k", "20", "--no-words", *args)).index(name)

    assert place("bread.txt", "--plus", TEXTS["bread.txt"]) < place("bread.txt")
    assert place("bread.txt", "--plus-file", library / "bread.txt") < place("bread.txt")
    assert place("tram.txt", "--minus", TEXTS["tram.txt"]) > place("tram.txt")
    assert place("tram.txt", "--minus-file", library / "tram.txt") > place("tram.txt")


def test_plus_needs_no_other_query(collection: Path) -> None:
    assert names(search(collection, "--plus", TEXTS["snow.txt"], "-k", "1")) == ["snow.txt"]


def test_pages_follow_each_other(collection: Path) -> None:
    whole = search(collection, "-t", "a guitar", "-k", "20")
    assert whole["page"] == 1 and whole["next_offset"] is None
    first, second = (search(collection, "-t", "a guitar", "-k", "4", "--page", str(n)) for n in (1, 2))
    assert names(first) + names(second) == names(whole)[:8]
    assert (first["next_offset"], second["page"]) == (4, 2)


def test_the_screen_tells_of_the_next_page_and_of_the_last(collection: Path) -> None:
    shown = run("search", collection, "-t", "a guitar", "-k", "4", "--page", "2")
    assert " 5 " in shown.stdout and "more: --page 3" in shown.stdout
    beyond = run("search", collection, "-t", "a guitar", "--page", "9")
    assert beyond.exit_code == 4 and "there is no page 9" in beyond.stdout


def test_one_hit_a_file_with_its_segments(collection: Path) -> None:
    hits = search(collection, "-t", "lamp chair", "-k", "20", "--group", "file")["hits"]
    paths = [hit["path"] for hit in hits]
    assert len(paths) == len(set(paths))
    (long,) = (hit for hit in hits if hit["path"].endswith("long.txt"))
    assert len(long["segments"]) >= 1


def test_near_duplicates_are_put_under_the_best(collection: Path) -> None:
    (cat,) = (h for h in search(collection, "-t", "the cat purrs", "--collapse")["hits"] if "cat" in h["path"])
    assert len(cat["duplicates"]) == 1
    assert "(+1 alike)" in run("search", collection, "-t", "the cat purrs", "--collapse").stdout


def test_rank_by_the_raw_score(collection: Path) -> None:
    scores = [hit["score"] for hit in search(collection, "-t", "the hut", "-k", "20", "--rank", "cosine")["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_words_count_unless_they_are_left_out(collection: Path) -> None:
    assert search(collection, "-t", "tram 28")["hits"][0]["words"] == ["tram", "28"]
    assert all("words" not in hit for hit in search(collection, "-t", "tram 28", "--no-words")["hits"])


def test_facts_filter_and_are_told(collection: Path) -> None:
    (hit,) = search(collection, "-t", "x", "--where", "width>=30", "--where", "mime^=image/")["hits"]
    assert hit["facts"]["width"] == 32 and hit["facts"]["height"] == 24


def test_fields_that_hold_text_are_compared_as_text() -> None:
    from onesense.cli.search import parse_where

    assert parse_where(["taken>=2024", "path=7", "width>=2000"]) == {
        "taken": {"gte": "2024"}, "path": "7", "width": {"gte": 2000},
    }  # fmt: skip


def test_no_confident_match_is_said(collection: Path) -> None:
    answer = search(collection, "-t", "zxqv wvk", "--no-words", "--modality", "text")
    assert answer["is_confident"] is False and answer["hits"]
    shown = run("search", collection, "-t", "zxqv wvk", "--no-words", "--modality", "text").stdout
    assert shown.startswith("no confident match; the nearest are:")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "invalid_input: nothing to look for"),
        (["-t", "x", "--group", "folder"], "invalid_input: hits are grouped by `file`"),
        (["-t", "x", "--rank", "fame"], "invalid_input: hits are ranked by"),
        (["-t", "x", "--modality", "smell"], "invalid_input: unknown modality `smell`"),
        (["--like", "nowhere.png"], "not_found: `nowhere.png` is no id and no path"),
        (["-t", "x", "--plus-file", "gone.png"], "not_found: "),
        (["-t", "x", "--minus-file", "gone.png"], "not_found: "),
        (["--minus", "x"], "invalid_input: nothing to look for"),
        (["-t", "tram", "--minus", "tram", "--minus", "tram"], "invalid_input: what is wanted and what is not cancel"),
        (["-t", "x", "--where", "a=1", "--where", "a>=1"], "invalid_input: --where gives `a` a value and a bound"),
        (["-t", "x", "--modality", "text", "--where", "modality=image"], "invalid_input: the modality is given twice"),
    ],
)
def test_a_wrong_question_is_told_in_one_line(collection: Path, args: list[str], told: str) -> None:
    assert refused("search", collection, *args).startswith(told)


@pytest.mark.parametrize("option", [("-k", "0"), ("--page", "0"), ("--page", "x")])
def test_a_wrong_number_is_a_usage_error(collection: Path, option: tuple[str, str]) -> None:
    assert run("search", collection, "-t", "x", *option).exit_code == 2


# --- analyse --------------------------------------------------------------------------------------------------------


def analyse(what: str, collection: Path, *args: str | Path) -> dict[str, Any]:
    result = run("analyse", what, collection, "--json", *args)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_clusters_hold_every_segment_and_depend_on_the_seed_alone(collection: Path) -> None:
    answer = analyse("cluster", collection, "-n", "3", "--seed", "4")
    assert {row["label"] for row in answer["rows"]} == {"cluster 1", "cluster 2", "cluster 3"}
    assert {*TEXTS, "long.txt", "red.png"} == set(names(answer, "rows"))
    assert analyse("cluster", collection, "-n", "3", "--seed", "4") == answer


def test_duplicates_are_listed_and_none_is_exit_code_4(collection: Path) -> None:
    answer = analyse("duplicates", collection, "--threshold", "0.99")
    assert sorted(names(answer, "rows")) == ["cat copy.txt", "cat.txt"]
    none = run("analyse", "duplicates", collection, "--where", "path=nowhere")
    assert none.exit_code == 4 and "nothing found" in none.stdout


def test_outliers_are_as_many_as_asked(collection: Path) -> None:
    assert len(analyse("outliers", collection, "-n", "3", "--where", "modality=text")["rows"]) == 3
    assert "outliers: 3" in run("analyse", "outliers", collection, "-n", "3").stdout


def test_labels_by_name_and_example(collection: Path, library: Path) -> None:
    example = f"animal={library / 'cat.txt'}"
    answer = analyse("classify", collection, "--label", "the tram climbs the hill", "--example", example)
    labels = {Path(row["path"]).name: row["label"] for row in answer["rows"]}
    assert labels["cat copy.txt"] == "animal" and labels["tram.txt"] == "the tram climbs the hill"


def test_the_whole_table_is_written(collection: Path, tmp_path: Path) -> None:
    answer = analyse("cluster", collection, "-n", "2", "--out", tmp_path / "groups.csv")
    with (tmp_path / "groups.csv").open(encoding="utf-8", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [row["id"] for row in answer["rows"]]


def test_the_screen_shows_groups(collection: Path) -> None:
    shown = run("analyse", "cluster", collection, "-n", "1").stdout
    assert "cluster 1:" in shown and "more" in shown  # eight rows, and how many there are beside


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["cluster", "-n", "99"], "invalid_input: "),
        (["cluster", "--threshold", "0.9"], "invalid_input: `cluster` does not take --threshold"),
        (["outliers", "--label", "a"], "invalid_input: `outliers` does not take --label and --example"),
        (["duplicates", "-n", "3"], "invalid_input: `duplicates` does not take -n"),
        (["duplicates", "--threshold", "1.5"], "invalid_input: the threshold is a cosine"),
        (["classify", "--label", "one"], "invalid_input: a choice needs two labels"),
        (["classify", "--label", "a", "--example", "b"], "invalid_input: --example 'b' is not LABEL=FILE"),
        (["classify", "--label", "a", "--example", "b=gone.png"], "not_found: "),
        (["cluster", "--out", "table.xlsx"], "invalid_input: a table is written as"),
        (["cluster", "--out", "no/such/folder/table.csv"], "invalid_input: `no/such/folder/table.csv` cannot be"),
        (["cluster", "--where", "album"], "invalid_input: --where 'album' is not KEY=VALUE"),
    ],
)
def test_a_wrong_analysis_is_told_in_one_line(collection: Path, args: list[str], told: str) -> None:
    what, *rest = args
    assert refused("analyse", what, collection, *rest).startswith(told)


def test_what_is_not_there_cannot_be_analysed(tmp_path: Path) -> None:
    assert refused("analyse", "cluster", tmp_path / "none.json").startswith("not_found: ")
    assert run("analyse", "dream", tmp_path / "none.json").exit_code == 2
