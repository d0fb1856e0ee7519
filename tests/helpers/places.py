"""Folders that tests read from."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

BENCHMARKS = ROOT / "benchmarks"
EXAMPLES = ROOT / "examples"

SHARED = ROOT.parent / "shared"
"""Files too large for the repository; what needs them skips where the folder is missing."""

REFERENCE = SHARED / "reference"
"""Outputs of the published implementations."""

BENCH = SHARED / "data" / "bench"
"""Benchmark sets."""
