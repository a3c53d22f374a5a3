//! Which clients a template tells apart: the values that it asks for, and what it compares them with.

use super::{
    expr::{Comparison, Constant, Expr, Node},
    filters::Filter,
};
use crate::model::FieldValue;
use std::collections::BTreeMap;

/// By path like `client.city`: what decides which words a client gets. `None`: the value is not known.
pub type Cases = BTreeMap<String, Vec<Option<FieldValue>>>;

/// More values of one path are not told apart: nobody tries so many.
const MOST: usize = 32;

pub fn of_nodes(nodes: &[Node], cases: &mut Cases) {
    for node in nodes {
        match node {
            Node::Raw(_) => {}
            Node::Print(expr) => of(expr, false, cases),
            Node::If(condition, yes, no) => {
                of(condition, true, cases);
                of_nodes(yes, cases);
                of_nodes(no, cases);
            }
        }
    }
}

/// `asks`: whether the answer turns on the value being known.
fn of(expr: &Expr, asks: bool, cases: &mut Cases) {
    match expr {
        Expr::Const(_) => {}
        Expr::Path(path) => {
            if asks {
                add(path, None, cases);
            }
        }
        Expr::Not(inner) | Expr::Defined(inner) => of(inner, true, cases),
        Expr::Negate(inner) => of(inner, asks, cases),
        Expr::And(left, right) | Expr::Or(left, right) => {
            of(left, true, cases);
            of(right, asks, cases);
        }
        Expr::Compare(comparison, left, right) => {
            for (side, other) in [(left, right), (right, left)] {
                of(side, true, cases);
                compared(*comparison, side, other, cases);
            }
        }
        Expr::OneOf(needle, items) => {
            of(needle, true, cases);
            for item in items {
                of(item, true, cases);
                compared(Comparison::Equal, needle, item, cases);
            }
        }
        Expr::Choose(condition, yes, no) => {
            of(condition, true, cases);
            of(yes, asks, cases);
            of(no, asks, cases);
        }
        Expr::Arithmetic(_, left, right) | Expr::Concat(left, right) => {
            of(left, asks, cases);
            of(right, asks, cases);
        }
        Expr::Filter(filter, inner, args) => {
            of(inner, asks || *filter == Filter::Default, cases);
            for arg in args {
                of(arg, asks, cases);
            }
        }
    }
}

/// The values of `side` that a comparison with `other` tells apart.
fn compared(comparison: Comparison, side: &Expr, other: &Expr, cases: &mut Cases) {
    let (Some(path), Some(value)) = (subject(side), constant(other)) else { return };
    match value {
        FieldValue::Number(n) if !matches!(comparison, Comparison::Equal | Comparison::NotEqual) => {
            for n in [n - 1.0, n, n + 1.0] {
                add(path, Some(FieldValue::Number(n)), cases);
            }
        }
        value => add(path, Some(value), cases),
    }
}

/// The value that is compared, where the value itself would pass its filters unchanged.
fn subject(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Path(path) => Some(path),
        Expr::Filter(Filter::Money | Filter::Date | Filter::PluralRu | Filter::Plural, ..) => None,
        Expr::Filter(_, inner, _) => subject(inner),
        _ => None,
    }
}

fn constant(expr: &Expr) -> Option<FieldValue> {
    match expr {
        Expr::Const(Constant::Text(text)) if !text.trim().is_empty() => Some(FieldValue::Text(text.clone())),
        Expr::Const(Constant::Number(n)) => Some(FieldValue::Number(*n)),
        Expr::Const(Constant::Bool(b)) => Some(FieldValue::Bool(*b)),
        Expr::Negate(inner) => match &**inner {
            Expr::Const(Constant::Number(n)) => Some(FieldValue::Number(-n)),
            _ => None,
        },
        _ => None,
    }
}

fn add(path: &str, value: Option<FieldValue>, cases: &mut Cases) {
    // A name that is known is not copied for each of its uses.
    if let Some(values) = cases.get_mut(path) {
        if values.len() < MOST && !values.contains(&value) {
            values.push(value);
        }
    } else {
        cases.insert(path.to_owned(), vec![value]);
    }
}
