//! What clients answer, as gateways pass it on: a request with the client's number, the text and an id, under the names that gateways
//! use for them.

use super::receipt::{Fields, Unreadable};
use crate::model::{Likelihood, Phone, Text};
use serde_json::Value;

/// Names of the client's number; the first that holds a number counts. Without case, hyphens and underscores.
pub const FROM: [&str; 5] = ["from", "msisdn", "phone", "sender", "originator"];
/// Names of the text; the first that is there counts.
pub const TEXT: [&str; 6] = ["text", "body", "message", "mes", "msg", "content"];
/// Names of the gateway's id of the message, for deduplication together with number and text: some gateways mean the message of ours that
/// is answered, or the conversation. A message needs none.
pub const ID: [&str; 5] = ["id", "messageid", "messagesid", "messageuuid", "smsid"];

/// Messages may stand so deep in a JSON body.
const DEPTH: usize = 4;

/// An inbound message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// `None`: a short number or a name (`BANK`), which is nobody's client.
    pub from: Option<Phone>,
    pub text: Text,
    pub id: Option<String>,
}

/// Reads the messages of one request: parameters of its query and form, else a JSON body with one of them or several. `region`: for
/// numbers without a country code; gateways pass on what the network sends, often an international number without its plus sign.
///
/// # Errors
/// There is no number or no text in it: the gateway calls them something else, and somebody must hear of that.
pub fn read(given: &Fields, body: &[u8], region: &str) -> Result<Vec<Inbound>, Unreadable> {
    let pairs: Vec<(String, String)> = given.iter().map(|(name, value)| (plain(name), value.clone())).collect();
    if let Some(message) = message(&pairs, region) {
        return Ok(vec![message]);
    }
    let mut found = Vec::new();
    if let Ok(json) = serde_json::from_slice(body) {
        messages(&json, DEPTH, region, &mut found);
    }
    if found.is_empty() { Err(Unreadable) } else { Ok(found) }
}

fn message(pairs: &[(String, String)], region: &str) -> Option<Inbound> {
    let mut senders = values(pairs, &FROM).map(str::trim).filter(|from| !from.is_empty()).peekable();
    senders.peek()?;
    let text = values(pairs, &TEXT).next()?;
    Some(Inbound {
        from: senders.find_map(|from| client(from, region)),
        text: Text(text.chars().take(4096).collect()),
        id: values(pairs, &ID).find(|id| !id.is_empty() && id.len() <= 128).map(str::to_owned),
    })
}

/// What stands under these names, the first name first.
fn values<'a>(pairs: &'a [(String, String)], names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    names.iter().flat_map(move |name| pairs.iter().filter(move |(n, _)| n == name)).map(|(_, value)| value.as_str())
}

/// Every object with a number and a text, wherever the gateway puts it.
fn messages(json: &Value, depth: usize, region: &str, found: &mut Vec<Inbound>) {
    let inner: Vec<&Value> = match json {
        Value::Object(members) => {
            let text = |value: &Value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            let pairs: Vec<_> = members.iter().filter_map(|(name, value)| Some((plain(name), text(value)?))).collect();
            if let Some(message) = message(&pairs, region) {
                found.push(message);
                return;
            }
            members.values().collect()
        }
        Value::Array(items) => items.iter().collect(),
        _ => return,
    };
    if depth > 0 {
        for value in inner {
            messages(value, depth - 1, region, found);
        }
    }
}

/// `message-Id` as `messageid`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Digits alone are a number of the region or an international one without its plus sign: whichever can be a mobile phone, then
/// whichever exists; the region's where nothing tells them apart. Many national numbers are possible numbers of some other country.
fn client(from: &str, region: &str) -> Option<Phone> {
    if from.len() < 10 || !from.bytes().all(|b| b.is_ascii_digit()) {
        return Phone::parse(from, region).ok();
    }
    let international = Phone::read(&format!("+{from}"), region).ok();
    let national = Phone::read(from, region).ok();
    // The last of equals.
    international.into_iter().chain(national).max_by_key(|(_, likely): &(Phone, Likelihood)| *likely).map(|(phone, _)| phone)
}

#[cfg(test)]
mod tests {
    use super::{Fields, Inbound, Unreadable, read};
    use crate::model::Phone;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_stop_reaches_the_number_that_sent_it_in_whatever_form_the_network_writes_it() {
        for (from, region, want) in [
            ("79990001122", "RU", Some("+79990001122")),
            ("+79990001122", "RU", Some("+79990001122")),
            ("89990001122", "RU", Some("+79990001122")),
            ("9990001122", "RU", Some("+79990001122")),
            ("8 (999) 000-11-22", "RU", Some("+79990001122")),
            ("79990001122", "DE", Some("+79990001122")),
            ("491701234567", "DE", Some("+491701234567")),
            ("01701234567", "DE", Some("+491701234567")),
            // Possible numbers of the Netherlands, Singapore and Iran as well.
            ("3105550123", "US", Some("+13105550123")),
            ("6505550123", "US", Some("+16505550123")),
            ("9876543210", "IN", Some("+919876543210")),
            ("13105550123", "US", Some("+13105550123")),
            ("442071838750", "US", Some("+442071838750")),
            ("447400123456", "US", Some("+447400123456")),
            ("7777", "RU", None),
            ("NOVYDOM", "RU", None),
        ] {
            let read = read(&fields(&[("from", from), ("text", "STOP")]), b"", region).unwrap();
            assert_eq!(read[0].from.as_ref().map(Phone::as_str), want, "{from} in {region}");
        }
    }

    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Inbound);

    #[test]
    fn an_answer_is_found_under_the_names_that_gateways_use() {
        let stop = |id: Option<&str>| Inbound {
            from: Some(Phone::parse("+79990001122", "RU").unwrap()),
            text: crate::model::Text("СТОП".into()),
            id: id.map(Into::into),
        };
        let cases: [Case<'_>; 9] = [
            // Kannel, by the address that `rekindle hooks` prints
            (&[("from", "79990001122"), ("to", "7777"), ("text", "СТОП"), ("id", "m-1")], "", stop(Some("m-1"))),
            // Twilio
            (&[("From", "+79990001122"), ("To", "+79991112233"), ("Body", "СТОП"), ("MessageSid", "SM1")], "", stop(Some("SM1"))),
            // Vonage
            (&[("msisdn", "79990001122"), ("to", "7777"), ("messageId", "0A"), ("text", "СТОП")], "", stop(Some("0A"))),
            // SMSC.ru
            (&[("phone", "79990001122"), ("mes", "СТОП"), ("id", "7"), ("sms_id", "8")], "", stop(Some("7"))),
            // The sender may be ours.
            (&[("sender", "NOVYDOM"), ("phone", "79990001122"), ("message", "СТОП")], "", stop(None)),
            (&[], r#"{"from":"79990001122","text":"СТОП"}"#, stop(None)),
            (&[], r#"{"sender":79990001122,"message":"СТОП","message_id":5}"#, stop(Some("5"))),
            // Infobip
            (
                &[],
                r#"{"results":[{"from":"79990001122","to":"7777","text":"СТОП","messageId":"i"}],"messageCount":1}"#,
                stop(Some("i")),
            ),
            // Bandwidth
            (&[], r#"[{"type":"message-received","message":{"from":"+79990001122","text":"СТОП","id":"b"}}]"#, stop(Some("b"))),
        ];
        for (given, body, want) in cases {
            assert_eq!(read(&fields(given), body.as_bytes(), "RU"), Ok(vec![want]), "{given:?} {body}");
        }
        let two = r#"[{"phone":"79990001122","text":"a"},{"phone":"BANK","text":"b"},{"phone":"79990001133"}]"#;
        let read_two = read(&Fields::new(), two.as_bytes(), "RU").unwrap();
        assert_eq!(read_two.iter().map(|m| m.from.is_some()).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_request_without_number_or_text_is_no_answer() {
        let deep = format!("{}{}{}", r#"{"a":"#.repeat(6), r#"{"from":"79990001122","text":"x"}"#, "}".repeat(6));
        let cases: [(&[(&str, &str)], &str); 9] = [
            (&[], ""),
            (&[("who", "79990001122"), ("what", "STOP")], ""),
            (&[("from", "79990001122")], ""),
            (&[("from", " "), ("text", "STOP")], ""),
            (&[("text", "STOP")], ""),
            (&[], "STOP"),
            (&[], r#"{"from":{"phone_number":"79990001122"},"text":"STOP"}"#),
            (&[], "[1, null, \"a\"]"),
            (&[], &deep),
        ];
        for (given, body) in cases {
            assert_eq!(read(&fields(given), body.as_bytes(), "RU"), Err(Unreadable), "{given:?} {body}");
        }
    }
}
