# Two targets do everything on a machine that has python3 with pip, git and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
T      ?=

.PHONY: demo test setup check format bench lock test-deps image clean

demo: setup  ## the whole story in about a minute, without a key: make demo LANGUAGE=en
	$(BIN)/watcher demo

test: setup  ## every test that this machine can run; T="-k word" picks some
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(T)

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

# A venv may lack ensurepip (Debian): the system's pip installs into it.
$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "Error: $(PYTHON) has no pip. Try: apt-get install python3-pip python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock:  ## needs uv; writes both lock files without any address
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --all-extras pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --all-extras --group dev pyproject.toml -o requirements-dev.lock

test-deps:  ## the system packages that some tests need (Debian, as root)
	.ci/install

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache
