"""MCP Inspector's command line, as npm ships it, against a started server: `make test-inspector` (needs npm)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import asked_library
from mcp_doors import arguments, environment, http_server

PACKAGES = ("node@22", "@modelcontextprotocol/inspector@2")  # it needs a newer Node than many systems have
HERE = Path(__file__).resolve().parents[2] / ".clients" / "mcp-inspector"
SECRET = "a-secret-of-ann"
ERAS = ("legacy", "modern")


@pytest.fixture(scope="session")
def inspector() -> Path:
    """Its command, installed once."""
    npm = shutil.which("npm")
    assert npm is not None, "npm is not installed"
    command = HERE / "node_modules" / ".bin" / "mcp-inspector"
    if not command.exists():
        HERE.mkdir(parents=True, exist_ok=True)
        (HERE / "package.json").write_text('{"private": true}')
        subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", *PACKAGES], cwd=HERE, check=True)
    return command


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspected")
    asked_library.build(folder / "files", folder / "test.json")
    return folder


def run(inspector: Path, target: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    path = f"{inspector.parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(inspector), "--cli", "--format", "json", "--quiet", *target, *options]
    return subprocess.run(command, env=environment() | {"PATH": path}, capture_output=True, text=True, timeout=120)


def answer(inspector: Path, target: list[str], *options: str) -> Any:
    done = run(inspector, target, *options)
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(done.stdout)
    return found.get("result", found)


def call(inspector: Path, target: list[str], tool: str, **arguments: Any) -> Any:
    given = ("--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
    return answer(inspector, target, *given)


def inspected(inspector: Path, target: list[str]) -> None:
    """List all tools, whose schemas it checks, and call them; read a resource."""
    listed = answer(inspector, target, "--method", "tools/list", "--strict")["tools"]
    assert {tool["name"] for tool in listed} == {"search", "open", "similar", "embed", "collections"}
    found = call(inspector, target, "search", query="garden shed budget", k=1)["structuredContent"]["results"][0]
    assert "4200 euros" in found["excerpt"]
    assert "Petra signs" in call(inspector, target, "open", address=found["address"])["structuredContent"]["text"]
    assert call(inspector, target, "similar", address=found["address"], k=2)["structuredContent"]["results"]
    assert call(inspector, target, "embed", text="shed")["structuredContent"]["dim"] == 256
    assert call(inspector, target, "collections")["structuredContent"]["collections"][0]["name"] == "test"
    read = answer(inspector, target, "--method", "resources/read", "--uri", found["address"])
    assert "Petra signs" in read["contents"][0]["text"]


@pytest.mark.parametrize("era", ERAS)
def test_over_stdio(inspector: Path, place: Path, era: str, tmp_path: Path) -> None:
    server = {"command": sys.executable, "args": arguments(place), "env": environment()}
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"onesense": server}}))
    inspected(inspector, ["--config", str(config), "--server", "onesense", "--protocol-era", era])


@pytest.mark.parametrize("era", ERAS)
def test_over_http_with_a_key(inspector: Path, place: Path, era: str) -> None:
    with http_server(place, "--api-key", f"ann={SECRET}") as address:
        target = ["--server-url", address, "--transport", "http", "--protocol-era", era]
        inspected(inspector, [*target, "--header", f"Authorization: Bearer {SECRET}"])
        refused = run(inspector, [*target, "--stored-auth-only"], "--method", "tools/list")
        assert refused.returncode != 0 and "shed" not in refused.stdout
