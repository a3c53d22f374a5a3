//! `CloudEvents` 1.0 over HTTP: binary (attributes in `ce-` headers), structured (one JSON object) and batched (an array).
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>

use super::form::percent_decode;
use axum::http::{HeaderMap, header::CONTENT_TYPE};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

/// Events of one batch.
pub(super) const BATCH: usize = 1_000;

/// One event, its envelope checked and its data read as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Envelope {
    pub id: String,
    pub source: String,
    pub kind: String,
    pub time: Option<String>,
    pub data: Value,
}

/// Why one event is refused; the others of its batch are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// As given, if it was.
    pub id: Option<String>,
    pub what: String,
    pub help: String,
}

/// Why a whole request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the content type is none of CloudEvents'")]
    ContentType,
    #[error("{0}")]
    Body(String),
}

/// Reads a request in whichever of the three modes it is.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Result<Envelope, Problem>>, Unreadable> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/cloudevents+json" => match json(body)? {
            Value::Object(event) => Ok(vec![structured(event)]),
            _ => Err(Unreadable::Body("the body is not one JSON object".into())),
        },
        "application/cloudevents-batch+json" => match json(body)? {
            Value::Array(events) if events.len() > BATCH => {
                Err(Unreadable::Body(format!("the batch has {} events; send at most {BATCH} at once", events.len())))
            }
            Value::Array(events) => Ok(events
                .into_iter()
                .map(|event| match event {
                    Value::Object(event) => structured(event),
                    _ => Err(problem(None, "the event is not a JSON object", "send an array of CloudEvents")),
                })
                .collect()),
            _ => Err(Unreadable::Body("the body is not a JSON array".into())),
        },
        other if headers.contains_key("ce-specversion") || headers.contains_key("ce-type") => {
            Ok(vec![binary(headers, other, body)?])
        }
        _ => Err(Unreadable::ContentType),
    }
}

fn json(body: &[u8]) -> Result<Value, Unreadable> {
    // serde_json's words name a line and a column, never a value of ours; its depth is bounded.
    serde_json::from_slice(body).map_err(|e| Unreadable::Body(format!("the body is not JSON: {}", position(&e))))
}

fn position(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

fn problem(id: Option<&str>, what: &str, help: &str) -> Problem {
    Problem { id: id.map(str::to_owned), what: what.into(), help: help.into() }
}

fn is_json(media_type: &str) -> bool {
    matches!(media_type, "" | "application/json" | "text/json") || media_type.ends_with("+json")
}

fn binary(headers: &HeaderMap, media_type: &str, body: &[u8]) -> Result<Result<Envelope, Problem>, Unreadable> {
    if !is_json(media_type) {
        return Err(Unreadable::ContentType);
    }
    let data = if body.is_empty() { Value::Null } else { json(body)? };
    let attribute = |name: &str| headers.get(name).map(|v| percent_decode(v.as_bytes()));
    Ok(envelope(
        attribute("ce-specversion").as_deref(),
        attribute("ce-id").as_deref(),
        attribute("ce-source"),
        attribute("ce-type"),
        attribute("ce-time"),
        data,
    ))
}

fn structured(mut event: Map<String, Value>) -> Result<Envelope, Problem> {
    let attribute = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
    let (version, id, source, kind, time) =
        (attribute("specversion"), attribute("id"), attribute("source"), attribute("type"), attribute("time"));
    if event.get("time").is_some_and(|t| !t.is_string() && !t.is_null()) {
        return Err(problem(id.as_deref(), "time is not a text", "write it like \"2026-11-22T10:00:00Z\""));
    }
    let content_type = attribute("datacontenttype").unwrap_or_default().to_ascii_lowercase();
    if !is_json(content_type.split(';').next().unwrap_or_default().trim()) {
        return Err(problem(id.as_deref(), "datacontenttype is not JSON", "send the data as application/json"));
    }
    let data = match (event.remove("data"), event.remove("data_base64")) {
        (Some(data), _) => data,
        (None, Some(Value::String(text))) => STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| problem(id.as_deref(), "data_base64 is not JSON in base64", "send the data as \"data\": {…}"))?,
        (None, _) => Value::Null,
    };
    envelope(version.as_deref(), id.as_deref(), source, kind, time, data)
}

fn envelope(
    version: Option<&str>,
    id: Option<&str>,
    source: Option<String>,
    kind: Option<String>,
    time: Option<String>,
    data: Value,
) -> Result<Envelope, Problem> {
    let bad = |what: &str, help: &str| Err(problem(id.filter(|id| fits(id, 256)), what, help));
    match version {
        Some("1.0") => {}
        Some(_) => return bad("specversion is not 1.0", "send CloudEvents 1.0"),
        None => return bad("specversion is missing", "write specversion: \"1.0\""),
    }
    let Some(id) = id.filter(|id| fits(id, 256)) else {
        return bad("id is missing, empty or too long", "give each event an id of its own, at most 256 characters");
    };
    let Some(source) = source.filter(|s| fits(s, 512)) else {
        return bad("source is missing, empty or too long", "say where it comes from, like \"/telephony/moscow\"");
    };
    let Some(kind) = kind.filter(|k| fits(k, 256)) else {
        return bad("type is missing or empty", "write a type like \"dev.rekindle.signal.inboundcall\"");
    };
    Ok(Envelope { id: id.to_owned(), source, kind, time, data })
}

fn fits(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::{Envelope, Unreadable, read};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use serde_json::json;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn wanted() -> Envelope {
        Envelope {
            id: "a-1".into(),
            source: "/pbx €".into(),
            kind: "dev.rekindle.signal.chat".into(),
            time: Some("2026-11-22T10:00:00Z".into()),
            data: json!({"deal": "7"}),
        }
    }

    #[test]
    fn the_three_modes_mean_the_same() {
        let event = json!({"specversion": "1.0", "id": "a-1", "source": "/pbx €", "type": "dev.rekindle.signal.chat",
            "time": "2026-11-22T10:00:00Z", "datacontenttype": "application/json", "data": {"deal": "7"}, "unknownextension": 5});
        let structured = headers(&[("content-type", "application/cloudevents+json; charset=UTF-8")]);
        let batched = headers(&[("content-type", "application/cloudevents-batch+json")]);
        let binary = headers(&[
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "a-1"),
            ("ce-source", "/pbx%20%E2%82%AC"),
            ("ce-type", "dev.rekindle.signal.chat"),
            ("ce-time", "2026-11-22T10:00:00Z"),
        ]);
        assert_eq!(read(&structured, event.to_string().as_bytes()), Ok(vec![Ok(wanted())]));
        assert_eq!(read(&batched, json!([event, event]).to_string().as_bytes()), Ok(vec![Ok(wanted()), Ok(wanted())]));
        assert_eq!(read(&binary, br#"{"deal":"7"}"#), Ok(vec![Ok(wanted())]));
        let mut encoded = event;
        encoded.as_object_mut().unwrap().remove("data");
        encoded["data_base64"] = json!("eyJkZWFsIjoiNyJ9");
        assert_eq!(read(&structured, encoded.to_string().as_bytes()), Ok(vec![Ok(wanted())]));
    }

    #[test]
    fn a_bad_event_says_what_is_wrong() {
        let structured = headers(&[("content-type", "application/cloudevents+json")]);
        for (event, what) in [
            (json!({"id": "1", "source": "s", "type": "t"}), "specversion is missing"),
            (json!({"specversion": "0.3", "id": "1", "source": "s", "type": "t"}), "specversion is not 1.0"),
            (json!({"specversion": "1.0", "source": "s", "type": "t"}), "id is missing"),
            (json!({"specversion": "1.0", "id": "", "source": "s", "type": "t"}), "id is missing"),
            (json!({"specversion": "1.0", "id": "a\u{0}b", "source": "s", "type": "t"}), "id is missing"),
            (json!({"specversion": "1.0", "id": "1", "type": "t"}), "source is missing"),
            (json!({"specversion": "1.0", "id": "1", "source": "s"}), "type is missing"),
            (json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": 5}), "time is not a text"),
            (
                json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "datacontenttype": "text/xml"}),
                "datacontenttype",
            ),
            (json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data_base64": "%"}), "data_base64"),
        ] {
            let read = read(&structured, event.to_string().as_bytes()).unwrap();
            let problem = read[0].as_ref().unwrap_err();
            assert!(problem.what.starts_with(what), "{event}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn no_body_breaks_the_reader(body in any::<Vec<u8>>(), mode in 0..3_usize) {
            let modes = [
                ("content-type", "application/cloudevents+json"),
                ("content-type", "application/cloudevents-batch+json"),
                ("ce-type", "dev.rekindle.signal.chat"),
            ];
            let _ = read(&headers(&modes[mode..=mode]), &body);
        }

        #[test]
        fn no_value_breaks_the_reader(key in "specversion|id|source|type|time|data|data_base64", number in any::<f64>(), text in ".*") {
            let structured = headers(&[("content-type", "application/cloudevents+json")]);
            for value in [json!(number), json!(text), json!([text]), json!({"a": text}), json!(null)] {
                let mut event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {}});
                event[key.as_str()] = value;
                prop_assert_eq!(read(&structured, event.to_string().as_bytes()).map(|events| events.len()), Ok(1));
            }
        }
    }

    #[test]
    fn a_bad_request_is_refused_whole() {
        for (content_type, body, want) in [
            ("text/plain", "{}", None),
            ("application/json", "{}", None),
            ("application/cloudevents+json", "{", Some("not JSON: line 1")),
            ("application/cloudevents+json", "[]", Some("not one JSON object")),
            ("application/cloudevents-batch+json", "{}", Some("not a JSON array")),
        ] {
            match (read(&headers(&[("content-type", content_type)]), body.as_bytes()), want) {
                (Err(Unreadable::ContentType), None) => {}
                (Err(Unreadable::Body(text)), Some(part)) => assert!(text.contains(part), "{text}"),
                (other, _) => panic!("{content_type} {body}: {other:?}"),
            }
        }
    }
}
