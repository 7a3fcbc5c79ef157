# Two targets do everything on a machine that has python3 with pip, git and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# What is installed: what the watcher needs to run, and what its tests need besides.
RUNS   := $(VENV)/.ready-to-run
READY  := $(VENV)/.ready
T      ?=
ARGS   ?=
# Packages are installed uncompiled; unless the first import keeps what it compiled, each process would compile all anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test setup check format bench lock test-deps clean

demo: $(RUNS)  ## the whole story in about a minute, without a key; ARGS="--keep" leaves it running
	$(BIN)/watcher demo $(ARGS)

test: setup  ## every test that this machine can run; T="-k word" picks some
	$(BIN)/python -m pytest -n 6 --dist loadfile --no-loadscope-reorder $(T)

check: setup  ## linter, formatter and type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## ratios measured side by side in one run
	$(BIN)/python -m bench

setup: $(READY)

$(RUNS): requirements.lock .ci/make_venv.py
	@$(PYTHON) .ci/make_venv.py $(VENV) requirements.lock
	@touch $@

$(READY): requirements-dev.lock .ci/make_venv.py
	@$(PYTHON) .ci/make_venv.py $(VENV) requirements-dev.lock
	@touch $(RUNS) $@

lock:  ## needs uv; writes both lock files without any address
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --all-extras pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --all-extras --group dev pyproject.toml -o requirements-dev.lock

test-deps:  ## the system packages that some tests need (Debian, as root)
	.ci/install

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache
