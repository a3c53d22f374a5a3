//! What is wrong with a condition before any client is looked at.

use crate::engine::{Condition, FactKind};

#[test]
fn texts_with_texts_and_numbers_with_numbers() {
    let kind = |name: &str| {
        Some(match name {
            "client.age" => FactKind::Number,
            "client.vip" => FactKind::Bool,
            name => FactKind::of_builtin(name),
        })
    };
    for (text, wrong) in [
        ("deal.amount > 5", None),
        ("client.age > 5.0 && client.vip", None),
        ("client.city == null || client.city in ['a', 'b']", None),
        ("sent('visit') && !clicked()", None),
        ("cycle.sent % 2 == 0", None),
        ("(client.vip ? client.age : deal.amount) > 5.0", None),
        ("size(client.city) > 3 && client.city.startsWith('M')", None),
        ("client.city + '!' == 'a!'", None),
        ("has(client.city)", None),
        ("client.city.contains('Моск') && size([1, 2]) == 2 && size('a' + client.city) > 1", None),
        (
            "'Моск' in client.city",
            Some("client.city behind in is a text, not a list: it fails for every client; write client.city.contains('Моск')"),
        ),
        ("client.city in 'Омск'", Some("write client.city in ['Омск'], or ==")),
        ("client.city in deal.amount", Some("deal.amount behind in is a number, not a list")),
        ("client.city in client.vip", Some("write a list, like")),
        ("size(deal.amount) > 3", Some("deal.amount is a number and has no size")),
        ("client.vip.size() > 3", Some("client.vip is yes or no and has no size")),
        ("client.city > 5", Some("client.city is a text and 5 is a number")),
        ("client.age == '5'", Some("client.age is a number and '5' is a text")),
        ("client.age / 2 == '5' || client.age % 2 == '1'", Some("one side is a number and '5' is a text")),
        ("client.age in [1, '2']", Some("client.age is a number and '2' is a text")),
        ("client.city && client.vip", Some("client.city beside && is a text, not yes or no")),
        ("!client.age", Some("client.age beside ! is a number")),
        ("client.age.contains('5')", Some("client.age with contains is a number")),
        ("client.age.matches('5')", Some("client.age with matches is a number")),
        ("string(client.age).matches('5') == 'x'", Some("matches() is yes or no and 'x' is a text")),
        ("client.city * 2 > 5", Some("client.city beside * is a text")),
        ("client.city + 5 == 'a5'", Some("client.city is a text and 5 is a number")),
        ("deal.amount / 0 > 1", Some("divides by zero")),
        ("cycle.sent % 0 == 1", Some("divides by zero")),
        ("client.city", Some("it answers a text")),
        ("deal.amount / 0.0 > 1", Some("divides by zero")),
        ("deal.amount / 2.0 > 1", None),
        ("(client.city + 'a') > 5", Some("one side is a text and 5 is a number")),
        ("true == 'x'", Some("true is yes or no and 'x' is a text")),
        ("client.age == 2.5", None),
        (
            "client.city == 2.5",
            Some("client.city is a text and 2.5 is a number: == never holds between them; write texts in single quotes"),
        ),
        ("client.age == 'x'", Some("write numbers without quotes, or declare the field with type: Number")),
        ("client.vip == 5", Some("compare it with something, or declare the field with type: Boolean")),
        ("client.city ? true : false", Some("client.city before ? is a text")),
        ("(client.vip ? client.city : 'x') > 5", Some("is a text and 5 is a number")),
        ("(client.vip ? client.city : deal.amount) == 5", None),
        ("size(client.city) == 'x'", Some("size() is a number and 'x' is a text")),
        ("int(client.city) == 'x'", Some("int() is a number")),
        ("double(client.city) == 'x'", Some("double() is a number")),
        ("string(client.age) == 5", Some("string() is a text and 5 is a number")),
        ("client.unknown in [client.age + 'x']", Some("client.age is a number and 'x' is a text")),
        ("size([client.age + 'x']) == 1", Some("client.age is a number and 'x' is a text")),
    ] {
        let got = Condition::compile(text).unwrap().check_types(&kind);
        match wrong {
            None => assert_eq!(got, Ok(()), "{text}"),
            Some(words) => {
                let said = got.expect_err(text).to_string();
                assert!(said.contains(words), "{text}: {said}");
            }
        }
    }
}
