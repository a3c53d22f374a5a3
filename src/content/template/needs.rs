//! Which values a template cannot do without.

use super::{
    expr::{Expr, Node},
    filters::Filter,
};
use std::collections::BTreeSet;

/// Paths without which these nodes certainly cannot be rendered.
pub fn needs_of(nodes: &[Node]) -> BTreeSet<&str> {
    let mut all = BTreeSet::new();
    for node in nodes {
        match node {
            Node::Raw(_) => {}
            Node::Print(expr) => all.extend(needs(expr)),
            Node::If(_, yes, no) => all.extend(needs_of(yes).intersection(&needs_of(no))),
        }
    }
    all
}

/// Paths without which the expression certainly has no value.
fn needs(expr: &Expr) -> BTreeSet<&str> {
    let both = |a: BTreeSet<_>, b: &BTreeSet<_>| a.intersection(b).copied().collect();
    match expr {
        Expr::Path(path) => BTreeSet::from([path.as_str()]),
        Expr::Const(_) | Expr::Not(_) | Expr::Compare(..) | Expr::OneOf(..) | Expr::Defined(_) => BTreeSet::new(),
        Expr::Negate(inner) | Expr::And(inner, _) => needs(inner),
        Expr::Or(a, b) | Expr::Choose(_, a, b) => both(needs(a), &needs(b)),
        Expr::Arithmetic(_, a, b) | Expr::Concat(a, b) => needs(a).into_iter().chain(needs(b)).collect(),
        Expr::Filter(Filter::Default, inner, args) => {
            args.first().map(needs).map_or_else(BTreeSet::new, |d| both(needs(inner), &d))
        }
        Expr::Filter(_, inner, args) => needs(inner).into_iter().chain(args.iter().flat_map(needs)).collect(),
    }
}
