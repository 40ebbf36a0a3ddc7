"""What each command of the command line takes, and what it does.

A file has commands that belong together: `add_NAME` describes a command's options, NAME carries it
out. Torch and transformers are imported by the commands that score, when they run: the others start
at once.
"""

from qkcore.commands import one_prompt, planning, puzzle_files, running, starting, stores

# In the order in which help lists them.
ADD = (
    starting.add_app,
    puzzle_files.add_generate,
    puzzle_files.add_import,
    puzzle_files.add_balance,
    planning.add_plan,
    running.add_precompute,
    running.add_ablate,
    stores.add_migrate,
    stores.add_bundle,
    stores.add_export,
    stores.add_report,
    one_prompt.add_score,
    one_prompt.add_check,
)
