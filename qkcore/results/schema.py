"""The tables of a result store. Anyone with DuckDB can read them."""

SCHEMA_VERSION = 4
# Tables that came later: a store written before them lacks them, and is as good without.
ADDED_TABLES = ("lens", "lens_offsets", "probes", "ablations", "evidence", "typical_leads")
ADDED = """
create table if not exists lens (    -- the model's answer, had it stopped after a layer
    run_id varchar, layer integer,
    first_place integer,        -- of some consecutive puzzles of the set, as in head_scores
    -- Puzzle after puzzle, runs.n_candidates of each; NaN where a puzzle has fewer
    logit float[]
);
create table if not exists lens_offsets (    -- as runs.model_offset, for each layer's lens
    run_id varchar, layer integer, "offset" double[]
);
create table if not exists probes (  -- linear classifiers on the state at the statement's end
    run_id varchar, layer integer,
    -- By place: index of a candidate; -1: not asked (validation puzzles it was fitted on, left out)
    choice tinyint[],
    control tinyint[],          -- likewise of a probe fitted on shuffled answers
    n_validation integer,       -- puzzles it was fitted on
    strength double             -- of regularisation (C: larger is weaker), chosen by groups
);
create table if not exists ablations (       -- the model's own logits with heads switched off
    run_id varchar,
    kind varchar,               -- 'mean', 'zero', 'resample' or 'knock-out'
    chosen_by varchar,          -- 'chosen', 'top' or 'named': how the heads were picked
    k integer,                  -- how many heads
    draw integer,               -- 0: the heads themselves; 1, 2, ...: control heads, same layers
    layers integer[], heads integer[],       -- switched off, pairwise
    first_place integer,        -- of some consecutive puzzles of the set, as in head_scores
    logit float[]               -- by puzzle and candidate; NaN: not asked
);
create table if not exists evidence (  -- the chosen head beside its rivals: what verdicts rest on
    run_id varchar,
    twin_run varchar,           -- the run on the set's twin that is part of it, or null
    -- JSON of qkcore.statistics.evidence.Evidence; null without validation or test puzzles
    evidence varchar
);
create table if not exists typical_leads (   -- what a lead of each head is measured by
    run_id varchar,
    lead double[]               -- root mean square over all puzzles, layer-major
);
"""
SCHEMA = """
create table meta (schema_version integer, qkcore_version varchar);
create table runs (
    run_id varchar primary key, model varchar, model_revision varchar,
    puzzle_set varchar, puzzle_set_sha256 varchar,
    n_layers integer, n_heads integer, n_kv_heads integer, dtype varchar,
    rope varchar,               -- 'raw', 'pre' or 'post': qkcore.asking.readings
    template varchar,           -- format string, or 'default': true-false or yes-no, by candidates
    qkcore_version varchar, created_at timestamp, n_puzzles integer,
    seconds double,             -- scoring time, all sittings together
    n_candidates integer,       -- of the puzzle with the most
    scores varchar,             -- 'float32' or 'float16': as what head_scores keeps them
    head_layers integer[],      -- layers with softmax heads, from 0; null: all of them
    -- By candidate, chosen on validation puzzles: added to its logit it makes the calibrated answer
    model_offset double[],
    -- Candidate that the model says to 98 % of validation puzzles, or null
    model_constant integer,
    is_imbalanced boolean,      -- one answer is right for more than 55 in 100 validation puzzles
    twin_of varchar             -- puzzle_set_sha256 of the set that this one balances, or null
);
create table puzzles (
    puzzle_set varchar, puzzle_id varchar,
    place integer,              -- in the puzzle set, from 0
    context varchar, statement varchar,  -- null where a set was published without its texts
    candidates varchar[],
    answer integer,             -- index into candidates, from 0
    steps integer, distractors integer, "group" varchar, split varchar
);
create table logits (           -- the model's own
    run_id varchar,
    place integer,              -- of the puzzle in its set
    logit float[]               -- by candidate
);
create table head_scores (      -- see view scores
    run_id varchar, layer integer, head integer,
    first_place integer,        -- of some consecutive puzzles of the set
    -- Puzzle after puzzle, runs.n_candidates of each; NaN where a puzzle has fewer
    qk float[],                 -- null where runs.scores is 'float16'
    qk_half usmallint[]         -- then these: the bits of float16 numbers
);
create macro float_of_half(bits) as
    if(bits >= 32768, -1, 1) * case (bits::integer >> 10) & 31
        when 0 then (bits::integer & 1023) * pow(2, -24)
        when 31 then if(bits::integer & 1023 = 0, 'infinity'::double, 'nan'::double)
        else (1 + (bits::integer & 1023) / 1024) * pow(2, ((bits::integer >> 10) & 31) - 15) end;
create view scores as
    select run_id, layer, head, place, puzzle_id, candidate, qk
    from (
        select run_id, puzzle_set, layer, head,
               first_place + (i - 1) // n_candidates as place,
               (i - 1) % n_candidates as candidate,  -- index from 0
               qk
        from (
            select run_id, puzzle_set, layer, head, first_place, n_candidates,
                   unnest(coalesce(qk, [float_of_half(b)::float for b in qk_half]))
                       as qk,
                   generate_subscripts(coalesce(qk, qk_half), 1) as i
            from head_scores join runs using (run_id)
        )
        where not isnan(qk)
    )
    join puzzles using (puzzle_set, place);
create table rule_choices (     -- what surface rules say
    run_id varchar, rule varchar,
    choice tinyint[]            -- by place: index of a candidate, -1 for none
);
create table head_accuracy (
    run_id varchar, split varchar, steps integer, distractors integer, layer integer, head integer,
    n integer, n_right integer,
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
create table heads (
    run_id varchar, layer integer, head integer,
    constant integer,           -- candidate that it says to 98 % of validation puzzles, or null
    -- How often it is chosen where groups of validation puzzles are drawn anew, by either measure
    chosen_share double, chosen_share_balanced double
);
create table stability (        -- of the head chosen on n validation puzzles, drawn many times:
    run_id varchar,
    measure varchar,            -- 'accuracy' or 'balanced_accuracy'
    n integer,
    -- Of its accuracy on test puzzles, by that measure: 5th, 50th and 95th percentile
    median double, low double, high double,
    same_head double            -- share of draws that choose the head that all puzzles choose
);
create table intervals (        -- 95 %, of accuracies of heads; they know groups
    run_id varchar, split varchar,
    steps integer, distractors integer,  -- null: all of them together
    n_groups integer,
    low float[], high float[],  -- layer-major, as all lists here
    balanced_low float[], balanced_high float[]  -- of balanced accuracy
);
create table luck (
    run_id varchar, split varchar,
    measure varchar,            -- 'accuracy' or 'balanced_accuracy'
    steps integer, distractors integer,  -- null: all of them together
    n integer, q50 double, q95 double,   -- the best head's when answers are shuffled
    n_permutations integer,
    -- Of each head, layer-major, over the shuffles: mean and standard deviation of its number of
    -- right answers, or of its balanced accuracy.
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
SCHEMA += ADDED
