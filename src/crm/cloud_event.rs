//! A write-back as a `CloudEvents` 1.0 event in structured JSON form, for the journal and for webhooks.

use super::{Operation, WriteBack};
use serde_json::{Value, json};

/// Media type of one event in structured form.
pub(super) const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// `id` is the receiver's dedupe key; `origin` tells our writes from people's.
pub(super) fn event(job: &WriteBack) -> Value {
    let kind = match &job.operation {
        Operation::Move { .. } => "dev.rekindle.deal.move",
        Operation::Comment { .. } => "dev.rekindle.deal.comment",
        Operation::Task { .. } => "dev.rekindle.deal.task",
        Operation::Notify { .. } => "dev.rekindle.deal.notify",
    };
    json!({
        "specversion": "1.0",
        "id": job.key,
        "source": format!("/rekindle/{}", job.funnel),
        "type": kind,
        "subject": job.deal,
        "time": job.at,
        "datacontenttype": "application/json",
        "origin": "rekindle",
        "data": job.operation,
    })
}
