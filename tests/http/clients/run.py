"""Every client of the APIs that we answer, unmodified and as its registry ships it, against a started server.

`make test-clients` runs this. Each client gets an environment of its own (its pins do not touch ours), is pointed at
the server by nothing but its base URL, and prints the vectors that it got; here they are compared with what `Embedder`
gives in process. Nothing is skipped: a client that cannot be installed or run is a failure.

    python tests/http/clients/run.py [--model tiny] [--only NAME ...] [--folder .clients]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import media_samples  # noqa: E402  # lies beside the tests, which are no package
from onesense import Content, Embedder, Part  # noqa: E402
from onesense.server.access import ApiKey  # noqa: E402
from running_server import running  # noqa: E402

SECRET = "a-key-of-the-clients"
ALIAS = "house-embed"  # a name without `gemini` in it: tasks are obeyed, lists are not merged
TEXTS = ["a cat purring on a sofa", "the price of steel in 2024", "où est la gare ?"]
TOLERANCE = 2e-6  # of a component: what printing and reading a float32 may cost
RUN_S = 300
FOREIGN = ("GOOGLE_", "GEMINI_", "OPENAI_", "CO_", "COHERE_", "LITELLM_")  # variables that clients read


@dataclass(frozen=True, slots=True)
class Client:
    """One script of this folder, and the packages that it needs."""

    script: str
    packages: tuple[str, ...]


CLIENTS = {
    "google-genai": Client("google_genai.py", ("google-genai>=3",)),
    "langchain-google-genai": Client("langchain_google.py", ("langchain-google-genai",)),
    "llama-index-embeddings-google-genai": Client("llama_index_google.py", ("llama-index-embeddings-google-genai",)),
    "openai": Client("openai_python.py", ("openai",)),
    "cohere": Client("cohere_python.py", ("cohere",)),
    "litellm": Client("litellm_python.py", ("litellm",)),
    "@google/genai": Client("js/google.mjs", ("@google/genai@3",)),
    "ai": Client("js/vercel.mjs", ("ai@7", "@ai-sdk/google@4", "@ai-sdk/cohere@4")),
    "openai (js)": Client("js/openai.mjs", ("openai",)),
    "cohere-ai": Client("js/cohere.mjs", ("cohere-ai",)),
    "@langchain/google-genai": Client("js/langchain.mjs", ("@langchain/google-genai", "@langchain/core")),
}


def expected(embedder: Embedder, picture: bytes) -> dict[str, np.ndarray]:
    """What each case of a client must give; the part of a case's name behind `:` says how it was asked for."""
    return {
        "texts": embedder.embed(TEXTS),
        "one": embedder.embed(TEXTS[0]),
        "fused": embedder.embed(Content(*TEXTS)),
        "small": embedder.embed(TEXTS, 64),
        "query": embedder.embed(TEXTS[0], task="search query"),
        "documents": embedder.embed(TEXTS, task="search document"),
        "image": embedder.embed(Content(Part.bytes(picture))),
        "text_image": embedder.embed(Content("a bike", Part.bytes(picture))),
    }


def install(name: str, client: Client, folder: Path) -> list[str]:
    """Make the environment of a client; the command that runs a script in it."""
    place = folder / "".join(c if c.isalnum() else "-" for c in name).strip("-")
    if client.script.endswith(".mjs"):
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not installed: the JavaScript clients need Node 20")
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_text('{"private": true, "type": "module"}')
        _run([npm, "install", "--silent", "--no-audit", "--no-fund", *client.packages], place)
        shutil.copy(HERE / client.script, place / "client.mjs")  # Node looks for packages beside the script
        shutil.copy(HERE / "js" / "case.mjs", place / "case.mjs")
        return ["node", str(place / "client.mjs")]
    python = place / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(place)], ROOT)
    uv = shutil.which("uv")
    install_with = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    _run([*install_with, "--quiet", "--upgrade", *client.packages], ROOT)
    return [str(python), "-W", "ignore", str(HERE / client.script)]


def ask(command: list[str], task: dict[str, Any]) -> dict[str, Any]:
    """Run a client; what it printed: `{"versions": {package: version}, "cases": {name: vectors}}`."""
    quiet = {
        k: v for k, v in os.environ.items() if not k.startswith(("GOOGLE_", "GEMINI_", "OPENAI_", "CO_", "COHERE_"))
    }
    done = subprocess.run(command, input=json.dumps(task), env=quiet, capture_output=True, text=True, timeout=RUN_S)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-3_000:] or f"it ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def compare(cases: dict[str, Any], wanted: dict[str, np.ndarray]) -> list[str]:
    """What is wrong with the vectors of a client."""
    faults = [] if cases else ["it reported no case"]
    for case, vectors in cases.items():
        found, right = np.array(vectors, np.float64), wanted[case.partition(":")[0]]
        if found.shape != right.shape:
            faults.append(f"{case}: {found.shape} where {right.shape} was due")
        elif (worst := float(np.abs(found - right).max())) > TOLERANCE:
            faults.append(f"{case}: off by {worst:.2g}")
    return faults


def main() -> int:
    """Run all, print a table, and answer how many failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="tiny", help="model behind the server")
    options.add_argument("--only", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    options.add_argument("--folder", type=Path, default=ROOT / ".clients", help="where the environments are made")
    chosen = options.parse_args()
    picture = media_samples.picture("png")
    failed = 0
    with tempfile.TemporaryDirectory() as scratch, Embedder(chosen.model) as embedder:
        wanted = expected(embedder, picture)
        file = Path(scratch) / "picture.png"
        file.write_bytes(picture)
        keys = (ApiKey.of("clients", SECRET),)
        with running(Path(scratch), models=(chosen.model,), aliases={ALIAS: chosen.model}, keys=keys) as base:
            task = {"base": base, "key": SECRET, "model": "gemini-embedding-2", "alias": ALIAS, "texts": TEXTS,
                    "picture": str(file)}  # fmt: skip
            for name in chosen.only:
                failed += _report(name, chosen.folder, task, wanted)
    return failed


def _report(name: str, folder: Path, task: dict[str, Any], wanted: dict[str, np.ndarray]) -> bool:
    try:
        answer = ask(install(name, CLIENTS[name], folder), task)
        faults = compare(answer["cases"], wanted)
        versions = ", ".join(f"{package} {version}" for package, version in answer["versions"].items())
        said = f"{versions}: {', '.join(answer['cases'])}"
    except (OSError, RuntimeError, ValueError, KeyError, subprocess.SubprocessError) as cause:
        faults, said = [f"{type(cause).__name__}: {cause}"], "did not run"
    print(
        f"{'FAILED' if faults else 'ok':6} {name:36} {said}",
        *(f"       {fault}" for fault in faults),
        sep="\n",
        flush=True,
    )
    return bool(faults)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} …: {done.stderr.strip()[-2_000:]}")


if __name__ == "__main__":
    sys.exit(main())
