//! The small tree a template becomes, and its evaluation.

use super::{MAX_RENDERED, escape::Escape, filters::Filter};
use crate::content::{Context, RenderError, context::Field};
use std::borrow::Cow;

#[derive(Debug)]
pub enum Node {
    Raw(String),
    Print(Expr),
    If(Expr, Vec<Node>, Vec<Node>),
}

#[derive(Debug)]
pub enum Expr {
    Const(Constant),
    /// A dotted path like `client.firstName`.
    Path(String),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Arithmetic(Operation, Box<Expr>, Box<Expr>),
    Concat(Box<Expr>, Box<Expr>),
    Choose(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `x in ['a', 'b']`
    OneOf(Box<Expr>, Vec<Expr>),
    Defined(Box<Expr>),
    Filter(Filter, Box<Expr>, Vec<Expr>),
}

#[derive(Debug)]
pub enum Constant {
    Text(String),
    Number(f64),
    Bool(bool),
    None,
}

#[derive(Clone, Copy, Debug)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A value while it is computed.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Not known, or empty; with the path that was asked for.
    Missing(&'a str),
    Text(Cow<'a, str>),
    Number(f64),
    Bool(bool),
    /// A declared link: its place in the list of links, and its address.
    Link(usize, &'a str),
}

/// What paths are looked up in.
pub struct Scope<'a> {
    pub context: &'a Context,
    pub links: &'a [(&'a str, String)],
}

impl Value<'_> {
    fn truthy(&self) -> bool {
        match self {
            Value::Missing(_) => false,
            Value::Text(text) => !text.is_empty(),
            Value::Number(n) => *n != 0.0,
            Value::Bool(b) => *b,
            Value::Link(..) => true,
        }
    }

    /// As it is printed. Empty for a missing one.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Missing(_) => Cow::Borrowed(""),
            Value::Text(text) => Cow::Borrowed(text),
            Value::Number(n) => Cow::Owned(number(*n)),
            Value::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Value::Link(_, url) => Cow::Borrowed(url),
        }
    }

    fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(n) => Some(*n),
            Value::Text(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }
}

/// Whole numbers without a point, others with at most two digits.
pub fn number(n: f64) -> String {
    let text = format!("{n:.2}");
    let text = text.strip_suffix(".00").map_or(text.as_str(), |whole| whole);
    if text == "-0" { "0".into() } else { text.into() }
}

pub fn render(nodes: &[Node], escape: Escape, scope: &Scope<'_>, out: &mut String) -> Result<(), RenderError> {
    for node in nodes {
        match node {
            Node::Raw(text) => out.push_str(text),
            Node::If(condition, yes, no) => {
                render(if eval(condition, scope)?.truthy() { yes } else { no }, escape, scope, out)?;
            }
            Node::Print(expr) => match eval(expr, scope)? {
                Value::Missing(path) => return Err(RenderError::Missing(path.to_owned())),
                Value::Link(index, _) if escape == Escape::Markdown => {
                    out.push(super::LINK_START);
                    out.push_str(&index.to_string());
                    out.push(super::LINK_END);
                }
                Value::Link(_, url) if escape != Escape::Html => out.push_str(url),
                value => escape.push(out, &value.text()),
            },
        }
        if out.len() > MAX_RENDERED {
            return Err(RenderError::TooBig);
        }
    }
    Ok(())
}

pub fn eval<'a>(expr: &'a Expr, scope: &Scope<'a>) -> Result<Value<'a>, RenderError> {
    Ok(match expr {
        Expr::Const(Constant::Text(text)) => Value::Text(Cow::Borrowed(text)),
        Expr::Const(Constant::Number(n)) => Value::Number(*n),
        Expr::Const(Constant::Bool(b)) => Value::Bool(*b),
        Expr::Const(Constant::None) => Value::Missing("none"),
        Expr::Path(path) => lookup(path, scope),
        Expr::Not(inner) => Value::Bool(!eval(inner, scope)?.truthy()),
        Expr::Negate(inner) => match eval(inner, scope)? {
            missing @ Value::Missing(_) => missing,
            value => Value::Number(-value.as_number().ok_or_else(|| RenderError::not_a_number().at(named(inner), ""))?),
        },
        Expr::And(left, right) => {
            let left = eval(left, scope)?;
            if left.truthy() { eval(right, scope)? } else { left }
        }
        Expr::Or(left, right) => {
            let left = eval(left, scope)?;
            if left.truthy() { left } else { eval(right, scope)? }
        }
        Expr::Compare(comparison, left, right) => Value::Bool(compare(*comparison, &eval(left, scope)?, &eval(right, scope)?)),
        Expr::Arithmetic(operation, left, right) => {
            let (a, b) = (eval(left, scope)?, eval(right, scope)?);
            let culprit = if a.as_number().is_some() { right } else { left };
            arithmetic(*operation, a, b).map_err(|error| error.at(named(culprit), ""))?
        }
        Expr::Concat(left, right) => match (eval(left, scope)?, eval(right, scope)?) {
            (missing @ Value::Missing(_), _) | (_, missing @ Value::Missing(_)) => missing,
            (left, right) => {
                let mut text = left.text().into_owned();
                text.push_str(&right.text());
                if text.len() > MAX_RENDERED {
                    return Err(RenderError::TooBig);
                }
                Value::Text(Cow::Owned(text))
            }
        },
        Expr::Choose(condition, yes, no) => eval(if eval(condition, scope)?.truthy() { yes } else { no }, scope)?,
        Expr::OneOf(needle, items) => {
            let needle = eval(needle, scope)?;
            let mut found = false;
            for item in items {
                found |= compare(Comparison::Equal, &needle, &eval(item, scope)?);
            }
            Value::Bool(found)
        }
        Expr::Defined(inner) => Value::Bool(!matches!(eval(inner, scope)?, Value::Missing(_))),
        Expr::Filter(filter, inner, args) => {
            let value = eval(inner, scope)?;
            let mut values = Vec::with_capacity(args.len());
            for arg in args {
                values.push(eval(arg, scope)?);
            }
            filter.apply(value, &values, scope.context).map_err(|error| error.at(named(inner), filter.name()))?
        }
    })
}

/// The value that an expression is about, for the person who has to put it right.
fn named(expr: &Expr) -> &str {
    match expr {
        Expr::Path(path) => path,
        Expr::Filter(_, inner, _) | Expr::Negate(inner) => named(inner),
        _ => "",
    }
}

fn lookup<'a>(path: &'a str, scope: &Scope<'a>) -> Value<'a> {
    if let Some(name) = path.strip_prefix("links.") {
        return match scope.links.iter().position(|(link, _)| *link == name) {
            Some(index) => match scope.links.get(index) {
                Some((_, url)) if !url.is_empty() => Value::Link(index, url),
                _ => Value::Missing(path),
            },
            None => Value::Missing(path),
        };
    }
    match scope.context.get(path) {
        None => Value::Missing(path),
        Some(Field::Text(text)) if text.trim().is_empty() => Value::Missing(path),
        Some(Field::Text(text)) => Value::Text(Cow::Borrowed(text)),
        Some(Field::Number(n)) => Value::Number(*n),
        Some(Field::Bool(b)) => Value::Bool(*b),
    }
}

/// Numbers by size, everything else by its text. Something missing equals only nothing and the empty text; it is neither less
/// nor more than anything.
fn compare(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> bool {
    use std::cmp::Ordering;
    let order = match (left, right) {
        (Value::Missing(_), Value::Missing(_)) => Some(Ordering::Equal),
        (Value::Missing(_), other) | (other, Value::Missing(_)) => {
            matches!(other, Value::Text(text) if text.is_empty()).then_some(Ordering::Equal)
        }
        (Value::Number(_), _) | (_, Value::Number(_)) => match (left.as_number(), right.as_number()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => None,
        },
        _ => Some(left.text().cmp(&right.text())),
    };
    match (comparison, order) {
        (Comparison::Equal, order) => order == Some(Ordering::Equal),
        (Comparison::NotEqual, order) => order != Some(Ordering::Equal),
        (_, None) => false,
        (Comparison::Less, Some(order)) => order.is_lt(),
        (Comparison::LessOrEqual, Some(order)) => order.is_le(),
        (Comparison::More, Some(order)) => order.is_gt(),
        (Comparison::MoreOrEqual, Some(order)) => order.is_ge(),
    }
}

fn arithmetic<'a>(operation: Operation, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, RenderError> {
    if matches!(left, Value::Missing(_)) {
        return Ok(left);
    }
    if matches!(right, Value::Missing(_)) {
        return Ok(right);
    }
    let (Some(a), Some(b)) = (left.as_number(), right.as_number()) else { return Err(RenderError::not_a_number()) };
    let result = match operation {
        Operation::Add => a + b,
        Operation::Subtract => a - b,
        Operation::Multiply => a * b,
        Operation::Divide | Operation::Remainder if b == 0.0 => return Err(RenderError::DividesByZero),
        Operation::Divide => a / b,
        Operation::Remainder => a % b,
    };
    if result.is_finite() { Ok(Value::Number(result)) } else { Err(RenderError::not_a_number()) }
}
