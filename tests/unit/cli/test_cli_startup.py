"""`onesense --help` answers at once because it loads next to nothing."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "rich", "onnxruntime", "lancedb", "pyarrow", "av", "PIL", "torch", "onesense.types")

PROGRAM = """
import sys
from onesense.cli.main import main
sys.argv = ["onesense", *{args!r}]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
print("LOADED", *[name for name in {heavy!r} if name in sys.modules])
"""


@pytest.mark.parametrize("args", [("--help",), ("search", "--help"), ("--version",)])
def test_help_loads_nothing_heavy(args: tuple[str, ...]) -> None:
    program = PROGRAM.format(args=args, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.rsplit("LOADED", 1)[1].split() == []
    assert "onesense" in done.stdout
