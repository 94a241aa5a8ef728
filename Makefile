# The two commands are `make demo` and `make test`; each does its own set-up.
# PYTHON= chooses the interpreter: make test PYTHON=python3.13
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready

# make install: a staging root, where units and commands go, the private environment, what it is made of.
DESTDIR ?=
PREFIX  ?= /usr/local
OPT     ?= /opt/enrolld
WHEELS  ?= dist/wheels

.PHONY: demo run test test-all lint bench lock wheels install uninstall clean

demo: $(READY)
	@$(BIN)/enrollctl demo

run: $(READY)
	@$(BIN)/enrollctl demo --keep-running

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

# Also what needs another tool of the system (Debian packages, as root).
test-all: $(READY)
	@sh tests/tools.sh
	$(MAKE) lint
	ENROLLD_TEST_ALL=1 $(BIN)/python -m pytest

bench: $(READY)
	@$(BIN)/python -m tests.bench

# The lock covers CPython 3.11 to 3.13 on Linux, with hashes and without index addresses.
lock:
	$(PYTHON) -m uv pip compile --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock
	$(PYTHON) -m uv pip compile --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate -c requirements.lock pyproject.toml -o requirements.run.lock

$(READY): requirements.lock pyproject.toml
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "enrolld needs Python 3.11 or later; %s is %d.%d. Try: make PYTHON=python3.12" % (sys.executable, v[0], v[1]))'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# enrolld and all that it needs at run time, as wheels for this machine's Python: the only step that needs
# an index. Copied to a gateway, the folder installs without one.
wheels:
	@$(PYTHON) -m venv build/pip
	@rm -rf build/lib build/bdist.* $(WHEELS)/enrolld-*.whl
	@build/pip/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(WHEELS) .
	@build/pip/bin/python -m pip download --quiet --disable-pip-version-check --only-binary :all: \
	  --require-hashes -r requirements.run.lock --dest $(WHEELS)
	@echo "wheels are in $(WHEELS)"

# Builds the wheels first when there are none. Idempotent; an upgrade restarts a running service.
install:
	@ls $(WHEELS)/enrolld-*.whl >/dev/null 2>&1 || $(MAKE) --no-print-directory wheels
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' OPT='$(OPT)' WHEELS='$(WHEELS)' PYTHON='$(PYTHON)' sh systemd/install.sh install

uninstall:
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' OPT='$(OPT)' sh systemd/install.sh uninstall

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache
	find agent hw tests -name __pycache__ -type d -prune -exec rm -rf {} +
