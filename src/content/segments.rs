//! SMS parts, counted as networks do (GSM 03.38, 3GPP TS 23.038 §6.2.1).
//!
//! | encoding | one part | each of several | costs two |
//! |---|---|---|---|
//! | GSM-7 | 160 septets | 153 | `{ } [ ] ~ \| ^ \ €` and form feed |
//! | UCS-2 | 70 units | 67 | characters outside the basic plane (emoji) |
//!
//! One character that GSM-7 lacks makes the whole message UCS-2. A pair (escape or surrogate) never straddles two parts.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Encoding {
    Gsm7,
    Ucs2,
}

/// What a text costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Segments {
    pub encoding: Encoding,
    /// 0 only for the empty text.
    pub parts: u32,
    /// Septets or 16-bit units in all.
    pub units: u32,
    /// How many more fit into the last part.
    pub left: u32,
}

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// Septets of a character, `None` if GSM-7 lacks it.
fn septets(c: char) -> Option<u32> {
    match c {
        ' '..='Z' if c != '`' => Some(1),
        'a'..='z' => Some(1),
        _ if BASIC.contains(c) => Some(1),
        _ if EXTENSION.contains(c) => Some(2),
        _ => None,
    }
}

fn encoding(text: &str) -> Encoding {
    if text.chars().all(|c| septets(c).is_some()) { Encoding::Gsm7 } else { Encoding::Ucs2 }
}

/// Whether an SMS of nothing but this needs no Unicode.
pub(super) fn is_gsm7(text: &str) -> bool {
    encoding(text) == Encoding::Gsm7
}

fn cost(c: char, encoding: Encoding) -> u32 {
    match encoding {
        Encoding::Gsm7 => septets(c).unwrap_or(1),
        Encoding::Ucs2 => u32::from(c.len_utf16() == 2) + 1,
    }
}

/// Counts a text.
#[must_use]
pub fn segments(text: &str) -> Segments {
    let encoding = encoding(text);
    let (single, several) = match encoding {
        Encoding::Gsm7 => (160, 153),
        Encoding::Ucs2 => (70, 67),
    };
    let units: u32 = text.chars().map(|c| cost(c, encoding)).sum();
    if units == 0 {
        return Segments { encoding, parts: 0, units, left: single };
    }
    if units <= single {
        return Segments { encoding, parts: 1, units, left: single - units };
    }
    let (mut parts, mut used) = (1, 0);
    for c in text.chars() {
        let cost = cost(c, encoding);
        if used + cost > several {
            parts += 1;
            used = 0;
        }
        used += cost;
    }
    Segments { encoding, parts, units, left: several - used }
}

/// The text as its parts, for previews.
#[must_use]
pub fn split(text: &str) -> Vec<String> {
    let whole = segments(text);
    if whole.parts <= 1 {
        return if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    }
    let limit = if whole.encoding == Encoding::Gsm7 { 153 } else { 67 };
    let (mut parts, mut used) = (vec![String::new()], 0);
    for c in text.chars() {
        let cost = cost(c, whole.encoding);
        if used + cost > limit {
            parts.push(String::new());
            used = 0;
        }
        used += cost;
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

/// Replaces typographic characters by plain ones, and letters that GSM-7 lacks by those without an accent, if the text then fits into
/// GSM-7; else leaves it as it is.
#[must_use]
pub fn smart(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '“' | '”' | '„' | '«' | '»' | '″' => plain.push('"'),
            '‘' | '’' | '‚' | '`' | '´' | '′' => plain.push('\''),
            '–' | '—' | '‑' | '‐' | '−' | '•' | '·' => plain.push('-'),
            '…' => plain.push_str("..."),
            '\u{a0}' | '\u{2009}' | '\u{202f}' | '\t' => plain.push(' '),
            '№' => plain.push_str("No."),
            '×' => plain.push('x'),
            'ç' => plain.push('c'),
            'á' | 'â' | 'ã' => plain.push('a'),
            'ê' | 'ë' => plain.push('e'),
            'í' | 'î' | 'ï' => plain.push('i'),
            'ó' | 'ô' | 'õ' => plain.push('o'),
            'ú' | 'û' => plain.push('u'),
            _ => plain.push(c),
        }
    }
    if encoding(&plain) == Encoding::Gsm7 { plain } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{BASIC, Encoding, segments, smart, split};

    #[test]
    fn counts_as_the_reference_calculator() {
        use Encoding::{Gsm7, Ucs2};
        for (text, encoding, parts) in [
            ("a".repeat(160), Gsm7, 1),
            ("a".repeat(161), Gsm7, 2),
            ("a".repeat(306), Gsm7, 2),
            ("a".repeat(307), Gsm7, 3),
            ("€".repeat(80), Gsm7, 1),
            ("€".repeat(81), Gsm7, 2),
            ("a".repeat(152) + "€" + &"a".repeat(20), Gsm7, 2),
            ("я".repeat(70), Ucs2, 1),
            ("я".repeat(71), Ucs2, 2),
            ("я".repeat(134), Ucs2, 2),
            ("я".repeat(135), Ucs2, 3),
            ("я".repeat(200), Ucs2, 3),
            ("я".repeat(66) + "😀" + &"я".repeat(10), Ucs2, 2),
            ("`".into(), Ucs2, 1),
            ("ç".into(), Ucs2, 1),
            ("“smart”".into(), Ucs2, 1),
            ("ё".into(), Ucs2, 1),
            ("₽".into(), Ucs2, 1),
            ("Ç\n{}[]~\\|^".into(), Gsm7, 1),
            (BASIC.into(), Gsm7, 1),
            (String::new(), Gsm7, 0),
        ] {
            let counted = segments(&text);
            assert_eq!((counted.encoding, counted.parts), (encoding, parts), "{text:.20}");
            let parts_of = split(&text);
            assert_eq!(parts_of.len(), parts as usize, "{text:.20}");
            assert_eq!(parts_of.concat(), text);
        }
        assert_eq!(segments("{}[]~\\|^").units, 16);
        assert_eq!(segments(&"a".repeat(150)).left, 10);
        assert_eq!(segments(&"я".repeat(71)).left, 63);
    }

    #[test]
    fn pairs_do_not_straddle_parts() {
        assert_eq!(split(&("a".repeat(152) + "€" + &"a".repeat(20)))[0].len(), 152);
        assert_eq!(split(&("я".repeat(66) + "😀" + &"я".repeat(10)))[0].chars().count(), 66);
    }

    #[test]
    fn smart_encoding_only_where_it_helps() {
        assert_eq!(smart("“Don’t wait” – call…"), "\"Don't wait\" - call...");
        assert_eq!(smart("«Дом» — тут"), "«Дом» — тут");
        // Letters lose an accent that the GSM alphabet lacks, as `kubectl explain` says; others keep theirs.
        assert_eq!(smart("João, façade à 50 m² × 2"), "João, façade à 50 m² × 2", "² is lacking");
        assert_eq!(smart("João, façade à № 2 ×"), "Joao, facade à No. 2 x");
        assert_eq!(smart("É niño über"), "É niño über");
    }
}
