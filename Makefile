# make test     everything that can be tested on this machine; on Debian it installs the servers it lacks
# make demo     two months of a property developer's funnel in seconds
# make proof    the whole proof of docs/reliability.md: hours; the suite runs a slice of it
# make figures  the measurements of docs/performance.md
# make crds     writes crds/ from the types
# make control-plane  etcd, kube-apiserver and the rest of Kubernetes, built from its Go modules

.PHONY: test peers demo proof figures crds control-plane
.DEFAULT_GOAL := test

# cargo-nextest runs each test in a process of its own. The suite of whole modules stays in one process, which shares one PostgreSQL.
test: peers
	@if cargo nextest --version >/dev/null 2>&1; then \
	  set -e; \
	  cargo nextest run --locked -E 'not binary(in_process)'; \
	  cargo test --locked --test in_process; \
	else \
	  cargo test --locked; \
	fi

peers:
	@scripts/peers

demo:
	cargo run --locked -- demo

# Optimised: 100,000 drawn runs on the model, a twentieth of that on SQLite, deaths at every place of every story and at every two of
# two, the canaries, the model of the protocol; then 50 kills of the real binary on each store.
proof: peers
	REKINDLE_PROOF=all REKINDLE_SEEDS=$${REKINDLE_SEEDS:-100000} cargo test --release --locked --test proof -- --nocapture --test-threads 1
	REKINDLE_KILLS=50 cargo test --locked --test binary kill -- --nocapture

figures:
	scripts/figures

crds:
	cargo run --locked -- crds --output-dir crds

control-plane:
	@scripts/control-plane etcd kube-apiserver kubectl kube-controller-manager helm kubeconform
