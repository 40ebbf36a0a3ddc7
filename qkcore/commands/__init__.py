"""What each command of the command line takes, and what it does.

A file has commands that belong together: `add_NAME` describes a command's options, NAME carries it
out. Torch and transformers are imported by the commands that score, when they run: the others start
at once.
"""

from qkcore.commands import (
    multiple_choice,
    one_prompt,
    planning,
    publishing,
    puzzle_files,
    reproducing,
    running,
    starting,
    stores,
    sweeping,
)

# In the order in which help lists them.
ADD = (
    starting.add_app,
    puzzle_files.add_generate,
    publishing.add_get_sets,
    puzzle_files.add_import,
    puzzle_files.add_balance,
    multiple_choice.add_permute,
    planning.add_plan,
    running.add_precompute,
    sweeping.add_sweep,
    running.add_ablate,
    reproducing.add_reproduce,
    stores.add_runs,
    stores.add_migrate,
    stores.add_bundle,
    publishing.add_push,
    stores.add_export,
    stores.add_report,
    multiple_choice.add_permutations,
    one_prompt.add_score,
    one_prompt.add_check,
)
