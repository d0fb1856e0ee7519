"""The figures are in the format that Prometheus reads."""

import re

from pixperts.serve.metrics import Metrics

SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"\\\n]*",?)*)\})? (\+Inf|[0-9.e+-]+)')
TYPES = {"counter", "gauge", "histogram"}


def families(text: str) -> dict[str, dict[str, float]]:
    """Samples by their names with labels, for each family; checks the form of every line."""
    assert text.endswith("\n")
    found: dict[str, dict[str, float]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in found
            found[name] = {}
        elif line.startswith("# TYPE "):
            assert line.split()[2] == name
            assert line.split()[3] in TYPES
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            assert match[1].removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") in (
                name,
                name.removesuffix("_count"),
            )
            assert line.rpartition(" ")[0] not in found[name]
            found[name][line.rpartition(" ")[0]] = float(match[3])
    return found


def test_requests_are_counted_by_code_and_those_that_succeed_timed() -> None:
    metrics = Metrics()
    for code, seconds in ((200, 0.2), (200, 7.0), (200, 1000.0), (503, 0.01)):
        metrics.request("upscale", code, seconds)
    metrics.received(1234)
    metrics.done("upscale", 1.5, 3.0)
    text = metrics.text({"pixperts_waiting": ("Requests that wait.", 2)})
    found = families(text)
    assert found["pixperts_requests_total"] == {
        'pixperts_requests_total{operation="upscale",code="200"}': 3,
        'pixperts_requests_total{operation="upscale",code="503"}': 1,
    }
    timed = found["pixperts_request_seconds"]
    buckets = {
        re.findall('le="(.*?)"', key)[0]: value for key, value in timed.items() if "le=" in key
    }
    assert list(buckets.values()) == sorted(buckets.values())
    assert (buckets["0.1"], buckets["0.25"], buckets["10"], buckets["+Inf"]) == (0, 1, 2, 3)
    assert timed['pixperts_request_seconds_sum{operation="upscale"}'] == 1007.2
    assert timed['pixperts_request_seconds_count{operation="upscale"}'] == 3
    assert found["pixperts_received_bytes_total"] == {"pixperts_received_bytes_total": 1234}
    assert found["pixperts_megapixels_total"] == {
        'pixperts_megapixels_total{operation="upscale"}': 1.5
    }
    assert found["pixperts_waiting"] == {"pixperts_waiting": 2}


def test_the_mean_follows_what_is_done() -> None:
    metrics = Metrics()
    for _ in range(50):
        metrics.done("restore", 1.0, 8.0)
    assert 7.9 < metrics.seconds < 8.0
