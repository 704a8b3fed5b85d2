"""Schemathesis: whatever our OpenAPI allows, and much that it does not, is answered in shape, and never with a 5xx."""

from __future__ import annotations

import pytest

schemathesis = pytest.importorskip("schemathesis")

import hypothesis  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
)

from onesense.server.app import create_app  # noqa: E402
from onesense.server.settings import Settings  # noqa: E402

pytestmark = pytest.mark.slow

schema = schemathesis.openapi.from_dict(create_app(Settings(models=("tiny",))).openapi())


@schema.parametrize()
@hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_every_answer_is_in_shape(case: schemathesis.Case, url: str) -> None:
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance]
    case.call_and_validate(base_url=url, checks=checks)
