"""Where a run computes: the CPU, or a CUDA GPU; and whether bf16 pays there."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from ..errors import InvalidInput

NAMES = ("auto", "cpu", "cuda")
_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # /proc/cpuinfo on x86 and on ARM

CPU_CHUNK_TOKENS = 768  # padded tokens a forward pass: long and short texts together cost three times as much (LOG.md)
GPU_CHUNK_TOKENS = 16_384
"""Not measured: large enough to fill a GPU, and 12 layers of it in bf16 need about 6 GB with their gradients."""


def choose(name: str = "auto") -> torch.device:
    """The device of this name; `auto` is CUDA where there is a GPU.

    Raises:
        InvalidInput: the name is none of `NAMES`, or there is no GPU.
    """
    if name not in NAMES:
        raise InvalidInput(f"unknown device `{name}`: use one of {', '.join(NAMES)}")
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise InvalidInput("no CUDA GPU that this torch can use: use --device cpu, or install a CUDA build of torch")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 itself; emulated, it is slower than fp32 and no better."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(_CPU_FLAGS & _cpu_flags())


def _cpu_flags(file: Path = Path("/proc/cpuinfo")) -> set[str]:
    if platform.system() != "Linux" or not file.is_file():
        return set()  # nothing asked: fp32 is right everywhere
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.lower().startswith(("flags", "features")):
            return set(line.partition(":")[2].split())
    return set()


def chunk_tokens(device: torch.device) -> int:
    """Padded tokens of one forward pass."""
    return GPU_CHUNK_TOKENS if device.type == "cuda" else CPU_CHUNK_TOKENS


def describe(device: torch.device, *, bf16: bool) -> str:
    """One line for the log, e.g. `cpu, bf16, 1 thread`."""
    precision = "bf16" if bf16 else "fp32"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {precision}"
    threads = torch.get_num_threads()
    return f"cpu, {precision}, {threads} thread{'s' * (threads != 1)}"
