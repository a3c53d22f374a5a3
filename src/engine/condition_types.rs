//! What can be known of a condition before any client is looked at: texts are compared with texts, numbers with numbers, and nothing
//! is divided by zero.

use super::condition::{Condition, ConditionError, MATCHES, QUOTIENT, REMAINDER, plain, sign};
use super::facts::FactKind;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

impl Condition {
    /// Checks what it compares. `kind_of`: what a name like `client.city` holds; `None` if that is not known.
    ///
    /// # Errors
    /// [`ConditionError::Types`], which names the two sides; [`ConditionError::Fails`].
    pub fn check_types(&self, kind_of: &dyn Fn(&str) -> Option<FactKind>) -> Result<(), ConditionError> {
        match (Types { kind_of }).of(self.expression())? {
            None | Some(FactKind::Bool) => Ok(()),
            Some(kind) => Err(ConditionError::NotBoolean(kind.words().to_owned())),
        }
    }
}

struct Types<'a> {
    kind_of: &'a dyn Fn(&str) -> Option<FactKind>,
}

type Kind = Result<Option<FactKind>, ConditionError>;

impl Types<'_> {
    fn of(&self, node: &IdedExpr) -> Kind {
        Ok(match &node.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Some(FactKind::Bool),
                LiteralValue::String(_) => Some(FactKind::Text),
                LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => Some(FactKind::Number),
                _ => None,
            },
            Expr::Ident(name) if name.contains('(') => Some(FactKind::Bool),
            Expr::Ident(name) => (self.kind_of)(plain(name)),
            Expr::Call(call) => return self.call(call),
            Expr::List(list) => {
                for element in &list.elements {
                    self.of(element)?;
                }
                None
            }
            _ => None,
        })
    }

    fn call(&self, call: &CallExpr) -> Kind {
        let function = call.func_name.as_str();
        let all: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        match (function, all.as_slice()) {
            (operators::CONDITIONAL, [test, yes, no]) => {
                self.must(test, FactKind::Bool, "before ?")?;
                let (yes, no) = (self.of(yes)?, self.of(no)?);
                Ok(if yes == no { yes } else { None })
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, sides) => {
                for side in sides {
                    self.must(side, FactKind::Bool, &format!("beside {}", sign(function)))?;
                }
                Ok(Some(FactKind::Bool))
            }
            (operators::IN, [element, list]) => {
                self.of(element)?;
                if let Expr::List(list) = &list.expr {
                    for one in &list.elements {
                        self.alike(element, one, "in")?;
                    }
                } else if let Some(kind) = self.of(list)? {
                    return Err(ConditionError::Fails(no_list(element, list, kind)));
                }
                Ok(Some(FactKind::Bool))
            }
            (
                operators::EQUALS
                | operators::NOT_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS,
                [left, right],
            ) => {
                self.alike(left, right, &sign(function))?;
                Ok(Some(FactKind::Bool))
            }
            (QUOTIENT | REMAINDER, [_, right]) if is_zero(right) => {
                Err(ConditionError::Types(format!("{} divides by zero; write another number", sign(function))))
            }
            (operators::ADD, [left, right]) => self.alike(left, right, "+"),
            (operators::SUBSTRACT | operators::MULTIPLY | QUOTIENT | REMAINDER | operators::NEGATE, sides) => {
                for side in sides {
                    self.must(side, FactKind::Number, &format!("beside {}", sign(function)))?;
                }
                Ok(Some(FactKind::Number))
            }
            ("contains" | "startsWith" | "endsWith" | MATCHES, sides) => {
                for side in sides {
                    self.must(side, FactKind::Text, &format!("with {}", sign(function)))?;
                }
                Ok(Some(FactKind::Bool))
            }
            ("size", [of]) => match self.of(of)? {
                Some(kind) if kind != FactKind::Text => Err(ConditionError::Fails(format!(
                    "{} is {} and has no size: it fails for every client; compare it itself, like deal.amount > 5000000",
                    words(of),
                    kind.words()
                ))),
                _ => Ok(Some(FactKind::Number)),
            },
            _ => {
                for side in &all {
                    self.of(side)?;
                }
                Ok(match function {
                    "int" | "double" => Some(FactKind::Number),
                    "string" => Some(FactKind::Text),
                    _ => None,
                })
            }
        }
    }

    fn must(&self, node: &IdedExpr, wanted: FactKind, place: &str) -> Result<(), ConditionError> {
        match self.of(node)? {
            Some(kind) if kind != wanted => Err(ConditionError::Types(format!(
                "{} {} is {}, not {}; {}",
                words(node),
                place,
                kind.words(),
                wanted.words(),
                help(wanted)
            ))),
            _ => Ok(()),
        }
    }

    fn alike(&self, left: &IdedExpr, right: &IdedExpr, sign: &str) -> Kind {
        match (self.of(left)?, self.of(right)?) {
            (Some(a), Some(b)) if a != b => Err(ConditionError::Types(format!(
                "{} is {} and {} is {}: {sign} never holds between them; {}",
                words(left),
                a.words(),
                words(right),
                b.words(),
                help(a)
            ))),
            (a, b) => Ok(a.or(b)),
        }
    }
}

/// `'Моск' in client.city`: what stands behind `in` is one value.
fn no_list(element: &IdedExpr, list: &IdedExpr, kind: FactKind) -> String {
    let (element, one) = (words(element), words(list));
    let help = match (&list.expr, kind) {
        (Expr::Literal(_), _) => format!("write {element} in [{one}], or =="),
        (_, FactKind::Text) => format!("write {one}.contains({element})"),
        _ => "write a list, like client.city in ['Омск', 'Томск']".into(),
    };
    format!("{one} behind in is {}, not a list: it fails for every client; {help}", kind.words())
}

fn help(wanted: FactKind) -> &'static str {
    match wanted {
        FactKind::Text => "write texts in single quotes, like 'Москва'",
        FactKind::Number => "write numbers without quotes, or declare the field with type: Number",
        FactKind::Bool => "compare it with something, or declare the field with type: Boolean",
    }
}

/// A side as its writer knows it.
fn words(node: &IdedExpr) -> String {
    match &node.expr {
        Expr::Ident(name) => plain(name).to_owned(),
        Expr::Literal(LiteralValue::String(text)) => format!("'{}'", text.inner()),
        Expr::Literal(LiteralValue::Double(number)) => number.inner().to_string(),
        Expr::Literal(LiteralValue::Boolean(answer)) => answer.inner().to_string(),
        Expr::Call(call) if matches!(call.func_name.as_str(), QUOTIENT | REMAINDER) => "one side".into(),
        // `size` and `int` stand inside of one.
        Expr::Call(call)
            if call.func_name == "double" && matches!(call.args.as_slice(), [inner] if matches!(inner.expr, Expr::Call(_))) =>
        {
            call.args.first().map_or_else(String::new, words)
        }
        Expr::Call(call) if call.func_name.starts_with(|c: char| c.is_ascii_alphabetic()) => format!("{}()", sign(&call.func_name)),
        _ => "one side".into(),
    }
}

fn is_zero(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Literal(LiteralValue::Double(number)) if *number.inner() == 0.0)
}
