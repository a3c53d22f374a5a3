//! Tests of the operator against a real etcd and kube-apiserver (`scripts/control-plane` builds them). The operator is the real binary,
//! with a token of the chart's `ServiceAccount` and exactly the chart's rights. One control plane for all of them, a namespace for each.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers outside of #[test] functions

mod apply;
#[path = "../in_process/peers/child.rs"]
#[allow(dead_code)]
mod child;
mod control_plane;
mod edits;
mod happenings;
#[path = "../binary/http.rs"]
#[allow(dead_code)]
mod http;
mod kstatus;
mod manifests;
mod operator;
mod outages;
#[path = "../in_process/peers/postgres.rs"]
mod postgres;
mod proxy;
mod replicas;
#[path = "../binary/sink.rs"]
#[allow(dead_code)]
mod sink;
#[path = "../binary/wire.rs"]
#[allow(dead_code)]
mod wire;
