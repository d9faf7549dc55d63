# `make app` and `make test` need Python 3.11 or newer and make; everything else comes into .venv.
PYTHON ?= python3
VENV ?= .venv
LOCK := requirements-dev.lock
PY := $(VENV)/bin/python
RUN := PATH="$(abspath $(VENV))/bin:$$PATH"
TORCH = $$(sed -n 's/^torch==/&/p' $(LOCK))
FRONTEND := $(shell find widgets/frontend widgets/lab \( -name node_modules -o -name lib \) -prune -o -type f -print 2>/dev/null)
WHEEL := $(abspath build/wheel)
LINKED := $(VENV)/share/jupyter/labextensions/model-surgery

.PHONY: watch sizes app test check check-long lint types frontend bench golden support screenshot lock fresh clean install

app: install  ## start the studio: make app [MODEL=folder] [ARGS=--no-browser]
	@exec $(PY) app.py $(MODEL) $(ARGS)

# The packages come from the wheel, whatever folder a test's process works in; tests and tools from here.
ON_WHEEL = cd $(WHEEL)/installed && SURGERY_WHEEL=$(WHEEL) PYTHONPATH=$(WHEEL)/installed:$(CURDIR) \
  $(abspath $(PY)) -P -m pytest --rootdir $(CURDIR) --config-file $(CURDIR)/pyproject.toml --override-ini pythonpath=

# The page's tests start servers and browsers: no more of them at once than two, and nothing beside them.
test: install  ## every test, on the wheel, those of the page where there is a Chromium; or some, as you edit: ARGS="-k tie"
ifeq ($(ARGS),)
	$(PY) -m tools.wheel $(WHEEL)
	$(ON_WHEEL) --numprocesses auto --dist worksteal --ignore $(CURDIR)/tests/browser $(CURDIR)/tests
	$(ON_WHEEL) --numprocesses 2 --dist worksteal $(CURDIR)/tests/browser
else
	$(PY) -m pytest $(ARGS)
endif

check: install lint types frontend test  ## what CI runs

check-long: install  ## random sequences of edits, 2,000 of them, and the whole support table: about an hour
	SURGERY_EXAMPLES=2000 $(PY) -m pytest --override-ini faulthandler_timeout=0 \
	  tests/surgery/test_sequences.py tests/surgery/test_support.py $(ARGS)

lint: install
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: install
	$(PY) -m mypy

frontend: install
	cd widgets/frontend && $(RUN) npm run check
	cd widgets/lab && $(RUN) npm run check

watch: install  ## rebuild the panels and JupyterLab's extension on every change; reload the page to see it
	rm -rf $(LINKED) && mkdir -p $(dir $(LINKED)) && ln -s $(abspath widgets/labextension) $(LINKED)
	@trap 'kill 0' EXIT; (cd widgets/lab && $(RUN) npm run watch) & (cd widgets/frontend && $(RUN) npm run watch) & wait

sizes: install  ## what is built and how large it is
	$(PY) -m tools.sizes

bench: install .venv-peers/.installed .venv-vision/.installed .venv-harness/.installed .venv-merge/.installed  ## measured figures; ARGS=--save keeps them in benchmarks/results
	$(PY) -m benchmarks --peers .venv-peers/bin/python --vision .venv-vision/bin/python \
	  --harness .venv-harness/bin/python --mergekit .venv-merge/bin/python $(ARGS)

support: install  ## docs/support.md, from what the models of the tests do; read the diff
	$(PY) -m tests.surgery.support

golden: install  ## rewrite tests/graph/golden after a change that was meant; read the diff
	$(PY) -m tests.graph.golden

screenshot: install  ## docs/studio-light.png and docs/studio-dark.png, and the main states in docs/images
	$(PY) -m tools.look --save docs --only studio-light studio-dark
	$(PY) -m tools.look --save docs/images

lock:  ## new versions, from nothing, into $(LOCK); run the tests after it
	$(PYTHON) -m tools.lock $(LOCK)

fresh:  ## clone what is committed to an empty home, start the app, draw, stop, test; prints the times
	$(PYTHON) -m tools.fresh

clean:
	rm -rf $(VENV) .venv-peers .venv-vision .venv-harness .venv-merge build dist test-results
	rm -rf widgets/static widgets/labextension widgets/lab/lib widgets/frontend/node_modules widgets/lab/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis

install: $(VENV)/.installed

# The lock names every package, so nothing is left to resolve.
# torch goes first and alone, so that pip's own configuration decides which build of it is taken.
$(VENV)/.locked: $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Model Surgery needs Python 3.11 or newer. Try: make PYTHON=python3.12")'
	@echo "Installing into $(VENV); the first time takes some minutes."
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet "$(TORCH)" --constraint $(LOCK)
	$(PY) -m pip install --quiet --no-deps --requirement $(LOCK)
	@touch $@

# Builds the front end too (hatch_build.py).
$(VENV)/.installed: $(VENV)/.locked pyproject.toml hatch_build.py $(FRONTEND)
	@test ! -L $(LINKED) || rm $(LINKED)
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(PY) -m pip check
	@touch $@

# What the benchmarks compare with lives apart from what is tested; torch first and alone there too.
.venv-%/.installed: benchmarks/%/requirements.txt | install
	test -x .venv-$*/bin/python || $(PY) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet "$$(sed -n 's/^torch==/&/p' $<)"
	.venv-$*/bin/python -m pip install --quiet --requirement $<
	@touch $@
