# Each target does its own set-up in .venv; a change of the requirements renews it.
PYTHON ?= python3.11
STORE ?= data/qkscope.duckdb
PORT ?= 8501

.PHONY: app test lint format demo model clean

app: .venv/app-ready  ## the dashboard on the bundled demo store, or on STORE=...
	.venv/bin/python -m qkcore app --store "$(STORE)" --port $(PORT)

test: .venv/test-ready  ## all tests; browser tests are skipped where there is no Chromium
	.venv/bin/python -m pytest

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

demo: .venv/app-ready  ## make the demo store again from the bundled model; PRONTOQA=FOLDER adds PrOntoQA's scores
	.venv/bin/python data/make_demo.py $(PRONTOQA)

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/app-ready: requirements.txt | .venv/bin/python
	.venv/bin/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/test-ready: tests/requirements.txt requirements.txt | .venv/bin/python
	.venv/bin/python -m pip install --quiet --requirement tests/requirements.txt
	touch $@

clean:
	rm -rf .venv
