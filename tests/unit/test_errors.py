"""The closed list of errors."""

from __future__ import annotations

import http
import inspect

import pytest

from onesense import errors
from onesense.errors import OnesenseError, TooLarge

ALL = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, OnesenseError)]
GEMINI = {
    "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED", "DATA_LOSS", "UNAVAILABLE", "INTERNAL",
}  # fmt: skip


def test_codes_are_unique() -> None:
    codes = [error.code for error in ALL]
    assert len(set(codes)) == len(codes) > 10


@pytest.mark.parametrize("error", ALL)
def test_every_error_has_a_status_that_exists(error: type[OnesenseError]) -> None:
    assert 400 <= http.HTTPStatus(error.http_status) < 600
    assert error.gemini_status in GEMINI
    assert error.__doc__


@pytest.mark.parametrize("error", ALL)
def test_an_error_can_name_the_input_that_it_belongs_to(error: type[OnesenseError]) -> None:
    named = error("no good").at(3)
    assert (type(named), named.index, str(named)) == (error, 3, "contents[3]: no good")


def test_naming_the_input_leaves_the_first_error_alone_and_points_to_it() -> None:
    first = TooLarge("too long")
    assert first.at(0).__cause__ is first
    assert (first.index, str(first)) == (None, "too long")
