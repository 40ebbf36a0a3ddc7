"""Puzzle files: what is read, what is refused and with which words, and how splits are dealt."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkcore.puzzles.puzzle import (
    Puzzle,
    PuzzleError,
    assign_splits,
    context_group,
    load_puzzles,
    puzzle_set_sha256,
    save_puzzles,
)

MAX = Puzzle("max", "Max is red.", "Max is red.", ("true", "false"), 0, 0, 0, "max", "test")
REX = Puzzle(
    "rex",
    "Rex is a “naïve” cat.",
    "Is he?",
    ("yes", "no", "maybe"),
    None,
    None,
    None,
    "rex",
    "validation",
)
FOUR_FIELDS = {
    "context": "Max is red.",
    "statement": "Max is red.",
    "candidates": ["true", "false"],
    "answer": "true",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "puzzles.jsonl"


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def refusal(path) -> str:
    """The one sentence that loading this file ends in."""
    with pytest.raises(PuzzleError) as caught:
        load_puzzles(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_saved_is_what_is_loaded(path):
    save_puzzles([MAX, REX], path)
    assert load_puzzles(path) == [MAX, REX]
    assert puzzle_set_sha256(load_puzzles(path)) == puzzle_set_sha256([MAX, REX])


def test_a_saved_answer_is_the_candidate_s_text_in_plain_json(path):
    save_puzzles([MAX], path)
    fields = asdict(MAX)
    assert fields.pop("parent") is None  # only a twin's lines have one
    assert json.loads(path.read_text("utf-8")) == {
        **fields,
        "candidates": ["true", "false"],
        "answer": "true",
    }


def test_a_twin_s_puzzles_keep_their_parent(path):
    twin = [replace(MAX, parent="0123456789abcdef" * 4)]
    save_puzzles(twin, path)
    assert json.loads(path.read_text("utf-8"))["parent"] == "0123456789abcdef" * 4
    assert load_puzzles(path) == twin
    assert puzzle_set_sha256(twin) != puzzle_set_sha256([MAX])


def test_the_hash_of_a_set_that_is_no_twin_is_what_it_was_before_there_were_twins():
    line = (
        '{"puzzle_id": "max", "context": "Max is red.", "statement": "Max is red.", "candidates": '
        '["true", "false"], "answer": "true", "steps": 0, "distractors": 0, "group": "max", '
        '"split": "test"}\n'
    )
    assert puzzle_set_sha256([MAX]) == hashlib.sha256(line.encode()).hexdigest()


def test_a_file_with_four_fields_is_valid(path):
    path.write_text(lines(FOUR_FIELDS))
    (puzzle,) = load_puzzles(path)
    assert (puzzle.puzzle_id, puzzle.answer, puzzle.steps, puzzle.distractors) == (
        "line-1",
        0,
        None,
        None,
    )
    assert puzzle.group == context_group("Max is red.")


@pytest.mark.parametrize(("answer", "index"), [("false", 1), (1, 1), (0, 0), (None, None)])
def test_an_answer_is_read_as_text_as_index_or_as_unknown(path, answer, index):
    path.write_text(lines({**FOUR_FIELDS, "answer": answer}))
    assert load_puzzles(path)[0].answer == index


def test_a_byte_order_mark_crlf_and_empty_lines_change_nothing(path):
    path.write_bytes(
        b"\xef\xbb\xbf" + lines(FOUR_FIELDS, FOUR_FIELDS).replace("\n", "\r\n\r\n").encode()
    )
    assert [puzzle.puzzle_id for puzzle in load_puzzles(path)] == ["line-1", "line-3"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer": "maybe"}, "answer 'maybe' is not among its candidates ('true', 'false')"),
        ({"answer": 2}, "answer 2 is not among"),
        ({"answer": -1}, "answer -1 is not among"),
        ({"answer": ["true"]}, "answer ['true'] is not among"),
        ({"answer": True}, 'answer is the JSON value true; write it in quotes, "true"'),
        (
            {"candidates": ["true"]},
            "field 'candidates' holds 1 of the two or more that a puzzle needs",
        ),
        ({"candidates": ["true", "true"]}, "are not all different"),
        ({"candidates": ["true", " false"]}, "candidate ' false' begins or ends with white space"),
        ({"candidates": "true"}, "field 'candidates' must be a list of texts, found 'true'"),
        ({"candidates": ["true", 1]}, "field 'candidates' must be text, found 1"),
        ({"statement": " "}, "field 'statement' is empty"),
        ({"context": ""}, "field 'context' is empty"),
        ({"context": ["Max is red."] * 1000}, "field 'context' must be text, found ["),
        ({"statement": "\ud800"}, "field 'statement' holds half a character (\\ud800)"),
        ({"context": "\udfff"}, "field 'context' holds half a character (\\udfff)"),
        ({"puzzle_id": 7}, "field 'puzzle_id' must be text, found 7"),
        ({"group": ""}, "field 'group' is empty"),
        ({"steps": -1}, "field 'steps' must be a whole number from 0 to 1,000 or null, found -1"),
        ({"steps": True}, "field 'steps' must be a whole number"),
        ({"distractors": 2.5}, "field 'distractors' must be a whole number"),
        ({"split": "train"}, "split 'train' is neither 'validation' nor 'test'"),
        ({"split": []}, "split [] is neither"),
        ({"parent": "pararule"}, "field 'parent' must be the 64 hex digits"),
        ({"parent": 7}, "field 'parent' must be the 64 hex digits"),
        ({"distractor": 2}, "field 'distractor' is not known; did you mean 'distractors'?"),
    ],
)
def test_a_wrong_field_is_refused_with_file_line_and_field(path, change, words):
    path.write_text(lines(FOUR_FIELDS, {**FOUR_FIELDS, **change}))
    message = refusal(path)
    assert message.startswith(f"{path}, line 2: ")
    assert words in message
    assert len(message) < len(str(path)) + 200


@pytest.mark.parametrize("field", ["context", "statement", "candidates", "answer"])
def test_a_missing_field_is_named(path, field):
    path.write_text(lines({name: value for name, value in FOUR_FIELDS.items() if name != field}))
    assert refusal(path) == f"{path}, line 1: field {field!r} is missing; add it"


def test_a_misspelt_field_is_named_as_found(path):
    path.write_text(
        lines(
            {
                ("Statement" if name == "statement" else name): FOUR_FIELDS[name]
                for name in FOUR_FIELDS
            }
        )
    )
    assert (
        refusal(path)
        == f"{path}, line 1: field 'statement' is missing (found 'Statement': rename it)"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{'context': 1}", "line 2: not valid JSON (Expecting property name"),
        (json.dumps([FOUR_FIELDS]), "line 2: holds a list, not a JSON object"),
        ('"Max is red."', "line 2: holds a str"),
        ("null", "line 2: holds a NoneType"),
        ('{"answer": "true", "answer": "false"}', "line 2: field 'answer' stands twice"),
        ("[" * 100_000, "line 2: not a puzzle: nested too deeply"),
        (
            '{"steps": ' + "1" * 5000 + "}",
            "line 2: not a puzzle: nested too deeply or a number too long",
        ),
    ],
)
def test_a_line_that_is_no_puzzle_is_refused_with_its_number(path, line, words):
    path.write_text(lines(FOUR_FIELDS) + line)
    assert f"{path}, {words}" in refusal(path)


def test_an_indented_array_is_refused_with_the_advice_of_one_puzzle_a_line(path):
    path.write_text(json.dumps([FOUR_FIELDS], indent=2))
    assert refusal(path).startswith(f"{path}, line 1: not valid JSON")
    assert refusal(path).endswith("write one puzzle a line")


def test_a_byte_that_is_not_utf_8_is_refused_with_its_place(path):
    path.write_bytes(lines(FOUR_FIELDS).encode() + b'{"context": "caf\xe9"}')
    assert (
        refusal(path)
        == f"{path}, line 2: byte 0xe9 at position 17 is not UTF-8; save the file as UTF-8"
    )


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(path, content):
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: holds no puzzles")


def test_a_missing_file_and_a_folder_are_refused(tmp_path, path):
    assert refusal(path).startswith(f"{path}: cannot be read (No such file or directory)")
    assert refusal(tmp_path).startswith(f"{tmp_path}: cannot be read (Is a directory)")


def test_an_id_used_twice_is_refused_with_both_lines(path):
    row = {**FOUR_FIELDS, "puzzle_id": "max"}
    path.write_text(lines(row, FOUR_FIELDS, row))
    assert refusal(path).startswith(f"{path}, line 3: puzzle_id 'max' is already used on line 1")


def test_a_split_on_some_lines_only_is_refused(path):
    path.write_text(lines({**FOUR_FIELDS, "split": "test"}, {**FOUR_FIELDS, "split": None}))
    assert refusal(path).startswith(f"{path}, line 2: field 'split' is missing, but line 1 has one")


def test_a_group_in_both_splits_is_refused_with_both_lines(path):
    path.write_text(lines({**FOUR_FIELDS, "split": "test"}, {**FOUR_FIELDS, "split": "validation"}))
    message = refusal(path)
    assert message.startswith(f"{path}, line 2: group 'context-")
    assert "'test' on line 1" in message


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(path, tmp_path):
    def interrupted():
        yield REX
        raise KeyboardInterrupt

    save_puzzles([MAX], path)
    with pytest.raises(KeyboardInterrupt):
        save_puzzles(interrupted(), path)
    assert load_puzzles(path) == [MAX]
    assert list(tmp_path.iterdir()) == [path]


def test_saving_where_nothing_can_be_written_is_refused_in_a_sentence(tmp_path):
    for path in (tmp_path / "nowhere" / "puzzles.jsonl", tmp_path):
        with pytest.raises(PuzzleError, match="cannot be written") as caught:
            save_puzzles([MAX], path)
        assert str(caught.value).startswith(f"{path}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change", [{"answer": True}, {"candidates": ["a", "b"]}, {"steps": "2"}, {"group": " "}]
)
def test_a_puzzle_made_in_code_is_checked_like_one_from_a_file(change):
    with pytest.raises(PuzzleError):
        replace(MAX, **change)


def puzzles_of(sizes: dict[str, tuple[int, int | None]]) -> list[Puzzle]:
    """`size` puzzles of `steps` steps for each group."""
    return [
        replace(MAX, puzzle_id=f"{group}-{n}", group=group, steps=steps)
        for group, (size, steps) in sizes.items()
        for n in range(size)
    ]


def test_ten_groups_of_each_number_of_steps_are_dealt_half_and_half():
    puzzles = puzzles_of({f"{steps}-{n}": (2, steps) for steps in (1, 2, None) for n in range(10)})
    counts = Counter((puzzle.steps, puzzle.split) for puzzle in assign_splits(puzzles))
    assert counts == {
        (steps, split): 10 for steps in (1, 2, None) for split in ("validation", "test")
    }


def test_the_deal_depends_on_the_seed_and_not_on_the_order():
    puzzles = puzzles_of({f"group-{n}": (1, 1) for n in range(40)})
    dealt = assign_splits(puzzles, seed=3)
    assert dealt == assign_splits(puzzles, seed=3) == assign_splits(puzzles[::-1], seed=3)[::-1]
    assert dealt != assign_splits(puzzles, seed=4)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(PuzzleError, match="is not between 0 and 1"):
        assign_splits([MAX], validation_share=share)


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.dictionaries(
        st.text("abcdef", min_size=1),
        st.tuples(st.integers(1, 6), st.sampled_from([None, 0, 1, 5])),
        max_size=12,
    ),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_groups_stay_whole_and_every_stratum_is_within_one_group_of_its_share(sizes, share, seed):
    puzzles = puzzles_of(sizes)
    dealt = assign_splits(puzzles, seed, share)
    assert [replace(puzzle, split="test") for puzzle in dealt] == puzzles
    assert len({(puzzle.group, puzzle.split) for puzzle in dealt}) == len(sizes)
    for steps in {steps for _, steps in sizes.values()}:
        stratum = [puzzle.split for puzzle in dealt if puzzle.steps == steps]
        largest = max(size for size, of in sizes.values() if of == steps)
        assert abs(stratum.count("validation") - share * len(stratum)) <= largest
