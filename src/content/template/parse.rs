//! From source to tree: minijinja's grammar, our subset of it.

use super::{
    TemplateError,
    explain::{error, from_jinja, one_brace},
    expr::{Comparison, Constant, Expr, Node, Operation},
    filters::{Filter, valid_date_format},
    needs::needs_of,
};
use minijinja::{
    machinery::{Span, Token, ast, parse as parse_jinja, tokenize},
    syntax::SyntaxConfig,
    value::ValueKind,
};
use std::collections::{BTreeMap, BTreeSet};

/// Longest `{{ … }}` or `{% … %}`, in words and signs: keeps trees flat.
const MAX_TOKENS: usize = 200;
/// Most `{% … %}` in a template.
const MAX_BLOCKS: usize = 400;
/// Most doubts that are told of a template.
const MAX_DOUBTS: usize = 10;

pub struct Parsed {
    pub nodes: Vec<Node>,
    /// Where each stands first, in bytes.
    pub references: BTreeMap<String, usize>,
    pub requires: BTreeSet<String>,
    pub doubts: Vec<TemplateError>,
}

/// `longest`: how many characters it may have.
pub fn parse(source: &str, longest: usize) -> Result<Parsed, TemplateError> {
    // A character has a byte at least, so that most texts are not counted.
    if source.len() > longest && source.chars().count() > longest {
        return Err(error(
            source,
            0,
            format!("the text is {} characters long, more than {longest}", source.chars().count()),
            "shorten it, or keep pictures and styles outside of it",
        ));
    }
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default();
    bounded(source, &syntax)?;
    let tree = parse_jinja(source, "", syntax).map_err(|e| from_jinja(source, &e))?;
    let ast::Stmt::Template(template) = tree else {
        return Err(error(source, 0, "not a template".into(), "write text with {{ values }}"));
    };
    let mut converter = Converter { source, references: BTreeMap::new(), doubts: Vec::new() };
    let nodes = converter.nodes(&template.children)?;
    let requires = needs_of(&nodes).into_iter().filter(|path| *path != "none").map(str::to_owned).collect();
    Ok(Parsed { requires, nodes, references: converter.references, doubts: converter.doubts })
}

/// Refuses what would make the parser, or the drop of its tree, go deep.
fn bounded(source: &str, syntax: &SyntaxConfig) -> Result<(), TemplateError> {
    let (mut tokens, mut blocks) = (0, 0);
    for token in tokenize(source, false, syntax.clone()) {
        let (token, span) = token.map_err(|e| from_jinja(source, &e))?;
        tokens += 1;
        match token {
            Token::TemplateData(_) | Token::VariableStart => tokens = 0,
            Token::BlockStart => (tokens, blocks) = (0, blocks + 1),
            _ => {}
        }
        if tokens > MAX_TOKENS || blocks > MAX_BLOCKS {
            let (message, help) = ("the expression is too long", "split it into shorter ones");
            return Err(error(source, span.start_offset as usize, message.into(), help));
        }
    }
    Ok(())
}

struct Converter<'s> {
    source: &'s str,
    references: BTreeMap<String, usize>,
    doubts: Vec<TemplateError>,
}

type Result2<T> = Result<T, TemplateError>;

impl Converter<'_> {
    fn refuse<T>(&self, span: Span, message: &str, help: &str) -> Result2<T> {
        Err(error(self.source, span.start_offset as usize, message.into(), help))
    }

    fn nodes(&mut self, stmts: &[ast::Stmt<'_>]) -> Result2<Vec<Node>> {
        stmts.iter().map(|stmt| self.node(stmt)).collect()
    }

    fn node(&mut self, stmt: &ast::Stmt<'_>) -> Result2<Node> {
        let (span, what) = match stmt {
            ast::Stmt::EmitRaw(raw) => {
                if let Some(at) = one_brace(raw.raw) {
                    return Err(error(
                        self.source,
                        raw.span().start_offset as usize + at,
                        "a value in single braces would be sent as it stands".into(),
                        "write double braces: {{ client.firstName }}",
                    ));
                }
                return Ok(Node::Raw(super::escape::strip(raw.raw)));
            }
            ast::Stmt::EmitExpr(emit) => return Ok(Node::Print(self.expr(&emit.expr)?)),
            ast::Stmt::IfCond(cond) => {
                self.asks(&cond.expr, false);
                let condition = self.expr(&cond.expr)?;
                return Ok(Node::If(condition, self.nodes(&cond.true_body)?, self.nodes(&cond.false_body)?));
            }
            ast::Stmt::Template(s) => (s.span(), "this"),
            ast::Stmt::ForLoop(s) => (s.span(), "a loop ({% for %})"),
            ast::Stmt::WithBlock(s) => (s.span(), "{% with %}"),
            ast::Stmt::Set(s) => (s.span(), "an assignment ({% set %})"),
            ast::Stmt::SetBlock(s) => (s.span(), "an assignment ({% set %})"),
            ast::Stmt::AutoEscape(s) => (s.span(), "{% autoescape %}"),
            ast::Stmt::FilterBlock(s) => (s.span(), "{% filter %}"),
            ast::Stmt::Do(s) => (s.span(), "{% do %}"),
            // The rest exists only with features of minijinja that are switched off; another crate may switch them on.
            #[allow(unreachable_patterns)]
            _ => return self.refuse(Span::default(), "there is a tag that is not available in texts", "use only {% if %}"),
        };
        self.refuse(
            span,
            &format!("{what} is not available in texts"),
            "use {{ values }} and {% if … %} … {% else %} … {% endif %} only",
        )
    }

    /// A text or a number where yes or no is asked: `client.city == 'Казань' or 'Омск'` holds for everybody. `beside`: it stands beside and,
    /// or, not; alone a number and the empty text are how people switch something off.
    fn asks(&mut self, expr: &ast::Expr<'_>, beside: bool) {
        match expr {
            ast::Expr::BinOp(op) if matches!(op.op, ast::BinOpKind::ScAnd | ast::BinOpKind::ScOr) => {
                self.asks(&op.left, true);
                self.asks(&op.right, true);
            }
            ast::Expr::UnaryOp(op) if matches!(op.op, ast::UnaryOpKind::Not) => self.asks(&op.expr, true),
            ast::Expr::Const(constant) if self.doubts.len() < MAX_DOUBTS => {
                let text = constant.value.as_str();
                let number = matches!(constant.value.kind(), ValueKind::Number);
                let meant = if beside { text.is_none() && !number } else { text.is_none_or(str::is_empty) };
                if !meant {
                    let written = text.map_or_else(|| constant.value.to_string(), |text| format!("'{text}'"));
                    self.doubts.push(error(
                        self.source,
                        expr.span().start_offset as usize,
                        format!("{written} alone is compared with nothing, so this is the same for everybody"),
                        "compare it, like client.city == 'Казань' or client.city == 'Омск', or client.city in ['Казань', 'Омск']",
                    ));
                }
            }
            _ => {}
        }
    }

    fn boxed(&mut self, expr: &ast::Expr<'_>) -> Result2<Box<Expr>> {
        self.expr(expr).map(Box::new)
    }

    fn expr(&mut self, expr: &ast::Expr<'_>) -> Result2<Expr> {
        use ast::{BinOpKind as B, CompareOpKind as C};
        let span = expr.span();
        Ok(match expr {
            ast::Expr::Var(_) | ast::Expr::GetAttr(_) | ast::Expr::GetItem(_) => {
                let Some(path) = path(expr) else {
                    return self.refuse(
                        span,
                        "this is not the name of a value",
                        "write names like client.firstName or deal.amount",
                    );
                };
                if path == "none" || path == "null" {
                    return Ok(Expr::Const(Constant::None));
                }
                self.references.entry(path.clone()).or_insert_with(|| root(expr).start_offset as usize);
                Expr::Path(path)
            }
            ast::Expr::Const(constant) => Expr::Const(self.constant(&constant.value, span)?),
            ast::Expr::UnaryOp(op) => match op.op {
                ast::UnaryOpKind::Not => Expr::Not(self.boxed(&op.expr)?),
                ast::UnaryOpKind::Neg => Expr::Negate(self.boxed(&op.expr)?),
            },
            ast::Expr::BinOp(op) => {
                let comparison = match op.op {
                    B::Eq => Some(C::Eq),
                    B::Ne => Some(C::Ne),
                    B::Lt => Some(C::Lt),
                    B::Lte => Some(C::Lte),
                    B::Gt => Some(C::Gt),
                    B::Gte => Some(C::Gte),
                    B::In => Some(C::In),
                    _ => None,
                };
                if let Some(comparison) = comparison {
                    return self.comparison(comparison, &op.left, &op.right, span);
                }
                let (left, right) = (self.boxed(&op.left)?, self.boxed(&op.right)?);
                match op.op {
                    B::ScAnd => Expr::And(left, right),
                    B::ScOr => Expr::Or(left, right),
                    B::Concat => Expr::Concat(left, right),
                    B::Add => Expr::Arithmetic(Operation::Add, left, right),
                    B::Sub => Expr::Arithmetic(Operation::Subtract, left, right),
                    B::Mul => Expr::Arithmetic(Operation::Multiply, left, right),
                    B::Div => Expr::Arithmetic(Operation::Divide, left, right),
                    B::Rem => Expr::Arithmetic(Operation::Remainder, left, right),
                    _ => {
                        return self.refuse(
                            span,
                            "this operator is not available in texts",
                            "there are + - * / % and ~ (joins texts)",
                        );
                    }
                }
            }
            ast::Expr::Compare(compare) => match compare.ops.as_slice() {
                [one] => self.comparison(one.op, &compare.expr, &one.expr, span)?,
                _ => return self.refuse(span, "comparisons cannot be chained", "write a < b and b < c"),
            },
            ast::Expr::IfExpr(choice) => {
                self.asks(&choice.test_expr, false);
                let (condition, yes) = (self.boxed(&choice.test_expr)?, self.boxed(&choice.true_expr)?);
                let no = match &choice.false_expr {
                    Some(no) => self.boxed(no)?,
                    None => Box::new(Expr::Const(Constant::Text(String::new()))),
                };
                Expr::Choose(condition, yes, no)
            }
            ast::Expr::Filter(filter) => self.filter(filter, span)?,
            ast::Expr::Test(test) => {
                let inner = self.boxed(&test.expr)?;
                match (test.name, test.args.is_empty()) {
                    ("defined", true) => Expr::Defined(inner),
                    ("undefined" | "none", true) => Expr::Not(Box::new(Expr::Defined(inner))),
                    _ => {
                        return self.refuse(
                            span,
                            &format!("the test \"is {}\" is not available in texts", test.name),
                            "there are \"is defined\" and \"is undefined\"",
                        );
                    }
                }
            }
            ast::Expr::Call(call) => {
                let help = match &call.expr {
                    ast::Expr::GetAttr(attr) => format!("write a filter: value | {}", attr.name),
                    _ => "texts have no functions; there are filters: value | upper".into(),
                };
                return self.refuse(span, "a call is not available in texts", &help);
            }
            ast::Expr::Slice(_) | ast::Expr::List(_) | ast::Expr::Tuple(_) | ast::Expr::Map(_) => {
                return self.refuse(span, "lists and slices are not available here", "a list may only stand after \"in\"");
            }
        })
    }

    fn comparison(&mut self, op: ast::CompareOpKind, left: &ast::Expr<'_>, right: &ast::Expr<'_>, span: Span) -> Result2<Expr> {
        use ast::CompareOpKind as C;
        let comparison = match op {
            C::Eq => Comparison::Equal,
            C::Ne => Comparison::NotEqual,
            C::Lt => Comparison::Less,
            C::Lte => Comparison::LessOrEqual,
            C::Gt => Comparison::More,
            C::Gte => Comparison::MoreOrEqual,
            C::In | C::NotIn => {
                let items = match right {
                    ast::Expr::List(list) => &list.items,
                    ast::Expr::Tuple(tuple) => &tuple.items,
                    _ => return self.refuse(span, "\"in\" needs a list", "write client.city in ['Москва', 'Казань']"),
                };
                let needle = self.boxed(left)?;
                let items = items.iter().map(|item| self.expr(item)).collect::<Result2<_>>()?;
                let one_of = Expr::OneOf(needle, items);
                return Ok(if matches!(op, C::NotIn) { Expr::Not(Box::new(one_of)) } else { one_of });
            }
        };
        Ok(Expr::Compare(comparison, self.boxed(left)?, self.boxed(right)?))
    }

    fn constant(&self, value: &minijinja::Value, span: Span) -> Result2<Constant> {
        if let Some(text) = value.as_str() {
            return Ok(Constant::Text(super::escape::strip(text)));
        }
        match value.kind() {
            ValueKind::Bool => Ok(Constant::Bool(value.is_true())),
            ValueKind::None | ValueKind::Undefined => Ok(Constant::None),
            ValueKind::Number => match f64::try_from(value.clone()) {
                Ok(n) => Ok(Constant::Number(n)),
                Err(_) => self.refuse(span, "the number is too big", "write a smaller one"),
            },
            _ => self.refuse(span, "this is neither a text nor a number", "write 'text' or 5000000"),
        }
    }

    fn filter(&mut self, filter: &ast::Filter<'_>, span: Span) -> Result2<Expr> {
        let Some((name, kind, arity, example)) = Filter::ALL.into_iter().find(|f| f.0 == filter.name) else {
            let all: Vec<&str> = Filter::ALL.iter().map(|f| f.0).filter(|name| name.len() > 1).collect();
            return self.refuse(span, &format!("there is no filter {:?}", filter.name), &format!("use one of {}", all.join(", ")));
        };
        let Some(inner) = &filter.expr else {
            return self.refuse(span, "the filter has no value", "write {{ client.firstName | upper }}");
        };
        let inner = self.boxed(inner)?;
        let mut args = Vec::new();
        for arg in &filter.args {
            let ast::CallArg::Pos(arg) = arg else {
                return self.refuse(span, &format!("the filter {name} takes plain values"), &format!("write {example}"));
            };
            args.push(self.expr(arg)?);
        }
        if !arity.contains(&args.len()) {
            return self.refuse(span, &format!("the filter {name} is not written so"), &format!("write {example}"));
        }
        if kind == Filter::Date {
            match args.first() {
                None => {}
                Some(Expr::Const(Constant::Text(format))) if valid_date_format(format) => {}
                Some(_) => return self.refuse(span, "this is not a date format", &format!("write {example}")),
            }
        }
        Ok(Expr::Filter(kind, inner, args))
    }
}

/// Where a path begins.
fn root(expr: &ast::Expr<'_>) -> Span {
    match expr {
        ast::Expr::GetAttr(attr) => root(&attr.expr),
        ast::Expr::GetItem(item) => root(&item.expr),
        _ => expr.span(),
    }
}

/// `client.firstName`, `client['first name']`.
fn path(expr: &ast::Expr<'_>) -> Option<String> {
    match expr {
        ast::Expr::Var(var) => Some(var.id.to_owned()),
        ast::Expr::GetAttr(attr) => Some(format!("{}.{}", path(&attr.expr)?, attr.name)),
        ast::Expr::GetItem(item) => match &item.subscript_expr {
            ast::Expr::Const(constant) => Some(format!("{}.{}", path(&item.expr)?, constant.value.as_str()?)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::content::{Escape, Template};

    #[test]
    fn what_is_required_and_what_is_named() {
        for (source, requires, references) in [
            ("Здравствуйте", "", ""),
            ("{{ client.firstName }}", "client.firstName", "client.firstName"),
            ("{{ client.firstName | default('Здравствуйте') }}", "", "client.firstName"),
            ("{{ client.firstName | upper | default('x') }}", "", "client.firstName"),
            ("{{ client.firstName | default(client.name) }}", "", "client.firstName client.name"),
            ("{{ client.firstName or 'x' }} {{ deal.title }}", "deal.title", "client.firstName deal.title"),
            ("{% if client.city %}в {{ client.city }}{% endif %}", "", "client.city"),
            ("{% if deal.x %}{{ deal.a }}{% else %}{{ deal.a }} {{ deal.b }}{% endif %}", "deal.a", "deal.a deal.b deal.x"),
            ("{{ 'за ' ~ (deal.amount | money) }}", "deal.amount", "deal.amount"),
            ("{{ deal.amount * 0.7 }}", "deal.amount", "deal.amount"),
            ("{{ links.catalog }} {{ link.name }}", "", "link.name links.catalog"),
            ("{{ client['first name'] }}", "client.first name", "client.first name"),
            ("{# {{ client.x }} #}{% raw %}{{ client.y }}{% endraw %}", "", ""),
        ] {
            let template = Template::parse(source, Escape::Text).unwrap_or_else(|e| panic!("{source}: {e}"));
            assert_eq!(template.requires().join(" "), requires, "{source}");
            assert_eq!(template.references().join(" "), references, "{source}");
        }
    }

    #[test]
    fn everything_else_is_refused_where_it_stands() {
        for (source, line, column, message) in [
            ("a\nя {{ client.firstName", 2, 0, "never closed"),
            ("{% if a %}x", 1, 0, "never closed"),
            ("x {% endif %}", 1, 0, "without its {% if %}"),
            ("ok {{ }}", 1, 0, "missing here"),
            ("{% if %}x{% endif %}", 1, 0, "missing here"),
            ("{{ 'abc }}", 1, 0, "quotation mark"),
            ("{{ client.firstName | default(“a”) }}", 1, 31, "typographic"),
            ("{{ клиент.имя }}", 1, 4, "Latin"),
            ("{% if a = 'b' %}x{% endif %}", 1, 9, "compares nothing"),
            ("{% if a && b %}x{% endif %}", 1, 9, "& is not"),
            ("{{ a b }}", 1, 6, "side by side"),
            ("{% if a %}x{% else if b %}y{% endif %}", 1, 20, "elif"),
            ("{% if a %}x{% elseif b %}y{% endif %}", 1, 0, "elif"),
            ("{{ client.name | default:'x' }}", 1, 25, "in brackets"),
            ("{{ client.name | default 'x' }}", 1, 26, "in brackets"),
            ("{{client.firstName}", 1, 0, "one brace is missing"),
            ("{{ client.name | default('x' }}", 1, 0, "bracket"),
            ("{% if (client.name %}x{% endif %}", 1, 0, "bracket"),
            ("{{ client.name ?? 'x' }}", 1, 16, "? is not"),
            ("{{ 5 000 000 }}", 1, 6, "blanks"),
            ("{{ a 'b' }}", 1, 6, "side by side"),
            ("Я, {client.name}", 1, 4, "single braces"),
            ("Я, { { client.name } }", 1, 4, "single braces"),
            ("привет {% for i in range(9) %}x{% endfor %}", 1, 0, "loop"),
            ("{% set x = 'x' %}{% set x = x ~ x %}", 1, 0, "assignment"),
            ("{% include 'a' %}", 1, 0, "include"),
            ("{% macro m() %}{% endmacro %}", 1, 0, "macro"),
            ("{% with a=1 %}{% endwith %}", 1, 0, "with"),
            ("{% filter upper %}{% endfilter %}", 1, 0, "filter"),
            ("{{ range(10) }}", 1, 4, "call"),
            ("{{ client.name.upper() }}", 1, 0, "call"),
            ("{{ 'x' ** 9 }}", 1, 4, "operator"),
            ("{{ client.name | replace('a', 'aa') }}", 1, 0, "no filter \"replace\""),
            ("{{ client.name | default }}", 1, 18, "default"),
            ("{{ client.name | truncate(length=3) }}", 1, 0, "plain values"),
            ("{{ deal.d | date('%Q') }}", 1, 0, "date format"),
            ("{{ [1, 2] }}", 1, 4, "lists"),
            ("{{ client.name[0:9] }}", 1, 0, "slices"),
            ("{% if a in client.name %}{% endif %}", 1, 0, "\"in\" needs a list"),
            ("{% if deal.amount is odd %}{% endif %}", 1, 0, "is odd"),
        ] {
            let e = Template::parse(source, Escape::Text).expect_err(source);
            assert_eq!(e.line, line, "{source}: {e}");
            assert!(column == 0 || e.column == column, "{source}: {e}");
            assert!(e.message.contains(message), "{source}: {e}");
            assert!(!e.help.is_empty());
            assert!(!e.message.contains("variable block") && !e.message.contains("expected"), "the parser's own words: {e}");
        }
    }

    #[test]
    fn a_condition_that_is_the_same_for_everybody_is_doubted() {
        for (source, column, message) in [
            ("{% if client.city == 'Казань' or 'Омск' %}x{% endif %}", 34, "'Омск' alone"),
            ("{% if deal.rooms == 2 or 3 %}x{% endif %}", 26, "3 alone"),
            ("{% if not 'Омск' and client.city %}x{% endif %}", 11, "'Омск' alone"),
            ("{% if 'Омск' %}x{% endif %}", 7, "'Омск' alone"),
            ("{{ 'a' if client.city or 'Омск' else 'b' }}", 26, "'Омск' alone"),
            ("{% if client.name %}a{% elif client.city == 'a' or 'b' %}x{% endif %}", 0, "'b' alone"),
        ] {
            let template = Template::parse(source, Escape::Text).unwrap();
            let [doubt] = template.doubts() else { panic!("{source}: {:?}", template.doubts()) };
            assert!(doubt.line == 1 && (column == 0 || doubt.column == column) && doubt.message.contains(message), "{doubt}");
        }
        for source in [
            "{{ client.city or 'x' }}",
            "{% if client.city in ['a', 'b'] or client.name == 'c' %}x{% endif %}",
            "{% if false %}x{% endif %}{% if 0 %}y{% endif %}{% if '' %}z{% endif %}",
            "{% if (client.city or 'x') == 'x' %}x{% endif %}",
        ] {
            assert_eq!(Template::parse(source, Escape::Text).unwrap().doubts(), [], "{source}");
        }
    }

    #[test]
    fn a_name_is_found_again_in_a_long_text() {
        let template =
            Template::parse("Привет!\n\nяя {{ client['first name'].x }} {{ brand }}\n{{ brand }}", Escape::Text).unwrap();
        assert_eq!((template.place_of("client.first name.x"), template.place_of("brand")), (Some((3, 7)), Some((3, 36))));
        assert_eq!(template.place_of("deal.title"), None);
        assert_eq!(Template::parse("{{ brand }}\n", Escape::Text).unwrap().place_of("brand"), None, "one line");
    }

    #[test]
    fn as_many_characters_as_the_schema_allows_in_any_script() {
        use crate::content::{MAX_BODY, MAX_SOURCE};
        for letter in ["x", "я", "語", "🏠"] {
            for (escape, longest) in
                [(Escape::Text, MAX_SOURCE), (Escape::Header, MAX_SOURCE), (Escape::Markdown, MAX_BODY), (Escape::Html, MAX_BODY)]
            {
                let text = letter.repeat(longest);
                let rendered = Template::parse(&text, escape).unwrap().render(&crate::content::Context::default());
                assert_eq!(rendered.as_deref(), Ok(text.as_str()), "{escape:?}");
                let refused = Template::parse(&format!("{text}{letter}"), escape).unwrap_err();
                assert!(refused.message.contains(&format!("{} characters", longest + 1)), "{refused}");
            }
        }
    }

    #[test]
    fn the_memory_bomb_and_its_relatives_are_refused() {
        let bomb = format!("{{% set x = 'xxxxxxxxxxxxxxxx' %}}{}{{{{ x }}}}", "{% set x=x~x %}".repeat(24));
        let long = format!("{{{{ a{} }}}}", " ~ a".repeat(5000));
        let deep = format!("{{{{ {}a{} }}}}", "(".repeat(3000), ")".repeat(3000));
        let nots = format!("{{{{ {}a }}}}", "not ".repeat(5000));
        let hidden = format!("{{{{ '}}}}'{} }}}}", " ~ a".repeat(5000));
        let nested = format!("{}{}", "{% if a %}".repeat(1000), "{% endif %}".repeat(1000));
        let chain = format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(2000));
        let big = "x".repeat(40_000);
        for source in [bomb, long, deep, nots, hidden, nested, chain, big] {
            assert!(Template::parse(&source, Escape::Text).is_err(), "{source:.40}");
        }
    }
}
