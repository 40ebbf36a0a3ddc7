"""Two stores, table by table: what an undisturbed run gives, and what another gave.

With DuckDB alone, so that no code of ours reads both sides alike.
"""

from pathlib import Path

import duckdb

# When a run was published, and how long it took; of no other column may two runs differ.
OF_THE_CLOCK = {"runs": ("created_at", "seconds")}


def tables(path: Path) -> dict[str, list[tuple]]:
    """Every row of every table, in an order of their own."""
    with duckdb.connect(str(path), read_only=True) as store:
        names = [
            name for (name,) in store.execute("select table_name from duckdb_tables()").fetchall()
        ]
        found = {}
        for name in sorted(names):
            left_out = ", ".join(OF_THE_CLOCK.get(name, ()))
            columns = f"* exclude ({left_out})" if left_out else "*"
            rows = store.execute(f"select {columns} from {name}").fetchall()
            found[name] = sorted(map(repr, rows))  # NaN is NaN, and every bit of a number is seen
        return found


def assert_same_tables(one: Path, other: Path, but: str = "") -> None:
    """Fail, naming the table, where two stores differ in another than one that is left out."""
    first, second = tables(one), tables(other)
    assert first.keys() == second.keys()
    assert first["head_scores"], "nothing to compare"
    for name in first:
        assert name == but or first[name] == second[name], f"{name} differs"
