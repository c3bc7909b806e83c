# The commands of the project. Build outputs are kept outside of the clone, each in a folder named after a hash of its inputs, so that a
# fresh clone reuses them.

SHELL := /bin/bash
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/colocate
ifeq ($(origin CARGO_TARGET_DIR), undefined)
CARGO_TARGET_DIR := $(CACHE)/target-$(shell (rustc -vV; cat Cargo.lock) | sha256sum | cut -c1-16)
endif
export CARGO_TARGET_DIR

# Benchmarks use the profile that is shipped. `make bench BENCH_PROFILE=release` builds in half the time.
BENCH_PROFILE := dist

CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)
CARGO_CYCLONEDX_VERSION := 0.5.9
CARGO_CYCLONEDX := $(CACHE)/cargo-cyclonedx-$(CARGO_CYCLONEDX_VERSION)

MDBOOK_VERSION := 0.5.4
MDBOOK := $(CACHE)/mdbook-$(MDBOOK_VERSION)

CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION)

# $(call install,NAME,VERSION,TIME) installs a program from a published crate into its own folder.
install = [ -x $(CACHE)/$(1)-$(2)/bin/$(1) ] || \
  { echo '==> $(1), built once for all clones ($(3))' >&2; \
    cargo install --locked --quiet --version $(2) --root $(CACHE)/$(1)-$(2) --target-dir $(CACHE)/$(1)-build $(1) && \
    rm -rf $(CACHE)/$(1)-build; }

# Runs only the `make torture` scenarios whose name contains this.
SCENARIO :=
# Runs `make torture` with this profile, such as `dist`. The scenarios with wrong clocks need a debug build.
TORTURE_PROFILE :=

.PHONY: help demo test fresh torture dashboard-picture bench bench-claims bench-waiters bench-peers bench-audit bench-locality compat fuzz cluster chart image \
  image-check sbom release release-check format lint doc docs deny workflows advisories

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: ## Show how colocate changes a Deployment, without a cluster (4.5 minutes to build, needs Rust and a C compiler)
	@examples/demo

test: ## Run all tests, from unit to end-to-end on a real control plane (12 minutes, 32 with empty caches, needs Go)
	@echo '==> control plane (etcd, kube-apiserver, ...), built once for all clones'
	@tests/controlplane/build >/dev/null
	@tests/pipelines/tools/build >/dev/null
	@tests/prometheus/install >/dev/null
	@echo '==> tests'
	@cargo test --locked

fresh: ## Run `make demo` and `make test` in a new clone with empty caches (37 minutes, 9 GB)
	@.ci/fresh

torture: ## Run two replicas through rollouts, rotations, crashes and outages under load (10 minutes, needs Go)
	@tests/controlplane/build >/dev/null
	@COLOCATE_TORTURE=long cargo test --locked $(if $(TORTURE_PROFILE),--profile $(TORTURE_PROFILE)) --test torture -- \
	  $(SCENARIO) $(if $(TORTURE_PROFILE),--skip clocks)

dashboard-picture: ## Draw docs/dashboard.svg from a torture run that a real Prometheus scrapes (75 seconds, needs Go and apt)
	@tests/controlplane/build >/dev/null
	@COLOCATE_PICTURE=docs/dashboard.svg cargo test --locked --test torture dashboard

bench: ## Measure speed and compare it with the targets (15 minutes to build, 2 to run)
	@cargo build --locked --quiet --profile $(BENCH_PROFILE) --bin colocate --example measure
	@cargo bench --locked --quiet --profile $(BENCH_PROFILE) --no-run --bench engine
	@set -o pipefail; cargo bench --locked --quiet --profile $(BENCH_PROFILE) --bench engine | \
	  cargo run --locked --quiet --profile $(BENCH_PROFILE) --example measure -- engine

bench-claims: ## Measure the claim cache with up to a million claims (10 minutes to build, 3 to run, needs Go)
	@cargo build --locked --quiet --profile $(BENCH_PROFILE) --bin colocate --example measure
	@cargo run --locked --quiet --profile $(BENCH_PROFILE) --example measure -- claims $(if $(ROWS),--rows $(ROWS))

bench-waiters: ## Measure how pods that wait for claims affect other requests (10 minutes to build, 3 to run, needs Go)
	@cargo build --locked --quiet --profile $(BENCH_PROFILE) --bin colocate --example measure
	@cargo run --locked --quiet --profile $(BENCH_PROFILE) --example measure -- waiters

bench-peers: ## Compare colocate with two webhooks in Go, and with the goals (20 minutes to build, 4 to run, needs Go)
	@benches/peers/build >/dev/null
	@tests/controlplane/build >/dev/null
	@cargo build --locked --quiet --profile $(BENCH_PROFILE) --bin colocate --example measure
	@cargo run --locked --quiet --profile $(BENCH_PROFILE) --example measure -- peers $(PEERS)

bench-audit: ## Measure the time and the memory of an audit of 10,000 pods (8 minutes to build, 10 s to run)
	@cargo test --locked --quiet --release --test cli ten_thousand_pods_take -- --ignored --nocapture

bench-locality: ## Measure the time and the memory of locality with 10,000 pods and volumes (8 minutes to build, 10 s to run)
	@cargo test --locked --quiet --release --test cli ten_thousand_pods_are_located -- --ignored --nocapture

compat: ## Run the end-to-end tests on Kubernetes 1.29 to 1.37 (16 minutes for each version, needs Go): make compat MINORS='1.29 1.33'
	@tests/controlplane/build >/dev/null
	@tests/compat/run $(MINORS)

fuzz: ## Fuzz review, manifest or annotation (needs nightly Rust): make fuzz TARGET=review SECONDS=1200
	@$(call install,cargo-fuzz,$(CARGO_FUZZ_VERSION),2 minutes)
	@PATH=$(CARGO_FUZZ)/bin:$$PATH fuzz/run '$(TARGET)' $(SECONDS)

cluster: ## Start a playground: a real control plane with colocate installed
	@tests/controlplane/build >/dev/null
	@cargo build --locked --bin colocate --example cluster
	@$(CARGO_TARGET_DIR)/debug/examples/cluster

chart: ## Regenerate charts/colocate/README.md (the table of values) and files/defaults.yaml
	@CHART_WRITE=1 cargo test --locked --quiet --test chart -- current >/dev/null

image: ## Build the image with buildah or docker (10 minutes; ARCH='amd64 arm64', REGISTRY=, IMAGE=, BUILDER=, SOURCE=)
	@image/build

image-check: ## Build the image and run its binary in an empty root file system
	@archive=$$(image/build) && image/check "$$archive"

sbom: ## Write the image's bill of materials in CycloneDX format (ARCH=)
	@$(call install,cargo-cyclonedx,$(CARGO_CYCLONEDX_VERSION),2 minutes)
	@PATH=$(CARGO_CYCLONEDX)/bin:$$PATH image/sbom

release: ## Build everything that a release publishes into one folder (DIST=dist, ARCH=, REGISTRY=, SOURCE=)
	@$(call install,cargo-cyclonedx,$(CARGO_CYCLONEDX_VERSION),2 minutes)
	@PATH=$(CARGO_CYCLONEDX)/bin:$$PATH release/build

release-check: ## Build the release in two clones in different folders, and compare all bytes
	@$(call install,cargo-cyclonedx,$(CARGO_CYCLONEDX_VERSION),2 minutes)
	@PATH=$(CARGO_CYCLONEDX)/bin:$$PATH release/check

format: ## Check that all code is formatted
	@cargo fmt --check
	@rustfmt --edition 2024 --check fuzz/fuzz_targets/*.rs
	@files=$$(gofmt -l benches tests/compat tests/controlplane tests/pipelines) && [ -z "$$files" ] || { echo "not formatted: $$files"; exit 1; }

lint: ## Run clippy (warnings are errors) and shellcheck, if installed
	@cargo clippy --locked --all-targets -- -D warnings
	@if command -v shellcheck >/dev/null; then git grep -lE '^#!.*bash$$' | xargs shellcheck --severity=warning -x; \
	  else echo 'skipped scripts: shellcheck is not installed'; fi

doc: ## Check that the documentation builds without warnings
	@RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

docs: ## Build a book from the pages of the documentation, and check its links (BOOK=FOLDER)
	@$(call install,mdbook,$(MDBOOK_VERSION),5 minutes)
	@PATH=$(MDBOOK)/bin:$$PATH docs/build

workflows: ## Check the workflows of GitHub Actions with actionlint and zizmor (needs Go; zizmor needs Python)
	@tools=$$(tests/pipelines/tools/build) && $$tools/actionlint
	@programs=$$(tests/pipelines/python/install) && \
	  { [ -z "$$programs" ] || $$programs/zizmor --offline --quiet --persona pedantic .; }

advisories: ## Check the dependencies for security advisories and yanked versions (needs access to the advisory database)
	@$(call install,cargo-deny,$(CARGO_DENY_VERSION),5 minutes)
	@$(CARGO_DENY)/bin/cargo-deny --all-features check advisories

deny: ## Check the dependencies for licenses, banned crates and sources
	@$(call install,cargo-deny,$(CARGO_DENY_VERSION),5 minutes)
	@$(CARGO_DENY)/bin/cargo-deny --all-features check bans licenses sources
