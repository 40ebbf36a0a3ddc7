"""What is known of a puzzle set's licence, and whether its texts may be handed on.

By where its puzzles come from (`sharing.origins`). Nobody's lawyer: texts go along where all of a
set is QKScope's own, or of a published set whose licence permits copies, and nowhere else.
"""

import re
from collections.abc import Iterable, Mapping

from qkcore.results.reader import Reader
from qkcore.sharing.origins import OURS, UNKNOWN, Origins, origins, parents
from qkcore.sharing.pinned import pinned_sets

OUR_LICENCE = "made with QKScope's generator; free to share (Apache-2.0)"
NO_LICENCE = "not stated; ask where the puzzles come from before you hand their texts on"
# Licences that let anybody copy, by their usual names; what follows the name may say more.
PERMITS = re.compile(
    r"(MIT|Apache-2\.0|BSD-[23]-Clause|ISC|CC0(-1\.0)?|CC-BY(-SA)?-[34]\.0|ODC-BY|ODbL|PDDL|"
    r"Unlicense)(?![\w.-])",
    re.IGNORECASE,
)


def licence_of(found: Origins) -> str:
    """What is known of a set's licence from where its puzzles come from.

    >>> licence_of({OURS: 4}) == OUR_LICENCE, licence_of({UNKNOWN: 4}) == NO_LICENCE
    (True, True)
    >>> licence_of({OURS: 4, UNKNOWN: 1}).partition(":")[0]
    'in part'
    """
    licences = {one.name: one.licence for one in pinned_sets()} | {OURS: OUR_LICENCE}
    known = [licences[name] for name in sorted(found) if name != UNKNOWN]
    if not known:
        return NO_LICENCE
    if UNKNOWN in found:
        return f"in part: {'; '.join(known)}; the rest: {NO_LICENCE}"
    return known[0] if len(known) == 1 else f"of several sets: {'; '.join(known)}"


def allows_texts(licence: str) -> bool:
    """Whether a set of this licence may be copied with its texts, as far as its name says.

    >>> [allows_texts(one) for one in ("MIT (by A)", "CC-BY-NC-4.0", "no copies", NO_LICENCE)]
    [True, False, False, False]
    """
    return licence == OUR_LICENCE or PERMITS.match(licence.strip()) is not None


def licences_in(store: Reader, given: Mapping[str, str]) -> dict[str, str]:
    """The licence of each puzzle set of a store: as given, else what its puzzles say.

    A twin whose parent is in the store, and of which nothing else is known, is under the parent's.
    """
    found = {name: given.get(name) or licence_of(known) for name, known in origins(store).items()}
    for twin, parent in parents(store).items():
        if twin not in given and parent in given:
            found[twin] = given[parent]
    return found


def credits_for(found: Iterable[str]) -> list[str]:
    """The sentences that what is published of these origins must carry.

    >>> [one.partition(" for")[0] for one in credits_for(["pararule_plus", OURS])]
    ['Thanks to Qiming Bao']
    """
    asked = {one.name: one.credit for one in pinned_sets() if one.credit}
    return [asked[name] for name in sorted(set(found) & set(asked))]


def credits_in(store: Reader) -> list[str]:
    """The same of all puzzle sets of a store."""
    return credits_for(name for found in origins(store).values() for name in found)
