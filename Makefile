# The commands a person types. Each sets up what it needs: uv when it is missing, the environment in .venv, nothing else.
SHELL := /bin/bash
PYTHON ?= python3
export PYTHON
# Compiled programs are shared by the steps of one run and by later runs in this checkout, never between machines.
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.build/jax-cache
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.2
# On Linux, glibc then asks for huge pages: arrays above 32 MB are mapped afresh at every call and fault page by page otherwise.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.uv/bin:$(PATH)

REF ?= origin/main
PAPERS ?=

.PHONY: help setup demo check test test-all lab notebooks bench report site dist clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## make the environment in .venv
	@ci/setup.sh

demo: setup  ## run the claims of two papers and write a report to look at
	@ci/demo.sh

check: setup  ## what a change affects: lint, tests, notebooks; make check REF=main compares with that commit
	@ci/check.sh $(REF)

test: setup  ## lint, all tests, notebooks of this change, stale ones within a budget, others by rotation
	@ci/test.sh

test-all: setup  ## everything: default XLA flags, every notebook, claims by the clock, every claim in float64
	@ci/test_all.sh

lab: setup  ## open the notebooks
	jupyter lab notebooks

notebooks: setup  ## execute and publish notebooks, records and the tables made from them; PAPERS=crate for one
	@ci/notebooks.sh --write $(PAPERS)
	@python ci/tables.py

bench: setup  ## time every paper's hot operation against its naive form
	quire bench $$(ls papers) --out .build/bench

report: setup  ## write the HTML report from the published records
	quire report --out .build/report

site: setup  ## build the site that Pages shows, in .build/site
	@ci/site.sh

dist: setup  ## build a wheel and an sdist of every package, and try each as a user would
	@python ci/dist.py

clean:  ## remove everything that was built
	rm -rf .build .venv .uv dist
