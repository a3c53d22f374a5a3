# make test     everything that can be tested on this machine; on Debian it installs the servers it lacks
# make demo     two months of a property developer's funnel in seconds
# make figures  the measurements of docs/performance.md
# make crds     writes crds/ from the types
# make chart    writes what is generated in charts/rekindle (definitions, README, golden templates); make chart-test judges it
# make control-plane  etcd, kube-apiserver and the rest of Kubernetes, built from its Go modules

.PHONY: test peers demo figures crds chart chart-test control-plane
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

figures:
	scripts/figures

crds:
	cargo run --locked -- crds --output-dir crds
	cp crds/*.yaml charts/rekindle/files/crds/

chart:
	scripts/chart-test --write

chart-test:
	scripts/chart-test

control-plane:
	@scripts/control-plane etcd kube-apiserver kubectl kube-controller-manager helm kubeconform
