"""Models of the Hugging Face hub: fetched by "org/name", written as a folder, uploaded.

A repository holds our own file, which suffices to use the model, and beside it what the hub's
pages and counters look for: config.json, which also names the file's checksum, and a card.
"""

import json
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pixperts.errors import MissingExtraError, ModelError, UsageError, named
from pixperts.weights.checksums import file_sha256

if TYPE_CHECKING:
    from pixperts.models.interfaces import Network
    from pixperts.weights.store import Card

FILE = "model.safetensors"
CONFIG = "config.json"
README = "README.md"
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?", re.ASCII)
_FILES = (".safetensors", ".pth", ".pt", ".ckpt")


class _UnreachedError(Exception):
    """A file is not in the cache, and the hub was not reached; holds the sentence to show."""


class HubName(NamedTuple):
    """A repository of the hub, and a branch, tag or commit of it; None = main."""

    repo: str
    revision: str | None = None


def hub_name(text: str) -> HubName | None:
    """A repository from "org/name" or "org/name@revision"; None for what is a path or a name.

    >>> hub_name("org/name@v1.0")
    HubName(repo='org/name', revision='v1.0')
    >>> [hub_name(text) for text in ("moeisr-tiny", "./a/b", "a/b.safetensors", "a/b/c")]
    [None, None, None, None]
    """
    match = _NAME.fullmatch(text)
    return None if match is None or text.endswith(_FILES) else HubName(match[1], match[2])


def fetch(name: HubName, *, offline: bool = False) -> Path:
    """The weights file of a repository, from the cache or the hub, its checksum compared.

    Args:
        name: the repository.
        offline: only look into the cache.

    Raises:
        ModelError: it is not there or cannot be reached, or is not what its config.json names.
        MissingExtraError: huggingface_hub is not installed.
    """
    config = None
    try:
        config = _download(name, CONFIG, offline)
        if config is not None:  # both files of one commit
            name = HubName(name.repo, config.parent.name)
        weights = _download(name, FILE, offline)
    except _UnreachedError as error:
        # The cache may hold the weights alone. The library waits half a minute for the hub, so it
        # is not tried again.
        try:
            weights = _download(name, FILE, offline=True)
        except _UnreachedError:
            raise ModelError(str(error)) from error
    if weights is None:
        raise ModelError(
            f"{name.repo} on the hub has no {FILE}: it holds no pixperts model, or one that has to "
            "be converted."
        )
    if config is not None:
        _check(name.repo, config, weights)
    return weights


def save_pretrained(
    folder: str | Path,
    model: "Network",
    card: "Card",
    *,
    half: bool = False,
    repo: str = "ORG/NAME",
) -> None:
    """Write weights, config.json and a card with front matter, as the hub wants them.

    Args:
        folder: made where it is missing; its files of these names are replaced.
        model: the network.
        card: license, data and notes.
        half: store the weights in float16.
        repo: where it will lie, for the card.

    Raises:
        ModelError: the folder cannot be written.
    """
    from pixperts.io.atomic import replacing
    from pixperts.weights import store
    from pixperts.weights.hub_card import hub_card

    folder = Path(folder)
    if folder.is_file():
        raise ModelError(f"{folder} is a file: name a folder.")
    store.save(folder / FILE, model, card, half=half)
    card = store.read_card(folder / FILE)
    config = {
        "library_name": "pixperts",
        "architectures": [type(model).__name__],
        **{key: value for key, value in asdict(card).items() if key != "notes"},
        "sha256": {FILE: file_sha256(folder / FILE)},
    }
    texts = {CONFIG: json.dumps(config, indent=2) + "\n", README: hub_card(card, model.does, repo)}
    for name, text in texts.items():
        with replacing(folder / name, error=ModelError) as temporary:
            temporary.write_text(text, encoding="utf-8")


def push_to_hub(
    repo: str,
    model: "Network",
    card: "Card",
    *,
    half: bool = False,
    private: bool = False,
    token: str | None = None,
    message: str = "Upload a pixperts model",
) -> str:
    """Upload what `save_pretrained` writes to a repository, which is made where it is missing.

    Args:
        repo: "org/name".
        model: the network.
        card: license, data and notes.
        half: store the weights in float16.
        private: whether a new repository is hidden from others.
        token: of the hub; None = the one that `hf auth login` stored.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        UsageError: for another name.
        ModelError: the hub refuses it or cannot be reached.
        MissingExtraError: huggingface_hub is not installed.
    """
    name = hub_name(repo)
    if name is None or name.revision is not None:
        raise UsageError(f"{repo!r} is not a name on the hub: give one such as 'org/name'.")
    hub = _hub()
    with tempfile.TemporaryDirectory(prefix="pixperts-") as folder:
        save_pretrained(folder, model, card, half=half, repo=repo)
        try:
            api = hub.HfApi(token=token)
            api.create_repo(repo, private=private, exist_ok=True)
            done = api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
        except Exception as error:
            raise ModelError(
                f"{repo} could not be uploaded ({_short(error)}): check the name, the network, and "
                "the login ('hf auth login')."
            ) from error
    return str(done.commit_url)


def _download(name: HubName, file: str, offline: bool) -> Path | None:
    """A file of a repository; None where the repository has none of that name."""
    hub = _hub()
    errors = hub.errors
    try:
        return Path(
            hub.hf_hub_download(
                name.repo,
                file,
                revision=name.revision,
                local_files_only=offline,
                library_name="pixperts",
            )
        )
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"{name.repo} is neither a file here nor a model on the hub, or it is private: check "
            "the name, or log in by 'hf auth login'."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{name.repo} on the hub has no revision {name.revision!r}.") from error
    except errors.LocalEntryNotFoundError as error:
        answered = (errors.HfHubHTTPError, errors.FileMetadataError)
        if file == CONFIG and isinstance(error.__cause__, answered):
            return None  # what is wrong with it may not concern the weights
        cure = f"leave {named('offline')} out" if offline else "check the network"
        raise _UnreachedError(
            f"{name.repo} is not in the cache of the hub's files, and the hub was not reached: "
            f"{cure}, or give a weights file."
        ) from error
    except errors.EntryNotFoundError:
        return None
    except Exception as error:
        raise ModelError(
            f"{name.repo} could not be fetched from the hub ({_short(error)}): check the network."
        ) from error


def _check(repo: str, config: Path, weights: Path) -> None:
    """Compare the weights with the checksum in config.json, where it names one."""
    try:
        known = json.loads(config.read_text(encoding="utf-8"))["sha256"][FILE]
    except (ValueError, KeyError, TypeError, OSError):
        return
    if file_sha256(weights) != known:
        raise ModelError(
            f"{repo}: {FILE} does not match the SHA-256 in its {CONFIG}: remove "
            f"{weights} to fetch it again; if that does not help, do not use it."
        )


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise MissingExtraError("The hub", "hub") from error
    return huggingface_hub


def _short(error: Exception) -> str:
    """The first line of what went wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
