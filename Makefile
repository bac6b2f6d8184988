# `make run` serves Mitoscope; `make test` runs all tests. Both set up what they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin
# Tools of npm, with the Node that webapp/ops/bootstrap.py installs where the machine has none.
NODE := PATH="$(CURDIR)/$(BIN):$$PATH" node_modules/.bin
PRETTIER := $(NODE)/prettier --log-level warn static tests/static package.json tsconfig.json
MITOSCOPE_DATA ?=
export MITOSCOPE_DATA

.DEFAULT_GOAL := help
.PHONY: help install install-tests run test lint lock format bench bench-tiles bench-viewer bench-count bench-skipped bench-intake bench-jobs bench-lists screenshots \
	properties fuzz-slides hostile fuzz-texts security load formats topology chaos table-1-parent left-out reproduce weights backup restore

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

install:  ## set up what `make run` needs
	@$(PYTHON) webapp/ops/bootstrap.py

run: install  ## set everything up and serve at http://127.0.0.1:8000 (PORT=..., DATA_DIR=..., TORCH_BACKEND=cpu or cu126)
	@$(BIN)/python -m webapp.ops.launcher

install-tests:  ## set up what the tests need
	@$(PYTHON) webapp/ops/bootstrap.py tests

test: install-tests  ## set everything up and run all tests
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: install-tests  ## ruff, mypy and import contracts; prettier and tsc for the pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy detector worker webapp static/mitoscope.py
	$(BIN)/lint-imports
	$(PRETTIER) --check
	$(NODE)/tsc

# Hashes of all files of each version in constraints.txt, for the images. torch has an index for each of its builds.
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

lock: install-tests  ## write the requirements of the images with hashes anew, as constraints.txt says
	$(LOCK) webapp/requirements.txt -o webapp/requirements.lock
	{ grep -vx torch detector/requirements.txt; echo uv; } | sed 's#-c ../#-c #' | $(LOCK) - -o detector/requirements.lock

format: install-tests  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(PRETTIER) --write

bench-viewer: install-tests  ## measure the slide page with 1,000 to 200,000 candidates (needs Chromium; ANNOTORIOUS=its .js file to measure it beside)
	$(BIN)/python -m tests.bench.viewer $(if $(ANNOTORIOUS),--annotorious $(ANNOTORIOUS)) $(ARGS)

bench: install  ## measure the detector, as ratios in one run
	$(BIN)/python -m detector benchmark

properties: install-tests  ## look for examples that no test has tried yet
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile -m hypothesis --hypothesis-profile=explore $(ARGS)

fuzz-slides: install  ## prepare a thousand slides with damaged headers (SLIDE=...)
	$(BIN)/python -m tests.resilience.fuzz_slides $(SLIDE)

hostile: fuzz-slides  # its name up to 0.2.0

fuzz-texts: install-tests  ## every call with hostile texts, on PostgreSQL and on SQLite
	EVERY=1 $(BIN)/python -m pytest -n 0 tests/webapp/api/test_hostile.py
	EVERY=1 MITOSCOPE_TEST_DATABASE=sqlite $(BIN)/python -m pytest -n 0 tests/webapp/api/test_hostile.py

load: install-tests  ## fifty readers for ten minutes: pan, judge, count, upload (ARGS="--minutes 2")
	$(BIN)/python -m tests.resilience.load $(ARGS)

security: install-tests  ## who may what, on PostgreSQL and SQLite; the API as each of them; known faults of packages; production settings
	EVERY=1 $(BIN)/python -m pytest -n 0 tests/security tests/webapp/api/test_openapi.py
	EVERY=1 $(BIN)/python -m pytest -n 0 tests/end_to_end/test_policy.py
	EVERY=1 MITOSCOPE_TEST_DATABASE=sqlite $(BIN)/python -m pytest -n 0 tests/security
	$(BIN)/ruff check --select S --ignore S101,S603 .  # as pyproject.toml says
	$(BIN)/python -m tests.security.dependencies
	HTTPS=True DATA_DIR="$$(mktemp -d)" $(BIN)/python manage.py check --deploy --fail-level WARNING

formats: install-tests  ## draw hundreds of files of every kind; each is read rightly, or refused for the true reason
	$(BIN)/python -m tests.resilience.formats $(ARGS)

bench-tiles: install  ## measure tiles beside other tile servers (SLIDE=..., LARGE_IMAGE_PYTHON=python that has large_image)
	$(BIN)/python -m tests.bench.tiles $(SLIDE) $(if $(LARGE_IMAGE_PYTHON),--large-image $(LARGE_IMAGE_PYTHON))

# A folder of links to some of the sets of MITOSCOPE_DATA: $(call link_sets,FOLDER,SETS)
link_sets = for set in $(2); do mkdir -p "$$(dirname "$(1)/$$set")"; ln -sfn "$$(cd "$(MITOSCOPE_DATA)" && pwd)/$$set" "$(1)/$$set"; done
CANINE = $(MITOSCOPE_DATA)/slides/canine_mammary_region.tif
CMU_1 = $(MITOSCOPE_DATA)/slides/CMU-1-Small-Region.svs
# Held out of the shipped weights: a slide of MITOS 2012, two of scanner H, every third region of MiDeSeC.
HELD_OUT = A04,07,18,P0_02,P0_05,P0_08,P0_11,P0_14,P0_17,P0_20,P0_23,P0_26,P0_29,P0_32

table-1-parent: install  # what Table 1 and `left-out` begin with
	$(call link_sets,runs/table-1-parent-data,ami_br atnorm)
	test -e runs/table-1-parent/weights.json || $(BIN)/python -m detector train runs/table-1-parent-data \
		--plan reproduce-parent --out runs/table-1-parent --resume --mitosis-free "$(CANINE)"

left-out: table-1-parent  ## what the recipe finds in a laboratory that it has not seen (about 3 hours on two cores); needs MITOSCOPE_DATA
	$(call link_sets,runs/sources-data,mitos12 mitos14_h midesec ami_br atnorm/br)
	$(BIN)/python -m detector cross-validate runs/sources-data --plan sources-2 --by source --calibrate-on $(HELD_OUT) \
		--parent runs/table-1-parent/weights.safetensors --mitosis-free "$(CANINE)" --out runs/left-out

reproduce: table-1-parent  ## the paper's Table 1 (about two hours on two cores with AMX, about eight without; goes on where it stopped); needs MITOSCOPE_DATA
	$(BIN)/python -m detector reproduce "$(MITOSCOPE_DATA)/mitos12" "$(MITOSCOPE_DATA)/mitos14_h" \
		--unlabelled "$(MITOSCOPE_DATA)/unlabelled" --unseen "$(MITOSCOPE_DATA)/midesec" --out runs/table-1 \
		--tta-consensus 0.95 --seeds 5 --parent runs/table-1-parent/weights.safetensors $(ARGS)

weights: install  ## train weights as the shipped ones were (most of a day on a CPU); needs MITOSCOPE_DATA
	$(call link_sets,runs/first-data,mitos12 ami_br)
	$(call link_sets,runs/sources-data,mitos12 mitos14_h midesec ami_br atnorm/br)
	$(BIN)/python -m detector train runs/first-data --plan first --held-out A04 --out runs/first --resume --compile
	$(BIN)/python -m detector train runs/first-data --plan refine --held-out A04 --out runs/refine --resume --compile \
		--parent runs/first/weights.safetensors --mitosis-free "$(CANINE)"
	$(BIN)/python -m detector train runs/first-data --plan refine-2 --held-out A04 --out runs/refine-2 --resume --compile \
		--parent runs/refine/weights.safetensors --mitosis-free "$(CANINE)"
	$(BIN)/python -m detector train runs/first-data --plan refine-3 --held-out A04 --out runs/refine-3 --resume --compile \
		--parent runs/refine-2/weights.safetensors --mitosis-free "$(CANINE)"
	$(BIN)/python -m detector average runs/refine-2/weights.safetensors runs/refine-3/weights.safetensors \
		--dataset "$(MITOSCOPE_DATA)/mitos12" --held-out A04 --out runs/mean/mitoscope.safetensors
	$(BIN)/python -m detector train runs/first-data --plan refine-4 --held-out A04 --out runs/refine-4 --resume \
		--parent runs/mean/mitoscope.safetensors --mitosis-free "$(CANINE)"
	$(BIN)/python -m detector distil runs/first-data --weights runs/refine-4/weights.safetensors --held-out A04 --resume \
		--slides "$(CANINE)" "$(CMU_1)" --out runs/distil/mitoscope.safetensors
	$(BIN)/python -c 'from pathlib import Path; from detector.slide.drawn import draw_slide as draw; draw(Path("runs/drawn.tif"), size=4096, figures=40, seed=11)'
	$(BIN)/python -m detector distil runs/first-data --weights runs/distil/mitoscope.safetensors --plan distil-2 --held-out A04 \
		--resume --slides "$(CANINE)" "$(CMU_1)" runs/drawn.tif --out runs/distil-2/mitoscope.safetensors
	$(BIN)/python -m detector train runs/sources-data --plan sources --held-out $(HELD_OUT) --out runs/sources --resume --compile \
		--parent runs/distil-2/mitoscope.safetensors --mitosis-free "$(CANINE)"
	$(BIN)/python -m detector average runs/distil-2/mitoscope.safetensors runs/sources/weights.safetensors \
		--dataset runs/sources-data --held-out $(HELD_OUT) --out runs/mean-of-sources/mitoscope.safetensors
	$(BIN)/python -m detector calibrate runs/sources-data --cases $(HELD_OUT) --held-out $(HELD_OUT) \
		--weights runs/mean-of-sources/mitoscope.safetensors --out runs/calibrated/mitoscope.safetensors
	$(BIN)/python -m detector distil runs/sources-data --weights runs/calibrated/mitoscope.safetensors --plan distil-3 \
		--held-out $(HELD_OUT) --resume --slides "$(CANINE)" "$(CMU_1)" runs/drawn.tif --out runs/distil-3/mitoscope.safetensors
	$(BIN)/python -m detector calibrate runs/sources-data --cases $(HELD_OUT) --held-out $(HELD_OUT) \
		--weights runs/distil-3/mitoscope.safetensors --out runs/sources-1/mitoscope.safetensors
	$(BIN)/python -m detector train runs/sources-data --plan sources-2 --held-out $(HELD_OUT) --out runs/course --resume --compile \
		--parent runs/sources-1/mitoscope.safetensors --mitosis-free "$(CANINE)"
	$(BIN)/python -m detector train runs/sources-data --plan sources-2 --out runs/all --resume --compile \
		--parent runs/sources-1/mitoscope.safetensors --mitosis-free "$(CANINE)"
	for part in course all; do $(BIN)/python -m detector average runs/sources-1/mitoscope.safetensors runs/$$part/weights.safetensors \
		--shares 1 3 --out runs/mean-$$part/$$part.safetensors || exit; done
	$(MAKE) left-out
	$(BIN)/python -m detector calibrate runs/sources-data --cases $(HELD_OUT) --held-out $(HELD_OUT) --weights runs/mean-all/all.safetensors \
		--course runs/mean-course/course.safetensors --left-out runs/left-out/table.json --out runs/calibrated-all/mitoscope.safetensors
	$(call link_sets,runs/atypical-data,ami_br atnorm)
	$(BIN)/python -m detector train-atypical runs/atypical-data --weights runs/calibrated-all/mitoscope.safetensors \
		--out runs/mitoscope.safetensors

topology: install-tests  ## docker-compose.yml, Dockerfile and docs/nginx.conf as processes: first start, sign-in, report, backup and back (needs nginx)
	$(BIN)/python -m pytest -n 0 tests/end_to_end/test_topology.py

chaos: install-tests  ## kill -9 of workers, web, Redis and PostgreSQL, twenty times while slides go through; nothing may be lost
	$(BIN)/python -m tests.resilience.chaos $(ARGS)

bench-intake: install-tests  ## 10,000 small slides through a watched folder whose watcher is killed; lost and doubled ones
	$(BIN)/python -m tests.bench.intake $(ARGS)

bench-lists: install-tests  ## pages and lists with 10,000 slides on PostgreSQL
	$(BIN)/python -m tests.bench.lists $(ARGS)

bench-skipped: install  ## what is skipped as glass on slides, and whether anything is found there (SLIDES="a.svs b.tif")
	$(BIN)/python -m tests.bench.skipped $(SLIDES)

bench-count: install-tests  ## load: mitosis-count at 200 requests a second over 2 million candidates
	$(BIN)/python -m tests.bench.count

backup: install  ## copy database, keys, weights and slides into a folder: make backup TO=/other/disk
	@$(BIN)/python manage.py backup "$(TO)"

restore: install  ## put a backup back into an empty DATA_DIR: make restore FROM=/other/disk/2026-11-25T120000
	@$(BIN)/python manage.py restore "$(FROM)"

bench-jobs: install-tests  ## measure the whole path from "detect" to "done" over the engine alone (ARGS="--mm2 10 --rounds 3" is quicker)
	$(BIN)/python -m tests.bench.jobs $(ARGS)

screenshots: install-tests  ## draw the pictures of README and docs anew, on the demonstration slide (needs Chromium)
	PYTHONPATH=. $(BIN)/python docs/screenshots.py
