"""Every run of a store in a line: who got what, and the verdict; and the store's story.

Rests on the evidence that a store keeps (`results/kept`). Where it keeps none, as in a store of an
earlier build, only so many runs are worked out; the others have no verdict yet.
"""

from collections import Counter
from contextlib import suppress
from typing import Any

import pandas as pd

from qkcore.results.beside import RawScoresAbsentError
from qkcore.results.kept import kept
from qkcore.results.store import ResultStore
from qkcore.results.verdicts import SAME_MODEL, twin_runs, worked_out
from qkcore.statistics.evidence import Evidence
from qkcore.statistics.rivals import best_rival
from qkcore.statistics.verdicts import verdict
from qkcore.wording import head_name, run_text, set_names, short_names

AT_MOST = 24  # runs that are worked out while somebody waits: three seconds
LEFT = "something is left"
NO_VERDICT = "no verdict"  # no validation or no test puzzles
NOT_YET = "not worked out"
LUCK = "luck line"
# How the others are told, after "in 3 ".
TOLD = {
    "surface rule": "a surface rule or the commonest answer does as well",
    "calibration": "one offset a candidate gives the model as much",
    "no gap": "no gap to the model can be seen",
    "not above luck": "the head is not above luck",
    "always the same answer": "the head always says the same",
    "too few puzzles": "there are too few puzzles to say",
}
RESULTS = (
    "head_name head_accuracy low high calibrated_accuracy rival rival_accuracy n verdict sentence"
).split()


NAMED = [
    *"run_id model_name set_name puzzle_set puzzle_set_sha256 twin_of n_puzzles created_at".split(),
    *SAME_MODEL,
]


def named_runs(store: ResultStore) -> pd.DataFrame:
    """`ResultStore.runs` with model_name and set_name, which are short and differ where they do."""
    runs = store.runs()
    return runs.assign(
        model_name=runs["model"].map(short_names(runs["model"])),
        set_name=runs["puzzle_set"].map(set_names(runs)),
    )


def run_titles(store: ResultStore) -> dict[str, str]:
    r"""What each run is called beside a chart, in two lines, all of them different: id to title.

    >>> from qkcore import ResultStore, demo_store
    >>> next(iter(run_titles(ResultStore.kept(demo_store())).values()))
    'SmolLM2-135M-Instruct L15 H7\non PARARULE-Plus'
    """
    runs = named_runs(store)
    titles = {}
    for run in runs.to_dict("records"):
        best = store.best_head(run["run_id"])
        head = "" if best is None else f" {head_name(*best)}"
        named = run_text(f"{run['model_name']}{head}\n", run["set_name"], run["rope"])
        titles[run["run_id"]] = named.replace("\n on ", "\non ", 1)
    n_so_called = Counter(titles.values())
    return {
        run_id: title if n_so_called[title] == 1 else f"{title}\n({run_id})"
        for run_id, title in titles.items()
    }


def summaries(store: ResultStore, at_most: int = AT_MOST) -> pd.DataFrame:
    """What each run of a store shows, newest first.

    Args:
        store: that holds the runs.
        at_most: so many are worked out where the store does not keep them.

    Returns:
        The columns of `ResultStore.runs` that name a run and its settings, then model_name,
        set_name (short ones), twin_run, head_name, head_accuracy, low, high (95 %),
        calibrated_accuracy, rival, rival_accuracy (the best trivial one on test puzzles:
        commonest answer, surface rule or luck line), n, verdict, sentence; by each run's measure.
        Where there is no evidence the verdict says why.

    >>> from qkcore import ResultStore, demo_store, summaries
    >>> table = summaries(ResultStore.kept(demo_store()))
    >>> table[["model_name", "set_name", "head_name", "verdict"]].iloc[0].tolist()
    ['SmolLM2-135M-Instruct', 'PARARULE-Plus', 'L15 H7', 'surface rule']
    """
    runs, there, twins = named_runs(store), kept(store), twin_runs(store)
    rows, n_worked_out = [], 0
    for run_id, twin in twins.items():
        row = there.get(run_id)
        if row is not None and row.twin_run == twin:
            rows.append(_results(row.evidence))
        elif n_worked_out < at_most:
            n_worked_out += 1
            with suppress(RawScoresAbsentError):
                rows.append(_results(worked_out(store, run_id)))
                continue
            rows.append(dict.fromkeys(RESULTS) | {"verdict": NOT_YET})
        else:
            rows.append(dict.fromkeys(RESULTS) | {"verdict": NOT_YET})
    named = runs[NAMED].assign(twin_run=pd.Series(list(twins.values()), dtype=object))
    results = pd.DataFrame(rows, columns=RESULTS, index=named.index)
    return pd.concat([named, results], axis=1)


def _results(evidence: Evidence | None) -> dict[str, Any]:
    """One run's columns of `summaries`."""
    if evidence is None:
        return dict.fromkeys(RESULTS) | {"verdict": NO_VERDICT}
    found = verdict(evidence)
    trivial = {evidence.majority.name: evidence.majority.accuracy.value, LUCK: evidence.luck}
    if evidence.rule:
        trivial[evidence.rule.name] = evidence.rule.accuracy.value
    rival, accuracy = best_rival(trivial)
    head = evidence.head
    return dict(
        head_name=evidence.head_name,
        head_accuracy=head.value,
        low=head.low,
        high=head.high,
        calibrated_accuracy=evidence.calibrated_model.accuracy.value,
        rival=rival,
        rival_accuracy=accuracy,
        n=evidence.n,
        verdict=found.name,
        sentence=found.sentence,
    )


def story(table: pd.DataFrame) -> tuple[str, str]:
    """A store's story in two sentences, from its verdicts.

    Args:
        table: from `summaries`.

    >>> from qkcore import ResultStore, demo_store, summaries
    >>> for sentence in story(summaries(ResultStore.kept(demo_store())).query("rope == 'post'")):
    ...     print(sentence.partition(",")[0])
    In this one run the chosen head is not ahead of every rival: the model
    In it no gap to the model can be seen.
    """
    judged = table[~table["verdict"].isin([NO_VERDICT, NOT_YET])]
    if judged.empty:
        return (
            "No run of this store has a verdict yet: a verdict needs validation puzzles to choose "
            "a head on, and test puzzles to report it on.",
            _without(table),
        )
    left = judged[judged["verdict"] == LEFT]
    n, k = len(judged), len(left)
    if n == 1:
        whose = f"In this one run the chosen head is {'' if k else 'not '}ahead of every rival"
    elif k:
        whose = f"In {'all' if k == n else f'{k:,}'} of {n:,} runs the chosen head is ahead of "
        whose += "every rival"
    else:
        whose = f"In none of {n:,} runs is the chosen head ahead of every rival"
    first = (
        f"{whose}: the model, calibrated or not, the commonest answer, luck and surface rules, and "
        f"on the balanced twin where there is one{_where(left)}."
    )
    return first, " ".join(filter(None, (_others(judged), _without(table))))


def _where(left: pd.DataFrame) -> str:
    """The models of which something is left."""
    names = list(dict.fromkeys(left["model_name"]))
    if not names:
        return ""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f" ({', '.join(names[:3])}{more})"


def _others(judged: pd.DataFrame) -> str:
    """Why nothing is left of the others, the commonest reason first."""
    counts = Counter(name for name in judged["verdict"] if name != LEFT)
    if not counts:
        return "Nothing simpler explains any of them." if len(judged) > 1 else ""
    if len(judged) == 1:
        return f"In it {TOLD[next(iter(counts))]}."
    rest = "the others" if len(judged) > sum(counts.values()) else "them"
    (first, n), *more = counts.most_common()
    told = "".join(f", in {n:,} {TOLD[name]}" for name, n in more)
    return f"In {n:,} of {rest} {TOLD[first]}{told}."


def _without(table: pd.DataFrame) -> str:
    """How many have no verdict, if any."""
    counts = Counter(table["verdict"])
    told = [
        f"{counts[name]:,} {'has' if counts[name] == 1 else 'have'} {what}"
        for name, what in (
            (NO_VERDICT, "no validation or no test puzzles"),
            (NOT_YET, "no verdict worked out yet (`qkscope migrate` does it)"),
        )
        if counts[name]
    ]
    return f"Of all runs, {' and '.join(told)}." if told else ""
