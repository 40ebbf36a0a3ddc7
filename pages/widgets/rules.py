"""How far one gets without logic: the rivals that belong beside every accuracy."""

from pages.main.stored import ask
from qkcore.results.store import ResultStore
from qkcore.wording import accuracy_text

MEASURE_NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}


def rule_sentence(
    run_id: str,
    steps: int | None = None,
    distractors: int | None = None,
    measure: str | None = None,
) -> str:
    """The surface rule chosen on validation puzzles, and what it gets on these test puzzles.

    By the run's measure unless another is named.
    """
    measure = measure or ask(ResultStore.measure, run_id)
    name = ask(ResultStore.best_rule, run_id, measure)
    quoted = _quoted(run_id, name, steps, distractors, measure)
    if quoted is None:
        return "No surface rule could be chosen, for want of validation puzzles."
    return f'The best surface rule, "{name}", gets {quoted} without reading any logic.'


def majority_sentence(
    run_id: str,
    steps: int | None = None,
    distractors: int | None = None,
    measure: str | None = None,
) -> str:
    """What the commonest answer of validation puzzles gets on these test puzzles."""
    measure = measure or ask(ResultStore.measure, run_id)
    quoted = _quoted(run_id, "majority", steps, distractors, measure)
    return "" if quoted is None else f"Always giving the commonest answer gets {quoted}."


def _quoted(
    run_id: str, name: str | None, steps: int | None, distractors: int | None, measure: str
) -> str | None:
    rules = ask(ResultStore.surface_accuracy, run_id, "test", steps, distractors, measure)
    own = rules[rules["rule"] == name]
    if own.empty:
        return None
    return accuracy_text(*own[["accuracy", "low", "high", "n"]].iloc[0])
