"""Overlapped phases: order, bounds, interruption."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixperts.jobs.pipeline import Interrupts, run_overlapped


@dataclass(frozen=True)
class Over:
    text: str


class Held:
    """Counts what is alive."""

    alive = 0
    most = 0
    lock = threading.Lock()

    def __init__(self) -> None:
        with Held.lock:
            Held.alive += 1
            Held.most = max(Held.most, Held.alive)

    def __del__(self) -> None:
        with Held.lock:
            Held.alive -= 1


@settings(max_examples=40, deadline=None)
@given(
    fates=st.lists(st.sampled_from(["read", "compute", "save"]), max_size=12),
    workers=st.integers(0, 3),
    pauses=st.lists(st.sampled_from([0.0, 0.002]), min_size=3, max_size=3),
)
def test_outcomes_come_once_each_in_order_and_few_pictures_are_held(
    fates: list[str], workers: int, pauses: list[float]
) -> None:
    seen: list[tuple[int, str]] = []
    computing: set[int] = set()
    Held.alive = Held.most = 0

    def read(number: int) -> Held | Over:
        time.sleep(pauses[0])
        return Over("read") if fates[number] == "read" else Held()

    def compute(number: int, loaded: Held, settle: object) -> Held | Over:
        computing.add(threading.get_ident())
        time.sleep(pauses[1])
        return Over("compute") if fates[number] == "compute" else Held()

    def save(number: int, done: Held) -> Over:
        time.sleep(pauses[2] * (number % 2))
        return Over("save")

    interrupts = Interrupts()
    run_overlapped(
        len(fates),
        read,
        compute,
        save,
        lambda number, outcome: seen.append((number, outcome.text)),
        ended=Over,
        workers=workers,
        heed=interrupts.heed,
    )
    assert seen == list(enumerate(fates))
    assert computing <= {threading.get_ident()}
    # Read ahead, being written, and the one that is computed, before and after.
    assert Held.most <= 2 * workers + 2
    assert Held.alive == 0


def test_phases_overlap() -> None:
    """Picture 1 is read, and picture 0 written, while picture 1 and 0 are computed."""
    read_ahead, computed = threading.Event(), threading.Event()

    def read(number: int) -> int | Over:
        if number == 1:
            read_ahead.set()
        return number

    def compute(number: int, loaded: int, settle: object) -> str | Over:
        if number == 0:
            assert read_ahead.wait(10)
        else:
            computed.set()
        return str(loaded)

    def save(number: int, done: str) -> Over:
        assert number != 0 or computed.wait(10)
        return Over(done)

    seen: list[Over] = []
    run_overlapped(
        2, read, compute, save, lambda _, outcome: seen.append(outcome),
        ended=Over, workers=1, heed=Interrupts().heed,
    )  # fmt: skip
    assert seen == [Over("0"), Over("1")]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_writes_in_flight_are_finished_when_the_computing_is_interrupted(workers: int) -> None:
    seen: list[int] = []

    def compute(number: int, loaded: int, settle: object) -> int | Over:
        if number == 3:
            raise KeyboardInterrupt
        return loaded

    def save(number: int, done: int) -> Over:
        time.sleep(0.05)
        return Over("saved")

    with pytest.raises(KeyboardInterrupt):
        run_overlapped(
            9, lambda number: number, compute, save, lambda number, _: seen.append(number),
            ended=Over, workers=workers, heed=Interrupts().heed,
        )  # fmt: skip
    assert seen == [0, 1, 2]


def test_a_failure_of_the_one_who_is_told_ends_the_run() -> None:
    def finish(number: int, outcome: Over) -> None:
        raise BrokenPipeError

    computed: list[int] = []

    def compute(number: int, loaded: int, settle: object) -> int | Over:
        computed.append(number)
        return loaded

    with pytest.raises(BrokenPipeError):
        run_overlapped(
            50, lambda number: number, compute, lambda *_: Over(""), finish,
            ended=Over, workers=1, heed=Interrupts().heed,
        )  # fmt: skip
    assert len(computed) < 50


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Whoever started the tests in the background may have had Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupts_are_remembered_outside_and_raised_inside() -> None:
    done = []
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the line that was begun")
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        with pytest.raises(KeyboardInterrupt), interrupts.heed():
            done.append("never")
    with Interrupts() as interrupts:
        interrupts.check()
        with pytest.raises(KeyboardInterrupt), interrupts.heed():
            os.kill(os.getpid(), signal.SIGINT)
    assert done == ["the line that was begun"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
