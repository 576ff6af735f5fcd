# Every target works on a machine with Go; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE ?= $(or $(STOCKWEAVE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stockweave)
TOOL  := STOCKWEAVE_CACHE=$(CACHE) tools/run
SYNC  := -tags synctests
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z/-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## build bin/stockweave as it ships
	GOWORK=off go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/stockweave ./services/stockweave

.PHONY: demo
demo: ## run everything in one process and play the scenario
	go run -pgo=off ./services/stockweave demo

.PHONY: test
test: test/unit test/fuzz test/real ## all tests: unit, in-process Kafka, fuzzing in short, and the real parts

# What runs at once in a package waits for timers and servers: four use no more than two cores.
.PHONY: test/unit
test/unit: ## unit tests and the in-process Kafka, under a virtual clock
	@tools/need redis-server redis-server
	GOWORK=off go test -pgo=off -parallel 4 -timeout 10m $(SYNC) ./...

.PHONY: test/race
test/race: ## the same under the race detector
	GOWORK=off go test -race -timeout 20m $(SYNC) ./...

.PHONY: test/fuzz
test/fuzz: ## the fuzz targets of the formats, 5 s each, two at a time on two cores
	@tools/fuzz 5s 'canonicalizer/format/|canonicalizer\.FuzzCDC|ingest/soap'

# One package at a time: each starts servers of its own. -count=1, since a cached
# result says nothing about a server. The benchmark is not a test.
.PHONY: test/real
test/real: ## end to end on real Kafka, registry, Redis and ERP, which it starts itself
	cd test && GOWORK=off go test -p 1 -count 1 -timeout 15m $$(GOWORK=off go list ./... | grep -v /bench$$)

.PHONY: lint
lint: ## golangci-lint with the house rules, over both modules
	$(TOOL) golangci-lint run ./...
	cd test && ../tools/run golangci-lint run --config ../.golangci.yml ./...

.PHONY: fmt
fmt: ## format all Go code
	$(TOOL) golangci-lint fmt ./...
	cd test && ../tools/run golangci-lint fmt --config ../.golangci.yml ./...

.PHONY: generate
generate: ## make generated files anew
	go generate ./...
	UPDATE=1 tools/chart/check

.PHONY: verify
verify: verify/modules verify/generated verify/schemas verify/policies verify/chart verify/compose ## everything that is data is valid and fresh

.PHONY: verify/modules
verify/modules:
	GOWORK=off go build -pgo=off ./... && GOWORK=off go mod verify >/dev/null
	cd test && GOWORK=off go vet ./... && GOWORK=off go vet -tags bench ./bench
	@for m in . test; do (cd $$m && GOWORK=off go mod tidy -diff) || { echo "$$m: run go mod tidy" >&2; exit 1; }; done

.PHONY: verify/generated
verify/generated:
	@if grep -rqE '^//go:generate ' --include='*.go' .; then \
	  before=$$(git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>/dev/null); \
	  go generate ./...; \
	  after=$$(git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>/dev/null); \
	  diff <(echo "$$before") <(echo "$$after") || { echo 'generated files are stale: run make generate' >&2; exit 1; }; \
	fi

.PHONY: verify/schemas
verify/schemas:
	GOWORK=off go test -count 1 ./schemas

.PHONY: verify/policies
verify/policies:
	GOWORK=off go run -pgo=off ./services/stockweave check --policies policies

.PHONY: verify/chart
verify/chart:
	STOCKWEAVE_CACHE=$(CACHE) tools/chart/check

.PHONY: verify/compose
verify/compose:
	cd test && GOWORK=off go test -count 1 ./deploy
	@if docker compose version >/dev/null 2>&1; then docker compose config --quiet; fi

.PHONY: bench
bench: ## every figure beside its floor, each bar judged; about 25 minutes of a quiet machine
	$(MAKE) -k bench/atp bench/ledger bench/api bench/ingest bench/canonicalizer

.PHONY: bench/atp
bench/atp: ## what an event costs the ledger, against a bare loop over the same records; prints a table and writes bench.json
	cd test && BENCH_OUT=$(CURDIR)/bench.json GOWORK=off go test -tags bench -count 1 -timeout 60m -run '^TestBench$$' -v ./bench

.PHONY: bench/ledger
bench/ledger: ## the same with eight locations an item and 5,000 events a second, and how long starts take
	cd test && BENCH_OUT=$(CURDIR)/bench-ledger.json GOWORK=off go test -tags bench -count 1 -timeout 60m -run '^TestBenchLedger$$' -v ./bench

.PHONY: bench/api
bench/api: ## reads beside a bare GET of Redis, a million items lost and loaded again while they are read, and reservations over HTTP, 500 a second
	cd test && BENCH_OUT=$(CURDIR)/bench-api.json GOWORK=off go test -tags bench -count 1 -timeout 30m -run '^TestBenchAPI$$' -v ./bench

.PHONY: bench/ingest
bench/ingest: ## what accepting an order webhook costs, against a bare handler that writes the same bytes
	cd test && GOWORK=off go test -tags bench -count 1 -timeout 30m -run '^TestBenchIngest$$' -v ./bench

.PHONY: bench/canonicalizer
bench/canonicalizer: ## what a message of each kind costs, parsed, mapped and encoded, against encoding/json
	GOGC=400 GOWORK=off go test -tags bench -count 1 -timeout 60m -run '^TestBenchCanonicalizer$$' -v ./services/canonicalizer

.PHONY: profile
profile: ## measure anew what the build is optimised by, on a quiet machine
	cd test && BENCH_PROFILE=$(CURDIR)/services/stockweave/default.pgo GOWORK=off go test -tags bench -count 1 -timeout 60m -run '^TestBench$$' -v ./bench; rm -f $(CURDIR)/services/stockweave/default.pgo.allocs

FAULTS := STOCKWEAVE_FAULTS=long TRIES=1500 GOWORK=off go test -p 1 -count 1 -timeout 120m
.PHONY: faults
faults: ## the long fault runs on real brokers
	cd test && $(FAULTS) ./takeover ./crash ./kill ./linear ./files ./sql

SOAK ?= 3600
.PHONY: soak
soak: ## the fault runs again and again, for SOAK seconds
	cd test && end=$$((SECONDS + $(SOAK))); while [ $$SECONDS -lt $$end ]; do $(FAULTS) ./takeover ./crash ./kill ./linear ./files ./sql; done

CHECKS ?= 100000
REQUESTS ?= 1000000
SEEDS ?= 50
.PHONY: sim
sim: ## random histories and faults: CHECKS of the ledger, REQUESTS at once, 20 runs of the runner, SEEDS of the service
	REQUESTS=$(REQUESTS) GOWORK=off go test -count 1 -timeout 60m ./pkg/inventory -rapid.checks $(CHECKS)
	GOWORK=off go test -count 20 -timeout 60m $(SYNC) ./pkg/stream
	SIM_SEEDS=$(SEEDS) GOWORK=off go test -count 1 -timeout 120m $(SYNC) -run '^TestSimulation$$' ./services/atp

.PHONY: mutants
mutants: ## break each guarantee once and see its test turn red
	cd test && GOWORK=off go run ./mutants -root ..

FUZZTIME ?= 30s
.PHONY: fuzz
fuzz: ## every fuzz target, FUZZTIME each; prints how often each was executed
	@tools/fuzz $(FUZZTIME)

.PHONY: api/fuzz
api/fuzz: ## let schemathesis ask the ATP API all that its document allows, and more; EXAMPLES an operation
	@tools/apifuzz $(CACHE) $(or $(EXAMPLES),200)

.PHONY: image
image: ## build the container image stockweave:dev
	docker build --build-arg VERSION=$(VERSION) -t stockweave:dev .

.PHONY: test/compose
test/compose: image ## start the compose file on a Docker engine, play the scenario, compare every figure
	cd test && STOCKWEAVE_COMPOSE=1 GOWORK=off go test -count 1 -timeout 15m -run '^TestComposeUp$$' -v ./deploy

.PHONY: clean
clean: ## remove what was built
	rm -rf bin bench.json
