"""Listings: read once, again after a write of anybody, and never another collection's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onesense.index.collection import Collection
from onesense.server.collections_listing import Listings, folders_of
from onesense.server.collections_rows import first_of


@pytest.fixture(params=["media.onesense", "media.json"])
def place(request: Any, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_a_listing_is_kept_until_somebody_writes(place: Path) -> None:
    listings = Listings()
    with Collection.open(place, "tiny") as collection, Collection.open(place, "tiny") as other:
        assert listings.of(collection).n_segments == 0
        collection.add({"id": "one", "content": "a text"})
        first = listings.of(collection)
        assert [entry.path for entry in first.files] == ["one"] and first.by_modality == {"text": 1}
        assert listings.of(collection) is first
        other.add({"id": "two", "content": "another text"})
        assert [entry.path for entry in listings.of(collection).files] == ["one", "two"]


def test_a_collection_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    listings = Listings()
    for id_ in ("one", "two"):
        with Collection.open(tmp_path / id_ / "media.onesense", "tiny") as collection:
            collection.add({"id": id_, "content": "a text"})
            assert [entry.path for entry in listings.of(collection).files] == [id_]


def test_some_are_of_every_kind(tmp_path: Path) -> None:
    from PIL import Image

    for n in range(3):
        (tmp_path / f"{n}.txt").write_text(f"text {n}", encoding="utf-8")
    Image.new("RGB", (40, 30)).save(tmp_path / "picture.png")
    with Collection.open(tmp_path / "media.onesense", "tiny") as collection:
        collection.add([tmp_path])
        listing = Listings().of(collection)
        paths = listing.some(3)
        assert sorted(Path(path).suffix for path in paths) == [".png", ".txt", ".txt"]
        assert [hit.path for hit in first_of(collection, paths)] == paths
        assert first_of(collection, []) == []


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        ([], []),
        (["/a/b/1", "/a/b/2"], ["/a/b/"]),
        (["/a/b/1", "/a/c/2", "/a/c/d/3"], ["/a/b/", "/a/c/"]),
        (["/a/1", "/a/b/2"], ["/a/", "/a/b/"]),
    ],
)
def test_folders_are_those_below_what_all_share(paths: list[str], folders: list[str]) -> None:
    assert folders_of(paths) == folders
