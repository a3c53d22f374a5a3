//! CEL conditions over deal, client, manager, cycle and history: compiled once, evaluated with a bound.
//!
//! Two liberties make them safe for people who are not programmers. A name without a value is `null`, and comparing it answers
//! `false` instead of failing: `client.city == 'Москва'` and `client.age > 18` are both false where the CRM knows neither (and so
//! `!(client.age > 18)` is true). A flag that the CRM has not set is no: `!client.vip` holds. `has(client.city)` asks whether there
//! is a value. There is one kind of number: CEL's own `deal.rooms + 1` fails, because fields are doubles and `1` is an integer. A
//! division by zero fails instead of being infinite. Loops (`all`, `exists`, `map`, `filter`) are refused: there is nothing here to
//! loop over, and without them an evaluation ends after as many steps as the text is long. Patterns of `matches` are written out,
//! compiled once and bounded: CEL's own function would compile them again for every client.

use super::facts::{CLIENT_NAMES, CYCLE_NAMES, DEAL_NAMES, Fact, Facts, MANAGER_NAMES};
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::common::types::{CelBool, CelDouble, CelNull, CelString};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::{Context, Env, ExecutionError, IdedExpr, Program, Value};
use regex::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

const MAX_CHARS: usize = 4096;
const MAX_BRACKETS: usize = 32;
/// Depth of the expression tree; a chain of `+` is as deep as it is long (one of `&&` is not: the parser halves it). The evaluator
/// takes up to 40 kB of stack a level in an unoptimised build, and a worker thread has 2 MB.
const MAX_DEPTH: usize = 32;
/// The parser recurses several frames a bracket and a few hundred bytes a frame; measured need is far below.
const PARSER_STACK: usize = 64 << 20;
/// What the patterns of one condition may take together, in bytes: `\w` is 50 kB of it, `\w{80}` eighty times that, a plain letter a
/// few hundred bytes.
const MAX_PATTERNS: usize = 1 << 20;
/// What each of them may remember while it is matched, in bytes.
const PATTERN_CACHE: usize = 1 << 18;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    let added = cel::add_overload!(env, fn quotient: (CelDouble, CelDouble) -> Result<CelDouble>).is_ok()
        && cel::add_overload!(env, fn remainder: (CelDouble, CelDouble) -> Result<CelDouble>).is_ok();
    debug_assert!(added, "no other functions have these names");
    Arc::new(env)
});

/// What `/` and `%` become: nobody can write these names, and CEL's own go by the rules of floating point (`1.0 / 0.0 > 5.0` holds) or do
/// not exist for doubles.
pub(super) const QUOTIENT: &str = "quotient";
pub(super) const REMAINDER: &str = "remainder";
/// What `matches` becomes: nobody can write this name either, and CEL's own compiles its pattern at every call.
pub(super) const MATCHES: &str = "matches@";
/// Stands before the name of a flag, where yes or no is needed: there a missing value is no.
const FLAG: char = '?';

/// A name as it was written.
pub(super) fn plain(name: &str) -> &str {
    name.strip_prefix(FLAG).unwrap_or(name)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // so the evaluator hands its values over
fn quotient(left: &CelDouble, right: &CelDouble) -> Result<CelDouble, ExecutionError> {
    if *right.inner() == 0.0 { Err(ExecutionError::DivisionByZero(Value::Null)) } else { Ok((left.inner() / right.inner()).into()) }
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn remainder(left: &CelDouble, right: &CelDouble) -> Result<CelDouble, ExecutionError> {
    if *right.inner() == 0.0 {
        Err(ExecutionError::RemainderByZero(Value::Null))
    } else {
        Ok((left.inner() % right.inner()).into())
    }
}

/// A compiled condition.
#[derive(Clone)]
pub struct Condition {
    source: Arc<str>,
    /// The parsed text with every name flattened (`client.city` is one variable), comparisons guarded against `null`.
    expression: Arc<IdedExpr>,
    names: Arc<BTreeSet<String>>,
    /// What `matches` looks for, by its text.
    patterns: Arc<BTreeMap<String, Regex>>,
    /// Why it has no answer for anybody.
    unanswerable: Option<Arc<str>>,
}

/// Why a condition cannot be used, or did not hold an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    #[error("{0}")]
    Syntax(String),
    #[error(
        "it is longer than 4096 characters, or nests deeper than 32 brackets or operations (a + b + c are two); split it over several items or stages"
    )]
    TooComplex,
    #[error("{name} is not known here; known are deal, client, manager, cycle and the functions {functions}")]
    Unknown { name: String, functions: String },
    #[error("{0}")]
    Evaluation(String),
    #[error("it answers {0}, not true or false")]
    NotBoolean(String),
    #[error("{0}")]
    Types(String),
    /// It has an answer for no client. Revisions that earlier versions stored may hold such a condition.
    #[error("{0}")]
    Fails(String),
}

impl ConditionError {
    /// For metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "syntax",
            Self::TooComplex => "too_complex",
            Self::Unknown { .. } => "unknown",
            Self::Evaluation(_) => "evaluation",
            Self::NotBoolean(_) => "not_boolean",
            Self::Types(_) | Self::Fails(_) => "types",
        }
    }
}

impl Condition {
    /// Parses and checks a condition. Which declared fields exist is the caller's to check, by [`Condition::identifiers`].
    ///
    /// # Errors
    /// See [`ConditionError`]; never [`ConditionError::Evaluation`], nor [`ConditionError::Types`] and [`ConditionError::Fails`], which
    /// need the declarations ([`Condition::check_types`]).
    pub fn compile(source: &str) -> Result<Self, ConditionError> {
        if source.trim().is_empty() {
            return Err(ConditionError::Syntax("it is empty; write for example deal.amount > 1000000.0".into()));
        }
        if source.chars().count() > MAX_CHARS || bracket_depth(source) > MAX_BRACKETS {
            return Err(ConditionError::TooComplex);
        }
        // The grammar's recursion is bounded above, but not to the stack that a worker thread happens to have left.
        let text = source.to_owned();
        let parsed = std::thread::Builder::new()
            .name("condition".into())
            .stack_size(PARSER_STACK)
            .spawn(move || parse(&text))
            .map_err(|e| ConditionError::Syntax(format!("it could not be read: {e}")))?
            .join()
            .map_err(|_| ConditionError::Syntax("it cannot be read; simplify it".into()))?;
        let Parsed { expression, names, patterns } = parsed?;
        let (patterns, unanswerable) = match patterns {
            Ok(patterns) => (patterns, None),
            Err(why) => (BTreeMap::new(), Some(why.into())),
        };
        Ok(Self {
            source: source.into(),
            expression: Arc::new(expression),
            names: Arc::new(names),
            patterns: Arc::new(patterns),
            unanswerable,
        })
    }

    /// Why it has no answer for anybody: a pattern of `matches` that is none, takes too much room or is not written out. No edit with
    /// such a condition is taken; a revision that an earlier version stored goes on, and [`Condition::eval`] says this.
    #[must_use]
    pub fn unanswerable(&self) -> Option<&str> {
        self.unanswerable.as_deref()
    }

    /// The tree that is evaluated.
    pub(super) fn expression(&self) -> &IdedExpr {
        &self.expression
    }

    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names it reads, like `client.city`: built-in ones ([`DEAL_NAMES`], [`CLIENT_NAMES`]) and, under `deal` and `client`,
    /// fields that a connection must declare.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether it asks for `opened`.
    #[must_use]
    pub fn asks_opened(&self) -> bool {
        let mut asks = false;
        walk(&self.expression, &mut |expr| asks |= matches!(expr, Expr::Ident(name) if name.starts_with("opened(")));
        asks
    }

    /// The items that it asks for: those of `sent('…')`, `clicked('…')` and `opened('…')`.
    #[must_use]
    pub fn items(&self) -> Vec<&str> {
        let mut all = Vec::new();
        walk(&self.expression, &mut |expr| {
            if let Expr::Ident(name) = expr
                && let Some((_, item)) = name.split_once('(')
            {
                all.extend(item.strip_suffix(')').filter(|item| !item.is_empty()));
            }
        });
        all
    }

    /// Whether its answer can change merely because time passes.
    pub(super) fn watches_time(&self) -> bool {
        self.names.iter().any(|n| n == "deal.ageDays" || n == "cycle.days")
    }

    /// The answer for one copy at one moment.
    ///
    /// # Errors
    /// [`ConditionError::Evaluation`] when values do not fit (`'a' + 1`) or a pattern does not ([`Condition::unanswerable`]),
    /// [`ConditionError::NotBoolean`].
    pub fn eval(&self, facts: &Facts<'_>) -> Result<bool, ConditionError> {
        if let Some(why) = self.unanswerable() {
            return Err(ConditionError::Evaluation(why.to_owned()));
        }
        let resolver = Resolver(facts);
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.set_variable_resolver(&resolver);
        if !self.patterns.is_empty() {
            let patterns = Arc::clone(&self.patterns);
            let fits = move |text: Arc<String>, pattern: Arc<String>| -> bool {
                patterns.get(pattern.as_str()).is_some_and(|pattern| pattern.is_match(&text))
            };
            let added = context.add_function(MATCHES, fits);
            debug_assert!(added.is_ok(), "no other function has this name");
        }
        match context.resolve(&self.expression) {
            Ok(Value::Bool(answer)) => Ok(answer),
            // A flag that the CRM has not set.
            Ok(Value::Null) => Ok(false),
            Ok(other) => Err(ConditionError::NotBoolean(other.type_of().to_string())),
            Err(e) => Err(ConditionError::Evaluation(words(&e))),
        }
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)
    }
}

/// The evaluator's errors print values, and values are personal data: only the types and the operator are told.
fn words(error: &cel::ExecutionError) -> String {
    use cel::ExecutionError as E;
    match error {
        E::NoSuchOverload(o) => {
            format!("{} does not go with {}", sign(o.function()), o.argument_types().join(" and "))
        }
        E::UnsupportedBinaryOperator(operator, ..) => {
            format!("{} does not go with these values", sign(operator))
        }
        E::DivisionByZero(_) | E::RemainderByZero(_) => "it divides by zero".into(),
        E::Overflow(..) => "a number gets too large".into(),
        E::UndeclaredReference(name) => format!("{name} is not known"),
        E::FunctionError { function, .. } => format!("{function}() cannot be applied to this value"),
        _ => "its values do not fit together; compare texts with texts and numbers with numbers".into(),
    }
}

/// An operator as people write it: the evaluator says `_<_` and `add`.
pub(super) fn sign(operator: &str) -> String {
    match operator {
        "add" => "+".into(),
        "sub" => "-".into(),
        "mul" => "*".into(),
        "div" => "/".into(),
        "rem" | REMAINDER => "%".into(),
        QUOTIENT => "/".into(),
        // Also `matches@`.
        other => other.replace(['_', '@'], ""),
    }
}

fn bracket_depth(source: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in source.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

struct Parsed {
    expression: IdedExpr,
    names: BTreeSet<String>,
    /// Or why they cannot be used.
    patterns: Result<BTreeMap<String, Regex>, String>,
}

fn parse(source: &str) -> Result<Parsed, ConditionError> {
    let program = Program::compile(source).map_err(|errors| {
        let said = errors.errors.first();
        let (line, column) = said.map_or((0, 0), |e| e.pos);
        let what = said.map_or("it cannot be read", |e| e.msg.as_str());
        ConditionError::Syntax(if line > 0 { format!("at line {line}, column {column}: {what}") } else { what.to_owned() })
    })?;
    let mut reader = Reader { names: BTreeSet::new(), patterns: BTreeSet::new(), made_up: false };
    let expression = reader.read(program.expression(), 0)?;
    boolean(&expression.expr)?;
    let patterns = if reader.made_up {
        Err("a pattern of matches is not written out; write it as one text, like client.city.matches('^Моск')".into())
    } else {
        compile_patterns(reader.patterns)
    };
    Ok(Parsed { expression, names: reader.names, patterns })
}

/// Within their common bound.
fn compile_patterns(patterns: BTreeSet<String>) -> Result<BTreeMap<String, Regex>, String> {
    let room = MAX_PATTERNS / patterns.len().max(1);
    let compile = |pattern: String| match RegexBuilder::new(&pattern).size_limit(room).dfa_size_limit(PATTERN_CACHE).build() {
        Ok(regex) => Ok((pattern, regex)),
        Err(regex::Error::CompiledTooBig(_)) => Err(format!(
            "the pattern {pattern:?} takes too much room: what repeats is written out, and \\w is any letter of any alphabet; \
             repeat less, write [а-яё] or [a-z] for \\w, or use contains('…') for a plain text"
        )),
        Err(_) => {
            Err(format!("{pattern:?} is not a regular expression; write one like '^Москва', or use contains('…') for a plain text"))
        }
    };
    patterns.into_iter().map(compile).collect()
}

/// Turns the parsed tree into the one that is evaluated.
struct Reader {
    names: BTreeSet<String>,
    /// Of `matches`, as CEL reads them.
    patterns: BTreeSet<String>,
    /// One is no written text.
    made_up: bool,
}

const TEXT_TESTS: [&str; 4] = ["contains", "startsWith", "endsWith", "matches"];
const CONVERSIONS: [&str; 4] = ["size", "int", "double", "string"];
const HISTORY: [&str; 3] = ["sent", "clicked", "opened"];

impl Reader {
    fn read(&mut self, node: &IdedExpr, depth: usize) -> Result<IdedExpr, ConditionError> {
        if depth > MAX_DEPTH {
            return Err(ConditionError::TooComplex);
        }
        let expr = match &node.expr {
            Expr::Literal(literal) => number(literal).unwrap_or_else(|| node.expr.clone()),
            Expr::Ident(name) => return Err(alone(name)),
            Expr::Select(select) => {
                let Expr::Ident(root) = &select.operand.expr else {
                    return Err(ConditionError::Syntax(format!(
                        "there is nothing inside a field: take .{} away; names look like client.city",
                        select.field
                    )));
                };
                let name = self.name(root, &select.field)?;
                if select.test { present(node.id, name).expr } else { Expr::Ident(name) }
            }
            Expr::List(list) => {
                let elements = list.elements.iter().map(|e| self.read(e, depth + 1)).collect::<Result<_, _>>()?;
                Expr::List(cel::common::ast::ListExpr::new(elements))
            }
            Expr::Call(call) => return self.call(node.id, call, depth),
            Expr::Comprehension(_) => {
                return Err(ConditionError::Syntax(
                    "all, exists, exists_one, map and filter are not available; compare with in, like client.city in ['Омск', 'Томск']"
                        .into(),
                ));
            }
            Expr::Unspecified | Expr::Map(_) | Expr::Struct(_) => {
                return Err(ConditionError::Syntax("it may hold comparisons, names, texts, numbers and lists only".into()));
            }
        };
        Ok(IdedExpr { id: node.id, expr })
    }

    fn name(&mut self, root: &str, field: &str) -> Result<String, ConditionError> {
        let name = format!("{root}.{field}");
        let known = match root {
            // Declared fields of these are checked by whoever knows the declarations.
            "deal" | "client" => true,
            "manager" => MANAGER_NAMES.contains(&field),
            "cycle" => CYCLE_NAMES.contains(&field),
            _ => return Err(unknown(root)),
        };
        if !known {
            return Err(unknown(&name));
        }
        self.names.insert(name.clone());
        Ok(name)
    }

    fn call(&mut self, id: u64, call: &CallExpr, depth: usize) -> Result<IdedExpr, ConditionError> {
        let function = call.func_name.as_str();
        if HISTORY.contains(&function) {
            return history(id, call);
        }
        let method = TEXT_TESTS.contains(&function);
        let operator = !function.starts_with(|c: char| c.is_ascii_alphabetic());
        if !operator && !method && !CONVERSIONS.contains(&function) || matches!(function, operators::INDEX | operators::OPT_INDEX) {
            return Err(unknown(&format!("{function}()")));
        }
        let mut target = call.target.as_deref().map(|t| self.read(t, depth + 1)).transpose()?;
        let mut args = call.args.iter().map(|a| self.read(a, depth + 1)).collect::<Result<Vec<_>, _>>()?;
        if function == "matches" {
            args = target.take().into_iter().chain(args).collect();
            self.pattern(&args);
        }
        let asked = match function {
            operators::LOGICAL_NOT | operators::LOGICAL_AND | operators::LOGICAL_OR => args.len(),
            operators::CONDITIONAL => 1,
            _ => 0,
        };
        args.iter_mut().take(asked).for_each(|arg| flag(&mut arg.expr));
        let compares =
            matches!(function, operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS);
        // A missing value answers a comparison with false. Only plain names are guarded, so the tree grows by a constant.
        let guards: Vec<String> = if compares || method {
            target.iter().chain(&args).filter_map(|e| if let Expr::Ident(n) = &e.expr { Some(n.clone()) } else { None }).collect()
        } else {
            Vec::new()
        };
        let func_name = match function {
            operators::DIVIDE => QUOTIENT,
            operators::MODULO => REMAINDER,
            "matches" => MATCHES,
            other => other,
        };
        let plain =
            IdedExpr { id, expr: Expr::Call(CallExpr { func_name: func_name.to_owned(), target: target.map(Box::new), args }) };
        let plain = if matches!(function, "size" | "int") { operation(id, "double", vec![plain]) } else { plain };
        Ok(guards.into_iter().fold(plain, |inner, name| operation(id, operators::LOGICAL_AND, vec![present(id, name), inner])))
    }

    /// What `matches` compares: some text, and a pattern that stands here as it is.
    fn pattern(&mut self, args: &[IdedExpr]) {
        if let [_, IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. }] = args {
            self.patterns.insert(pattern.inner().to_owned());
        } else {
            self.made_up = true;
        }
    }
}

/// Marks the names that answer yes or no here.
fn flag(expr: &mut Expr) {
    match expr {
        Expr::Ident(name) if !name.contains('(') => name.insert(0, FLAG),
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => {
            call.args.iter_mut().skip(1).for_each(|branch| flag(&mut branch.expr));
        }
        _ => {}
    }
}

/// Every node of a tree that was read: no other kinds come through.
fn walk<'e, F: FnMut(&'e Expr)>(node: &'e IdedExpr, see: &mut F) {
    see(&node.expr);
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(|inner| walk(inner, see)),
        Expr::List(list) => list.elements.iter().for_each(|inner| walk(inner, see)),
        _ => {}
    }
}

/// `sent('item')` becomes one variable of that very text: no function has to know the copy.
fn history(id: u64, call: &CallExpr) -> Result<IdedExpr, ConditionError> {
    let function = &call.func_name;
    let item = match call.args.as_slice() {
        [] if call.target.is_none() && function != "sent" => "",
        [IdedExpr { expr: Expr::Literal(LiteralValue::String(item)), .. }] if call.target.is_none() => item.inner(),
        _ => {
            return Err(ConditionError::Syntax(format!("{function} takes the name of one item, like {function}('new-layouts')")));
        }
    };
    Ok(IdedExpr { id, expr: Expr::Ident(format!("{function}({item})")) })
}

/// A written number, as the one kind that there is.
#[allow(clippy::cast_precision_loss)] // nobody counts to 2^53 here
fn number(literal: &LiteralValue) -> Option<Expr> {
    let number = match literal {
        LiteralValue::Int(number) => *number.inner() as f64,
        LiteralValue::UInt(number) => *number.inner() as f64,
        _ => return None,
    };
    Some(Expr::Literal(LiteralValue::Double(number.into())))
}

fn operation(id: u64, operator: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr { id, expr: Expr::Call(CallExpr { func_name: operator.to_owned(), target: None, args }) }
}

fn present(id: u64, name: String) -> IdedExpr {
    let null = IdedExpr { id, expr: Expr::Literal(LiteralValue::Null) };
    operation(id, operators::NOT_EQUALS, vec![IdedExpr { id, expr: Expr::Ident(name) }, null])
}

/// A name without a dot.
fn alone(name: &str) -> ConditionError {
    let example = match name {
        "deal" => "deal.amount",
        "client" => "client.city",
        "manager" => "manager.name",
        "cycle" => "cycle.days",
        _ => return unknown(name),
    };
    ConditionError::Syntax(format!("{name} alone is not a value; write which one, like {example}"))
}

fn unknown(name: &str) -> ConditionError {
    ConditionError::Unknown {
        name: name.to_owned(),
        functions: "sent('item'), clicked(), opened(), has, size, contains, startsWith, endsWith, matches, int, double, string"
            .into(),
    }
}

/// Refuses what plainly cannot be a yes or no. A lone name may be a flag of the CRM and passes.
fn boolean(expr: &Expr) -> Result<(), ConditionError> {
    match expr {
        Expr::Literal(LiteralValue::Boolean(_)) | Expr::Ident(_) => Ok(()),
        Expr::Literal(LiteralValue::String(_)) => Err(ConditionError::NotBoolean("string".into())),
        Expr::Literal(_) => Err(ConditionError::NotBoolean("a value".into())),
        Expr::List(_) => Err(ConditionError::NotBoolean("list".into())),
        Expr::Call(call) => match call.func_name.as_str() {
            operators::CONDITIONAL => call.args.iter().skip(1).try_for_each(|branch| boolean(&branch.expr)),
            operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | QUOTIENT | REMAINDER | operators::NEGATE => {
                Err(ConditionError::NotBoolean("a number or text".into()))
            }
            name if CONVERSIONS.contains(&name) => Err(ConditionError::NotBoolean("a number or text".into())),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Looks names up as they are reached, so that an evaluation costs what it reads.
struct Resolver<'a>(&'a Facts<'a>);

impl VariableResolver for Resolver<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some((function, rest)) = variable.split_once('(') {
            let item = rest.strip_suffix(')').filter(|i| !i.is_empty());
            let answer = match function {
                "sent" => self.0.sent(item),
                "clicked" => self.0.clicked(item),
                _ => self.0.opened(item),
            };
            return Some(CowVal::owned(CelBool::from(answer)));
        }
        Some(match self.0.get(plain(variable)) {
            Fact::Null if variable.starts_with(FLAG) => CowVal::owned(CelBool::from(false)),
            Fact::Null => CowVal::owned(CelNull),
            Fact::Bool(b) => CowVal::owned(CelBool::from(b)),
            #[allow(clippy::cast_precision_loss)] // days and messages
            Fact::Int(i) => CowVal::owned(CelDouble::from(i as f64)),
            Fact::Number(n) => CowVal::owned(CelDouble::from(n)),
            Fact::Text(t) => CowVal::owned(CelString::from(t)),
        })
    }
}

/// Whether a name under `deal` or `client` exists without being declared.
#[must_use]
pub fn is_builtin(name: &str) -> bool {
    match name.split_once('.') {
        Some(("deal", field)) => DEAL_NAMES.contains(&field),
        Some(("client", field)) => CLIENT_NAMES.contains(&field),
        Some(("manager", field)) => MANAGER_NAMES.contains(&field),
        Some(("cycle", field)) => CYCLE_NAMES.contains(&field),
        _ => false,
    }
}
