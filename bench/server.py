"""How much of the model's speed is left behind HTTP, and what does a request wait?

    python bench/server.py               # against in process, same core
    python bench/server.py --rival       # and against sentence-transformers behind FastAPI, with the same weights
    python bench/server.py --model tiny  # a model that costs almost nothing: the cost of the server itself

The server has one core, the clients have another; in process runs on the server's core. Rounds are interleaved. The
clients write HTTP themselves, so that they are not what is measured. The cache is off.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # numpy counts its cores as it is imported, before one is chosen

import numpy as np  # noqa: E402
from _http import ask, free_port, post, wait_for  # noqa: E402
from _results import record, spread  # noqa: E402
from throughput import mixed_texts  # noqa: E402

SERVER_CORE, CLIENT_CORE = 0, 1
Times = list[float]


def main() -> None:
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[SERVER_CORE], cores[min(CLIENT_CORE, len(cores) - 1)]
    texts = mixed_texts(options.data, options.n)
    os.sched_setaffinity(0, {server_core})  # inherited by the servers, and counted by the model's library
    with _started(options) as (ports, pids):
        ours = _embedder(options.model)
        rates: dict[str, Times] = {"in process": [], **{name: [] for name in ports}}
        waits: dict[str, Times] = {"in process": [], **{name: [] for name in ports}}
        loaded: dict[str, Times] = {name: [] for name in ports}
        used: dict[str, Times] = {"in process": [], **{name: [] for name in ports}}
        for _ in range(options.rounds):
            os.sched_setaffinity(0, {server_core})
            before = time.process_time()
            rates["in process"].append(_rate_in_process(ours, texts))
            used["in process"].append((time.process_time() - before) / len(texts))
            waits["in process"] += _waits_in_process(ours, texts[: options.single])
            os.sched_setaffinity(0, {client_core})
            for name, port in ports.items():
                before = _cpu_s(pids[name])
                rate, times = asyncio.run(_load(name, port, texts, options.clients))
                used[name].append((_cpu_s(pids[name]) - before) / len(texts))
                rates[name].append(rate)
                loaded[name] += times
                waits[name] += asyncio.run(_load(name, port, texts[: options.single], 1))[1]
    _tell(options, rates, waits, loaded, used)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="onesense-mini")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data packs")
    parser.add_argument("--n", type=int, default=256, help="texts of a round")
    parser.add_argument("--single", type=int, default=24, help="texts that are sent one after another")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rival", action="store_true")
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    return parser.parse_args()


def _tell(
    options: argparse.Namespace,
    rates: dict[str, Times],
    waits: dict[str, Times],
    loaded: dict[str, Times],
    used: dict[str, Times],
) -> None:
    share = _ratio(rates, "onesense", "in process")
    single, alone = np.median(waits["onesense"]), np.median(waits["in process"])
    p99 = float(np.percentile(loaded["onesense"], 99))
    cost = [float(1e3 * np.median(used[name])) for name in ("onesense", "in process")]
    measured = {
        "cpu_ms_a_text": {name: spread([1e3 * t for t in times]) for name, times in used.items()},
        "texts": options.n,
        "clients": options.clients,
        "texts_per_s": {name: spread(times) for name, times in rates.items()},
        "share_of_in_process": round(share, 3),
        "one_request_ms": {name: spread([1e3 * t for t in times]) for name, times in waits.items()},
        "under_load_ms": {name: spread([1e3 * t for t in times]) for name, times in loaded.items()},
        "under_load_p99_ms": round(1e3 * p99, 1),
    }
    summary = (
        f"{options.model}: {options.clients} clients of one text get {np.median(rates['onesense']):.1f} texts/s, "
        f"{100 * share:.0f} % of in process ({cost[0]:.1f} against {cost[1]:.1f} CPU ms a text); "
        f"one request alone p50 {1e3 * single:.1f} ms against {1e3 * alone:.1f} ms "
        f"in process; p99 under load {1e3 * p99:.0f} ms"
    )
    if options.rival:
        ratio = _ratio(rates, "onesense", "sentence-transformers")
        measured["against_sentence_transformers"] = round(ratio, 2)
        summary += f"; {ratio:.2f}x sentence-transformers + FastAPI"
    record("server", summary, measured, options.json)


def _ratio(rates: dict[str, Times], ours: str, theirs: str) -> float:
    """Median of the rounds' ratios: both sides of a round met the same machine."""
    return float(np.median([a / b for a, b in zip(rates[ours], rates[theirs], strict=True)]))


# --- in process -----------------------------------------------------------------------------------------------------


def _embedder(model: str) -> Any:
    from onesense import Embedder

    embedder = Embedder(model)
    embedder.embed(["warm", "up"])
    return embedder


def _rate_in_process(embedder: Any, texts: Sequence[str]) -> float:
    start = time.perf_counter()
    embedder.embed(list(texts))
    return len(texts) / (time.perf_counter() - start)


def _waits_in_process(embedder: Any, texts: Sequence[str]) -> Times:
    times = []
    for text in texts:
        start = time.perf_counter()
        embedder.embed(text)
        times.append(time.perf_counter() - start)
    return times


# --- clients --------------------------------------------------------------------------------------------------------


async def _load(name: str, port: int, texts: Sequence[str], n_clients: int) -> tuple[float, Times]:
    """Texts per second, and what each request took, with so many clients that each wait for their answer."""
    waiting = list(texts)
    times: Times = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            body = _body(name, waiting.pop())
            start = time.perf_counter()
            status, head, answer = await ask(reader, writer, body)
            if status != 200:
                raise SystemExit(f"{name} answered {head!r} {answer[:300]!r}")
            times.append(time.perf_counter() - start)
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(n_clients)))
    return len(texts) / (time.perf_counter() - start), times


def _body(name: str, text: str) -> bytes:
    """A whole HTTP request, as google-genai's body for one text, or the rival's."""
    if name == "onesense":
        path = "/v1/models/gemini-embedding-2:batchEmbedContents"
        content = {"parts": [{"text": text}], "role": "user"}
        value: Any = {"requests": [{"content": content, "model": "models/gemini-embedding-2"}]}
    else:
        path, value = "/embed", {"text": text}
    return post(path, value)


# --- servers --------------------------------------------------------------------------------------------------------


@contextmanager
def _started(options: argparse.Namespace) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Ports and process ids of the servers, by name."""
    serve = ["serve", "--model", options.model, "--cache-items", "0"]
    commands = {"onesense": [sys.executable, "-c", "from onesense.cli.main import main; main()", *serve]}
    if options.rival:
        commands["sentence-transformers"] = [sys.executable, __file__, "rival"]
    ports = {name: free_port() for name in commands}
    running = [subprocess.Popen([*command, "--port", str(ports[name])]) for name, command in commands.items()]
    try:
        for port, process in zip(ports.values(), running, strict=True):
            wait_for(port, partial(_is_alive, process))
        yield ports, dict(zip(commands, (process.pid for process in running), strict=True))
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=30)


def _is_alive(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def _cpu_s(pid: int) -> float:
    """Processor time that a process has used: a busy machine slows the clock, and this much less."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rival(port: int) -> None:
    """What most people would write: sentence-transformers behind FastAPI, a vector a request."""
    import torch
    import uvicorn
    from _st_reference import sentence_transformer
    from fastapi import Body, FastAPI

    torch.set_num_threads(1)
    model, app = sentence_transformer(), FastAPI()

    @app.get("/readyz")
    def ready() -> str:
        return "ok"

    @app.post("/embed")
    def embed(text: str = Body(embed=True)) -> list[float]:
        return model.encode([text], show_progress_bar=False)[0].tolist()

    uvicorn.run(app, port=port, log_level="warning")


if __name__ == "__main__":
    if sys.argv[1:2] == ["rival"]:
        rival(int(sys.argv[3]))
    else:
        main()
