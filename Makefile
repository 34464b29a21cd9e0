# The commands a person types. Each sets up what it needs: uv when it is missing, the environment in .venv, nothing else.
SHELL := /bin/bash
PYTHON ?= python3
export PYTHON
# Compiled programs are shared by the steps of one run and by later runs in this checkout, never between machines.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.build/jax-cache
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.2
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.uv/bin:$(PATH)

.PHONY: help setup demo test lab notebooks records bench report clean

help:  ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## make the environment in .venv
	@ci/setup.sh

demo: setup  ## run the claims of two papers and write a report to look at
	@ci/demo.sh

test: setup  ## lint, unit, golden, property, conformance, packaging and notebook tests
	@ci/test.sh

lab: setup  ## open the notebooks
	jupyter lab notebooks

notebooks: setup  ## execute the notebooks and write them
	@ci/notebooks.sh --overwrite

records: setup  ## measure every claim at quick, write the published records and the tables made from them
	@ci/records.sh

bench: setup  ## time every paper's hot operation against its naive form
	quire bench $$(ls papers) --out .build/bench

report: setup  ## write the HTML report from the published records
	quire report --out .build/report

clean:  ## remove everything that was built
	rm -rf .build .venv .uv dist
