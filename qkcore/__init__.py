"""The core of QKScope: everything that computes. Knows nothing of the screen.

The public names stand here and are loaded when they are first used, so that `import qkcore` is
quick and reading results never loads torch. docs/api.md lists them with an example each.

    from qkcore import load_model, load_puzzles, score_puzzles, ResultStore
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from qkcore.asking.links import typed_puzzle
    from qkcore.asking.templates import (
        Chat,
        PromptError,
        PromptTemplate,
        options_template,
        template_named,
    )
    from qkcore.attention.geometry import UnsupportedModelError
    from qkcore.attention.load import CausalLM, load_model, vouch_for
    from qkcore.bundled import bundled_model, demo_store
    from qkcore.charts.curves import difficulty_curves, gap_chart, margin_curves
    from qkcore.charts.effects import effect_chart
    from qkcore.charts.grids import gap_grid, head_grid, transfer_matrix
    from qkcore.charts.left_over import what_is_left
    from qkcore.charts.one_puzzle import puzzle_grid
    from qkcore.charts.paper import paper_figure
    from qkcore.charts.theme import themed
    from qkcore.charts.tokens import token_strip
    from qkcore.puzzles.balance import balance_puzzles
    from qkcore.puzzles.generate import generate_puzzles
    from qkcore.puzzles.multiple_choice import generate_options, in_orders, with_never_right
    from qkcore.puzzles.public_sets import import_puzzles, read_set
    from qkcore.puzzles.puzzle import (
        Puzzle,
        PuzzleError,
        assign_splits,
        load_puzzles,
        save_puzzles,
    )
    from qkcore.puzzles.surface import surface_accuracy
    from qkcore.puzzles.variants import truth, variants
    from qkcore.reports.write import write_report
    from qkcore.results.aligned import Alignment
    from qkcore.results.answers import exam
    from qkcore.results.effects import ablation_effects, usage_of
    from qkcore.results.export import export
    from qkcore.results.findings import (
        choices_reported,
        head_gap,
        measures,
        run_gaps,
        transfers,
    )
    from qkcore.results.layers import layer_curves, lost_on_the_way
    from qkcore.results.one_puzzle import grid_frame
    from qkcore.results.orders import permutation_accuracy
    from qkcore.results.profile import head_profile
    from qkcore.results.reader import StoreError
    from qkcore.results.scores import Scores
    from qkcore.results.store import ResultStore
    from qkcore.results.summaries import summaries
    from qkcore.results.verdicts import left_over, three_gaps, verdict_of
    from qkcore.scoring.ablate import ablate
    from qkcore.scoring.alignment import align
    from qkcore.scoring.interventions import answers_without
    from qkcore.scoring.precompute import precompute
    from qkcore.scoring.replacing import replacements_of
    from qkcore.scoring.score import prompts_of, score_puzzle, score_puzzles
    from qkcore.sharing.bundle import BundleError, open_bundle, write_bundle
    from qkcore.statistics.exams import accuracy_by, gaps
    from qkcore.statistics.luck import luck_line
    from qkcore.statistics.metrics import (
        accuracy_interval,
        auc,
        balanced_accuracy,
        paired_test,
        select_heads,
    )

# Where each public name lives: the same as above, for whoever does not check types.
_HOMES = {
    "asking.links": "typed_puzzle",
    "asking.templates": "Chat PromptError PromptTemplate options_template template_named",
    "attention.geometry": "UnsupportedModelError",
    "attention.load": "CausalLM load_model vouch_for",
    "bundled": "bundled_model demo_store",
    "charts.curves": "difficulty_curves gap_chart margin_curves",
    "charts.effects": "effect_chart",
    "charts.grids": "gap_grid head_grid transfer_matrix",
    "charts.left_over": "what_is_left",
    "charts.one_puzzle": "puzzle_grid",
    "charts.paper": "paper_figure",
    "charts.theme": "themed",
    "charts.tokens": "token_strip",
    "puzzles.balance": "balance_puzzles",
    "puzzles.generate": "generate_puzzles",
    "puzzles.multiple_choice": "generate_options in_orders with_never_right",
    "puzzles.public_sets": "import_puzzles read_set",
    "puzzles.puzzle": "Puzzle PuzzleError assign_splits load_puzzles save_puzzles",
    "puzzles.surface": "surface_accuracy",
    "puzzles.variants": "truth variants",
    "reports.write": "write_report",
    "results.aligned": "Alignment",
    "results.answers": "exam",
    "results.effects": "ablation_effects usage_of",
    "results.export": "export",
    "results.findings": "choices_reported head_gap measures run_gaps transfers",
    "results.layers": "layer_curves lost_on_the_way",
    "results.one_puzzle": "grid_frame",
    "results.orders": "permutation_accuracy",
    "results.profile": "head_profile",
    "results.reader": "StoreError",
    "results.scores": "Scores",
    "results.store": "ResultStore",
    "results.summaries": "summaries",
    "results.verdicts": "left_over three_gaps verdict_of",
    "scoring.ablate": "ablate",
    "scoring.alignment": "align",
    "scoring.interventions": "answers_without",
    "scoring.precompute": "precompute",
    "scoring.replacing": "replacements_of",
    "scoring.score": "prompts_of score_puzzle score_puzzles",
    "sharing.bundle": "BundleError open_bundle write_bundle",
    "statistics.exams": "accuracy_by gaps",
    "statistics.luck": "luck_line",
    "statistics.metrics": "accuracy_interval auc balanced_accuracy paired_test select_heads",
}
_HOME_OF = {name: f"qkcore.{home}" for home, names in _HOMES.items() for name in names.split()}

# Written out, for type checkers read no sums; tests/test_lint.py compares it with the homes.
__all__ = [
    "Alignment",
    "BundleError",
    "CausalLM",
    "Chat",
    "InputError",
    "PromptError",
    "PromptTemplate",
    "Puzzle",
    "PuzzleError",
    "ResultStore",
    "Scores",
    "StoreError",
    "UnsupportedModelError",
    "__version__",
    "ablate",
    "ablation_effects",
    "accuracy_by",
    "accuracy_interval",
    "align",
    "answers_without",
    "assign_splits",
    "auc",
    "balance_puzzles",
    "balanced_accuracy",
    "bundled_model",
    "choices_reported",
    "demo_store",
    "difficulty_curves",
    "effect_chart",
    "exam",
    "export",
    "gap_chart",
    "gap_grid",
    "gaps",
    "generate_options",
    "generate_puzzles",
    "grid_frame",
    "head_gap",
    "head_grid",
    "head_profile",
    "import_puzzles",
    "in_orders",
    "layer_curves",
    "left_over",
    "load_model",
    "load_puzzles",
    "lost_on_the_way",
    "luck_line",
    "margin_curves",
    "measures",
    "open_bundle",
    "options_template",
    "paired_test",
    "paper_figure",
    "permutation_accuracy",
    "precompute",
    "prompts_of",
    "puzzle_grid",
    "read_set",
    "replacements_of",
    "run_gaps",
    "save_puzzles",
    "score_puzzle",
    "score_puzzles",
    "select_heads",
    "summaries",
    "surface_accuracy",
    "template_named",
    "themed",
    "three_gaps",
    "token_strip",
    "transfer_matrix",
    "transfers",
    "truth",
    "typed_puzzle",
    "usage_of",
    "variants",
    "verdict_of",
    "vouch_for",
    "what_is_left",
    "with_never_right",
    "write_bundle",
    "write_report",
]


class InputError(ValueError):
    """Something that a person gave cannot be used.

    The message is one sentence: what is wrong, where, and what to do.

    >>> from qkcore import InputError, load_puzzles
    >>> try:
    ...     load_puzzles("gone.jsonl")
    ... except InputError as error:
    ...     print(error)
    gone.jsonl: cannot be read (No such file or directory); check the path
    """


if not TYPE_CHECKING:  # to whoever checks types, a name that is not imported above is an error

    def __getattr__(name: str) -> object:
        """A public name, from where it lives; see PEP 562."""
        if name not in _HOME_OF:
            raise AttributeError(f"module 'qkcore' has no attribute {name!r}")
        value = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
