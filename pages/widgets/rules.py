"""How far one gets without logic: the surface rule that belongs beside every accuracy."""

from pages.main.stored import ask
from qkcore.results.store import ResultStore
from qkcore.wording import accuracy_text


def rule_sentence(run_id: str, steps: int | None = None, distractors: int | None = None) -> str:
    """The surface rule chosen on validation puzzles, and its accuracy on these test puzzles."""
    name = ask(ResultStore.best_rule, run_id)
    rules = ask(ResultStore.surface_accuracy, run_id, "test", steps, distractors)
    own = rules[rules["rule"] == name]
    if own.empty:
        return "No surface rule could be chosen, for want of validation puzzles."
    quoted = accuracy_text(*own[["accuracy", "low", "high", "n"]].iloc[0])
    return f'The best surface rule, "{name}", gets {quoted} without reading any logic.'
