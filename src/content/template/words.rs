//! What a template says by itself, whoever reads it: for the language of a message, and for what its Markdown becomes.

use super::{
    LINK_END, LINK_START,
    expr::{Constant, Expr, Node},
    filters::Filter,
};

/// Stands for a value where only the template's own text is looked at. Private use, so that it means nothing in Markdown.
pub const VALUE: char = '\u{e002}';

/// Its own words, those of both branches of an `if` and of `default('…')` included.
pub fn own_words(nodes: &[Node]) -> String {
    fn add(nodes: &[Node], out: &mut String) {
        for node in nodes {
            match node {
                Node::Raw(text) => out.push_str(text),
                Node::Print(expr) => said(expr, out),
                Node::If(_, yes, no) => {
                    add(yes, out);
                    add(no, out);
                }
            }
        }
    }
    let mut out = String::new();
    add(nodes, &mut out);
    out
}

fn said(expr: &Expr, out: &mut String) {
    match expr {
        Expr::Const(Constant::Text(text)) => out.push_str(text),
        Expr::And(a, b) | Expr::Or(a, b) | Expr::Concat(a, b) | Expr::Choose(_, a, b) => {
            said(a, out);
            said(b, out);
        }
        Expr::Filter(filter, inner, args) => {
            said(inner, out);
            if matches!(filter, Filter::Default | Filter::Plural | Filter::PluralRu) {
                for arg in args {
                    said(arg, out);
                }
            }
        }
        _ => {}
    }
}

/// Its text with both branches of every `if`, a link where it prints one, and [`VALUE`] for everything else that it prints.
pub fn outline(nodes: &[Node]) -> String {
    fn add(nodes: &[Node], out: &mut String) {
        for node in nodes {
            match node {
                Node::Raw(text) => out.push_str(text),
                Node::Print(Expr::Path(path)) if path.starts_with("links.") => {
                    out.push(LINK_START);
                    out.push('0');
                    out.push(LINK_END);
                }
                Node::Print(_) => out.push(VALUE),
                Node::If(_, yes, no) => {
                    add(yes, out);
                    add(no, out);
                }
            }
        }
    }
    let mut out = String::new();
    add(nodes, &mut out);
    out
}

/// Values that it prints as the CRM has them, without a filter that gives them a form.
pub fn bare(nodes: &[Node]) -> Vec<&str> {
    let mut out = Vec::new();
    for node in nodes {
        match node {
            Node::Raw(_) => {}
            Node::Print(expr) => printed(expr, &mut out),
            Node::If(_, yes, no) => {
                out.extend(bare(yes));
                out.extend(bare(no));
            }
        }
    }
    out
}

fn printed<'e>(expr: &'e Expr, out: &mut Vec<&'e str>) {
    match expr {
        Expr::Path(path) => out.push(path),
        Expr::And(a, b) | Expr::Or(a, b) | Expr::Concat(a, b) | Expr::Choose(_, a, b) => {
            printed(a, out);
            printed(b, out);
        }
        Expr::Filter(Filter::Default, inner, args) => {
            printed(inner, out);
            for arg in args {
                printed(arg, out);
            }
        }
        Expr::Filter(
            Filter::Upper | Filter::Lower | Filter::Capitalize | Filter::Title | Filter::Trim | Filter::Truncate,
            inner,
            _,
        ) => {
            printed(inner, out);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::content::{Escape, Template};

    #[test]
    fn values_without_a_form_are_found_wherever_they_are_printed() {
        for (source, want) in [
            ("{{ deal.visitAt }} {{ deal.visitAt | date }}", "deal.visitAt"),
            ("{% if deal.visitAt %}{{ deal.a ~ '!' }}{% else %}{{ deal.b | default('x') }}{% endif %}", "deal.a deal.b"),
            ("{{ 'да' if deal.sale else 'нет' }} {{ deal.rooms | round }} {{ deal.c | upper }}", "deal.c"),
        ] {
            assert_eq!(Template::parse(source, Escape::Text).unwrap().bare_values().join(" "), want, "{source}");
        }
    }
}
