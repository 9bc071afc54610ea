# The two commands: `make run` and `make test`. Everything they need beyond Rust, Node and Python they install.

SHELL := /bin/bash
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
BINARY := $(CARGO_TARGET_DIR)/release/redflag

.PHONY: run test build web bench alarms lint format types clean deploy

## build, then open the demo: simulated history, a model, live traffic, a page. ARGS="--port 9000 --rate 500"
run: build
	@exec $(BINARY) demo $(ARGS)

## run every test of every language
test: build
	@scripts/test

## the page, then target/release/redflag with the page inside
build: web
	@scripts/install build
	cargo build --release --locked --package redflag

web: web/dist/index.html

WEB_SOURCES := $(shell find web/src web/public -type f 2>/dev/null) web/index.html web/vite.config.ts web/package.json

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@scripts/install build
	npm --prefix web ci --no-audit --no-fund
	@touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	npm --prefix web run build
	@touch $@

## everything that redflag works with, in containers, on this machine (docs/deployment.md)
deploy:
	@deploy/up

## the project's benchmarks, with machine and versions
bench: build
	cargo bench --locked --package forest --package engine
	$(BINARY) bench engine

## alarms that sound and are silent again, on a real redflag, Prometheus and Kafka
alarms: build
	scripts/alarms

## formatting, lints, licences
lint: web
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	npm --prefix web run lint
	@scripts/install deny
	cargo deny --offline check licenses bans sources
	@if timeout 60 cargo deny fetch db >/dev/null 2>&1; then cargo deny --offline check advisories; \
	else echo "NOT RUN: advisories (their database cannot be fetched)"; fi

format:
	cargo fmt --all

## the page's types from the binary's own OpenAPI document
types: build
	$(BINARY) openapi > web/openapi.json
	npm --prefix web run types

clean:
	rm -rf $(CARGO_TARGET_DIR) web/dist web/node_modules
