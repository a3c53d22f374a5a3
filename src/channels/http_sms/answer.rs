//! From a provider's answer to an outcome: declared rules first (`accepted`, then `errors`; the other way round where `accepted` looks at
//! the status alone), then what HTTP itself says.

use super::rule::{Rule, Seen};
use crate::{
    channels::ChannelError,
    compile::{HttpSmsWiring, HttpVerdict},
    model::Outcome,
};
use std::time::Duration;

/// What came back, bounded.
pub(in crate::channels) struct Answer {
    pub(in crate::channels) status: u16,
    /// Names in lower case.
    pub(in crate::channels) headers: Vec<(String, String)>,
    pub(in crate::channels) body: Vec<u8>,
}

impl Answer {
    /// `Retry-After` in seconds, up to a day. The date form is rare and leaves the choice to us.
    pub(in crate::channels) fn retry_after(&self) -> Option<Duration> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "retry-after")?;
        value.trim().parse().ok().map(|seconds: u64| Duration::from_secs(seconds.min(86_400)))
    }
}

pub(super) struct Rules {
    errors: Vec<(Rule, HttpVerdict, Option<Duration>)>,
    /// `None`: HTTP's own 2xx.
    success: Option<Rule>,
    /// `success` reads what the provider itself says, not the status alone.
    looks_inside: bool,
    id: Option<Rule>,
    /// Receipts name messages by the key we gave, where the provider gives no id of its own.
    key_is_id: bool,
}

const NAMES: [&str; 4] = ["status", "body", "json", "headers"];

impl Rules {
    pub(super) fn compile(wiring: &HttpSmsWiring) -> Result<Self, ChannelError> {
        let errors = wiring
            .errors
            .iter()
            .enumerate()
            .map(|(i, rule)| Ok((Rule::compile(&rule.when, &format!("errors[{i}].when"), &NAMES)?, rule.then, rule.after)))
            .collect::<Result<_, ChannelError>>()?;
        let success = match wiring.success.trim() {
            "" => None,
            rule => Some(Rule::compile(rule, "accepted", &NAMES)?),
        };
        let id = wiring.id.as_deref().map(|rule| Rule::compile(rule, "id", &NAMES)).transpose()?;
        let looks_inside = success.as_ref().is_some_and(|rule| !rule.reads_only(&["status"]));
        Ok(Self { errors, success, looks_inside, key_is_id: id.is_none() && wiring.receipt.is_some(), id })
    }

    pub(super) fn outcome(&self, answer: &Answer, provider: &str, key: uuid::Uuid) -> Outcome {
        let seen = Seen::new()
            .int("status", answer.status.into())
            .map("headers", answer.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            .body(&answer.body);
        let accepted = || {
            let id = self.id.as_ref().and_then(|rule| rule.text(&seen)).or_else(|| self.key_is_id.then(|| key.to_string()));
            Outcome::Accepted { provider: provider.to_owned(), provider_id: id }
        };
        let taken = match &self.success {
            Some(rule) => rule.holds(&seen),
            None => (200..300).contains(&answer.status),
        };
        // The provider itself says so: whatever else matches, a message that was taken is not sent again.
        if taken && self.looks_inside {
            return accepted();
        }
        // Errors come before the status: many providers answer 200 and say in the body that nothing was sent.
        for (i, (rule, verdict, after)) in self.errors.iter().enumerate() {
            if rule.holds(&seen) {
                return declared(*verdict, *after, i, answer);
            }
        }
        if taken { accepted() } else { by_status(answer) }
    }
}

fn declared(verdict: HttpVerdict, after: Option<Duration>, rule: usize, answer: &Answer) -> Outcome {
    let reason = |what: &str| format!("HTTP {}: {what} (errors[{rule}])", answer.status);
    match verdict {
        HttpVerdict::Retry => Outcome::Retry { reason: reason("not now"), after },
        HttpVerdict::Throttled => Outcome::Retry { reason: reason("too fast"), after: after.or_else(|| answer.retry_after()) },
        HttpVerdict::InvalidRecipient => Outcome::Rejected { reason: reason("not a number that gets SMS"), suppress: true },
        HttpVerdict::OptedOut => Outcome::Rejected { reason: reason("opted out at the provider"), suppress: true },
        HttpVerdict::Rejected => Outcome::Rejected { reason: reason("refused for good"), suppress: false },
        HttpVerdict::ChannelDown => Outcome::ChannelDown { reason: reason("the account or its settings"), after },
        HttpVerdict::Unknown => Outcome::Unknown { reason: reason("the provider cannot say") },
    }
}

/// HTTP's own meaning, where no rule says otherwise.
fn by_status(answer: &Answer) -> Outcome {
    let reason = |what: &str| format!("HTTP {}: {what}", answer.status);
    match answer.status {
        429 => Outcome::Retry { reason: reason("too fast"), after: answer.retry_after() },
        401 | 403 => Outcome::ChannelDown { reason: reason("the credentials are refused"), after: None },
        402 => Outcome::ChannelDown { reason: reason("no money on the account"), after: None },
        301 | 307 | 308 => Outcome::ChannelDown {
            reason: reason("it moved; write its final address in `url`, redirects are not followed"),
            after: None,
        },
        404 | 405 | 410 | 415 => {
            Outcome::ChannelDown { reason: reason("nothing there takes messages; check `url` and `method`"), after: None }
        }
        // Still at work on the same key, or a time-out on its side: it may have sent it.
        408 | 409 => Outcome::Unknown { reason: reason("no clear answer") },
        400..=499 => Outcome::Rejected { reason: reason("refused for good"), suppress: false },
        200..=299 => Outcome::Unknown { reason: reason("the answer matches neither `accepted` nor any of `errors`") },
        _ => Outcome::Unknown { reason: reason("no clear answer") },
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Rules};
    use crate::{
        compile::{HttpBody, HttpErrorRule, HttpSmsWiring, HttpVerdict},
        model::Outcome,
    };
    use std::time::Duration;

    fn wiring(success: &str, errors: &[(&str, HttpVerdict)]) -> HttpSmsWiring {
        HttpSmsWiring {
            method: "POST".into(),
            url: "https://sms.test/send".into(),
            headers: Vec::new(),
            body: HttpBody::None,
            secrets: std::collections::BTreeMap::new(),
            basic: None,
            success: success.into(),
            id: Some("json.id".into()),
            errors: errors.iter().map(|(when, then)| HttpErrorRule { when: (*when).into(), then: *then, after: None }).collect(),
            receipt: None,
            timeout: Duration::from_secs(1),
            connections: 1,
            from: "X".into(),
        }
    }

    fn word(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Retry { after: Some(_), .. } => "retry after",
            Outcome::Retry { .. } => "retry",
            Outcome::Rejected { suppress: true, .. } => "suppress",
            Outcome::Rejected { .. } => "reject",
            Outcome::ChannelDown { .. } => "channel",
            Outcome::Unknown { .. } => "unknown",
            _ => "?",
        }
    }

    fn judge(wiring: &HttpSmsWiring, status: u16, body: &str) -> Outcome {
        let answer = Answer { status, headers: vec![("retry-after".into(), "30".into())], body: body.as_bytes().to_vec() };
        Rules::compile(wiring).unwrap().outcome(&answer, "p", uuid::Uuid::nil())
    }

    #[test]
    fn http_alone() {
        let wiring = wiring("", &[]);
        for (status, want) in [
            (200, "accepted"),
            (202, "accepted"),
            (301, "channel"),
            (303, "unknown"),
            (400, "reject"),
            (401, "channel"),
            (402, "channel"),
            (404, "channel"),
            (408, "unknown"),
            (409, "unknown"),
            (422, "reject"),
            (429, "retry after"),
            (500, "unknown"),
            (503, "unknown"),
        ] {
            assert_eq!(word(&judge(&wiring, status, "")), want, "{status}");
        }
    }

    #[test]
    fn what_was_accepted_is_not_sent_again_whatever_else_matches() {
        let catch_all = [("json.code == 3", HttpVerdict::ChannelDown), ("true", HttpVerdict::Retry)];
        let written = wiring("json.status == 'queued'", &catch_all);
        for (body, want) in
            [(r#"{"status":"queued","id":1}"#, "accepted"), (r#"{"code":3}"#, "channel"), (r#"{"code":4}"#, "retry"), ("", "retry")]
        {
            assert_eq!(word(&judge(&written, 200, body)), want, "{body}");
        }
        // Not written, it is what errors leave over.
        let left = wiring("", &catch_all[..1]);
        for (body, want) in [(r#"{"code":3}"#, "channel"), (r#"{"code":0}"#, "accepted"), ("", "accepted")] {
            assert_eq!(word(&judge(&left, 200, body)), want, "{body}");
        }
    }

    #[test]
    fn an_error_in_the_body_is_seen_though_accepted_looks_at_the_status_alone() {
        let errors = [("status == 200 && json.code == 3", HttpVerdict::ChannelDown), ("json.code == 7", HttpVerdict::Rejected)];
        for accepted in ["status == 200", "status >= 200 && status < 300", "[200, 202].exists(s, s == status)", "true"] {
            let by_status = wiring(accepted, &errors);
            for (body, want) in
                [(r#"{"code":3}"#, "channel"), (r#"{"code":7}"#, "reject"), (r#"{"code":0,"id":1}"#, "accepted"), ("", "accepted")]
            {
                assert_eq!(word(&judge(&by_status, 200, body)), want, "{accepted}: {body}");
            }
        }
        assert_eq!(word(&judge(&wiring("status == 200", &errors), 202, "")), "unknown", "what was written decides about 2xx");
        // Who reads what the provider says is asked first.
        for accepted in ["has(json.id)", "body.contains('id')", "headers['retry-after'] == '30'", "status == 200 && has(json.id)"] {
            let inside = wiring(accepted, &errors);
            assert_eq!(word(&judge(&inside, 200, r#"{"code":3,"id":1}"#)), "accepted", "{accepted}");
        }
    }

    #[test]
    fn errors_under_http_200_are_seen() {
        // SMSC.ru
        let smsc = wiring(
            "has(json.id)",
            &[
                ("json.error_code in [2, 4]", HttpVerdict::ChannelDown),
                ("json.error_code == 3", HttpVerdict::ChannelDown),
                ("json.error_code == 7", HttpVerdict::InvalidRecipient),
                ("json.error_code == 9", HttpVerdict::Throttled),
                ("has(json.error)", HttpVerdict::Rejected),
            ],
        );
        for (body, want) in [
            (r#"{"id":1,"cnt":1}"#, "accepted"),
            (r#"{"error":"invalid login","error_code":2}"#, "channel"),
            (r#"{"error":"no money","error_code":3}"#, "channel"),
            (r#"{"error":"bad phone","error_code":7}"#, "suppress"),
            (r#"{"error":"too many","error_code":9}"#, "retry after"),
            (r#"{"error":"denied","error_code":6}"#, "reject"),
            ("<html>maintenance</html>", "unknown"),
        ] {
            assert_eq!(word(&judge(&smsc, 200, body)), want, "{body}");
        }
        let mut patient = wiring("has(json.id)", &[("json.error_code == 3", HttpVerdict::ChannelDown)]);
        patient.errors[0].after = Some(Duration::from_hours(1));
        let Outcome::ChannelDown { after, .. } = judge(&patient, 200, r#"{"error":"no money","error_code":3}"#) else { panic!() };
        assert_eq!(after, Some(Duration::from_hours(1)), "the rule says how long money takes");
        assert_eq!(judge(&smsc, 200, r#"{"id":77}"#), Outcome::Accepted { provider: "p".into(), provider_id: Some("77".into()) });
        // SMS.ru: the status of the number stands inside.
        let smsru = wiring(
            "json.status_code == 100 && json.sms.all(n, json.sms[n].status_code == 100)",
            &[
                ("json.status_code == 201", HttpVerdict::ChannelDown),
                ("json.sms.exists(n, json.sms[n].status_code == 209)", HttpVerdict::OptedOut),
                ("json.sms.exists(n, json.sms[n].status_code == 202)", HttpVerdict::InvalidRecipient),
            ],
        );
        for (body, want) in [
            (r#"{"status":"OK","status_code":100,"sms":{"7999":{"status":"OK","status_code":100,"sms_id":"1-2"}}}"#, "accepted"),
            (r#"{"status":"OK","status_code":100,"sms":{"7999":{"status":"ERROR","status_code":202}}}"#, "suppress"),
            (r#"{"status":"OK","status_code":100,"sms":{"7999":{"status":"ERROR","status_code":209}}}"#, "suppress"),
            (r#"{"status":"ERROR","status_code":201}"#, "channel"),
        ] {
            assert_eq!(word(&judge(&smsru, 200, body)), want, "{body}");
        }
    }
}
