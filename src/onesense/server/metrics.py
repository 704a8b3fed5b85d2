"""Counters for Prometheus, one registry a server."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from starlette.types import Scope

from .engine import Engine

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """What the server counts about itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[Any, ...], Any] = {}
        labels = ("route", "dialect", "code")
        self._requests = Counter("onesense_requests", "Requests answered.", labels, registry=self.registry)
        self._seconds = Histogram(
            "onesense_request_seconds", "Time to answer.", ("route",), buckets=_SECONDS, registry=self.registry
        )
        self._stages = Counter(
            "onesense_stage_seconds", "Time in each stage of a request.", ("stage",), registry=self.registry
        )
        self._tokens = Counter("onesense_tokens", "Tokens embedded.", ("modality",), registry=self.registry)
        self._vectors = Counter("onesense_vectors", "Vectors answered.", registry=self.registry)
        self._rounds = Histogram(
            "onesense_batch_items", "Inputs that went to the model together.", buckets=_ITEMS, registry=self.registry
        )
        self._model = Counter("onesense_model_seconds", "Time the model was at work.", registry=self.registry)
        self._waiting = Gauge("onesense_waiting_items", "Inputs that wait for the model.", registry=self.registry)
        self._in_flight = Gauge("onesense_in_flight", "Requests for vectors under way.", registry=self.registry)
        self._ready = Gauge("onesense_ready", "1 when the models are loaded.", registry=self.registry)

    def watch(self, engine: Engine) -> None:
        """Read the engine's own numbers whenever somebody asks."""
        self._waiting.set_function(lambda: engine.waiting)
        self._in_flight.set_function(lambda: engine.in_flight)
        self._ready.set_function(lambda: engine.is_ready)
        engine.on_round = self._note_round
        if engine.cache is not None:
            cache = engine.cache
            for name, read in (("hits", lambda: cache.hits), ("misses", lambda: cache.misses)):
                gauge = Gauge(f"onesense_cache_{name}", f"Cache {name} so far.", registry=self.registry)
                gauge.set_function(read)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request that is over; 499 is a caller who left."""
        route = getattr(scope.get("route"), "path", "none")
        state = scope["state"]
        trace = state["trace"]
        self._of(self._requests, route, state["dialect"].value, str(status)).inc()
        self._of(self._seconds, route).observe(seconds)
        for stage, spent in trace.stages.items():
            self._of(self._stages, stage).inc(spent)
        for modality, n_tokens in trace.n_tokens.items():
            self._of(self._tokens, modality).inc(n_tokens)
        self._vectors.inc(trace.n_vectors)

    def _of(self, metric: Any, *labels: str) -> Any:
        """The counter of these labels; prometheus-client would look it up under a lock, for each request anew."""
        key = (metric, *labels)
        if key not in self._children:
            self._children[key] = metric.labels(*labels)
        return self._children[key]

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        return bytes(generate_latest(self.registry))

    def _note_round(self, n_items: int, n_tokens: int, seconds: float) -> None:
        del n_tokens
        self._rounds.observe(n_items)
        self._model.inc(seconds)
