//! The API by example compiles; each broken variant says what is wrong, where, and what to write instead.

use super::{
    ConnectionKind, FileSource, Finding, FunnelSnapshot, Origin, Output, ProviderKind, Reason, Snapshot, SourceObject, compile,
    compile_funnel,
};
use crate::content::{Body, EmailSource, OptOut, Sender};
use crate::engine::{CapPer, ConsentRule, Reentry, TriggerKind};
use crate::model::{FunnelKey, HumanDuration, Medium, Mode, SignalKind};
use jiff::{Timestamp, civil::date};
use serde_json::Value;

const EXAMPLE: &str = include_str!("testdata/example.yaml");

fn read(yaml: &str) -> Snapshot {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let objects = documents.into_iter().map(|value| {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        SourceObject {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            origin: Some(Origin { file: "/m/all.yaml".into(), base_dir: "/m".into(), confined: false }),
            value,
        }
    });
    Snapshot { objects: objects.collect() }
}

fn changed(from: &str, to: &str) -> Output {
    assert_eq!(EXAMPLE.matches(from).count(), 1, "{from:?} must stand in the example once");
    compile(&read(&EXAMPLE.replace(from, to)))
}

fn key() -> FunnelKey {
    FunnelKey { namespace: "marketing".into(), name: "flats".into() }
}

#[test]
fn the_example_compiles_and_means_what_it_says() {
    let out = compile(&read(EXAMPLE));
    assert_eq!(out.findings, [], "{}", lines(&out.findings));
    let snapshot = &out.funnels[&key()];
    let since = Timestamp::from_second(1_700_000_000).unwrap();
    let compiled = compile_funnel(snapshot, 7, since).unwrap();
    let plan = &compiled.plan;
    assert_eq!((plan.revision, plan.since, plan.mode), (7, since, Mode::Live));
    assert_eq!((plan.connection.as_str(), plan.pipeline.as_deref()), ("sales-crm", Some("Продажи")));
    assert_eq!(plan.max_staleness, Some(HumanDuration::hours(2)));
    assert_eq!(plan.reentry, Reentry::After(HumanDuration::days(30)));
    assert!((plan.holdout_percent - 5.0).abs() < f64::EPSILON && plan.holdout_salt == "2026");
    assert_eq!(plan.policy.consent, ConsentRule::Recorded);
    assert!(plan.policy.holidays.contains(&date(2027, 5, 9)) && plan.policy.windows.len() == 2);
    assert_eq!((plan.policy.caps[0].medium, plan.policy.caps[0].per), (Some(Medium::Sms), CapPer::Day));
    assert_eq!(plan.stages.stalled[0].remind.len(), 2);
    assert!(matches!(&plan.stages.warming[0].enter[0].kind, TriggerKind::Lost(reasons) if reasons.len() == 5));
    assert!(plan.stages.revival.signals.contains(&SignalKind::Form) && !plan.stages.revival.return_to.move_open);

    let visit = plan.item("lost-layout", "visit").unwrap();
    assert_eq!(visit.requires, ["manager.firstName"]);
    assert_eq!((visit.after, visit.days.len(), visit.medium), (HumanDuration::days(7), 2, Medium::Email));
    assert_eq!(visit.when.as_ref().unwrap().source(), "deal.amount >= 5000000.0 && client.city == 'Москва'");
    let first = plan.item("lost-layout", "new-layouts").unwrap();
    assert_eq!(first.requires, ["deal.layout"], "its link needs the layout");
    let big = plan.item("lost-other", "big").unwrap();
    assert_eq!(big.valid_from, Some("2026-01-01T00:00:00+03:00".parse().unwrap()), "a day begins in the policy's zone");
    assert_eq!((big.variants[0].weight, big.variants[1].weight), (2, 1));

    let text = |list: &str, item: &str| &compiled.texts.items[&(list.to_owned(), item.to_owned())];
    assert!(matches!(&text("lost-layout", "new-layouts").sender, Sender::Sms(s) if s.opt_out == OptOut::Link && s.max_parts == 3));
    let Body::Email(body) = &text("lost-other", "big").body else { panic!("not an email") };
    assert!(
        matches!(&body.source, EmailSource::Markdown(t) if t.source().starts_with("# Новости")),
        "the body comes from its ConfigMap"
    );
    assert_eq!(text("lost-other", "big").variants.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(text("lost-other", "hello").utm["utm_source"], "rekindle");
    assert!(compiled.texts.tasks.clicked.is_some() && compiled.texts.tasks.replied.is_none());
}

#[test]
fn wiring_has_the_secrets_and_nothing_else_has() {
    let snapshot = read(EXAMPLE);
    let out = compile(&snapshot);
    let sms = &out.wiring.channels["marketing/sms"];
    let ProviderKind::Kannel(kannel) = &sms.providers[0].kind else { panic!("not Kannel") };
    assert_eq!(
        (kannel.username.as_str(), kannel.password.0.as_str(), kannel.from.as_str()),
        ("rekindle", "kannel-secret-word", "NOVYDOM")
    );
    assert_eq!((sms.burst, out.wiring.prices["marketing/sms"].per_part), (20, 42_000));
    let mail = &out.wiring.channels["marketing/mail"];
    let ProviderKind::Smtp(smtp) = &mail.providers[0].kind else { panic!("not SMTP") };
    assert_eq!(smtp.username.as_deref(), Some("rekindle"), "a line end behind a base64 value is not part of it");
    assert_eq!((smtp.password.as_ref().unwrap().0.as_str(), smtp.helo.as_str()), ("smtp-secret-word", "news.example.com"));
    assert_eq!(mail.dkim.as_ref().unwrap().private_key.0, "dkim-secret-word");
    let ConnectionKind::File(file) = &out.wiring.connections["marketing/sales-crm"].kind;
    assert!(matches!(&file.deals, FileSource::Inline { name, .. } if name == "deals.csv"));
    assert_eq!(file.manager_columns["deputy"], "UF_DEPUTY", "the funnel's deputyField is a column of the connection");

    let broken = changed("stringData: {private: dkim-secret-word}", "stringData: {publik: dkim-secret-word}");
    let seen = format!("{snapshot:?} {out:?} {broken:?} {}", serde_json::to_string(&out.funnels[&key()]).unwrap());
    assert!(!seen.contains("secret-word") && !seen.contains("c210cC1z"), "a secret is shown");
}

#[test]
fn what_an_sms_announces_is_what_its_channel_listens_for() {
    for (written, word) in [
        ("optOut: Keyword, keyword: ОТКАЗ", Some("ОТКАЗ")),
        ("optOut: Keyword", Some("STOP")),
        ("optOut: Link", None),
        ("optOut: None", None),
    ] {
        let out = changed("from: NOVYDOM, maxParts: 3, optOut: Link", &format!("from: \"7777\", {written}"));
        assert_eq!(out.findings, [], "{}", lines(&out.findings));
        assert_eq!(out.wiring.channels["marketing/sms"].keyword.as_deref(), word, "{written}");
        let texts = compile_funnel(&out.funnels[&key()], 1, Timestamp::UNIX_EPOCH).unwrap().texts;
        let Sender::Sms(sender) = &texts.items[&("lost-other".to_owned(), "hello".to_owned())].sender else { panic!("not an SMS") };
        assert_eq!(matches!(&sender.opt_out, OptOut::Keyword(said) if Some(said.as_str()) == word), word.is_some());
    }
}

#[test]
fn a_stored_revision_means_the_same_as_the_manifests() {
    let out = compile(&read(EXAMPLE));
    let stored = serde_json::to_string(&out.funnels[&key()]).unwrap();
    let again: FunnelSnapshot = serde_json::from_str(&stored).unwrap();
    assert!(again == out.funnels[&key()]);
    let plans = [&out.funnels[&key()], &again].map(|s| compile_funnel(s, 1, Timestamp::UNIX_EPOCH).unwrap());
    assert_eq!(format!("{:?}", plans[0]), format!("{:?}", plans[1]));
}

#[test]
fn a_declared_provider_needs_no_code() {
    let out = changed(
        "{name: main, type: Kannel, kannel: {url: \"http://kannel:13013\", secretRef: {name: kannel}}}",
        r#"{name: main, type: Http, http: {secretRef: {name: kannel}, accepted: "json.items.exists(x, x.code == 0)", id: "json.items[0].id",
          request: {url: "https://sms.example/send?to={{ toDigits }}", headers: {X-Key: "{{ secret.password }}"}, json: {body: "{{ text }}"}},
          errors: [{when: status == 429, then: Throttled, after: 10s}, {when: "body.contains('balance')", then: ChannelDown}],
          receipts: {id: query.id, delivered: "query.s == '1'", failed: "query.s == '2'", answer: "100"}}}"#,
    );
    assert_eq!(out.findings, [], "{}", lines(&out.findings));
    let ProviderKind::Http(http) = &out.wiring.channels["marketing/sms"].providers[0].kind else { panic!("not HTTP") };
    assert_eq!(
        (http.method.as_str(), http.from.as_str(), http.secrets["password"].0.as_str()),
        ("POST", "NOVYDOM", "kannel-secret-word")
    );
    assert_eq!((http.errors.len(), http.receipt.as_ref().unwrap().answer.as_deref()), (2, Some("100")));
}

fn lines(findings: &[Finding]) -> String {
    let lines: Vec<String> =
        findings.iter().map(|f| format!("{} {} {:?}: {}; {}", f.object, f.path, f.reason, f.message, f.help)).collect();
    lines.join("\n")
}

/// (what is written, what is written instead, kind, path, reason, part of the help)
type Case = (&'static str, &'static str, &'static str, &'static str, Reason, &'static str);

#[test]
fn each_mistake_is_told_where_it_is_with_what_to_write_instead() {
    use Reason::*;
    const CRM: &str = "CrmConnection";
    const CHANNEL: &str = "MessageChannel";
    const POLICY: &str = "ContactPolicy";
    const LIST: &str = "ContentList";
    const FUNNEL: &str = "ReactivationFunnel";
    #[rustfmt::skip]
    let cases: &[Case] = &[
        // references
        ("crmRef: {name: sales-crm}", "crmRef: {name: sale-crm}", FUNNEL, "spec.source.crmRef.name", NotFound, "did you mean sales-crm?"),
        ("policyRef: {name: default}", "policyRef: {name: other}", FUNNEL, "spec.policyRef.name", NotFound, "write one of default"),
        ("{name: mail, ref: {name: mail}}", "{name: mail, ref: {name: male}}", FUNNEL, "spec.channels[1].ref.name", NotFound, "did you mean mail?"),
        ("{listRef: {name: lost-other}}", "{listRef: {name: lost-others}}", FUNNEL, "spec.stages.warming[0].content[1].listRef.name", NotFound, "did you mean lost-other?"),
        ("deals: {configMap: {name: deals, key: deals.csv}}", "deals: {configMap: {name: deals, key: deal.csv}}", CRM, "spec.file.deals.configMap", ConfigMapNotFound, "did you mean deals.csv?"),
        ("deals: {configMap: {name: deals, key: deals.csv}}", "deals: {configMap: {name: deals, key: deals.csv}}\n    maxAge: 26h", CRM, "spec.file.maxAge", Conflict, "read the deals by path"),
        ("deals: {configMap: {name: deals, key: deals.csv}}", "deals: {path: deals.csv}\n    maxAge: 0s", CRM, "spec.file.maxAge", NeverOpens, "like 26h"),
        ("metadata: {name: kannel, namespace: marketing}", "metadata: {name: kanel, namespace: marketing}", CHANNEL, "spec.providers[0].kannel.secretRef", SecretNotFound, "keys username and password"),
        ("password: c210cC1zZWNyZXQtd29yZA==", "password: '%%'", CHANNEL, "spec.providers[0].smtp.secretRef", SecretNotFound, "stringData"),
        ("{name: sms, ref: {name: sms}}, ", "", FUNNEL, "spec.channels", NoChannel, "{name: sms, ref:"),
        ("{name: sms, ref: {name: sms}}", "{name: mail, ref: {name: sms}}", FUNNEL, "spec.channels[1].name", Duplicate, "another name"),
        // form
        ("after: 3d  ", "after: 3 days  ", LIST, "spec.items[0].after", InvalidValue, "write for example 30m, 12h, 3d"),
        ("mode: Live ", "mode: Life ", FUNNEL, "spec.mode", InvalidValue, "did you mean Live?"),
        ("      task: {title: \"Клиент вернулся: {{ client.name }}\", due: 30m}", "      task: {title: 5, due: 30m}", FUNNEL, "spec.stages.revived.task.title", InvalidValue, "quotes"),
        ("at: \"11:00\"", "at: \"25:00\"", LIST, "spec.items[0].at", InvalidValue, "\"09:30\""),
        ("validFrom: 2026-01-01", "validFrom: soon", LIST, "spec.items[1].validFrom", InvalidValue, "2027-03-01"),
        ("validFrom: 2026-01-01", "validFrom: 2028-01-01", LIST, "spec.items[1].validUntil", NeverOpens, "later validUntil"),
        ("timeZone: Europe/Moscow", "timeZone: Europe/Moskow", POLICY, "spec.timeZone", UnknownTimeZone, "did you mean Europe/Moscow?"),
        ("timeZone: Europe/Moscow", "timeZone: Moscow", POLICY, "spec.timeZone", UnknownTimeZone, "did you mean Europe/Moscow?"),
        ("timeZone: Europe/Moscow", "zones: {Казань: Kazan}\n  timeZone: Europe/Moscow", POLICY, "spec.zones[\"Казань\"]", UnknownTimeZone, "Asia/Yekaterinburg"),
        ("holidays: {country: RU}", "holidays: {country: XX}", POLICY, "spec.holidays.country", InvalidValue, "dates"),
        ("holidays: {country: RU}", "holidays: {dates: [2027-02-30]}", POLICY, "spec.holidays.dates[0]", InvalidValue, "2027-05-03"),
        ("{days: [Sat, Sun], from: \"11:00\", to: \"18:00\"}", "{days: [Sat, Sun], from: \"11:00\", to: \"11:00\"}", POLICY, "spec.windows[1]", NeverOpens, "24:00"),
        ("holidays: {country: RU}", "priorities: [{funnel: flats}, {funnel: flats}]", POLICY, "spec.priorities[1].funnel", Duplicate, "keep the first"),
        ("holidays: {country: RU}", "budget: {currency: EUR, perDay: \"100\"}", POLICY, "spec.budget.currency", Conflict, "one currency"),
        ("holidays: {country: RU}", "budget: {currency: RUB, perDay: \"0\"}", POLICY, "spec.budget.perDay", NeverOpens, "paused"),
        ("holidays: {country: RU}", "budget: {currency: RUB, perMonth: \"1e3\"}", POLICY, "spec.budget.perMonth", InvalidValue, "in quotes"),
        ("holidays: {country: RU}", "budget: {currency: RUB}", POLICY, "spec.budget", InvalidUnion, "perDay"),
        ("{atMost: 3, per: Week}", "{atMost: 0, per: Week}", POLICY, "spec.caps[1].atMost", NeverOpens, "paused"),
        ("{atMost: 3, per: Week}", "{atMost: 3, per: Fortnight}", POLICY, "spec.caps[1].per", InvalidValue, "Day, Week, Month"),
        ("{atMost: 3, per: Week}", "{atMost: 3, per: 90d}", POLICY, "spec.caps[1].per", InvalidValue, "at most 35d"),
        // unions
        ("      sms:\n        text: \"{{ client.firstName", "      email: {subject: a, markdown: b}\n      sms:\n        text: \"{{ client.firstName", LIST, "spec.items[0]", InvalidUnion, "sms: {text: …}"),
        ("email: {subject: Ваш дом, markdown: \"Новости дома\"}", "sms: {text: Новости дома}", LIST, "spec.items[1].variants[1]", InvalidUnion, "markdown"),
        ("enter: [{inactivity: 5d}]", "enter: [{inactivity: 5d, movedTo: [A]}]", FUNNEL, "spec.stages.stalled[0].enter[0]", InvalidUnion, "entry of its own"),
        ("enter: [{inactivity: 5d}]", "enter: [{}]", FUNNEL, "spec.stages.stalled[0].enter[0]", InvalidUnion, "inactivity"),
        ("reentry: {after: 30d}", "reentry: {after: 30d, always: true}", FUNNEL, "spec.reentry", InvalidUnion, "{never: true}"),
        ("type: Smtp, smtp:", "type: Http, smtp:", CHANNEL, "spec.providers[0].type", InvalidUnion, "type Smtp"),
        ("  file:\n    deals:", "  fil:\n    deals:", CRM, "spec", InvalidUnion, "write file:"),
        // names
        ("deal.amount >= 5000000.0", "deal.amont >= 5000000.0", LIST, "spec.items[1].when", UnknownName, "did you mean deal.amount?"),
        ("client.city == 'Москва'", "client.town == 'Москва'", LIST, "spec.items[1].when", UnknownName, "client.city, client.firstName"),
        ("client.city == 'Москва'", "client.city = 'Москва'", LIST, "spec.items[1].when", InvalidCondition, "write =="),
        ("client.city == 'Москва'", "client.city.matches('[')", LIST, "spec.items[1].when", InvalidCondition, "contains"),
        ("client.city == 'Москва'", "client.city.matches('[\\\\]')", LIST, "spec.items[1].when", InvalidCondition, "contains"),
        ("client.city == 'Москва'", "client.city.matches('(\\\\w{80}){3}')", LIST, "spec.items[1].when", InvalidCondition, "repeat less"),
        ("client.city == 'Москва'", "client.city.matches(deal.title)", LIST, "spec.items[1].when", InvalidCondition, "one text"),
        ("client.city == 'Москва'", "!sent('new-layout')", LIST, "spec.items[1].when", UnknownName, "did you mean new-layouts?"),
        ("  sync: {every: 1m}", "  sync: {every: 0s}", CRM, "spec.sync.every", InvalidValue, "at least 1s"),
        ("client.city == 'Москва'", "cycle.dayz > 3", LIST, "spec.items[1].when", UnknownName, "did you mean cycle.days?"),
        ("client.city == 'Москва'", "(client.city == 'Москва'", LIST, "spec.items[1].when", InvalidCondition, ""),
        ("type: Kannel, kannel: {url: \"http://kannel:13013\", secretRef: {name: kannel}}", "type: Http, http: {request: {url: \"https://sms.example\", form: {to: \"{{ too }}\", text: \"{{ text }}\"}}}", CHANNEL, "spec.providers[0].http.request.form.to", UnknownName, "did you mean to?"),
        ("type: Kannel, kannel: {url: \"http://kannel:13013\", secretRef: {name: kannel}}", "type: Http, http: {accepted: \"jsn.code == 0\", request: {url: \"https://sms.example\", form: {to: \"{{ to }}\", text: \"{{ text }}\"}}}", CHANNEL, "spec.providers[0].http.accepted", UnknownName, "did you mean json?"),
        ("type: Kannel, kannel: {url: \"http://kannel:13013\", secretRef: {name: kannel}}", "type: Http, http: {errors: [{when: \"status ==\", then: Retry}], request: {url: \"https://sms.example\", form: {to: \"{{ to }}\", text: \"{{ text }}\"}}}", CHANNEL, "spec.providers[0].http.errors[0].when", InvalidCondition, "CEL"),
        ("{{ client.firstName | default('Здравствуйте') }}, у нас", "{{ client.fistName }}, у нас", LIST, "spec.items[0].sms.text", UnknownName, "did you mean client.firstName?"),
        ("{{ client.firstName | default('Здравствуйте') }}, у нас", "{{ client.firstName | default('Здравствуйте') }, у нас", LIST, "spec.items[0].sms.text", InvalidTemplate, ""),
        ("Перезвонить: открыл {{ link.name }}", "Перезвонить: открыл {{ links.name }}", FUNNEL, "spec.clicks.task.title", UnknownName, "did you mean link?"),
        ("Клиент вернулся: {{ client.name }}", "Клиент вернулся: {{ link.name }}", FUNNEL, "spec.stages.revived.task.title", UnknownName, "client"),
        ("{{ manager.name }}, Новый дом", "{{ client.name }}, Новый дом", CHANNEL, "spec.email.managerFrom.name", UnknownName, "manager"),
        ("enter: [{inactivity: 5d}]", "enter: [{fieldFilled: layuot}]", FUNNEL, "spec.stages.stalled[0].enter[0].fieldFilled", UnknownName, "did you mean layout?"),
        ("enter: [{inactivity: 5d}]", "enter: [{date: {field: layout}}]", FUNNEL, "spec.stages.stalled[0].enter[0].date.field", InvalidValue, "type: Date"),
        ("{name: layout, of: Deal,", "{name: amount, of: Deal,", CRM, "spec.fields[0].name", Duplicate, "file.columns"),
        ("lostReason: reason, manager", "lostReson: reason, manager", CRM, "spec.file.columns.lostReson", UnknownName, "did you mean lostReason?"),
        // types
        ("client.city == 'Москва'", "client.city > 5", LIST, "spec.items[1].when", InvalidCondition, "single quotes"),
        ("deal.amount >= 5000000.0", "deal.amount >= '5000000'", LIST, "spec.items[1].when", InvalidCondition, "without quotes"),
        ("deal.amount >= 5000000.0", "deal.amount / 0 > 1", LIST, "spec.items[1].when", InvalidCondition, "another number"),
        ("client.city == 'Москва'", "client.city", LIST, "spec.items[1].when", InvalidCondition, ""),
        ("client.city == 'Москва'", "'Моск' in client.city", LIST, "spec.items[1].when", InvalidCondition, "client.city.contains('Моск')"),
        ("client.city == 'Москва'", "size(deal.amount) > 3", LIST, "spec.items[1].when", InvalidCondition, "deal.amount > 5000000"),
        ("client.city == 'Москва'", "clicked ('new-layout')", LIST, "spec.items[1].when", UnknownName, "did you mean new-layouts?"),
        ("client.city == 'Москва'", "client.city.matches ('[')", LIST, "spec.items[1].when", InvalidCondition, "contains"),
        // one part too many
        ("подобрали ещё несколько квартир", "{{ brand.title }}", LIST, "spec.items[0].sms.text", UnknownName, "write {{ brand }}"),
        ("подобрали ещё несколько квартир", "{{ brand.name }}", LIST, "spec.items[0].sms.text", UnknownName, "write {{ brand }}"),
        ("подобрали ещё несколько квартир", "{{ client.firstName.upper }}", LIST, "spec.items[0].sms.text", UnknownName, "write {{ client.firstName | upper }}"),
        ("подобрали ещё несколько квартир", "{{ client.city.name }}", LIST, "spec.items[0].sms.text", UnknownName, "write {{ client.city }}"),
        ("подобрали ещё несколько квартир", "{{ links.offer.url }}", LIST, "spec.items[0].sms.text", UnknownName, "write {{ links.offer }}"),
        ("rooms={{ deal.layout }}", "rooms={{ deal.layout.x }}", LIST, "spec.items[0].links.catalog", UnknownName, "write {{ deal.layout }}"),
        ("Перезвонить: открыл {{ link.name }}", "Перезвонить: открыл {{ link.name.x }}", FUNNEL, "spec.clicks.task.title", UnknownName, "write {{ link.name }}"),
        ("{{ manager.name }}, Новый дом", "{{ manager.name.first }}, Новый дом", CHANNEL, "spec.email.managerFrom.name", UnknownName, "write {{ manager.name }}"),
        ("подобрали ещё несколько квартир", "{% if client.city == 'Казань' or 'Омск' %}x{% endif %}", LIST, "spec.items[0].sms.text", InvalidTemplate, "client.city in ["),
        // dates
        ("after: 3d  ", "date: {field: visitAt}  ", LIST, "spec.items[0].date.field", UnknownName, "type: Date"),
        ("after: 3d  ", "date: {field: layout, before: 1d}  ", LIST, "spec.items[0].date.field", InvalidValue, "type: Date"),
        // links
        ("markdown: |\n          Мы обновили шоу-рум. [Выберите время]({{ links.visit }})", "markdown: |\n          Мы обновили шоу-рум. [Выберите время]({{ links.vist }})", LIST, "spec.items[1].email.markdown", UndeclaredLink, "did you mean visit?"),
        ("https://novydom.example/visit", "novydom.example/visit", LIST, "spec.items[1].links.visit", InvalidLink, "https://example.com"),
        ("https://novydom.example/visit", "http://novydom.example/visit", LIST, "spec.items[1].links.visit", InvalidLink, "https://example.com"),
        ("https://novydom.example/visit", "https://{{ client.city }}.example/visit", LIST, "spec.items[1].links.visit", InvalidLink, "https://example.com"),
        ("https://novydom.example/visit", "https://novydom.example{{ client.city }}/visit", LIST, "spec.items[1].links.visit", InvalidLink, "https://example.com"),
        ("https://novydom.example/visit", "https://a:b@novydom.example/visit", LIST, "spec.items[1].links.visit", InvalidLink, "https://example.com"),
        ("https://novydom.example/visit", "javascript:alert(1)", LIST, "spec.items[1].links.visit", InvalidLink, "https://example.com"),
        ("links: {offer: \"https://novydom.example/offer\"}", "links: {offer: \"https://novydom.example/offer\", unsubscribe: \"https://a.example\"}", LIST, "spec.items[0].links.unsubscribe", InvalidLink, "another name"),
        // texts
        ("maxParts: 3", "maxParts: 1", LIST, "spec.items[0].sms.text", TooManyParts, "shorten it by about"),
        ("optOut: Link", "optOut: Keyword", CHANNEL, "spec.sms.optOut", NoOptOut, "write optOut: Link"),
        ("from: NOVYDOM, maxParts: 3, optOut: Link", "from: \"7777\", optOut: Keyword, keyword: \"--\"", CHANNEL, "spec.sms.keyword", NoOptOut, "write a word"),
        ("markdown: \"Новости дома\"", "markdown: \"Новости {{ client.city + 1 }}\"", LIST, "spec.items[1].variants[1].email.markdown", InvalidTemplate, "write type: Number for city"),
        ("subject: Ваш дом", "subject: \"{{ client.city | date }}\"", LIST, "spec.items[1].variants[1].email.subject", InvalidTemplate, "write type: Date for city"),
        ("bodyFrom: {configMap: {name: bodies, key: news.md}}", "bodyFrom: {configMap: {name: bodies, key: new.md}}", LIST, "spec.items[1].email.bodyFrom.configMap", ConfigMapNotFound, "did you mean news.md?"),
        ("{{ client.firstName | default('Здравствуйте') }}, у нас", "{{ client.language }}, у нас", LIST, "spec.items[0].sms.text", UnknownName, "only conditions know it"),
        ("markdown: \"Новости дома\"", "html: \"<style>@media(x){#hero{a:b}}</style>\"", LIST, "spec.items[1].variants[1].email.html", InvalidTemplate, "a blank between { and #"),
        ("data: {news.md: \"# Новости\\n\\nДом сдан.\"}", "binaryData: {news.md: z/Do4uXyIQ==}", LIST, "spec.items[1].email.bodyFrom.configMap", InvalidValue, "save it as UTF-8"),
        ("https://novydom.example/visit", "https://novydom.example:99999/visit", LIST, "spec.items[1].links.visit", InvalidLink, "https://example.com"),
        ("from: {name: Новый дом,", "from: {name: \"Новый\\nдом\",", CHANNEL, "spec.email.from.name", InvalidValue, "on one line"),
        // the rest
        ("name: visit\n", "name: new-layouts\n", LIST, "spec.items[1].name", Duplicate, "another name"),
        ("- name: warming\n", "- name: stalled\n", FUNNEL, "spec.stages.warming[0].name", Duplicate, "another name"),
        ("{name: a, weight: 2}, {name: b,", "{name: a, weight: 0}, {name: b, weight: 0,", LIST, "spec.items[1].variants", NeverOpens, "at least 1"),
        ("      after: 5d\n", "      after: 5d\n      expiresAfter: 0h\n", LIST, "spec.items[0].expiresAfter", NeverOpens, "like 12h"),
        ("timeZone: Europe/Moscow", "timeZone: Etc/Unknown", POLICY, "spec.timeZone", UnknownTimeZone, ""),
        ("      after: 5d\n", "      after: 5d\n      channel: sns\n", LIST, "spec.items[0].channel", NoChannel, "did you mean sms?"),
        ("      after: 5d\n", "      after: 5d\n      channel: mail\n", LIST, "spec.items[0].channel", NoChannel, "leave channel out"),
        ("signals: [InboundCall,", "signals: [OutboundCall,", FUNNEL, "spec.stages.revived.signals[0]", Unreachable, "InboundCall"),
        ("backfill: {lostWithin: 180d,", "backfill: {lostWithin: 0h,", FUNNEL, "spec.backfill.lostWithin", NeverOpens, "180d"),
        ("fallback: head@novydom.example", "fallback: head@novydom", FUNNEL, "spec.managers.fallback", InvalidValue, "head@example.com"),
        ("address: hello@news.example.com", "address: hello@news", CHANNEL, "spec.email.from.address", InvalidValue, "hello@news.example.com"),
        ("{perPart: \"4.20\", currency: RUB}", "{perPart: \"4.20\", currency: rubles}", CHANNEL, "spec.sms.price.currency", InvalidValue, "RUB"),
        ("attribution: 30d", "attribution: 0d", FUNNEL, "spec.attribution", NeverOpens, "30d"),
        ("sync: {every: 1m}", "sync: {every: 3h}", CRM, "spec.maxStaleness", NeverOpens, "longer maxStaleness"),
        ("fallback: head@novydom.example", "escalate: [{after: 30m, who: Supervisor}, {after: 30m, who: Supervisor}]", FUNNEL, "spec.managers.escalate[1]", Duplicate, "remove"),
        ("after: 3d  ", "after: 3652425d  ", LIST, "spec.items[0].after", InvalidValue, "write for example 30m, 12h, 3d"),
        ("who: Manager}, {after: 2d, who: Supervisor}", "who: Manager}, {after: 0h, who: Manager}", FUNNEL, "spec.stages.stalled[0].remind[1]", Duplicate, "remove"),
    ];
    let mut wrong = Vec::new();
    for (from, to, kind, path, reason, help) in cases {
        let out = changed(from, to);
        let right =
            |f: &Finding| f.is_error() && f.object.kind == *kind && f.path == *path && f.reason == *reason && f.help.contains(help);
        if !out.findings.iter().any(right) {
            wrong.push(format!("{from} → {to}\n  wanted {kind} {path} {reason:?} … {help}\n  got\n{}", lines(&out.findings)));
        }
        if out.funnels.contains_key(&key()) {
            wrong.push(format!("{from} → {to}: the funnel must not run with it"));
        }
        // One mistake is told once; what merely follows from it is left out.
        if out.findings.iter().filter(|f| f.is_error()).count() > 2 {
            wrong.push(format!("{from} → {to}: too many findings\n{}", lines(&out.findings)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The example with another text in the first item of lost-other, and more fields of its clients and deals.
fn with_text(text: &str, edit: impl Fn(String) -> String) -> Output {
    let old = "\"{{ client.firstName | default('Здравствуйте') }}, подобрали ещё несколько квартир: {{ links.offer }}\"";
    let city = "- {name: city, of: Client, from: UF_CITY, type: String}";
    assert_eq!((EXAMPLE.matches(old).count(), EXAMPLE.matches(city).count()), (1, 1));
    let fields = format!(
        "{city}\n    - {{name: vip, of: Client, from: V, type: Boolean}}\n    - {{name: rooms, of: Deal, from: R, type: Number}}\n    \
         - {{name: visitAt, of: Deal, from: D, type: Date}}\n    - {{name: floor, of: Deal, from: F}}"
    );
    let quoted = serde_json::to_string(&format!("{text} {{{{ links.offer }}}}")).unwrap();
    compile(&read(&edit(EXAMPLE.replace(city, &fields)).replace(old, &quoted)))
}

#[test]
fn no_branch_of_a_text_that_some_client_would_not_get_passes() {
    use Reason::{InvalidTemplate, TooManyParts};
    let long = "ж".repeat(240);
    let cases: &[(&str, Reason, &str)] = &[
        (
            &format!("Привет {{% if client.city == 'Москва' %}}{long}{{% else %}}коротко{{% endif %}}"),
            TooManyParts,
            "client.city is 'Москва'",
        ),
        (&format!("Привет {{% if client.city in ['Омск', 'Москва'] %}}{long}{{% endif %}}"), TooManyParts, "client.city is 'Омск'"),
        (&format!("Привет {{% if client.city %}}коротко{{% else %}}{long}{{% endif %}}"), TooManyParts, "client.city is not known"),
        (&format!("{{{{ client.firstName | default('{long}') }}}}"), TooManyParts, "client.firstName is not known"),
        (&format!("{{% if client.vip %}}x{{% else %}}{long}{{% endif %}}"), TooManyParts, "client.vip is"),
        (&format!("{{% if deal.amount < 5000000 %}}{long}{{% endif %}}x"), TooManyParts, "deal.amount is 4999999"),
        (&format!("{{{{ 'x' if client.city != 'Омск' else '{long}' }}}}"), TooManyParts, "client.city is 'Омск'"),
        ("{% if client.city %}x{% else %}{{ deal.title | date }}{% endif %}", InvalidTemplate, "deal.title | date"),
        ("{% if deal.rooms == 1 %}{{ 'студия' | money }}{% endif %}x", InvalidTemplate, "deal.rooms is 1"),
    ];
    let mut wrong = Vec::new();
    for (text, reason, who) in cases {
        let out = with_text(text, |yaml| yaml);
        let told: Vec<&Finding> = out.findings.iter().filter(|f| f.is_error()).collect();
        let right = |f: &&Finding| f.path == "spec.items[0].sms.text" && f.reason == *reason && f.message.contains(who);
        if told.len() != 1 || !told.iter().all(right) {
            wrong.push(format!("{text}: wanted {reason:?} {who}, got\n{}", lines(&out.findings)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_every_client_gets_in_some_words_stays_fine() {
    let short = "ж".repeat(50);
    for text in [
        // Two branches that nobody gets both of.
        &*format!(
            "{{% if client.city == 'Омск' %}}{short}{short}{{% endif %}}{{% if client.city != 'Омск' %}}{short}{{% endif %}}"
        ),
        // Who lacks a value gets nothing: so it is meant.
        "{% if client.city %}x{% else %}{{ client.name }}{% endif %}",
        // A field holds what its type says, whatever it is compared with.
        "{% if deal.rooms == 'две' %}x{% endif %}{{ deal.rooms | plural_ru('комната', 'комнаты', 'комнат') }}",
        "{% if deal.visitAt > '2027' or deal.visitAt == '2027-03-05' %}x{% endif %}{{ deal.visitAt | date }}",
        "{% if deal.visitAt | date == '05.03.2026' %}x{% endif %}{{ deal.visitAt | date }}",
        "{% if client.vip == 'да' %}x{% endif %}привет",
        "{% if deal.floor == 1 %}первый{% elif deal.floor %}{{ deal.floor | upper }}{% endif %} {% if false %}x{% endif %}",
    ] {
        assert_eq!(with_text(text, |yaml| yaml).findings, [], "{text}");
    }
    // A text nobody has declared as numbers may hold some.
    let out = with_text("{% if client.city == 'Омск' %}{{ deal.floor | plural_ru('a', 'b', 'c') }}{% endif %}x", |yaml| yaml);
    let told: Vec<_> = out.findings.iter().map(|f| (f.is_error(), f.reason, f.help.contains("type: Number for floor"))).collect();
    assert_eq!(told, [(false, Reason::InvalidTemplate, true)], "{}", lines(&out.findings));
    // More values than anybody tries: each by itself, and the longest of all.
    let many: Vec<_> = (0..12).map(|n| format!("{{% if client.city == 'c{n}' or deal.floor == 'f{n}' %}}x{{% endif %}}")).collect();
    assert_eq!(with_text(&format!("привет{}", many.concat()), |yaml| yaml).findings, []);
    let apart = |value: &str, n: usize| format!("{{% if {value} == 'v' %}}{}{{% endif %}}", "ж".repeat(n));
    let paths = ["client.city", "deal.floor", "deal.layout", "deal.title", "deal.lostReason", "client.lastName"];
    let each: Vec<_> = paths.iter().map(|path| apart(path, 25)).collect();
    let out = with_text(&format!("x{}", each.concat()), |yaml| yaml);
    assert!(out.findings.iter().any(|f| f.reason == Reason::TooManyParts && f.is_error()), "{}", lines(&out.findings));
}

#[test]
fn a_text_that_says_nothing_to_some_or_is_too_long_for_a_foreign_name_is_a_warning() {
    let only =
        "sms: {text: \"{{ client.firstName | default('Здравствуйте') }}, подобрали ещё несколько квартир: {{ links.offer }}\"}";
    let some = "sms: {text: \"{% if client.city %}Новое: {{ links.offer }}{% endif %}\"}";
    let out = changed(only, some);
    let told: Vec<_> = out.findings.iter().map(|f| (f.path.as_str(), f.is_error(), f.reason)).collect();
    assert_eq!(told, [("spec.items[0].sms.text", false, Reason::InvalidTemplate)], "{}", lines(&out.findings));
    assert!(out.funnels.contains_key(&key()));
    // Whoever is not meant is not lacking anything.
    let when = changed(only, &format!("when: has(client.city)\n      {some}"));
    assert_eq!(when.findings, [], "{}", lines(&when.findings));

    let latin = |yaml: String| yaml.replace("  brand: novydom\n", "  brand: novydom\n  brandTitle: Newhouse\n");
    let letters = "x".repeat(250);
    let out = with_text(&format!("{{{{ client.firstName }}}}, {letters}"), latin);
    let told: Vec<_> = out.findings.iter().map(|f| (f.path.as_str(), f.is_error(), f.reason)).collect();
    assert_eq!(told, [("spec.items[0].sms.text", false, Reason::TooManyParts)], "{}", lines(&out.findings));
    assert!(out.findings[0].message.contains("outside the GSM alphabet"), "{}", lines(&out.findings));
    for fine in [format!("Hello, {letters}"), format!("{{{{ deal.amount | money('EUR') }}}}, {letters}")] {
        let out = with_text(&fine, latin);
        assert!(out.findings.iter().all(|f| !f.message.contains("GSM")), "{}", lines(&out.findings));
    }
}

#[test]
fn every_text_of_a_list_that_is_wrong_is_told_at_once() {
    let long = "ж".repeat(400);
    let edited = EXAMPLE
        .replace("{{ client.firstName | default('Здравствуйте') }}, подобрали ещё несколько квартир: {{ links.offer }}", &format!("{long}{{{{ links.offer }}}}"))
        .replace("we have found more flats for you: {{ links.offer }}", &format!("{long}{{{{ links.offer }}}}"))
        .replace("email: {subject: Ваш дом, markdown: \"Новости дома\"}", "email: {subject: \"{{ client.fistName }}\", markdown: \"Новости дома\"}")
        .replace("  utm: {utm_source: rekindle}\n  items:\n", &format!("  utm: {{utm_source: rekindle}}\n  items:\n    - {{name: first, after: 1d, sms: {{text: \"{{{{ deal.nothing }}}}\"}}}}\n    - {{name: second, after: 2d, sms: {{text: {long}}}, links: {{unused: \"https://a.example\"}}}}\n"));
    let out = compile(&read(&edited));
    let mut told: Vec<_> = out.findings.iter().map(|f| (f.path.as_str(), f.reason)).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("spec.items[0].sms.text", Reason::UnknownName),
            ("spec.items[1].links.unused", Reason::UnusedLink),
            ("spec.items[1].sms.text", Reason::TooManyParts),
            ("spec.items[2].sms.text", Reason::TooManyParts),
            ("spec.items[2].translations[0].sms.text", Reason::TooManyParts),
            ("spec.items[3].variants[1].email.subject", Reason::UnknownName),
        ],
        "{}",
        lines(&out.findings)
    );
}

#[test]
fn a_wrong_name_in_a_long_text_is_told_with_its_line() {
    let out = changed(
        "          Мы обновили шоу-рум. [Выберите",
        "          Привет!\n\n          Мы, {{ client.fistName }}, обновили шоу-рум. [Выберите",
    );
    let found = out.findings.iter().find(|f| f.reason == Reason::UnknownName).unwrap();
    assert_eq!(found.message, "line 3, column 8: client.fistName is not known");
}

/// What an earlier version took and stored goes on: an upgrade stops no funnel.
#[test]
fn what_is_refused_now_and_is_in_force_stays_in_force() {
    let long = "ж".repeat(240);
    let good = "подобрали ещё несколько квартир";
    for (from, to) in [
        (good, "{{ brand.title }}".to_owned()),
        (good, "{{ client.firstName.upper }}".to_owned()),
        (good, format!("{{% if client.city == 'a' %}}{long}{{% endif %}}")),
        (good, "{% if client.city == 'a' or 'b' %}x{% endif %}".to_owned()),
        (good, "{% if client.city %}x{% else %}{{ deal.title | date }}{% endif %}".to_owned()),
        ("client.city == 'Москва'", "'Моск' in client.city".to_owned()),
        ("client.city == 'Москва'", "clicked ('nope')".to_owned()),
        ("{{ manager.name }}, Новый дом", "{{ manager.name.first }}, Новый дом".to_owned()),
    ] {
        let out = changed(from, &to);
        assert!(!out.funnels.contains_key(&key()), "an edit to {to} is taken");
        assert_eq!(out.wiring.channels.len(), 2, "{to}: a channel that was open before an upgrade is not open after it");
        let stored = serde_json::to_string(&compile(&read(EXAMPLE)).funnels[&key()]).unwrap();
        assert_eq!(stored.matches(from).count(), 1, "{from}");
        let stored: FunnelSnapshot = serde_json::from_str(&stored.replace(from, &to)).unwrap();
        let compiled = compile_funnel(&stored, 7, Timestamp::UNIX_EPOCH);
        let compiled = compiled.unwrap_or_else(|found| panic!("{to} stops a running funnel: {}", lines(&found)));
        assert!(compiled.texts.items.contains_key(&("lost-other".to_owned(), "hello".to_owned())), "{to}");
        assert!(compiled.plan.item("lost-layout", "visit").unwrap().when.is_some(), "{to}");
    }
    let mut stored = compile(&read(EXAMPLE)).funnels[&key()].clone();
    stored.lists.get_mut("lost-layout").unwrap().items[1].expires_after = Some("0h".parse().unwrap());
    stored.policy.time_zone = "Etc/Unknown".into();
    let compiled = compile_funnel(&stored, 7, Timestamp::UNIX_EPOCH);
    assert!(compiled.is_ok(), "{}", compiled.err().map(|found| lines(&found)).unwrap_or_default());
    // Rather nothing than a window of another zone's night.
    stored.policy.time_zone = "Mars/Olympus".into();
    assert!(compile_funnel(&stored, 7, Timestamp::UNIX_EPOCH).is_err());
}

#[test]
fn titles_of_tasks_know_what_the_docs_say() {
    let out = changed(
        "Клиент вернулся: {{ client.name }}",
        "Вернулся: {{ signal.kind }} {{ deal.title }} {{ brand }} {{ manager.name }}",
    );
    assert_eq!(out.findings, [], "{}", lines(&out.findings));
    let compiled = compile_funnel(&out.funnels[&key()], 1, Timestamp::UNIX_EPOCH).unwrap();
    assert!(compiled.texts.tasks.revived.is_some());
    let out = changed("Перезвонить: открыл {{ link.name }}", "Перезвонить: {{ signal.kind }}");
    assert!(out.findings.iter().any(|f| f.path == "spec.clicks.task.title" && f.reason == Reason::UnknownName));
}

#[test]
fn the_longest_sms_of_a_list_is_looked_for_in_all_its_wordings() {
    let parts = |from: &str, to: &str| {
        let yaml = EXAMPLE.replace(", подобрали ещё несколько квартир:", "");
        assert_eq!(yaml.matches(from).count(), 1, "{from}");
        let out = compile(&read(&yaml.replace(from, to)));
        let snapshot = &out.funnels[&key()];
        let texts = compile_funnel(snapshot, 1, Timestamp::UNIX_EPOCH).unwrap().texts;
        super::longest_sms(&texts, "lost-other", "novydom", &snapshot.connection.fields)
    };
    assert_eq!(parts("we have found more flats", "we have found more flats"), Some(2));
    let long = format!("we have found more flats {}", "x".repeat(280));
    assert_eq!(parts("we have found more flats", &long), Some(3), "of a translation");
    let text = format!("{{name: a}}, {{name: b, sms: {{text: \"{} {{{{ links.offer }}}}\"}}}}", "ж".repeat(100));
    assert_eq!(
        parts("      translations:\n", &format!("      variants: [{text}]\n      translations:\n")),
        Some(3),
        "of a variant"
    );
}

#[test]
fn slips_in_conditions_are_told_in_words_of_people_who_write_texts() {
    for (condition, message, help) in [
        ("client.city == 'a' and deal.amount > 1", "and belongs to texts", "&&"),
        ("client.city == 'and' or sent('new-layouts')", "or belongs to texts", "||"),
        ("not clicked('new-layouts')", "not belongs to texts", "write !"),
        ("not (client.city == 'a')", "not belongs to texts", "write !"),
        ("client.city == Москва", "Москва stands without quotes", "'Москва'"),
        ("client.city == Moscow", "Moscow is not known", "'Moscow'"),
        ("client.город == 'a'", "город is no name", "spec.fields"),
        ("client.city == “Москва”", "typographic", "straight"),
        ("client.city == 'Москва", "never closed", "straight mark"),
        ("deal.amount > 5 000 000", "with blanks", "5000000"),
        ("(deal.amount > 5", "opened and never closed", "brackets"),
        ("deal.amount > 5)", "never opened", "brackets"),
        ("client.city <> 'a'", "<> compares nothing", "!="),
        ("deal.amount => 5", "=> compares nothing", ">="),
        ("client.city = 'a'", "single =", "=="),
        ("client.city == 'a' & deal.amount > 5", "single &", "&&"),
        ("deal.amount > 5 &&", "at the end", ""),
        ("client.city like 'a'", "'like' does not belong there", ""),
        ("client.city == 'Rock'n'roll'", "'n' does not belong there", ""),
    ] {
        let text = serde_json::to_string(condition).unwrap();
        let out = changed("deal.amount >= 5000000.0 && client.city == 'Москва'", &text);
        let told: Vec<_> = out.findings.iter().filter(|f| f.path == "spec.items[1].when").collect();
        let [f] = told.as_slice() else { panic!("{condition}: {}", lines(&out.findings)) };
        assert!(f.message.contains(message), "{condition}: {}; {}", f.message, f.help);
        assert!(f.help.contains(help), "{condition}: {}; {}", f.message, f.help);
        assert!(!f.message.contains("expecting") && !f.message.contains("Syntax error"), "{condition}: {}", f.message);
    }
}

/// An older version took patterns that this one refuses: an upgrade stops no funnel that is in force.
#[test]
fn a_stored_revision_goes_on_with_a_pattern_that_no_edit_may_bring() {
    let mut snapshot = compile(&read(EXAMPLE)).funnels[&key()].clone();
    let text = "client.city.matches(deal.title)";
    snapshot.lists.get_mut("lost-layout").unwrap().items[1].when = Some(text.into());
    snapshot.spec.stages.warming[0].content[0].when = Some(text.into());
    let stored = compile_funnel(&snapshot, 7, Timestamp::UNIX_EPOCH).unwrap().plan;
    let when = stored.item("lost-layout", "visit").unwrap().when.clone().unwrap();
    assert_eq!((when.source(), when.unanswerable().is_some()), (text, true), "it is asked, and has no answer");
    assert!(stored.stages.warming[0].content[0].when.is_some(), "nor does the rule hold for everybody");
}

#[test]
fn what_is_probably_not_meant_is_a_warning_and_stops_nothing() {
    use Reason::*;
    let cases: &[(&str, &str, &str, &str, Reason)] = &[
        (
            "links: {offer: \"https://novydom.example/offer\"}",
            "links: {offer: \"https://novydom.example/offer\", more: \"https://a.example\"}",
            "ContentList",
            "spec.items[0].links.more",
            UnusedLink,
        ),
        (
            "markdown: \"Новости дома\"",
            "markdown: \"Новости на https://novydom.example\"",
            "ContentList",
            "spec.items[1].variants[1].email.markdown",
            UntrackedLink,
        ),
        ("at: \"11:00\"", "at: \"21:00\"", "ContentList", "spec.items[0].at", NeverOpens),
        (
            "      returnTo: {stage: Переговоры, ifOpen: Keep}\n",
            "",
            "ReactivationFunnel",
            "spec.stages.revived.returnTo",
            Incomplete,
        ),
        (
            "- {when: \"deal.lostReason == 'Не подходит планировка'\", listRef: {name: lost-layout}}",
            "- {listRef: {name: lost-layout}}",
            "ReactivationFunnel",
            "spec.stages.warming[0].content[1]",
            Unreachable,
        ),
        ("lostWithin: 180d", "lostWithin: 2000d", "ReactivationFunnel", "spec.backfill.lostWithin", Incomplete),
        (
            "client.city == 'Москва'",
            "client.city == 'Москва' && !opened('new-layouts')",
            "ContentList",
            "spec.items[1].when",
            Incomplete,
        ),
        ("holidays: {country: RU}", "budget: {currency: RUB, perDay: \"1\"}", "ContactPolicy", "spec.budget.perDay", NeverOpens),
        (
            "enter: [{lost: [Не подходит планировка,",
            "enter: [{lost: []}, {lost: [Не подходит планировка,",
            "ReactivationFunnel",
            "spec.stages.warming[0].enter[1].lost[0]",
            Unreachable,
        ),
        ("dkim: {domain: news.example.com,", "dkim: {domain: example.org,", "MessageChannel", "spec.email.dkim.domain", Conflict),
        (
            "when: deal.amount >= 5000000.0 && client.city == 'Москва'",
            "when: \"!clicked('new-layouts') && sent('lost-layout/new-layouts')\"\n      at: \"09:00\"",
            "ContentList",
            "spec.items[1].at",
            NeverOpens,
        ),
        (
            "holidays: {country: RU}",
            "priorities: [{funnel: flats}, {funnel: flatz}]",
            "ContactPolicy",
            "spec.priorities[1].funnel",
            NotFound,
        ),
        ("tls: Starttls", "tls: None", "MessageChannel", "spec.providers[0].smtp.tls", Conflict),
        (
            "replyTo: \"{{ manager.email }}\"",
            "replyTo: \"{{ manager.name }} <{{ manager.email }}>\"",
            "MessageChannel",
            "spec.email.managerFrom.replyTo",
            InvalidValue,
        ),
        (
            "replyTo: \"{{ manager.email }}\"",
            "replyTo: anna at firm.ru",
            "MessageChannel",
            "spec.email.managerFrom.replyTo",
            InvalidValue,
        ),
        (
            "  rate: {perSecond: 20}",
            "  rate: {perSecond: 20}\n  testRecipients: [\"+79991234567\"]",
            "ReactivationFunnel",
            "spec.channels[0]",
            Conflict,
        ),
        ("      at: \"11:00\"\n", "      as: Manager\n", "ContentList", "spec.items[0].as", Unreachable),
        (
            "    managerFrom: {name: \"{{ manager.name }}, Новый дом\", replyTo: \"{{ manager.email }}\"}",
            "    replyTo: hello@news.example.com",
            "ContentList",
            "spec.items[1].as",
            Unreachable,
        ),
        (
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: bodies",
            "---\napiVersion: rekindle.dev/v1alpha1\nkind: ContentList\nmetadata: {name: idle, namespace: marketing}\nspec: {items: [{name: a, sms: {text: Hello}}]}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: bodies",
            "ContentList",
            "metadata.name",
            Unused,
        ),
    ];
    let mut wrong = Vec::new();
    for (from, to, kind, path, reason) in cases {
        let out = changed(from, to);
        if !out.findings.iter().any(|f| !f.is_error() && f.object.kind == *kind && f.path == *path && f.reason == *reason) {
            wrong.push(format!("{from} → {to}: wanted {kind} {path} {reason:?}, got\n{}", lines(&out.findings)));
        }
        if !out.funnels.contains_key(&key()) {
            wrong.push(format!("{from} → {to}: the funnel must run\n{}", lines(&out.findings)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was sent so before goes on; whoever looks is told.
#[test]
fn what_clients_would_not_read_as_it_was_meant_is_a_warning_and_stops_nothing() {
    use Reason::*;
    let cases: [(&str, &[Reason]); 9] = [
        ("markdown: \"[Каталог](novydom.example/plans)\"", &[InvalidLink]),
        ("markdown: \"[звоните](tel:+7 999)\"", &[InvalidLink]),
        ("markdown: \"[Каталог](https://a.example/?c={{ client.city }})\"", &[UntrackedLink, InvalidLink]),
        ("markdown: \"Новости<br>дома <!-- для своих -->\"", &[InvalidValue]),
        ("markdown: \"Новости \u{fffd}\u{fffd}\"", &[InvalidValue]),
        (
            "markdown: \"![x](https://a.example/x.png) [y](https://b.example/y) https://c.example/z\"",
            &[UntrackedLink, UntrackedLink],
        ),
        ("html: \"<img src='https://a.example/x.png'><a class='x' href='https://a.example/offer'>x</a>\"", &[UntrackedLink]),
        ("text: \"https://a.example/offer\", markdown: \"Новости дома\"", &[UntrackedLink]),
        ("markdown: \"<sales@novydom.example>, [ещё](mailto:{{ manager.email }})\"", &[]),
    ];
    for (body, reasons) in cases {
        let out = changed("markdown: \"Новости дома\"", body);
        assert_eq!(out.findings.iter().map(|f| f.reason).collect::<Vec<_>>(), reasons, "{body}: {}", lines(&out.findings));
        assert!(out.funnels.contains_key(&key()), "{body}: {}", lines(&out.findings));
    }
    let out = changed("utm: {utm_source: rekindle}", "utm: {utm_content: \"{{ deal.id }}\"}");
    let told: Vec<_> = out.findings.iter().map(|f| (f.path.as_str(), f.reason)).collect();
    assert_eq!(told, [("spec.utm.utm_content", InvalidValue)]);
    for (kind, printed, help) in [
        ("Date", "{{ deal.layout }}", Some("write {{ deal.layout | date }}")),
        ("Date", "{{ deal.layout | date }}", None),
        ("Boolean", "{{ deal.layout }}", Some("write {% if deal.layout %}")),
        ("String", "{{ deal.layout }}", None),
    ] {
        let yaml = EXAMPLE
            .replace("from: UF_LAYOUT, type: String", &format!("from: UF_LAYOUT, type: {kind}"))
            .replace("markdown: \"Новости дома\"", &format!("markdown: \"Ждём: {printed}\""));
        let out = compile(&read(&yaml));
        let told: Vec<_> = out.findings.iter().map(|f| (f.path.as_str(), f.help.as_str())).collect();
        assert_eq!(told.len(), usize::from(help.is_some()), "{kind} {printed}: {}", lines(&out.findings));
        assert!(
            told.iter().all(|(path, text)| {
                *path == "spec.items[1].variants[1].email" && help.is_some_and(|help| text.starts_with(help))
            })
        );
        assert!(out.funnels.contains_key(&key()), "{kind} {printed}");
    }
}

#[test]
fn a_policy_whose_holidays_close_every_day_of_its_windows_says_so() {
    let mondays = |count: i64| -> Vec<String> {
        let dates: Vec<String> = (0..count).map(|week| (date(2026, 1, 5) + jiff::Span::new().weeks(week)).to_string()).collect();
        let windows = "windows: [{days: [Mon, Tue, Wed, Thu, Fri], from: \"10:00\", to: \"20:00\"}, {days: [Sat, Sun], from: \"11:00\", to: \"18:00\"}]";
        let text = EXAMPLE
            .replace(windows, "windows: [{days: [Mon], from: \"10:00\", to: \"20:00\"}]")
            .replace("holidays: {country: RU}", &format!("holidays: {{dates: [{}]}}", dates.join(", ")));
        let out = compile(&read(&text));
        assert!(out.funnels.contains_key(&key()), "{}", lines(&out.findings));
        out.findings.into_iter().filter(|f| f.path == "spec.windows" && f.reason == Reason::NeverOpens).map(|f| f.message).collect()
    };
    assert_eq!(mondays(100), [""; 0]);
    let told = mondays(120);
    assert!(told.len() == 1 && told[0].contains("from 2026-01-05 on"), "{told:?}");
}

#[test]
fn translations_that_variants_hide_are_told_with_who_reads_what() {
    let both = |variants: &str| {
        let out = changed("      translations:\n", &format!("      variants: [{variants}]\n      translations:\n"));
        assert!(out.funnels.contains_key(&key()), "{}", lines(&out.findings));
        out.findings.into_iter().map(|f| format!("{} {:?} {:?} {}", f.path, f.severity, f.reason, f.message)).collect::<Vec<_>>()
    };
    let own = |name: &str| format!("{{name: {name}, sms: {{text: \"Привет {{{{ links.offer }}}}\"}}}}");
    let begin = "spec.items[0].translations Warning Unreachable clients with the language en get the own texts of";
    assert_eq!(both(&format!("{}, {}", own("a"), own("b"))), [format!("{begin} a, b and no translation")]);
    assert_eq!(
        both(&format!("{{name: a}}, {}", own("b"))),
        [format!("{begin} b and no translation; the translation goes to those whose variant is a, and counts for it")]
    );
    assert_eq!(both("{name: a}, {name: b}"), [""; 0], "they all read the translation");
}

#[test]
fn a_body_from_a_config_map_may_be_long() {
    let with = |body: &str, format: &str| {
        let map = serde_json::to_string(body).unwrap();
        let yaml = EXAMPLE
            .replace("data: {news.md: \"# Новости\\n\\nДом сдан.\"}", &format!("data: {{news.md: {map}}}"))
            .replace("key: news.md}}", &format!("key: news.md}}, format: {format}}}"));
        compile(&read(&yaml))
    };
    for (letters, format, fine) in [
        (60_000, "Html", true),
        (60_000, "Markdown", true),
        (262_000, "Html", true),
        (262_000, "Markdown", true),
        (262_145, "Html", false),
    ] {
        let out = with(&"слово ".repeat(letters / 6 + 1).chars().take(letters).collect::<String>(), format);
        assert_eq!(out.funnels.contains_key(&key()), fine, "{letters} {format}: {}", lines(&out.findings));
        let places: Vec<_> = out.findings.iter().filter(|f| f.is_error()).map(|f| (f.path.as_str(), f.reason)).collect();
        let told = [("spec.items[1].email.bodyFrom.configMap", Reason::InvalidValue)];
        assert_eq!(places.get(..1), (!fine).then_some(&told[..]));
    }
}

#[test]
fn a_message_on_a_date_of_the_deal_or_the_client() {
    let fields = "- {name: layout, of: Deal, from: UF_LAYOUT, type: String}";
    let yaml = EXAMPLE
        .replace(fields, &format!("{fields}\n    - {{name: visitAt, of: Deal, from: V, type: Date}}\n    - {{name: birthday, of: Client, from: B, type: Date}}"));
    for (date, path, before) in [
        ("date: {field: visitAt, before: 1d}", "deal.visitAt", true),
        ("date: {field: birthday, yearly: true}", "client.birthday", false),
    ] {
        let out = compile(&read(&yaml.replace("after: 3d  ", date)));
        assert_eq!(out.findings, [], "{}", lines(&out.findings));
        let plan = compile_funnel(&out.funnels[&key()], 1, Timestamp::UNIX_EPOCH).unwrap().plan;
        let rule = plan.item("lost-layout", "new-layouts").unwrap().date.clone().unwrap();
        assert_eq!((rule.path.as_str(), rule.before, rule.yearly), (path, before, !before));
    }
    let out = compile(&read(&yaml.replace("after: 3d  ", "after: 3d\n      date: {field: visitAt}")));
    assert_eq!(out.findings.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["spec.items[0].after"]);
}

#[test]
fn a_list_without_end_is_refused_and_the_others_run() {
    let items: Vec<String> = (0..10_000).map(|i| format!("    - {{name: i{i}, sms: {{text: Hello}}}}\n")).collect();
    let items = items.concat();
    let big = format!(
        "---\napiVersion: rekindle.dev/v1alpha1\nkind: ContentList\nmetadata: {{name: big, namespace: marketing}}\nspec:\n  items:\n{items}"
    );
    let out = compile(&read(&format!("{EXAMPLE}{big}")));
    let found: Vec<_> = out.findings.iter().filter(|f| f.object.name == "big" && f.is_error()).collect();
    assert_eq!(found.len(), 1, "told once: {}", lines(&out.findings).chars().take(2000).collect::<String>());
    assert_eq!((found[0].path.as_str(), found[0].reason), ("spec.items", Reason::InvalidValue));
    assert!(out.funnels.contains_key(&key()));
}

#[test]
fn one_bad_resource_stops_only_those_that_need_it() {
    let second = "---\napiVersion: rekindle.dev/v1alpha1\nkind: ReactivationFunnel\nmetadata: {name: plain, namespace: marketing}\nspec:\n  \
                  source: {crmRef: {name: sales-crm}}\n  policyRef: {name: default}\n  channels: [{name: sms, ref: {name: sms}}]\n  \
                  stages:\n    warming: [{name: warming, enter: [{lost: []}], content: [{listRef: {name: short}}]}]\n    revived: {returnTo: {stage: A}}\n\
                  ---\napiVersion: rekindle.dev/v1alpha1\nkind: ContentList\nmetadata: {name: short, namespace: marketing}\n\
                  spec: {items: [{name: a, sms: {text: Hello}}]}\n";
    let both = format!("{EXAMPLE}{second}");
    let plain = FunnelKey { namespace: "marketing".into(), name: "plain".into() };
    let out = compile(&read(&both));
    assert_eq!((out.findings.len(), out.funnels.len()), (0, 2), "{}", lines(&out.findings));
    let defaults = compile_funnel(&out.funnels[&plain], 1, Timestamp::UNIX_EPOCH).unwrap().plan;
    assert_eq!(
        (defaults.mode, defaults.reentry),
        (Mode::Observe, Reentry::After(HumanDuration::days(30))),
        "the shortest funnel is safe"
    );
    assert_eq!(defaults.stages.revival.signals.len(), 4);

    let out = compile(&read(&both.replace("links.catalog }}", "links.katalog }}")));
    assert!(out.funnels.contains_key(&plain) && !out.funnels.contains_key(&key()), "{}", lines(&out.findings));
    assert_eq!(out.wiring.channels.len(), 2, "channels are sound all the same");
    let both_channels: std::collections::BTreeSet<String> = ["marketing/mail".to_owned(), "marketing/sms".to_owned()].into();
    assert_eq!(out.wiring.declared, both_channels);
    for unreadable in [("password: kannel-secret-word", "word: kannel-secret-word"), ("rate: {perSecond: 20}", "rate: 20")] {
        assert_eq!(both.matches(unreadable.0).count(), 1, "{}", unreadable.0);
        let out = compile(&read(&both.replace(unreadable.0, unreadable.1)));
        assert!(!out.wiring.channels.contains_key("marketing/sms"), "{unreadable:?}");
        assert_eq!(out.wiring.declared, both_channels, "a channel that cannot be opened is there all the same: {unreadable:?}");
    }

    let out =
        compile(&read(&both.replace("port: 587, tls: Starttls, secretRef: {name: smtp}", "port: 587, secretRef: {name: smpt}")));
    assert!(out.funnels.contains_key(&plain) && !out.funnels.contains_key(&key()), "{}", lines(&out.findings));

    let twice = format!("{both}---\n{}", second.rsplit("---\n").next().unwrap());
    let out = compile(&read(&twice));
    assert!(out.findings.iter().any(|f| f.reason == Reason::Duplicate && f.path == "metadata.name" && f.object.name == "short"));
}

#[test]
fn files_stand_beside_the_manifest_and_nowhere_else() {
    let yaml = EXAMPLE.replace("deals: {configMap: {name: deals, key: deals.csv}}", "deals: {path: data/deals.csv}");
    let mut snapshot = read(&yaml);
    let ConnectionKind::File(file) = &compile(&snapshot).wiring.connections["marketing/sales-crm"].kind.clone();
    assert_eq!(file.deals, FileSource::Path("/m/data/deals.csv".into()));
    for object in &mut snapshot.objects {
        object.origin = None;
    }
    let out = compile(&snapshot);
    let found = out.findings.iter().find(|f| f.reason == Reason::LocalOnly).unwrap();
    assert_eq!(found.path, "spec.file.deals.path");
    assert!(found.help.contains("ConfigMap") && out.wiring.connections.is_empty() && out.funnels.is_empty());
}

#[test]
fn an_own_html_shows_how_to_stop_it() {
    let html = |body: &str| changed("markdown: \"Новости дома\"", &format!("html: \"{body}\"")).findings;
    // The item is a service message: that needs no way to stop.
    assert_eq!(html("<p>Новости</p>"), []);
    let advertising = EXAMPLE
        .replace("purpose: Service", "purpose: Advertising")
        .replace("markdown: \"Новости дома\"", "html: \"<p>{{ brand }}</p>\"");
    let out = compile(&read(&advertising));
    assert!(out.findings.iter().any(|f| f.reason == Reason::NoOptOut && f.path == "spec.items[1].variants[1].email.html"));
    let fixed = advertising.replace("{{ brand }}", "<a href='{{ links.unsubscribe }}'>{{ brand }}</a>");
    assert_eq!(compile(&read(&fixed)).findings, []);
}

#[test]
fn in_a_cluster_no_file_of_the_pod_and_no_address_of_the_node_can_be_reached() {
    let with_root = |file: &str, confined: bool| {
        let mut snapshot =
            read(&EXAMPLE.replace("deals: {configMap: {name: deals, key: deals.csv}}", &format!("deals: {{path: {file}}}")));
        for object in &mut snapshot.objects {
            object.origin = confined.then(|| Origin { file: "".into(), base_dir: "/data".into(), confined });
        }
        compile(&snapshot)
    };
    for (file, confined) in [("deals.csv", false), ("/etc/passwd", true), ("../etc/passwd", true), ("a/../../b", true)] {
        let out = with_root(file, confined);
        let found = out.findings.iter().find(|f| f.path == "spec.file.deals.path").unwrap_or_else(|| panic!("{file} is taken"));
        assert_eq!(found.reason, Reason::LocalOnly);
    }
    assert!(with_root("export/deals.csv", true).findings.iter().all(|f| f.reason != Reason::LocalOnly));
    for address in [
        "http://169.254.169.254/latest",
        "http://2852039166/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://metadata.google.internal/",
    ] {
        let out = changed("http://kannel:13013", address);
        let found =
            out.findings.iter().find(|f| f.path.rsplit('.').next() == Some("url")).unwrap_or_else(|| panic!("{address} is taken"));
        assert!(found.message.contains("credentials of the node"), "{}", found.message);
    }
}
