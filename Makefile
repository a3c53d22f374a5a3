# make test     everything that can be tested on this machine; on Debian it installs the servers it lacks
# make demo     two months of a property developer's funnel in seconds
# make figures  the measurements of docs/performance.md
# make crds     writes crds/ from the types
# make control-plane  etcd, kube-apiserver and the rest of Kubernetes, built from its Go modules

.PHONY: test peers demo figures crds control-plane
.DEFAULT_GOAL := test

# cargo-nextest runs each test in a process of its own. The suite of whole modules stays in one process, which shares one PostgreSQL,
# and so does the suite of the operator, which shares one control plane.
test: peers
	@if cargo nextest --version >/dev/null 2>&1; then \
	  set -e; \
	  cargo nextest run --locked -E 'not (binary(in_process) or binary(cluster))'; \
	  cargo test --locked --test in_process; \
	  cargo test --locked --test cluster; \
	else \
	  cargo test --locked; \
	fi

# The control plane is built once (minutes), where there is Go.
peers:
	@scripts/peers
	@if command -v go >/dev/null; then scripts/control-plane etcd kube-apiserver kubectl >/dev/null; fi

demo:
	cargo run --locked -- demo

figures:
	scripts/figures

crds:
	cargo run --locked -- crds --output-dir crds

control-plane:
	@scripts/control-plane etcd kube-apiserver kubectl kube-controller-manager helm kubeconform
