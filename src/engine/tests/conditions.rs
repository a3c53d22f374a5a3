//! Conditions as marketers write them, and as nobody should.

use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;

fn subject() -> Subject {
    let mut world = World::lost(plan(), "layout");
    world.pass("4d");
    let mut subject = world.subject;
    subject.deal.fields.insert("rooms".into(), FieldValue::Number(2.0));
    subject.deal.fields.insert("mortgage".into(), FieldValue::Bool(true));
    subject.contact.as_mut().unwrap().fields.insert("city".into(), FieldValue::Text("Москва".into()));
    subject.ledger.iter_mut().for_each(|e| e.clicked_at = Some(noon()));
    subject
}

fn eval(text: &str) -> Result<bool, ConditionError> {
    let subject = subject();
    Condition::compile(text)?.eval(&Facts { subject: &subject, now: t("2026-03-06T12:00") })
}

#[test]
fn answers() {
    for (text, answer) in [
        ("deal.amount >= 5000000.0 && client.city == 'Москва'", true),
        ("deal.amount >= 5000000", true),
        ("deal.amount > 5000000.0", false),
        ("deal.lostReason == 'layout'", true),
        ("deal.lostReason in ['layout', 'other']", true),
        ("deal.state == 'Lost' && deal.stage == 'Lost' && deal.pipeline == 'Sales'", true),
        ("deal.rooms == 2", true),
        ("deal.rooms == 2.0", true),
        ("deal.rooms in [1, 2]", true),
        // There is one kind of number.
        ("deal.amount / 1000 > 1", true),
        ("deal.rooms / 2 == 1", true),
        ("deal.rooms + 1 == 3 && deal.rooms + 1u == 3u", true),
        ("deal.rooms * 2 - 1 == 3.0", true),
        ("deal.rooms % 2 == 0 && 5 % 3 == 2 && 5.5 % 2 == 1.5", true),
        ("-deal.rooms < 0 && -1 + deal.rooms == 1", true),
        ("cycle.days / 2 == 2 && cycle.sent + deal.rooms == 3", true),
        ("7 / 2 == 3.5", true),
        ("int(7.9) / 2 == 3.5 && size(client.firstName) + 1 == 5", true),
        ("int('7') % 2 == 1 && double('2.5') + 1 == 3.5", true),
        ("string(deal.rooms) == '2' && string(3) == '3'", true),
        ("9223372036854775807 + deal.rooms > 0", true),
        ("deal.mortgage", true),
        ("!deal.mortgage", false),
        ("deal.ageDays == 33", true),
        ("client.firstName.startsWith('An')", true),
        ("client.name.matches('^Anna .*a$')", true),
        ("size(client.firstName) == 4", true),
        ("manager.name == 'm1'", true),
        ("cycle.number == 1 && cycle.sent == 1 && cycle.days == 4 && !cycle.booked", true),
        ("sent('first')", true),
        ("sent('layout/first')", true),
        ("sent('second')", false),
        ("clicked()", true),
        ("clicked('first') && opened('first')", true),
        ("clicked('second')", false),
        ("true ? sent('first') : false", true),
        // What the CRM does not know.
        ("client.age > 18", false),
        ("18 < client.age", false),
        ("client.age == 18", false),
        ("client.age != 18", true),
        ("client.age == null", true),
        ("client.nick.startsWith('x')", false),
        ("client.nick in ['x']", false),
        ("deal.flag", false),
        ("!deal.flag", true),
        ("deal.flag && deal.amount > 1", false),
        ("!deal.flag && deal.amount > 1", true),
        ("deal.amount > 1 && !deal.flag && !client.flag", true),
        ("deal.flag || deal.mortgage", true),
        ("deal.flag || deal.amount < 1", false),
        ("deal.flag ? false : true", true),
        ("!(deal.mortgage ? deal.flag : true)", true),
        ("deal.flag == null && !has(deal.flag)", true),
        ("has(client.age)", false),
        ("has(client.city)", true),
        ("has(client.age) && client.age > 18", false),
    ] {
        assert_eq!(eval(text), Ok(answer), "{text}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    for (text, part) in [
        ("", "empty"),
        ("deal.amount >", "line 1"),
        ("deal.amount = 5", "line 1"),
        ("deel.amount > 5.0", "deel is not known"),
        ("city == 'x'", "city is not known"),
        ("deal", "deal alone is not a value; write which one, like deal.amount"),
        ("cycle > 3", "cycle alone is not a value; write which one, like cycle.days"),
        ("manager.salary > 5", "manager.salary is not known"),
        ("cycle.nmber > 5", "cycle.nmber is not known"),
        ("sent(deal.title)", "sent('new-layouts')"),
        ("sent()", "sent('new-layouts')"),
        ("exec('rm')", "exec() is not known"),
        ("client.city.name == 'x'", "take .name away"),
        ("[1, 2].exists(x, x > 1)", "compare with in"),
        ("client.city", ""),
        ("1 + 1", "not true or false"),
        ("'yes'", "not true or false"),
        ("size(client.city)", "not true or false"),
        ("deal.amount + 'x' == 'y'", "+ does not go"),
        ("1 / 0 == 1", "divides by zero"),
        ("1 % 0 == 1", "divides by zero"),
        ("1.0 / 0.0 > 5.0", "divides by zero"),
        ("deal.amount / (deal.rooms - 2) > 1", "divides by zero"),
        ("deal.amount % (deal.rooms - 2) == 1", "divides by zero"),
        ("client.age / 2 > 1", "/ does not go with"),
        ("int(client.city) == 1", "int() cannot be applied"),
        ("client.city.clicked('first')", "takes the name of one item"),
        ("'first'.sent('first')", "takes the name of one item"),
        ("deal.clicked()", ""),
    ] {
        match eval(text) {
            Ok(answer) => panic!("{text}: {answer}"),
            Err(e) => assert!(e.to_string().contains(part), "{text}: {e}"),
        }
    }
    // No value of a client in a message.
    let shown = eval("client.city > 5").unwrap_err().to_string();
    assert!(!shown.contains("Москва") && shown.contains("> does not go with"), "{shown}");
}

#[test]
fn hostile_texts_are_refused_and_not_survived_by_luck() {
    let nested = format!("{}true{}", "(".repeat(33), ")".repeat(33));
    let long = format!("deal.title == '{}'", "x".repeat(5000));
    let chain = format!("deal.amount == {}1.0", "1.0 + ".repeat(600));
    let dots = format!("deal{} == 1", ".a".repeat(2000));
    let nots = format!("{}deal.mortgage", "!".repeat(4001));
    let minus = format!("deal.amount == {}1.0", "-".repeat(4000));
    let ternary = format!("{}true", "deal.mortgage ? true : ".repeat(170));
    for text in [nested, long, chain, dots, ternary, "(".repeat(4000), "[".repeat(4000), "\0".repeat(100)] {
        assert!(Condition::compile(&text).is_err(), "{}", &text[..40]);
    }
    for text in [nots, minus] {
        let _ = Condition::compile(&text);
    }
    let ands = vec!["deal.mortgage"; 200].join(" && ");
    assert_eq!(eval(&ands), Ok(true), "long lists of plain conditions are fine");
}

#[test]
fn names_are_told_for_checking() {
    let condition = Condition::compile("has(client.city) && deal.layout == 'x' && deal.amount > 1.0 && sent('a')").unwrap();
    let names: Vec<_> = condition.identifiers().collect();
    assert_eq!(names, ["client.city", "deal.amount", "deal.layout"]);
    assert_eq!(names.iter().filter(|n| !is_builtin(n)).count(), 2);
    for (name, builtin) in [
        ("deal.amount", true),
        ("client.name", true),
        ("manager.name", true),
        ("cycle.days", true),
        ("client.amount", false),
        ("manager.salary", false),
        ("cycle.amount", false),
        ("nobody.name", false),
        ("name", false),
    ] {
        assert_eq!(is_builtin(name), builtin, "{name}");
    }
}

/// The bounds are where they are said to be: what is just within them is used, what is just beyond is refused.
#[test]
fn bounds_of_size() {
    let text = |chars: usize| format!("deal.title != '{}'", "ж".repeat(chars - 16));
    assert_eq!(text(4096).chars().count(), 4096);
    assert_eq!(eval(&text(4096)), Ok(true));
    assert_eq!(eval(&text(4097)), Err(ConditionError::TooComplex));
    let brackets = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(eval(&brackets(32)), Ok(true));
    assert_eq!(eval(&brackets(33)), Err(ConditionError::TooComplex));
    // The brackets of a text that are closed again do not add up.
    assert_eq!(eval(&vec!["(deal.mortgage)"; 60].join(" && ")), Ok(true));
    // A chain of n additions is n deep, below the comparison.
    let chain = |n: usize| format!("1{} > 0", " + 1".repeat(n));
    assert_eq!(eval(&chain(31)), Ok(true));
    assert_eq!(eval(&chain(32)), Err(ConditionError::TooComplex));
    // Deep ones are evaluated on the stack of a worker thread, which is no larger than this test's.
    let ternary = |n: usize| format!("{}true", "deal.rooms == 1 ? false : ".repeat(n));
    assert_eq!(eval(&ternary(31)), Ok(true));
    assert_eq!(eval(&ternary(33)), Err(ConditionError::TooComplex));
    // Lists, and methods of what functions return, count like anything else.
    let compiled = |text: String| Condition::compile(&text).map(|_| ());
    let lists = |n: usize, sums: usize| format!("{}1{}{} == 0", "[".repeat(n), "]".repeat(n), " + 1".repeat(sums));
    assert_eq!(compiled(lists(16, 10)), Ok(()));
    assert_eq!(compiled(lists(16, 20)), Err(ConditionError::TooComplex));
    let methods = |n: usize, sums: usize| {
        let inner = format!("string(1{})", " + 1".repeat(sums));
        (0..n).fold(inner, |text, _| format!("string({text}.contains('1'))")) + " == 'true'"
    };
    assert_eq!(compiled(methods(8, 8)), Ok(()));
    assert_eq!(compiled(methods(8, 20)), Err(ConditionError::TooComplex));
}

/// One client's evaluation costs what its text is long: patterns are compiled once, and what would take megabytes is refused.
#[test]
fn patterns_are_read_as_they_are_meant_and_within_a_bound() {
    for (text, answer) in [
        // As CEL reads them, not as they stand in the source.
        (r"client.name.matches('\\(')", false),
        (r"client.name.matches('^Anna\\s\\w+$') && client.name.matches(r'^\p{Lu}')", true),
        ("matches(client.name, 'a$') && string(deal.rooms).matches('^2$')", true),
        ("client.nick.matches('x')", false),
        ("!client.nick.matches('x')", true),
    ] {
        assert_eq!(eval(text), Ok(answer), "{text}");
        assert_eq!(Condition::compile(text).unwrap().unanswerable(), None, "{text}");
    }
    let many: Vec<_> = (0..90).map(|n| format!("client.name.matches('^{n}$')")).collect();
    assert_eq!(eval(&many.join(" || ")), Ok(false), "many small ones are fine");
    // Each alone would do.
    let two = r"client.name.matches('\\w{15}') || client.name.matches('\\w{15}$')";
    assert_eq!(Condition::compile(r"client.name.matches('\\w{15}')").unwrap().unanswerable(), None);
    for (text, part) in [
        (r"client.name.matches('(\\w{80}){3}')", "takes too much room"),
        (two, "takes too much room"),
        ("client.name.matches('(')", "is not a regular expression"),
        (r"client.name.matches('[\\]')", "is not a regular expression"),
        ("client.name.matches(client.city)", "not written out"),
        ("client.name.matches('a' + '(')", "not written out"),
        ("matches(deal.title, string(deal.rooms))", "not written out"),
        ("client.name.matches('a', 'b')", "not written out"),
        ("deal.amount > 0 || client.name.matches(client.city)", "not written out"),
    ] {
        let condition = Condition::compile(text).unwrap();
        assert!(condition.unanswerable().is_some_and(|why| why.contains(part)), "{text}: {:?}", condition.unanswerable());
        // A revision that an earlier version stored goes on with it: it has no answer.
        assert!(eval(text).is_err_and(|e| e.label() == "evaluation" && e.to_string().contains(part)), "{text}");
    }
}

/// What can never be a yes or no is refused when it is written, not when the first client comes by.
#[test]
fn what_is_no_question_is_refused_at_once() {
    for text in ["1", "'yes'", "2.5", "[true]", "1 + 1", "-deal.amount", "size(client.city)", "true ? 'a' : 'b'", "true ? true : 7"]
    {
        let refused = Condition::compile(text).unwrap_err();
        assert_eq!(refused.label(), "not_boolean", "{text}: {refused}");
    }
    for (text, what) in [("'yes'", "string"), ("7", "a value"), ("[true]", "list"), ("1 + 1", "a number or text")] {
        assert!(Condition::compile(text).unwrap_err().to_string().contains(what), "{text}");
    }
    for text in ["true", "deal.mortgage", "deal.mortgage ? true : deal.mortgage", "client.city in ['x']"] {
        assert!(Condition::compile(text).is_ok(), "{text}");
    }
}

/// What was sent, clicked and opened are three things.
#[test]
fn the_history_of_a_message() {
    let mut subject = subject();
    let holds = |subject: &Subject, text: &str| {
        Condition::compile(text).unwrap().eval(&Facts { subject, now: t("2026-03-06T12:00") }).unwrap()
    };
    subject.ledger.iter_mut().for_each(|entry| (entry.clicked_at, entry.opened) = (None, false));
    for (text, answer) in [("sent('first')", true), ("clicked('first')", false), ("clicked()", false), ("opened('first')", false)] {
        assert_eq!(holds(&subject, text), answer, "{text}");
    }
    subject.ledger.iter_mut().for_each(|entry| entry.opened = true);
    for (text, answer) in [("clicked('first')", false), ("clicked()", false), ("opened('first')", true), ("opened()", true)] {
        assert_eq!(holds(&subject, text), answer, "{text}");
    }
}

#[test]
fn a_condition_is_shown_as_it_was_written() {
    let condition = Condition::compile(" deal.ageDays > 3 ").unwrap();
    assert_eq!((condition.source(), format!("{condition:?}").as_str()), (" deal.ageDays > 3 ", " deal.ageDays > 3 "));
    assert!(condition.watches_time(), "it may hold tomorrow");
    assert!(Condition::compile("cycle.days > 3").unwrap().watches_time());
    assert!(!Condition::compile("deal.amount > 3.0").unwrap().watches_time());
}

/// Dashboards and alerts are written against these words.
#[test]
fn errors_have_stable_labels() {
    for (text, label) in [
        ("", "syntax"),
        ("((((((((((((((((((((((((((((((((((true))))))))))))))))))))))))))))))))))", "too_complex"),
        ("nobody.knows", "unknown"),
        ("1 / 0 == 1", "evaluation"),
        ("1 + 1", "not_boolean"),
    ] {
        assert_eq!(eval(text).unwrap_err().label(), label, "{text}");
    }
    assert_eq!(ConditionError::Types(String::new()).label(), "types");
    assert_eq!(ConditionError::Fails(String::new()).label(), "types");
}

/// However they are written: what is not seen here is not checked, and an item that does not exist was never sent.
#[test]
fn items_and_patterns_are_found_wherever_they_stand() {
    let text = "!clicked ('a') && (sent(\n\"b\") || opened() || clicked('c')) && client.city.matches (r'^М\\d') && 'sent(\\'d\\')' != client.city";
    let condition = Condition::compile(text).unwrap();
    assert_eq!(condition.items(), ["a", "b", "c"]);
}

/// Every name that conditions and texts may use has its value, and of the kind that is said of it.
#[test]
fn every_name_has_its_value() {
    let mut subject = subject();
    subject.deal.url = Some("https://crm.example/d1".into());
    subject.deal.currency = Some("RUB".into());
    let contact = subject.contact.as_mut().unwrap();
    contact.language = Some("ru".into());
    contact.time_zone = Some("Asia/Omsk".into());
    let manager = subject.manager.as_mut().unwrap();
    manager.name = Text("Olga Smirnova".into());
    manager.email = Some(Email::parse("olga@novydom.example").unwrap());
    manager.phone = Some(Phone::parse("+74951234567", "RU").unwrap());
    let facts = Facts { subject: &subject, now: t("2026-03-06T12:00") };
    let text = |text: &'static str| Fact::Text(text.into());
    for (name, value, kind) in [
        ("deal.id", text("d1"), FactKind::Text),
        ("deal.title", text("Flat"), FactKind::Text),
        ("deal.url", text("https://crm.example/d1"), FactKind::Text),
        ("deal.stage", text("Lost"), FactKind::Text),
        ("deal.pipeline", text("Sales"), FactKind::Text),
        ("deal.lostReason", text("layout"), FactKind::Text),
        ("deal.amount", Fact::Number(5_000_000.0), FactKind::Number),
        ("deal.currency", text("RUB"), FactKind::Text),
        ("deal.state", text("Lost"), FactKind::Text),
        ("deal.ageDays", Fact::Int(33), FactKind::Number),
        ("client.name", text("Anna Petrova"), FactKind::Text),
        ("client.firstName", text("Anna"), FactKind::Text),
        ("client.lastName", text("Petrova"), FactKind::Text),
        ("client.language", text("ru"), FactKind::Text),
        ("client.timeZone", text("Asia/Omsk"), FactKind::Text),
        ("manager.name", text("Olga Smirnova"), FactKind::Text),
        ("manager.firstName", text("Olga"), FactKind::Text),
        ("manager.email", text("olga@novydom.example"), FactKind::Text),
        ("manager.phone", text("+74951234567"), FactKind::Text),
        ("cycle.number", Fact::Int(1), FactKind::Number),
        ("cycle.days", Fact::Int(4), FactKind::Number),
        ("cycle.sent", Fact::Int(1), FactKind::Number),
        ("cycle.booked", Fact::Bool(false), FactKind::Bool),
    ] {
        assert!(is_builtin(name), "{name}");
        assert_eq!((facts.get(name), FactKind::of_builtin(name)), (value, kind), "{name}");
    }
    let all = DEAL_NAMES.len() + CLIENT_NAMES.len() + MANAGER_NAMES.len() + CYCLE_NAMES.len();
    assert_eq!(all, 23, "a new name stands above");
    for (state, word) in
        [(DealState::Open, "Open"), (DealState::Won, "Won"), (DealState::Lost, "Lost"), (DealState::Deleted, "Deleted")]
    {
        subject.deal.state = state;
        assert_eq!(Facts { subject: &subject, now: noon() }.get("deal.state"), text(word));
    }
    // What nobody filled in, and what is nobody's.
    subject.deal.url = Some("  ".into());
    subject.contact = None;
    subject.manager = None;
    for name in ["deal.url", "client.name", "client.city", "manager.name", "nobody.name", "deal.nothing", "cycle.nothing", "name"] {
        assert_eq!(Facts { subject: &subject, now: noon() }.get(name), Fact::Null, "{name}");
    }
}

/// A condition that its client's values leave without an answer counts as false, and the history says so: once, however often it is asked.
#[test]
fn a_condition_without_an_answer_is_told_once() {
    const TEXT: &str = "1 / (cycle.number - cycle.number) > 0";
    type Place = fn(&mut Plan);
    let places: [(&str, Place, usize); 3] = [
        ("guard", |plan| plan.stages.warming[0].enter[0].when = when(TEXT), 0),
        ("content rule", |plan| plan.stages.warming[0].content[0].when = when(TEXT), 1),
        ("stopWhen", |plan| plan.lists.get_mut("layout").unwrap().stop_when = when(TEXT), 3),
    ];
    for (place, edit, sent) in places {
        let mut plan = plan();
        edit(&mut plan);
        let mut world = World::lost(plan, "layout");
        world.pass("40d");
        world.change(|d| d.title = "x".into());
        assert_eq!(world.sent().len(), sent, "{place}: it counts as false");
        let told = world.history.iter().filter(|h| matches!(h, History::Note { text } if text.contains(TEXT))).count();
        assert_eq!((told, world.subject.copy.state.unanswered.len()), (1, 1), "{place}: {:?}", world.history);
        let why = format!("the condition {TEXT} has no answer here (it divides by zero): it counts as false");
        assert!(world.history.contains(&History::Note { text: why }), "{place}");
    }
}

/// Which messages count as sent: also those under way, of which nobody can say anything else.
#[test]
fn what_counts_as_sent() {
    let mut subject = subject();
    for (status, sent) in [
        (EffectStatus::Planned, true),
        (EffectStatus::Intended, true),
        (EffectStatus::Unknown, true),
        (EffectStatus::Accepted, true),
        (EffectStatus::Delivered, true),
        (EffectStatus::Skipped, false),
        (EffectStatus::Failed, false),
        (EffectStatus::Expired, false),
    ] {
        subject.ledger[0].status = status;
        let facts = Facts { subject: &subject, now: noon() };
        let holds = Condition::compile("sent('first')").unwrap().eval(&facts).unwrap();
        assert_eq!((holds, facts.get("cycle.sent")), (sent, Fact::Int(i64::from(sent))), "{status:?}");
    }
    // An item of another list, and what is told to managers, are other things.
    subject.ledger[0].status = EffectStatus::Accepted;
    let holds = |subject: &Subject, text: &str| Condition::compile(text).unwrap().eval(&Facts { subject, now: noon() }).unwrap();
    assert!(
        holds(&subject, "sent('layout/first')")
            && !holds(&subject, "sent('other/first')")
            && !holds(&subject, "sent('layout/second')")
    );
    subject.ledger[0].key.list = "@task".into();
    assert!(!holds(&subject, "sent('first')") && !holds(&subject, "clicked()"));
}
