"""A folder of files to a data set on the Hugging Face hub, as one commit.

The commit names the one before it, so it fails where somebody else was quicker. Whatever fails, the
sentence says where the data set stands then. Knows nothing of what is in the files.
"""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from qkcore.sharing.hub import HubAddress, HubError, reason_of, revision_of, status_of

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    Change: TypeAlias = CommitOperationAdd | CommitOperationDelete

OURS = "manifest.json"  # every data set that was pushed has it
HARMLESS = {".gitattributes", "README.md"}  # what the hub itself puts into a new one
STALE = "reports/"  # what a push replaces as a whole: files there that are not pushed go


def push(address: HubAddress, folder: Path, message: str, is_private: bool = False) -> HubAddress:
    """Make the files of a folder the data set's, in one commit; made if it does not exist.

    Args:
        address: without a revision.
        folder: its files go where they are in it.
        message: of the commit.
        is_private: whether a data set that is made can be seen by its owner alone.

    Returns:
        The address, at the new commit (or the one that it was at, if nothing is new).

    Raises:
        HubError: when there is no token, the data set holds something else, or the hub does not
            take it; says what became of the data set, and what to do.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    check_target(address)
    api, before, is_committing = HfApi(endpoint=constants.ENDPOINT), "", False
    try:
        try:
            before = str(api.dataset_info(address.name).sha)
        except RepositoryNotFoundError:
            api.create_repo(address.name, repo_type="dataset", private=is_private)
        is_committing = True
        commit = api.create_commit(
            address.name,
            _operations(api, address, folder, bool(before)),
            commit_message=message,
            repo_type="dataset",
            parent_commit=before or None,
        )
    except HubError:
        raise
    except Exception as error:  # of whichever HTTP library the hub's client stands on
        status = status_of(error)
        is_refused = status is not None and 400 <= status < 500 and not is_committing
        standing = "nothing was changed" if is_refused else _standing(address, before)
        raise HubError(
            f"{address} could not be pushed: {reason_of(error)}; {standing}; "
            f"{_what_to_do(address, status)}"
        ) from error
    return address.at(str(commit.oid))


def check_target(address: HubAddress, needs_token: bool = True) -> None:
    """Make sure that something could be pushed there, before there is work for it.

    Raises:
        HubError: when it names a revision, or there is no token.
    """
    from huggingface_hub import get_token

    if address.revision:
        raise HubError(f"{address}: results go to a data set, not to a revision; leave @... out")
    if needs_token and not get_token():
        raise HubError(
            "there is no token for the Hugging Face hub; make one that may write, and give it to "
            "`hf auth login` or as HF_TOKEN (--dry-run needs none)"
        )


def _operations(api: "HfApi", address: HubAddress, folder: Path, is_there: bool) -> list["Change"]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    files = files_of(folder)
    known = api.list_repo_files(address.name, repo_type="dataset") if is_there else []
    others = sorted(set(known) - HARMLESS)
    if others and OURS not in known:
        raise HubError(
            f"{address} holds something else than results of QKScope ({others[0]}, and no {OURS}); "
            "nothing was changed; push to another name"
        )
    old = [name for name in known if name.startswith(STALE) and name not in files]
    return [
        *(CommitOperationAdd(name, str(path)) for name, path in files.items()),
        *(CommitOperationDelete(name) for name in old),
    ]


def files_of(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names in it, with slashes, sorted."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def _standing(address: HubAddress, before: str) -> str:
    """Where the data set stands after something failed."""
    try:
        now = revision_of(address)
    except HubError:
        now = ""
    if not before:
        if now:
            return f"the data set was made ({now}; look at what is in it first)"
        return "the data set was not there before, and is empty if it is there now"
    if now == before:
        return f"nothing was changed: it is still at {before}"
    if now:
        return f"it was at {before} and is now at {now} (look at it first)"
    return f"it was at {before}, and cannot be asked where it is now (look at it first)"


def _what_to_do(address: HubAddress, status: int | None) -> str:
    """What helps against an answer.

    >>> _what_to_do(HubAddress("ann/results"), 429)
    'wait some minutes, and push again'
    """
    if status == 401:
        return (
            "the hub does not know your token, or it has expired: make one that may write, give it "
            "to `hf auth login` or as HF_TOKEN, and push again"
        )
    if status == 403:
        owner = address.name.partition("/")[0]
        return (
            f"your token may not write to data sets of {owner}: push to one of your own, or with a "
            "token that may write there"
        )
    if status == 429:
        return "wait some minutes, and push again"
    return "push again"
