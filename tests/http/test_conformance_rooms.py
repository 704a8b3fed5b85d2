"""What docs/conformance.md says about files, batches, OpenAI, Cohere and the clients is what the code does."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from onesense.server import batches, cohere, files, openai
from onesense.server.protojson import Message, camel

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\w+) \| `(\w+)` \| (\w+) \|", PAGE, re.M)
GOOGLES = (files.CREATE_REQUEST, batches.ASYNC_REQUEST)
OTHERS = (openai.REQUEST, cohere.REQUEST)


def with_inner(message: Message) -> list[Message]:
    inner = [f.message for f in message.fields.values() if f.message is not None]
    return [message, *(found for one in inner for found in with_inner(one))]


def test_every_field_is_on_the_page_as_it_is_in_the_code() -> None:
    code = [(m.name, camel(n), f.support.value) for g in GOOGLES for m in with_inner(g) for n, f in m.fields.items()]
    code += [(m.name, n, f.support.value) for m in OTHERS for n, f in m.fields.items()]
    assert sorted(ROWS) == sorted(code)


@pytest.mark.parametrize("name", cohere.TYPES)
def test_every_type_of_vector_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_client_is_on_the_page() -> None:
    spec = importlib.util.spec_from_file_location("client_run", Path(__file__).parent / "clients" / "run.py")
    assert spec is not None and spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    sys.modules["client_run"] = run  # dataclasses look for the module of a class there
    spec.loader.exec_module(run)
    rows = re.findall(r"^\| ([^|]+) \| \d[^|]* \| [^|]+ \|$", PAGE.split("## Real clients")[1], re.M)
    assert sorted(rows) == sorted(run.CLIENTS)
    for client in run.CLIENTS.values():
        assert (Path(__file__).parent / "clients" / client.script).exists()
