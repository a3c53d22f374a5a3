# make test     everything that can be tested on this machine; on Debian it installs the servers it lacks
# make demo     two months of a property developer's funnel in seconds
# make proof    the whole proof of docs/reliability.md: hours; the suite runs a slice of it
# make figures  the measurements of docs/performance.md
# make crds     writes crds/ from the types
# make chart    writes what is generated in charts/rekindle (definitions, README, golden templates); make chart-test judges it
# make image    the container image as an OCI tar, without Docker
# make cluster  a Kubernetes on this machine with that image on its node; cluster-demo shows an example in it, cluster-down ends it
# make e2e      end-to-end tests in that cluster, or in the one of KUBECONFIG
# make control-plane  etcd, kube-apiserver and the rest of Kubernetes, built from its Go modules

.PHONY: test peers demo proof figures crds chart chart-test image cluster cluster-demo cluster-down e2e control-plane
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

# Optimised: 100,000 drawn runs on the model, a twentieth of that on SQLite, deaths at every place of every story and at every two of
# two, the canaries, the model of the protocol; then 50 kills of the real binary on each store, and 1,000 events of chaos with three.
proof: peers
	REKINDLE_PROOF=all REKINDLE_SEEDS=$${REKINDLE_SEEDS:-100000} cargo test --release --locked --test proof -- --nocapture --test-threads 1
	REKINDLE_KILLS=50 cargo test --locked --test binary kill -- --nocapture
	REKINDLE_CHAOS=1000 cargo test --locked --test binary chaos -- --nocapture --test-threads 1

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

IMAGE = $(or $(REKINDLE_CACHE),$(HOME)/.cache/rekindle)/image.tar

image:
	scripts/image --output $(IMAGE)

cluster: image
	scripts/cluster up
	scripts/cluster load $(IMAGE)

cluster-demo: cluster
	scripts/cluster demo

cluster-down:
	scripts/cluster down

e2e:
	scripts/e2e
