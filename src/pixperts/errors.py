"""Errors whose message is one sentence for a person: what is wrong, where, and the cure."""


class PixpertsError(Exception):
    """Base of every error that pixperts raises on purpose; `exit_code` is the command line's."""

    exit_code = 1


class UsageError(PixpertsError, ValueError):
    """An argument is wrong, or two of them contradict each other."""

    exit_code = 2


class ImageError(PixpertsError):
    """A picture cannot be read, written or processed."""


class ModelError(PixpertsError):
    """A model name, a weights file or a configuration cannot be used."""


class DataError(PixpertsError):
    """Training or evaluation data is missing or does not fit together."""


class MissingExtraError(PixpertsError, ImportError):
    """A feature needs an optional dependency that is not installed."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'pixperts[{extra}]'.")
