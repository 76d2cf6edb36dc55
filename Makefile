# Everything that is done to this project more than once. `make test` is the one that counts.

CARGO ?= cargo

.PHONY: bench-cluster bench-counts build differential interop simulation release image demo test unit tools e2e lint fmt deny bench crds docs golden manifests fuzz soak help

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: ## build for development
	$(CARGO) build --locked

release: ## build for production
	$(CARGO) build --locked --release

image: ## the container image below target/image, without a container engine; ARCH="amd64 arm64"
	tools/image/build $(ARCH)

demo: ## a gateway with built-in upstreams and examples/demo
	$(CARGO) run --locked --release -- demo

test: unit bench-counts tools differential e2e ## all tests: unit, golden, property, proxy, controller, instruction counts, then beside Envoy and end to end

unit: ## all tests that need no cluster
	$(CARGO) test --locked

tools: ## tests of the program that makes the image (needs Go)
	@if command -v go >/dev/null; then cd tools/image && test -z "$$(gofmt -l .)" && go vet ./... && go test ./...; \
	else echo "tools: skipped: there is no Go" >&2; test "$(CI)" != true; fi

differential: ## the same requests through Nuncio and a real Envoy (needs Python; Envoy comes from its package index)
	tests/differential/run

interop: ## conformance programs of others: Autobahn|Testsuite, h2spec, gRPC (needs Go, Python 3 and, for Autobahn, 2.7)
	tests/interop/run

e2e: ## tests on a real Kubernetes: KUBECONFIG's, or the one in tests/e2e/cluster
	tests/e2e/run

soak: ## the cluster of e2e is disturbed in every way for MINUTES=60, and not one request may be lost; writes bench/SOAK.md
	SOAK_MINUTES=$(or $(MINUTES),60) SOAK_REPORT=bench/SOAK.md tests/e2e/run --ignored soak::

simulation: ## thousands of orders of what can go wrong between gateways and the API server, in simulated time; SEEDS=5000
	NUNCIO_SIMULATION_SEEDS=$(or $(SEEDS),5000) $(CARGO) test --locked --release --test simulation -- --nocapture

lint: ## formatting and lints; warnings are errors; the fuzz targets and the load client compile
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features e2e -- -D warnings
	$(CARGO) check --locked --manifest-path fuzz/Cargo.toml --bins --target-dir target
	$(CARGO) clippy --locked --manifest-path bench/pace/Cargo.toml --all-targets --target-dir target -- -D warnings

fmt: ## format
	$(CARGO) fmt

deny: ## licences, banned crates, advisories (needs cargo-deny)
	$(CARGO) deny check

bench: ## side by side with peers; writes bench/RESULTS.md, bench/TLS.md and pictures; 40 minutes, BENCH=--quick 12
	python3 -m unittest discover bench
	$(CARGO) test --locked --manifest-path bench/pace/Cargo.toml --target-dir bench/.cache/rust
	bench/run $(BENCH)
	bench/latency $(BENCH)
	bench/bodies $(BENCH)
	bench/workers $(BENCH)
	bench/connections $(BENCH)
	bench/change $(BENCH)
	bench/tls $(BENCH)
	bench/memory $(BENCH)

bench-cluster: ## in a cluster: what replicas cost (bench/REST.md), how soon a change is served (bench/LIVE.md); BENCH=--quick for some minutes
	python3 -m unittest discover bench
	bench/rest $(BENCH)
	bench/live $(BENCH)

bench-counts: ## instructions of what matters beside benches/baseline.json, +5 % fails (needs valgrind); UPDATE_COUNTS=1 renews; COUNT=find for some
	@if command -v valgrind >/dev/null; then $(CARGO) bench --locked --profile profiling --bench counts -- $(COUNT); \
	else echo "bench-counts: not run: there is no valgrind (Debian's package valgrind)" >&2; test "$(CI)" != true; fi

crds: ## write crds/ from the types
	$(CARGO) run --locked --quiet -- crds --output-dir crds

docs: ## write the generated parts of docs/
	UPDATE_DOCS=1 $(CARGO) test --locked --test docs

manifests: ## write what is generated from the charts: deploy/, references of values (needs Go)
	UPDATE_CHARTS=1 $(CARGO) test --locked --test charts

golden: ## accept what the golden cases give now; read the diff
	UPDATE_GOLDEN=1 $(CARGO) test --locked --test golden

fuzz: ## fuzz one target for a minute (needs cargo-fuzz and nightly): make fuzz TARGET=annotation
	$(CARGO) +nightly fuzz run $(TARGET) -- -max_total_time=60
