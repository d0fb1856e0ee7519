"""How long many machines take for many pictures, simulated: `simulate`.

Workers take blocks of pictures from one queue. Some workers are slow all the time, some die once,
somewhere in the middle: the block continues with the picture that was lost, on whichever worker is
free, and the dead one comes back after a while.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Assumptions:
    """What a simulation takes for granted. Times are seconds.

    Raises:
        ValueError: a value that makes no sense.
    """

    seconds: float  # per picture, on a worker that is not slow
    start: float  # until a worker takes its first picture: Python, torch, the model
    unit_start: float = 0.0  # the same again before every block, as with `--shard`
    spread: float = 0.3  # standard deviation of the time per picture, as a share of it
    slow: float = 0.05  # share of workers that are slow
    slowdown: float = 3.0  # how many times
    failing: float = 0.02  # share of workers that die once
    replaced: float = 120.0  # until a machine stands in for a dead one
    price: float = 0.04  # of a worker for an hour, from the start of the run to its end

    def __post_init__(self) -> None:
        shares = 0 <= self.slow <= 1 and 0 <= self.failing <= 1
        times = min(self.start, self.unit_start, self.spread, self.replaced, self.price) >= 0
        if not (shares and times and self.seconds > 0 and self.slowdown >= 1):
            raise ValueError(f"{self} makes no sense: shares lie in 0 to 1, times are not negative")


@dataclass(frozen=True)
class Fleet:
    """What became of a simulated run.

    Attributes:
        hours: from the start to the last picture.
        cost: of all workers for that time.
        done: pictures, each counted once.
        repeated: pictures that were begun again, because their worker died.
        deaths: of workers.
        busy: share of the workers' time that was spent on pictures that count.
        ideal: hours, if no worker were slow or died and none had to start.
    """

    hours: float
    cost: float
    done: int
    repeated: int
    deaths: int
    busy: float
    ideal: float


def blocks(pictures: int, size: int) -> list[int]:
    """The sizes of blocks of `size` pictures; the last one may be smaller."""
    whole, rest = divmod(pictures, size)
    return [size] * whole + [rest] * (rest > 0)


def shards(pictures: int, count: int, seed: int) -> list[int]:
    """The sizes of shards, into which a hash of the name puts each picture."""
    generator = np.random.default_rng(seed)
    return [int(n) for n in generator.multinomial(pictures, [1 / count] * count) if n]


def simulate(units: Sequence[int], workers: int, given: Assumptions, seed: int) -> Fleet:
    """One run; the same seed gives the same one.

    Args:
        units: sizes of the blocks in the queue, in pictures.
        workers: at a time.
        given: the assumptions.
        seed: of slow workers, deaths and times.
    """
    random = np.random.default_rng(seed)
    pictures = sum(units)
    ideal = pictures * given.seconds / workers
    factor = np.where(random.random(workers) < given.slow, given.slowdown, 1.0)
    death = random.uniform(0, given.start + ideal, workers)
    death[random.random(workers) >= given.failing] = np.inf
    free = [(given.start, worker) for worker in range(workers)]
    # By the time from which a block may be taken, and its place in the queue.
    waiting = [(0.0, place, size) for place, size in enumerate(units)]
    heapq.heapify(waiting)
    place, end, useful, repeated, deaths = len(units), 0.0, 0.0, 0, 0
    while waiting:
        now, worker = heapq.heappop(free)
        since, _, size = heapq.heappop(waiting)
        now = max(now, since)
        if death[worker] <= now:  # it died while it started or waited
            free_again = max(death[worker], 0.0) + given.replaced + given.start
            death[worker] = np.inf
            deaths += 1
            heapq.heappush(free, (max(now, free_again), worker))
            place += 1
            heapq.heappush(waiting, (since, place, size))
            continue
        begun = now + given.unit_start
        lasts = factor[worker] * _seconds_of(size, given, random)
        if death[worker] < begun + lasts:
            made = int(size * max(0.0, death[worker] - begun) / lasts)
            useful += lasts * made / size
            repeated += death[worker] > begun
            deaths += 1
            place += 1
            heapq.heappush(waiting, (float(death[worker]), place, size - made))
            free_again = death[worker] + given.replaced + given.start
            death[worker] = np.inf
            heapq.heappush(free, (float(free_again), worker))
            continue
        useful += lasts
        end = max(end, begun + lasts)
        heapq.heappush(free, (begun + lasts, worker))
    hours = end / 3600
    return Fleet(
        hours=hours,
        cost=hours * workers * given.price,
        done=pictures,
        repeated=int(repeated),
        deaths=deaths,
        busy=useful / (end * workers) if end else 0.0,
        ideal=ideal / 3600,
    )


def _seconds_of(size: int, given: Assumptions, random: np.random.Generator) -> float:
    """Of a block, on a worker that is not slow: a sum of independent times, so near normal."""
    mean = size * given.seconds
    drawn = random.normal(mean, given.spread * given.seconds * size**0.5)
    return float(max(drawn, 0.1 * mean))
