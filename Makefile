# Generative AI, Cell by Cell. `make help` lists the targets.
PYTHON ?= python3
PY     := .venv/bin/python
PORT   ?= 8000
export PYTHONUTF8 = 1
export TOKENIZERS_PARALLELISM = false

.DEFAULT_GOAL := help
.PHONY: help env models book test test-nbval test-slow test-site lane-portable lane-assistant lane-colab lane-newest lab serve status strip student clean

help:  ## list the targets, a line each
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-26s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env:  ## create .venv from requirements.lock; a second run does only what changed
	@$(PYTHON) tools/setup_env.py

models: env  ## fetch and check the pocket models (about 180 MB, once)
	@$(PY) -m bookkit fetch

book: models  ## execute the notebooks and build the site into _build/html
	@$(PY) -m tools.build

test: models  ## nbval over the notebooks that changed, then unit, contract and teaching tests
	@$(PY) -m tools.test

test-nbval: models  ## run the notebooks that changed with nbval and compare the kept outputs
	@$(PY) -m tools.execute

test-slow: models  ## the recipes' long tests: before a change in training/ or src/ lands
	@$(PY) -m pytest -q -m slow tests --ignore=tests/site

test-site: env  ## try the built pages in real browsers (needs Chromium and Firefox)
	@test -f _build/html/index.html || { echo "test-site: the site is not built yet: run 'make book' first." >&2; exit 1; }
	@$(PY) -m pytest -q -n 2 --dist worksteal tests/site

lane-portable: models  ## run the notebooks as other processors would (CHAPTERS=… for some of them)
	@$(PY) -m tools.portable $(CHAPTERS)

lane-assistant: models  ## run the larger model that the book otherwise shows from its record (first: bookkit fetch assistant)
	@$(PY) -m tools.assistant $(CHAPTERS)

lane-colab: models  ## run the notebooks on the versions that Colab brings
	@$(PYTHON) tools/lane.py colab

lane-newest: models  ## run the notebooks on the newest releases
	@$(PYTHON) tools/lane.py newest

lab: models  ## open the notebooks in JupyterLab
	@$(PY) -m jupyterlab --notebook-dir=. notebooks

serve:  ## serve the built site on http://localhost:8000 (PORT=… for another port)
	@$(PYTHON) tools/serve.py "$(PORT)"

status: book  ## carry measured times and opening pictures into the repository
	@$(PY) -m bookkit status
	@$(PY) tools/openings.py
	@$(PY) tools/picture.py

strip: env  ## clean the notebooks for git
	@$(PY) -m bookkit strip

student: env  ## write student copies of every chapter into _build/student
	@failed=0; \
	for notebook in notebooks/*.ipynb; do $(PY) -m bookkit student "$$notebook" || failed=1; done; \
	exit $$failed

clean:  ## remove the built site and the cached runs; .venv and the models stay
	@rm -rf _build

# The recipes that make the pocket models.
include training/pocket_diffusion/pocket_diffusion.mk
include training/grounded_qa/grounded_qa.mk
include training/pocket_gpt2/pocket_gpt2.mk
include training/browser/browser.mk
