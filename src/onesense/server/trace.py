"""How long one request spent in each stage."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Trace:
    """Seconds by stage, in the order of their first appearance."""

    stages: dict[str, float] = field(default_factory=dict)
    n_tokens: dict[str, int] = field(default_factory=dict)
    """Tokens by modality."""
    n_vectors: int = 0

    def add(self, stage: str, seconds: float) -> None:
        """Count time into a stage."""
        self.stages[stage] = self.stages.get(stage, 0.0) + max(seconds, 0.0)

    def header(self) -> str:
        """The value of a `Server-Timing` header, in milliseconds."""
        return ", ".join(f"{stage};dur={1_000 * seconds:.2f}" for stage, seconds in self.stages.items())
