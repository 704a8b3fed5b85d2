"""The imported text model as a teacher: texts to word rows, piece ids and unit vectors.

No prefix is added: for short texts that is E5's best default (measured: STS-B 10 languages 75.0 against 72.9).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ..types import Array
from . import device as devices
from . import sources
from .importers import e5
from .letters import Letters
from .model.trunk import Trunk

BOS, EOS, UNKNOWN = 0, 2, 3
TABLE_ROWS = 250_037
MAX_PIECES = 510
BATCH_TOKENS = 2048  # padded; a batch of mixed lengths wastes more on padding than it gains


class TextEncoder:
    """Tokeniser, word table and trunk of multilingual-e5-small. Not thread-safe."""

    def __init__(self, trunk: Trunk | None = None, device: torch.device | str = "cpu") -> None:
        from tokenizers import Tokenizer

        source = e5.read(sources.path("e5"))
        self.table = source.words
        self.trunk = (trunk or imported_trunk(source)).to(device)
        self.trunk.eval()
        self.letters: Letters | None = None
        self.first_letter = TABLE_ROWS
        """Id of the first piece beside the imported ones."""
        self.tokenizer = Tokenizer.from_file(str(sources.path("e5_tokenizer")))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.imported = self.tokenizer
        """The tokeniser without letters."""

    def add(self, letters: Letters) -> int:
        """Read these pieces too; the id of the first of them."""
        from tokenizers import Tokenizer

        settings = json.loads(sources.path("e5_tokenizer").read_text(encoding="utf-8"))
        self.letters, self.first_letter = letters, len(settings["model"]["vocab"])
        letters.extend(settings)
        settings["truncation"] = settings["padding"] = None
        self.tokenizer = Tokenizer.from_str(json.dumps(settings))
        return self.first_letter

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Piece ids without specials."""
        return [e.ids for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Character range of every piece."""
        return [e.offsets for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def words(self, ids: Sequence[int] | Array) -> Array:
        """Rows of the word table, float32 [len(ids), 384]."""
        ids = np.asarray(ids, np.int64)
        is_letter = ids >= self.first_letter
        old = np.where(is_letter, UNKNOWN, ids)
        rows = e5.Q4(self.table.scales[old], self.table.nibbles[old]).dequantize().reshape(len(ids), -1)
        if self.letters is not None and is_letter.any():
            rows[is_letter] = self.letters.rows[ids[is_letter] - self.first_letter]
        return rows

    def sequence(self, ids: Sequence[int]) -> Array:
        """Word rows of `<s> ids </s>`, cut to 512 tokens, float32 [L, 384]."""
        return self.words([BOS, *ids[:MAX_PIECES], EOS])

    @torch.no_grad()
    def encode(self, texts: Sequence[str], *, bf16: bool | None = None) -> Array:
        """Unit vectors, float32 [n, 384]; in bf16 by default where the processor has it."""
        ids = self.tokenize(texts)
        device = self.trunk.position.device
        bf16 = devices.has_bf16(device) if bf16 is None else bf16
        out = np.zeros((len(ids), 384), np.float32)
        for batch in _batches([len(i) + 2 for i in ids]):
            x, mask = pad([self.sequence(ids[i]) for i in batch])
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                pooled = self.trunk(x.to(device), mask.to(device))
            out[batch] = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
        return out


def imported_trunk(source: e5.E5 | None = None) -> Trunk:
    """The trunk with the imported weights, loaded strictly."""
    source = source or e5.read(sources.path("e5"))
    trunk = Trunk()
    trunk.load_state_dict({k: torch.from_numpy(v) for k, v in source.weights().items()}, strict=True)
    return trunk


def pad(sequences: Sequence[Array | torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack sequences [L_i, 384] to (float32 [B, L, 384], float32 mask [B, L]), on their device."""
    rows = [torch.as_tensor(s) for s in sequences]
    x = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=x.device)
    places = torch.arange(x.shape[1], device=x.device)
    return x, (places[None] < lengths[:, None]).float()


def _batches(lengths: Sequence[int]) -> Iterable[list[int]]:
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * min(lengths[i], MAX_PIECES + 2) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
