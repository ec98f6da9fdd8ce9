# Commands for people; each target calls a script in scripts/.
.PHONY: help demo console test test-long check bench openapi client requests sqlx sbom advisories setup

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: ## run the whole system with made-up payments; Ctrl-C stops it (PORT=8000)
	@scripts/demo

console: ## build the web console, which the next build of psp embeds
	@scripts/console

test: ## run all tests with private servers (TEST=name: a subset; AT=23:59:30: with the clock set)
	@scripts/test

test-long: ## run all tests with longer random campaigns, and the rolling upgrade from the previous release
	@PSP_TEST_LONG=1 scripts/test
	@PSP_TEST_LONG=1 scripts/requests

check: ## check formatting, clippy, docs, scripts, dependencies, manifests, OpenAPI and query metadata
	@scripts/check

bench: ## measure a release build and write docs/performance.md (BENCH=name: one measurement)
	@scripts/bench $(BENCH)

openapi: ## regenerate openapi/ from the code
	@scripts/openapi

client: ## generate a Python client from openapi/ and use it against a running system
	@scripts/client

requests: ## send generated requests with each role to a running system (REQUESTS=300)
	@scripts/requests

sqlx: ## regenerate .sqlx/ from the queries and the migrations
	@scripts/sqlx

sbom: ## write the software bill of materials (CycloneDX) of the programs
	@scripts/sbom

advisories: ## refresh the copy of the advisory database and check the dependencies with it
	@scripts/advisories --refresh && scripts/advisories

setup: ## install missing packages and cargo tools
	@scripts/setup --tools
