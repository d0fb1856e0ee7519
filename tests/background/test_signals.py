"""A signal that comes while a working process is being started takes effect afterwards."""

import signal

from pixperts.background import worker


def test_a_signal_waits_until_a_process_has_started() -> None:
    """In between, an exception would leave the process with half of what it reads from us."""
    order: list[str] = []

    def note(*_: object) -> None:
        order.append("signal")

    before = signal.signal(signal.SIGTERM, note)
    try:
        with worker._uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            order.append("started")
        assert order == ["started", "signal"]
        assert signal.getsignal(signal.SIGTERM) is note
    finally:
        signal.signal(signal.SIGTERM, before)
