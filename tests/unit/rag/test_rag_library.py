from pathlib import Path

import pytest

import asked_library
from onesense.errors import InvalidInput, NotFound, PermissionDenied
from onesense.rag import links
from onesense.rag.library import Library
from onesense.types import Locator

WHOLE = Locator()


def address(library: Library, name: str, place: Locator = WHOLE) -> str:
    path = next(e.path for e in library.collection("test").files() if e.path.endswith(name))
    return links.link("test", path, place)


def test_a_place_is_found_again_by_its_address(library: Library) -> None:
    for passage in library.search("budget", 12)[0]:
        assert library.find(passage.link) == ("test", library.find(passage.link)[1])
        assert library.find(passage.link)[1].id == passage.hit.id


def test_seconds_that_overlap_a_segment_find_it(library: Library) -> None:
    _, hit = library.find(address(library, "tone.wav", Locator(start_s=0.5, end_s=1.0)))
    assert (hit.locator.start_s, hit.locator.end_s) == (0.5, 1.0)
    with pytest.raises(NotFound, match="no such place"):
        library.find(address(library, "tone.wav", Locator(start_s=500.0, end_s=501.0)))


def test_the_text_of_a_file_is_that_of_all_its_pages(library: Library) -> None:
    assert library.text(address(library, "slides.pdf")).split("\n")[0].startswith("Revenue")
    assert "orchard" in library.text(address(library, "slides.pdf", Locator(page=2)))
    assert "Revenue" not in library.text(address(library, "slides.pdf", Locator(page=2)))
    assert library.text(address(library, "photo.png")) == ""


def test_media_are_handed_over(library: Library) -> None:
    assert library.picture(address(library, "reel.mp4"), 1.0).mime_type == "image/jpeg"
    assert library.clip(address(library, "tone.wav", Locator(start_s=0, end_s=1))).data.startswith(b"RIFF")


def test_two_places_are_compared(library: Library) -> None:
    one, other = address(library, "budget.md"), address(library, "bread.txt")
    assert library.compare(one, one) == pytest.approx(1.0, abs=1e-5)
    assert library.compare(one, other) < 0.99


def test_a_library_is_read_only_unless_it_was_opened_otherwise(library: Library) -> None:
    with pytest.raises(PermissionDenied, match="read only"):
        library.add(["/tmp"])


def test_nothing_is_added_where_there_are_no_roots(asked: Path) -> None:
    with Library.open([asked], is_read_only=False) as library, pytest.raises(PermissionDenied, match="outside"):
        library.add([str(asked.parent / "files")])


def test_read_only_stays_for_those_it_is_handed_to(asked: Path) -> None:
    with Library.open([asked], roots=[asked.parent], is_read_only=False) as library:
        with pytest.raises(PermissionDenied, match="read only"):
            library.read_only().add([str(asked.parent / "files")])


def test_files_outside_the_roots_are_not_opened(asked: Path, tmp_path: Path) -> None:
    with Library.open([asked], roots=[tmp_path]) as library:
        with pytest.raises(PermissionDenied, match="leads out"):
            library.picture(address(library, "photo.png"))


def test_wrong_collections_are_told(asked: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="onesense index"):
        Library.open([tmp_path / "none.json"])
    with pytest.raises(InvalidInput, match="two collections"):
        Library.open([asked, asked])
    with pytest.raises(InvalidInput, match="no collection"):
        Library({})


def test_several_collections_are_searched_together(asked: Path, tmp_path: Path) -> None:
    other = asked_library.build(tmp_path / "files", tmp_path / "other.json")
    with Library.open([asked, other]) as library:
        found, _ = library.search("garden shed budget", 2)
        assert {passage.collection for passage in found} == {"test", "other"}
        assert [passage.number for passage in found] == [1, 2]
        assert {p.collection for p in library.search("shed", 5, collection="other")[0]} == {"other"}
        with pytest.raises(InvalidInput, match="two collections"):
            library.compare(found[0].link, found[1].link)
