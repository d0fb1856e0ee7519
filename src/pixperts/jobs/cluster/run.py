"""Process the pictures of a plan on a cluster: `run_on_cluster`."""

from dataclasses import replace

from pixperts.errors import printable
from pixperts.jobs.cluster.engine import RayEngine
from pixperts.jobs.cluster.tasks import Order, Task, pack
from pixperts.jobs.job import Job
from pixperts.jobs.outcomes import Listener, Outcome
from pixperts.jobs.pipeline import Interrupts
from pixperts.jobs.places import Places
from pixperts.jobs.plan import Plan
from pixperts.jobs.policy import Policy
from pixperts.jobs.results import Results


def run_on_cluster(
    planned: Plan,
    order: Order,
    policy: Policy,
    places: Places,
    engine: RayEngine,
    results: Results,
    listener: Listener,
) -> None:
    """Process all pictures; outcomes are passed on in the order in which they come in.

    Raises:
        UsageError: the cluster cannot be reached.
        PixpertsError: a machine cannot do the work, or the cluster failed.
        KeyboardInterrupt: after Ctrl-C.
    """
    listener.begin(replace(planned, sized=False), lambda job: 1.0)
    finished = 0
    tasks: list[tuple[int, Task]] = []
    for number, job in enumerate(planned.jobs):
        outcome = _known(job, policy, records=order.records)
        if outcome is None:
            tasks.append((number, pack(job, policy.made(job), places)))
        else:
            results.finish(finished, outcome)
            finished += 1
    if not tasks:
        return
    engine.expect(len(tasks))
    interrupts = Interrupts()
    with engine, interrupts:
        replies = engine.run(order, tasks)
        while True:
            with interrupts.heed():
                found = next(replies, None)
            if found is None:
                return
            number, reply = found
            if reply.times > 1:
                source = printable(str(planned.jobs[number].source))
                listener.note(finished, f"{source}: its worker died, and another took over.")
            results.finish(finished, reply.outcome(planned.jobs[number], places))
            finished += 1


def _known(job: Job, policy: Policy, *, records: bool) -> Outcome | None:
    """The outcome of a picture if it is known without reading the input, else None."""
    if job.problem is not None:
        return Outcome(job, error=job.problem)
    return None if records else policy.left(job, None)
