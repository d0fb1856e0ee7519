"""Where bfloat16 pays, by what the system says of its CPU."""

from pathlib import Path

import pytest
import torch

from pixperts.hardware import denormals_flushed, fastest_precision, multiplies_bfloat16


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512_bf16 amx_bf16 amx_tile", "bfloat16"),
        ("fpu avx512f avx512_bf16 avx512_vnni", "bfloat16"),
        ("fpu avx512f avx512_vnni amx_tile amx_int8", "float32"),
        ("", "float32"),
    ],
)
def test_a_cpu_computes_in_what_its_flags_say(flags: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t: a\n")
    assert fastest_precision("cpu", tmp_path) == expected


def test_a_silent_system_and_an_unknown_device_get_float32(tmp_path: Path) -> None:
    assert not multiplies_bfloat16(tmp_path)
    assert fastest_precision("cpu", tmp_path) == "float32"
    assert fastest_precision("mps") == "float32"


def test_denormal_numbers_count_as_zero_within_and_nowhere_else() -> None:
    def product() -> float:
        return float(torch.full((1,), 1e-40) * 1.0)

    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot leave them out")
    with denormals_flushed():
        assert product() == 0
        with denormals_flushed():
            assert product() == 0
        assert product() == 0  # as before the inner one
    assert product() > 0
