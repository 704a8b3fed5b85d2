import pytest

from onesense.errors import InvalidInput
from onesense.rag import links
from onesense.types import Locator

PLACES = (
    Locator(),
    Locator(page=3),
    Locator(start_s=41.0, end_s=49.5),
    Locator(start_s=3600.25, end_s=10_800.75),
    Locator(start_char=0, end_char=120),
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("path", ["/home/me/talk #1?.mp3", "record-7", "/été/50%/a b.txt", "a\nb"])
def test_an_address_leads_back_to_its_place(path: str, place: Locator) -> None:
    assert links.parse(links.link("my lib/x", path, place)) == ("my lib/x", path, place)


@pytest.mark.parametrize(
    "text",
    ["", "talk.mp3", "file:///etc/passwd", "onesense://", "onesense://lib", "onesense://lib/", "onesense://l/p#t=x"],
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(InvalidInput, match="onesense://COLLECTION"):
        links.parse(text)
