"""What a figure of a run says below it: the trivial rivals that every accuracy stands beside."""

from qkcore.results.store import ResultStore
from qkcore.wording import percent

MEASURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}


def rival_line(store: ResultStore, run_id: str) -> str:
    r"""Chance, luck line, commonest answer, best surface rule and model on all test puzzles.

    By the run's measure; rule and offsets are chosen on validation puzzles. Nothing without test
    puzzles.

    >>> from qkcore import ResultStore, demo_store
    >>> store = ResultStore.kept(demo_store())
    >>> rival_line(store, store.runs()["run_id"].iloc[0]).replace("\xa0", " ")[:66]
    'All 326 test puzzles, accuracy: chance 50.0 %, luck line 56.1 %, c'
    """
    measure = store.measure(run_id)
    model = store.model_accuracy(run_id, "test", measure=measure)
    chance = store.chance(run_id, "test")
    if model.empty or chance is None:
        return ""
    calibrated = store.model_accuracy(run_id, "test", measure=measure, is_calibrated=True)
    luck = store.luck(run_id, "test", measure=measure)["q95"].iloc[0]
    rules = store.surface_accuracy(run_id, "test", measure=measure).set_index("rule")["accuracy"]
    listed = {"chance": chance, "luck line": luck}
    if "majority" in rules:
        listed["commonest answer"] = rules["majority"]
    best = store.best_rule(run_id, measure)
    if best not in (None, "majority"):
        listed[f'best surface rule "{best}"'] = rules[best]
    listed |= {"model": model["accuracy"].iloc[0], "calibrated": calibrated["accuracy"].iloc[0]}
    shares = ", ".join(f"{name} {percent(share)}" for name, share in listed.items())
    return f"All {model['n'].iloc[0]:,} test puzzles, {MEASURES[measure]}: {shares}."
