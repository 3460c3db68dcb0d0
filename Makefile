# Everything a contributor runs. .ci/run calls these same targets. GNU Make 3.81 (macOS) is enough.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION ?= $(shell git rev-parse --verify -q HEAD 2>/dev/null)
IMAGE    ?= lock-sidecar:$(VERSION)
GO_IMAGE ?=
FUZZTIME ?= 10m
BENCH    ?= ./...
DURATION ?= 10m
SEED     ?=

# Tests that need root, or more programs than Go and Redis, stand in test/e2e behind the build tag e2e, so that
# "make test" needs neither:
#   TestAFullDiskLosesNothing                root: mounts a tmpfs
#   TestStartOnAFullDiskIsAClearError        root: mounts a tmpfs
#   TestAReadOnlyFileSystemIsAClearError        root: mounts a tmpfs
#   TestWithoutPermissionServeNamesTheUser   root: starts a process as another user
#   TestDoctorFindsAFullDisk                 root: mounts a tmpfs
#   TestDoctorFindsAWrongOwner               root: gives files to another user
#   TestAFailingFsyncLosesNothing            strace
#   TestFailingFsyncIsNeverAnsweredWithOK    root: attaches strace
#   TestMetricsPassPromtool                  promtool
#   TestTheImageWorksAsAtlantisUserOnAReadOnlyRoot   root: mounts a tmpfs, starts a process as another user
#   TestRulesPassPromtool                    promtool
#   TestPrometheusSeesAFallback              prometheus
#   TestAnActOnAFullDiskIsDoneAndSaid        root: mounts a tmpfs
# test/manifests is a module of its own, for the types of Kubernetes; it needs Go and Redis.
E2E_PROGRAMS = redis-server strace promtool prometheus

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Build the static binary bin/lock-sidecar
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/lock-sidecar ./cmd/lock-sidecar

.PHONY: test
test: redis git ## Run the tests (gets redis-server and git if they are missing)
	$(GO) test -timeout 10m ./...

# The race detector sees a code path, whatever Redis or the disk does to it: of the acceptance tests one of each path is
# run with it. "make race RACED=." runs them all, in half an hour.
RACED ?= Linearizable|OldClients|Transcripts|ThereAndBackUnderLoad|TwoSidecars|AForeignChange|ComesAndGoes|RetiringLegacy|Drills|Contention

.PHONY: race
race: redis git ## Run the tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v '/test/acceptance$$')
	CGO_ENABLED=1 $(GO) test -race -timeout 60m -run '$(RACED)' ./test/acceptance

.PHONY: soak
soak: redis ## Run the tests on the built binary at their promised length: an hour or more
	$(GO) test -tags soak -count=1 -timeout 3h -v ./test/acceptance

# As root on Linux it has faults of the disk too; without, it says that it has none. docs/testing.md
.PHONY: torture
torture: redis ## Inject faults for DURATION (10m) under load; SEED repeats a schedule of faults
	@[ "$$(id -u)" != 0 ] || sh scripts/need.sh strace
	DURATION=$(DURATION) SEED=$(SEED) $(GO) test -tags torture -count=1 -timeout 2h -v ./test/torture

.PHONY: e2e
e2e: ## Run the tests that need root: full disks, failing fsync, Prometheus (Linux; gets the programs)
	@[ "$$(id -u)" = 0 ] || { echo "make e2e mounts file systems: run it as root" >&2; exit 1; }
	@sh scripts/need.sh $(E2E_PROGRAMS)
	$(GO) test -tags e2e -count=1 -timeout 10m ./test/e2e/...
	$(MAKE) manifests

.PHONY: manifests
manifests: redis ## Check what is in k8s and docker-compose.yml, and walk through the phases with it
	cd test/manifests && $(GO) test -count=1 -timeout 10m ./...

.PHONY: e2e-atlantis
e2e-atlantis: redis git ## Run pull requests through your own Atlantis: make e2e-atlantis ATLANTIS=/path/to/atlantis
	@if [ -z "$(ATLANTIS)" ]; then \
		echo "NOT RUN: the tests with a real Atlantis. Give them its binary: make e2e-atlantis ATLANTIS=/path/to/atlantis (docs/testing-atlantis.md)"; \
	elif ! [ -x "$(ATLANTIS)" ]; then \
		echo "ATLANTIS=$(ATLANTIS) is no program here: name the binary of Atlantis" >&2; exit 1; \
	else \
		echo ATLANTIS="$(abspath $(ATLANTIS))" $(GO) test -tags atlantis -count=1 -timeout 30m -v ./test/atlantis; \
		ATLANTIS="$(abspath $(ATLANTIS))" $(GO) test -tags atlantis -count=1 -timeout 30m -v ./test/atlantis; \
	fi

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each (10m)
	@sh scripts/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: ## Check format, go vet, staticcheck, and that generated files are current
	@unformatted=$$(gofmt -l .) && [ -z "$$unformatted" ] || { echo "gofmt -w these:"; echo "$$unformatted"; exit 1; }
	$(GO) vet -tags e2e ./...
	$(GO) vet -tags soak,failpoints,torture,atlantis,mutations ./...
	$(GO) tool -modfile=tools/go.mod staticcheck -tags e2e ./...
	$(GO) tool -modfile=tools/go.mod staticcheck -tags soak,failpoints,torture,atlantis,mutations ./...
	cd test/manifests && $(GO) vet ./... && $(GO) tool -modfile=../../tools/go.mod staticcheck ./...
	@sh scripts/generated.sh

.PHONY: vuln
vuln: ## Ask the Go vulnerability database about the code and its dependencies (needs the network)
	$(GO) tool -modfile=tools/go.mod govulncheck ./...

.PHONY: mutations
mutations: redis ## Break the product in some ninety ways and want a test to notice each (Linux, root, strace; half an hour)
	$(GO) test -tags mutations -count=1 -timeout 3h -v -run TestEachMutationIsNoticed ./test/mutation

.PHONY: bench
bench: redis ## Run the benchmarks, each beside the real thing it is compared with
	$(GO) test -run '^$$' -bench . -benchmem -timeout 30m $(BENCH)

.PHONY: image
image: ## Build the container image with docker, podman or buildah, on GO_IMAGE (golang:1.26)
	@for builder in docker podman buildah; do \
		$$builder info >/dev/null 2>&1 || continue; \
		exec $$builder build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
			$(if $(GO_IMAGE),--build-arg GO_IMAGE=$(GO_IMAGE)) -t $(IMAGE) .; \
	done; \
	echo "No container builder works here: install or start docker, podman or buildah" >&2; exit 1

.PHONY: release
release: ## Build archives, bills of materials, the image as a tarball and checksums into dist
	rm -rf dist
	$(GO) run ./scripts/release -version $(VERSION) -revision "$(REVISION)" -out dist

.PHONY: reproducible
reproducible: ## Build the binary twice, with nothing shared, and compare
	@sh scripts/reproducible.sh

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist

.PHONY: redis
redis:
	@sh scripts/need.sh redis-server

.PHONY: git
git:
	@sh scripts/need.sh git
