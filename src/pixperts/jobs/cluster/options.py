"""The options of runs on a cluster. Importing this costs nothing."""

from dataclasses import dataclass, fields

from pixperts.errors import UsageError, named
from pixperts.options import CLUSTER, check_options, option

LOCAL, RAY = "local", "ray"


@dataclass(frozen=True)
class EngineOptions:
    """Who does the work.

    Raises:
        UsageError: naming the option.
    """

    engine: str = option(
        LOCAL,
        "local: this process. ray: worker processes on the machines of a Ray cluster, or on this "
        "machine where there is none (extra cluster).",
        choices=(LOCAL, RAY),
        setting=False,
        panel=CLUSTER,
    )
    address: str | None = option(
        None,
        "The cluster, as HOST:PORT or auto. If unset, that of RAY_ADDRESS, or else this machine.",
        metavar="HOST:PORT",
        setting=False,
        panel=CLUSTER,
    )
    processes: int | None = option(
        None,
        "Worker processes at most, each with a model of its own; as many as there is room for if "
        "unset.",
        low=1,
        high=10000,
        setting=False,
        panel=CLUSTER,
    )
    threads: int = option(
        1,
        "Processors of each worker process.",
        low=1,
        high=1024,
        setting=False,
        panel=CLUSTER,
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.engine == RAY:
            self._check_address()
            return
        for one in fields(self):
            if one.name != "engine" and getattr(self, one.name) != one.default:
                raise UsageError(
                    f"{named(one.name)} is for {named('engine', RAY)}: add that, or leave it out."
                )

    def _check_address(self) -> None:
        address = self.address
        if address is None or address == "auto":
            return
        if address.startswith("ray://"):
            raise UsageError(
                f"{named('address', address)} is that of Ray Client, which is not supported: start "
                "the "
                f"command on a machine of the cluster with {named('address', 'auto')}, or by 'ray "
                "job submit'."
            )
        host, colon, port = address.rpartition(":")
        if not (host and colon and port.isascii() and port.isdecimal() and int(port) < 65536):
            raise UsageError(
                f"{named('address')} is {address!r}, but must be auto, or a host and a port such "
                "as "
                "10.0.0.1:6379."
            )


ENGINE_OPTIONS = EngineOptions()  # this process
