"""Questions to a result store that its tables of counts answer.

Anyone with DuckDB can read the file; the tables are in qkcore.results.schema. Questions about
single puzzles are in qkcore.results.answers.
"""

import numpy as np
import pandas as pd

from qkcore.results.counting import head_intervals
from qkcore.results.raw import (
    Steps,
    all_scores,
    is_among,
    model_logits,
    puzzle_rows,
    rule_choices,
)
from qkcore.results.reader import Reader
from qkcore.statistics.calibration import calibrated
from qkcore.statistics.exams import accuracy_by
from qkcore.statistics.marks import choices
from qkcore.statistics.metrics import REPORTED, balanced_accuracy, select_heads


class ResultStore(Reader):
    """Questions to a store: `with ResultStore.open(path) as store: store.runs()`.

    Where a question takes steps or distractors, None means all of them; steps may be a sequence
    too.

    >>> from qkcore import ResultStore, demo_store
    >>> with ResultStore.open(demo_store()) as store:
    ...     run = store.runs()["run_id"].iloc[0]
    ...     store.best_head(run), store.chance(run, "test")
    ...     store.head_accuracy(run, "test", steps=[1, 2]).shape
    ((15, 7), 0.5)
    (270, 11)
    """

    def runs(self) -> pd.DataFrame:
        """All runs, newest first, with the columns of table runs."""
        return self.frame("select * from store.runs order by created_at desc, run_id")

    def has_layers(self, run_id: str) -> bool:
        """Whether a run has lens and probes: it was scored with --lens."""
        sql = "select 1 as one from store.lens where run_id = $run_id limit 1"
        return self.has_table("lens") and bool(len(self.arrays(sql, run_id=run_id)["one"]))

    def has_ablations(self, run_id: str) -> bool:
        """Whether heads of a run were switched off: `qkscope ablate`."""
        sql = "select 1 as one from store.ablations where run_id = $run_id limit 1"
        return self.has_table("ablations") and bool(len(self.arrays(sql, run_id=run_id)["one"]))

    def difficulties(self, run_id: str, split: str) -> pd.DataFrame:
        """steps, distractors, n: how many puzzles of each difficulty."""
        return self.frame(
            """
            select steps, distractors, n
            from store.model_accuracy
            where run_id = $run_id and split = $split
            order by steps, distractors
            """,
            run_id=run_id,
            split=split,
        )

    def head_counts(
        self, run_id: str, split: str, steps: Steps = None, distractors: int | None = None
    ) -> pd.DataFrame:
        """layer, head, n, n_right, accuracy of every head."""
        counts = self.frame(
            """
            select layer, head, sum(n)::integer as n, sum(n_right)::integer as n_right
            from store.head_accuracy
            where run_id = $run_id and split = $split
              and ($steps is null or list_contains($steps, steps))
              and ($distractors is null or distractors = $distractors)
            group by all
            order by layer, head
            """,
            run_id=run_id,
            split=split,
            steps=_listed(steps),
            distractors=distractors,
        )
        return counts.assign(accuracy=counts["n_right"] / counts["n"])

    def head_accuracy(
        self, run_id: str, split: str, steps: Steps = None, distractors: int | None = None
    ) -> pd.DataFrame:
        """How right every head is, with 95 % intervals that know groups.

        Returns:
            layer, head, n, n_right, accuracy, low, high, then balanced_accuracy, balanced_low,
            balanced_high, and n_groups.
        """
        counts = self.head_counts(run_id, split, steps, distractors)
        if counts.empty:
            return counts
        found = self._intervals(run_id, split, steps, distractors)
        balanced = balanced_accuracy(*self.accuracy_by_answer(run_id, split, steps, distractors))
        return counts.assign(
            low=found["low"],
            high=found["high"],
            balanced_accuracy=balanced,
            balanced_low=found["balanced_low"],
            balanced_high=found["balanced_high"],
            n_groups=found["n_groups"],
        )

    def _intervals(
        self, run_id: str, split: str, steps: Steps, distractors: int | None
    ) -> dict[str, np.ndarray]:
        """As table intervals has them; of several steps worked out anew from raw scores."""
        listed = _listed(steps)
        if listed is not None and len(listed) != 1:
            puzzles = puzzle_rows(self, run_id)
            rows = np.flatnonzero(is_among(puzzles, split, listed, distractors))
            scores = all_scores(self, run_id)[:, :, rows]
            said = choices(scores.reshape(-1, *scores.shape[2:])).T
            return head_intervals(said, puzzles.iloc[rows])
        return self.arrays(
            """
            select unnest(low) as low, unnest(high) as high, unnest(balanced_low) as balanced_low,
                   unnest(balanced_high) as balanced_high, n_groups
            from store.intervals
            where run_id = $run_id and split = $split
              and steps is not distinct from $steps
              and distractors is not distinct from $distractors
            """,
            run_id=run_id,
            split=split,
            steps=None if listed is None else listed[0],
            distractors=distractors,
        )

    def model_accuracy(
        self,
        run_id: str,
        split: str,
        steps: Steps = None,
        distractors: int | None = None,
        measure: str = "accuracy",
        is_calibrated: bool = False,
    ) -> pd.DataFrame:
        """How right the model's own answers are.

        Args:
            run_id: of the run.
            split: "validation" or "test".
            steps: one or several; None: all.
            distractors: None: all.
            measure: "accuracy" or "balanced_accuracy".
            is_calibrated: with the run's offsets added to the logits (`model_offset`).

        Returns:
            n, n_right, n_groups, accuracy (by that measure), low, high (95 %). One row, none
            without such puzzles.
        """
        logits = model_logits(self, run_id)
        said = calibrated(logits, self.model_offset(run_id)) if is_calibrated else choices(logits)
        asked = (run_id, split, steps, distractors)
        return self._reported({"model": said}, *asked, measure).drop(columns="who")

    def surface_accuracy(
        self,
        run_id: str,
        split: str,
        steps: Steps = None,
        distractors: int | None = None,
        measure: str = "accuracy",
    ) -> pd.DataFrame:
        """What rules that read no logic get right, on the same puzzles as the heads.

        Arguments are those of `model_accuracy`.

        Returns:
            rule, n, n_right, n_groups, accuracy, low, high. Without the puzzles' texts there is
            only the majority answer.
        """
        asked = (run_id, split, steps, distractors)
        reported = self._reported(rule_choices(self, run_id), *asked, measure)
        return reported.rename(columns={"who": "rule"}).sort_values("rule", ignore_index=True)

    def _reported(
        self,
        said: dict[str, np.ndarray],
        run_id: str,
        split: str,
        steps: Steps,
        distractors: int | None,
        measure: str,
    ) -> pd.DataFrame:
        """`accuracy_by` of (puzzle,) choices by name."""
        puzzles = puzzle_rows(self, run_id)
        answer = puzzles["answer"]
        is_right = {f"is_{who}_right": choice == answer for who, choice in said.items()}
        marks = puzzles.assign(**is_right)[is_among(puzzles, split, steps, distractors)]
        if marks.empty or not said:
            return pd.DataFrame(columns=["who", *REPORTED])
        return accuracy_by(marks, [], list(said), measure)

    def model_offset(self, run_id: str) -> np.ndarray:
        """(candidate,) what calibration adds to the model's logits; see `calibration.offsets`."""
        return self.arrays(
            "select unnest(model_offset) as offset from store.runs where run_id = $run_id",
            run_id=run_id,
        )["offset"]

    def best_rule(self, run_id: str, measure: str = "accuracy") -> str | None:
        """The surface rule that does best on **validation** puzzles.

        The first of equals by name; None when the run has no such puzzles.
        """
        puzzles = puzzle_rows(self, run_id)
        rows = is_among(puzzles, "validation")
        said = rule_choices(self, run_id)
        if not rows.any() or not said:
            return None
        answer = puzzles["answer"].to_numpy()[rows]
        # Shares alone: every exam asks this, and intervals take many times as long.
        shares = {
            rule: _share(said[rule][rows] == answer, answer, measure) for rule in sorted(said)
        }
        return max(shares, key=lambda rule: shares[rule])

    def luck(
        self,
        run_id: str,
        split: str,
        steps: int | None = None,
        distractors: int | None = None,
        measure: str = "accuracy",
    ) -> pd.DataFrame:
        """n, q50, q95, n_permutations; see `luck.luck_line`.

        One row, none without such puzzles.
        """
        return self.frame(
            """
            select n, q50, q95, n_permutations
            from store.luck
            where run_id = $run_id and split = $split and measure = $measure
              and steps is not distinct from $steps
              and distractors is not distinct from $distractors
            """,
            run_id=run_id,
            split=split,
            measure=measure,
            steps=steps,
            distractors=distractors,
        )

    def head_luck(
        self,
        run_id: str,
        split: str,
        steps: int | None = None,
        distractors: int | None = None,
        measure: str = "accuracy",
    ) -> dict[str, np.ndarray]:
        """null_mean, null_sd: (layer * head,) when answers are shuffled.

        Of the number of right answers, or of balanced accuracy; see `luck.luck_lines`.
        """
        return self.arrays(
            """
            select unnest(null_mean) as null_mean, unnest(null_sd) as null_sd
            from store.luck
            where run_id = $run_id and split = $split and measure = $measure
              and steps is not distinct from $steps
              and distractors is not distinct from $distractors
            """,
            run_id=run_id,
            split=split,
            measure=measure,
            steps=steps,
            distractors=distractors,
        )

    def luck_lines(
        self,
        run_id: str,
        split: str,
        by: str,
        distractors: int | None = None,
        measure: str = "accuracy",
    ) -> pd.DataFrame:
        """The luck line along one axis: `by`, n, q50, q95.

        `by` is "steps", or "distractors" with all steps together.
        """
        lines = self.frame(
            """
            select steps, distractors, n, q50, q95
            from store.luck
            where run_id = $run_id and split = $split and measure = $measure
            """,
            run_id=run_id,
            split=split,
            measure=measure,
        )
        if by == "distractors":
            is_asked = lines["steps"].isna() & lines["distractors"].notna()
        elif distractors is None:
            is_asked = lines["steps"].notna() & lines["distractors"].isna()
        else:
            is_asked = lines["steps"].notna() & (lines["distractors"] == distractors)
        return lines.loc[is_asked, [by, "n", "q50", "q95"]].sort_values(by, ignore_index=True)

    def chance(
        self, run_id: str, split: str, steps: Steps = None, distractors: int | None = None
    ) -> float | None:
        """Accuracy of guessing: the mean of one over the number of candidates.

        None without such puzzles.
        """
        mean = self.frame(
            """
            select avg(1 / len(candidates)) as chance
            from store.puzzles join store.runs using (puzzle_set)
            where run_id = $run_id and split = $split
              and ($steps is null or list_contains($steps, steps))
              and ($distractors is null or distractors = $distractors)
            """,
            run_id=run_id,
            split=split,
            steps=_listed(steps),
            distractors=distractors,
        )["chance"].iloc[0]
        return None if pd.isna(mean) else float(mean)

    def accuracy_by_answer(
        self, run_id: str, split: str, steps: Steps = None, distractors: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """How often each head is right by the index of the right candidate.

        Returns:
            (layer * head, answer) n_right and (answer,) n; (0, 0) and (0,) without such puzzles.
        """
        filters = dict(run_id=run_id, split=split, steps=_listed(steps), distractors=distractors)
        right = self.arrays(
            """
            select sum(n_right) as n_right
            from (
                select layer, head, unnest(n_right_by_answer) as n_right,
                       generate_subscripts(n_right_by_answer, 1) as answer
                from store.head_accuracy
                where run_id = $run_id and split = $split
                  and ($steps is null or list_contains($steps, steps))
                  and ($distractors is null or distractors = $distractors)
            )
            group by layer, head, answer
            order by layer, head, answer
            """,
            **filters,
        )["n_right"].astype(int)
        n = self.arrays(
            """
            select sum(n) as n
            from (
                select unnest(n_by_answer) as n, generate_subscripts(n_by_answer, 1) as answer
                from store.model_accuracy
                where run_id = $run_id and split = $split
                  and ($steps is null or list_contains($steps, steps))
                  and ($distractors is null or distractors = $distractors)
            )
            group by answer
            order by answer
            """,
            **filters,
        )["n"].astype(int)
        return right.reshape(-1, len(n)) if len(n) else np.zeros((0, 0), dtype=int), n

    def auc(
        self, run_id: str, split: str, steps: int | None = None, distractors: int | None = None
    ) -> np.ndarray:
        """(layer * head,) area under the ROC curve, see `metrics.auc`.

        Empty where it is not defined.
        """
        return self.arrays(
            """
            select unnest(auc) as auc
            from store.auc
            where run_id = $run_id and split = $split
              and steps is not distinct from $steps
              and distractors is not distinct from $distractors
            """,
            run_id=run_id,
            split=split,
            steps=steps,
            distractors=distractors,
        )["auc"]

    def candidates(self, run_id: str) -> tuple[str, ...] | None:
        """The candidates that all puzzles of a run share; None where they differ."""
        found = self.frame(
            """
            select distinct candidates
            from store.puzzles join store.runs using (puzzle_set)
            where run_id = $run_id
            limit 2
            """,
            run_id=run_id,
        )["candidates"]
        return tuple(found.iloc[0]) if len(found) == 1 else None

    def measure(self, run_id: str) -> str:
        """What a run's heads are chosen and reported by.

        "balanced_accuracy" where one answer is right for too many of its validation puzzles, else
        "accuracy".
        """
        found = self.frame(
            "select is_imbalanced from store.runs where run_id = $run_id", run_id=run_id
        )["is_imbalanced"]
        return "balanced_accuracy" if found.any() else "accuracy"

    def head_facts(self, run_id: str) -> pd.DataFrame:
        """What is known of each head beside its counts.

        Returns:
            layer, head, constant (candidate that it says to 98 % of validation puzzles; missing: it
            is not constant), chosen_share (of draws of validation groups by which it is chosen, by
            the run's measure).
        """
        facts = self.frame(
            """
            select layer, head, constant, chosen_share, chosen_share_balanced
            from store.heads where run_id = $run_id order by layer, head
            """,
            run_id=run_id,
        ).astype({"constant": "Int64"})
        if self.measure(run_id) == "balanced_accuracy":
            facts["chosen_share"] = facts["chosen_share_balanced"]
        return facts.drop(columns="chosen_share_balanced")

    def stability(self, run_id: str) -> pd.DataFrame:
        """The chosen head against the number of validation puzzles, by the run's measure.

        Returns:
            n, median, low, high, same_head; see `stability.accuracy_by_size`.
        """
        return self.frame(
            """
            select n, median, low, high, same_head
            from store.stability where run_id = $run_id and measure = $measure order by n
            """,
            run_id=run_id,
            measure=self.measure(run_id),
        )

    def selected(
        self,
        run_id: str,
        k: int = 1,
        by: str | None = None,
        steps: Steps = None,
        with_constant: bool = True,
    ) -> list[tuple[int, int]]:
        """The k heads that do best on **validation** puzzles, best first.

        No heads when the run has no such puzzles.

        Args:
            run_id: of the run.
            k: how many.
            by: "accuracy" or "balanced_accuracy"; None: the run's own (`measure`).
            steps: choose on validation puzzles of these steps only.
            with_constant: also heads that say the same to nearly all puzzles.
        """
        by = self.measure(run_id) if by is None else by
        validation = self.head_counts(run_id, "validation", steps)
        if by == "balanced_accuracy" and len(validation):
            validation["balanced_accuracy"] = balanced_accuracy(
                *self.accuracy_by_answer(run_id, "validation", steps)
            )
        if not with_constant and len(validation):
            facts = self.head_facts(run_id)[["layer", "head", "constant"]]
            validation = validation.merge(facts, on=["layer", "head"])
            validation = validation[validation["constant"].isna()]
        return select_heads(validation, k, by) if len(validation) else []

    def best_head(self, run_id: str) -> tuple[int, int] | None:
        """(layer, head) chosen on **validation** puzzles, by the run's measure.

        None when the run has no such puzzles.
        """
        return next(iter(self.selected(run_id)), None)

    def worked_example(self, run_id: str) -> pd.Series | None:
        """The row of table worked_examples, with all of the puzzle; None without one."""
        found = self.frame(
            """
            select e.*, p.context, p.statement, p.candidates, p.answer, p.steps, p.distractors,
                   p.split
            from store.worked_examples e
            join store.runs r using (run_id)
            join store.puzzles p on p.puzzle_set = r.puzzle_set and p.puzzle_id = e.puzzle_id
            where run_id = $run_id
            """,
            run_id=run_id,
        )
        return None if found.empty else found.iloc[0]


def _share(is_right: np.ndarray, answer: np.ndarray, measure: str) -> float:
    """The share of (puzzle,) booleans that is true, or its mean over the right answers.

    >>> _share(np.array([True, True, True, False]), np.array([0, 0, 0, 1]), "balanced_accuracy")
    0.5
    """
    if measure == "accuracy":
        return float(is_right.mean())
    return float(balanced_accuracy(np.bincount(answer, weights=is_right), np.bincount(answer)))


def _listed(steps: Steps) -> list[int] | None:
    """A list of plain integers, as DuckDB takes it.

    >>> _listed(None), _listed(2), _listed((3, 4))
    (None, [2], [3, 4])
    """
    if steps is None:
        return None
    return [int(value) for value in ([steps] if isinstance(steps, int | np.integer) else steps)]
