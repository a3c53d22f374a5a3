//! What a YAML scalar means, as kubectl reads it: YAML 1.1 in the dialect of sigs.k8s.io/yaml (go-yaml v2), then JSON. Checked
//! against a real kubectl by the tests of [`super::yaml`].

use super::node::Content;

/// The tag a scalar was written with, as far as it changes the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// No tag: a plain scalar is resolved, a quoted one is text.
    None,
    Str,
    Null,
    Bool,
    Int,
    Float,
    Timestamp,
    Binary,
    /// `!anything` of the author's own: the scalar is text.
    Other,
}

/// Why a scalar cannot be taken; complete sentences without a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScalarError {
    #[error("{0} is not a number that JSON knows; write a finite number, or quote it")]
    NotFinite(String),
    #[error("{value:?} is not a {tag}; remove the tag {tag} or write a value that fits it")]
    Tag { value: String, tag: &'static str },
}

/// Meaning of `text`; `plain` when it stood without quotes.
pub fn resolve(text: &str, plain: bool, tag: Tag) -> Result<Content, ScalarError> {
    let as_text = || Content::String(text.to_owned());
    let wrong = |tag| ScalarError::Tag { value: text.chars().take(40).collect(), tag };
    match tag {
        Tag::None if !plain => Ok(as_text()),
        Tag::Str | Tag::Other | Tag::Timestamp => Ok(as_text()),
        Tag::None => match untagged(text) {
            Content::Float(value) => finite(text, value),
            other => Ok(other),
        },
        Tag::Null => match untagged(text) {
            Content::Null => Ok(Content::Null),
            _ => Err(wrong("!!null")),
        },
        Tag::Bool => match untagged(text) {
            Content::Bool(value) => Ok(Content::Bool(value)),
            _ => Err(wrong("!!bool")),
        },
        Tag::Int => match untagged(text) {
            Content::Int(value) => Ok(Content::Int(value)),
            _ => Err(wrong("!!int")),
        },
        Tag::Float => match untagged(text) {
            Content::Int(value) => Ok(Content::Int(value)),
            Content::Float(value) => finite(text, value),
            _ => Err(wrong("!!float")),
        },
        Tag::Binary => {
            use base64::Engine as _;
            let compact: String = text.split_ascii_whitespace().collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(compact).map_err(|_| wrong("!!binary"))?;
            Ok(Content::String(String::from_utf8(bytes).map_err(|_| wrong("!!binary"))?))
        }
    }
}

/// A float on its way through JSON: a whole one that fits becomes an integer, as `3.0` does on its way to the API server.
fn finite(text: &str, value: f64) -> Result<Content, ScalarError> {
    if !value.is_finite() {
        return Err(ScalarError::NotFinite(text.chars().take(40).collect()));
    }
    let whole = (value.abs() < 1e21 && value.fract() == 0.0).then(|| format!("{value}").parse::<i64>().ok()).flatten();
    Ok(whole.map_or(Content::Float(value), Content::Int))
}

/// A plain scalar without a tag. May give an infinite or undefined float.
fn untagged(text: &str) -> Content {
    let as_text = || Content::String(text.to_owned());
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Content::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Content::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Content::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Content::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Content::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Content::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let first = text.as_bytes().first().copied().unwrap_or_default();
    if first == b'.' {
        return decimal(&text.replace('_', "")).map_or_else(as_text, Content::Float);
    }
    if !(first.is_ascii_digit() || first == b'+' || first == b'-') {
        return as_text();
    }
    let number = text.replace('_', "");
    match integer(&number) {
        Some(Ok(value)) => Content::Int(value),
        // Larger than 64 bits with a sign: the API machinery keeps it as a float.
        Some(Err(value)) => Content::Float(value),
        None => decimal(&number).map_or_else(as_text, Content::Float),
    }
}

/// An integer in Go's notation with a base prefix (`0x`, `0o`, `0b`, and `0` for octal): `Err` holds those beyond `i64`.
fn integer(text: &str) -> Option<Result<i64, f64>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(hex) = lower.strip_prefix("0x") {
        (16, hex)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (8, octal)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (2, binary)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    match i64::try_from(value) {
        Ok(value) => Some(Ok(value)),
        // Only an unsigned 64-bit number is one for Go; anything longer is tried as a float, which knows decimals only.
        Err(_) if !negative && !text.starts_with('+') => u64::try_from(value).ok().map(|value| {
            #[allow(clippy::cast_precision_loss)] // so does JSON
            Err(value as f64)
        }),
        Err(_) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` within the range of a double.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction_ok = fraction.is_empty() || digits(fraction);
    let mantissa_ok = if whole.is_empty() { digits(fraction) } else { digits(whole) && fraction_ok };
    let exponent_ok = exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    if !mantissa_ok || !exponent_ok {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}
