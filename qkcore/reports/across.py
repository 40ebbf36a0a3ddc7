"""What a report says of a run beside the other runs of its model: heads taken from set to set.

The section is left out where the store has one set of this model only.
"""

from qkcore.charts.grids import transfer_matrix
from qkcore.reports.contents import Section, table_of
from qkcore.reports.reported import Reported
from qkcore.results.findings import comparable_runs, transfers
from qkcore.wording import accuracy_text, head_name, percent


def transfer_section(of: Reported) -> Section | None:
    """Heads chosen on one puzzle set, tested on another."""
    runs = comparable_runs(of.store, of.run_id)
    if len(runs) < 2:
        return None
    table = transfers(of.store, tuple(runs["run_id"]))
    chance = max(of.store.chance(run_id, "test") or 0.0 for run_id in runs["run_id"])
    caption = (
        "Test accuracy in percent (balanced where a set's answers are not). Row: the set whose "
        "validation puzzles chose the head; column: the set whose test puzzles it answers. The "
        f"middle of the scale is {percent(chance)}. Each set's newest run of this model with the "
        "same settings."
    )
    own = table[table["chosen_on"] == of.run["puzzle_set"]]
    columns = {
        "Tested on": lambda row: str(row["tested_on"]),
        "Head": lambda row: head_name(row["layer"], row["head"]),
        "Test accuracy": lambda row: accuracy_text(
            row["accuracy"], row["low"], row["high"], row["n"]
        ),
    }
    chart = of.figure(transfer_matrix(table, chance), caption, of.model_name)
    parts = chart, table_of(own, columns)
    return Section("Heads taken to other puzzle sets", parts)
