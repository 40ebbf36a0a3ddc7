"""The tables of a result store. Anyone with DuckDB can read them."""

SCHEMA_VERSION = 3
SCHEMA = """
create table meta (schema_version integer, qkcore_version varchar);
create table runs (
    run_id varchar primary key, model varchar, model_revision varchar,
    puzzle_set varchar, puzzle_set_sha256 varchar,
    n_layers integer, n_heads integer, n_kv_heads integer, dtype varchar,
    rope varchar,               -- 'raw', 'pre' or 'post': qkcore.asking.readings
    template varchar,           -- format string, or 'default': true-false or yes-no, by candidates
    qkcore_version varchar, created_at timestamp, n_puzzles integer,
    seconds double              -- scoring time, all sittings together
);
create table puzzles (
    puzzle_set varchar, puzzle_id varchar,
    place integer,              -- in the puzzle set, from 0
    context varchar, statement varchar,  -- null where a set was published without its texts
    candidates varchar[],
    answer integer,             -- index into candidates, from 0
    steps integer, distractors integer, "group" varchar, split varchar
);
create table scores (
    run_id varchar, puzzle_id varchar,
    candidate integer,          -- index from 0
    qk float[],                 -- layer-major: head h of layer l is qk[l * n_heads + h + 1]
    logit float
);
-- scores.qk once more, head by head, so that one head's answers are read at once
create table head_scores (
    run_id varchar, layer integer, head integer, place integer,
    qk float[]                  -- by candidate
);
create table head_accuracy (
    run_id varchar, split varchar, steps integer, distractors integer, layer integer, head integer,
    n integer, n_right integer,
    n_right_with_model integer, -- of these, how often the model is right too
    n_right_by_answer integer[] -- by index of the right candidate
);
create table model_accuracy (
    run_id varchar, split varchar, steps integer, distractors integer,
    n integer, n_right integer, n_by_answer integer[], n_right_by_answer integer[]
);
create table surface_accuracy (
    run_id varchar, rule varchar, split varchar, steps integer, distractors integer,
    n integer, n_right integer
);
create table luck (
    run_id varchar, split varchar,
    steps integer, distractors integer,  -- null: all of them together
    n integer, q50 double, q95 double,   -- accuracy of the best head when answers are shuffled
    n_permutations integer,
    -- Of each head, layer-major: its number of right answers over the shuffles, mean and
    -- standard deviation.
    null_mean float[], null_sd float[]
);
create table auc (
    run_id varchar, split varchar,
    steps integer, distractors integer,  -- null: all of them together
    auc double[]                -- layer-major; null where candidates differ or one is never right
);
create table worked_examples (  -- one test puzzle and head of a run, down to the vectors
    run_id varchar, puzzle_id varchar, layer integer, head integer,
    tokens varchar[],           -- of the prompt, up to and with the cue
    key_at integer,             -- index into tokens, from 0
    candidate_tokens varchar[], -- the token of each candidate at which the query is read
    key_vector float[],         -- (dim)
    query_vectors float[][]     -- (candidate, dim)
);
"""
