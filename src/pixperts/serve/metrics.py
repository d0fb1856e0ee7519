"""Numbers about the service in the text format of Prometheus, version 0.0.4."""

from collections import Counter
from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)  # seconds
_RECENT = 0.2  # weight of the latest request in the mean


class Metrics:
    """Counters since the start of the service.

    Attributes:
        seconds: to process a picture, a mean in which recent pictures count more.

    Example:
        >>> metrics = Metrics()
        >>> metrics.request("upscale", 200, 2.0)
        >>> [line for line in metrics.text({}).splitlines() if line.startswith("pixperts_requests")]
        ['pixperts_requests_total{operation="upscale",code="200"} 1']
    """

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._sums: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._received = 0
        self._megapixels: Counter[str] = Counter()
        self.seconds = 1.0

    def request(self, operation: str, code: int, seconds: float) -> None:
        """Count a request that was answered, or whose client went away (code 499)."""
        self._requests[operation, code] += 1
        if code != 200:
            return
        self._counts[operation] += 1
        self._sums[operation] += seconds  # type: ignore[assignment]  # Counter sums any number
        for bound in _BOUNDS:
            if seconds <= bound:
                self._buckets[operation, bound] += 1

    def received(self, size: int) -> None:
        """Count bytes of a picture that arrived."""
        self._received += size

    def done(self, operation: str, megapixels: float, seconds: float) -> None:
        """Count a picture that was processed: its megapixels by the report, and its seconds."""
        self._megapixels[operation] += megapixels  # type: ignore[assignment]
        self.seconds += _RECENT * (seconds - self.seconds)

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """All metrics as text; `gauges` are further present values, as (help, value) by name."""
        lines = _family(
            "pixperts_requests_total",
            "counter",
            "Requests by operation and status code; 499: the client went away.",
            (
                (f'{{operation="{name}",code="{code}"}}', count)
                for (name, code), count in sorted(self._requests.items())
            ),
        )
        lines += _family(
            "pixperts_request_seconds",
            "histogram",
            "Seconds from the first byte of a request to the last one of its picture.",
            self._histogram(),
        )
        lines += _family(
            "pixperts_received_bytes_total",
            "counter",
            "Bytes of pictures that arrived.",
            [("", self._received)],
        )
        lines += _family(
            "pixperts_megapixels_total",
            "counter",
            "Megapixels of results.",
            ((f'{{operation="{name}"}}', sum_) for name, sum_ in sorted(self._megapixels.items())),
        )
        for name, (meaning, value) in gauges.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += _family(name, kind, meaning, [("", value)])
        return "\n".join(lines) + "\n"

    def _histogram(self) -> Iterable[tuple[str, float]]:
        for name in sorted(self._counts):
            for bound in _BOUNDS:
                labels = f'_bucket{{operation="{name}",le="{bound:g}"}}'
                yield labels, self._buckets[name, bound]
            yield f'_bucket{{operation="{name}",le="+Inf"}}', self._counts[name]
            yield f'_sum{{operation="{name}"}}', self._sums[name]
            yield f'_count{{operation="{name}"}}', self._counts[name]


def _family(name: str, kind: str, meaning: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    values = [f"{name}{labels} {value:.10g}" for labels, value in samples]
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *values]
