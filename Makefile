# What a person types; each target is a line into scripts/.
.PHONY: help demo test test-long check bench openapi sqlx setup

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: ## the whole system on this machine, with made-up payments; Ctrl-C stops it (PORT=8000)
	@scripts/demo

test: ## all tests, beside private servers (TEST=name: only those; AT=23:59:30: as if begun then)
	@scripts/test

test-long: ## the same with longer campaigns
	@PSP_TEST_LONG=1 scripts/test

check: ## formatting, clippy, docs, scripts, dependencies, OpenAPI and query metadata
	@scripts/check

bench: ## the figures of a release build (BENCH=name: only those of that name)
	@scripts/bench $(BENCH)

openapi: ## writes openapi/ anew from the code
	@scripts/openapi

sqlx: ## writes .sqlx/ anew from the queries and the migrations
	@scripts/sqlx

setup: ## installs what is missing, cargo's helpers too
	@scripts/setup --tools
