//! What people write into conditions who know texts, tables or other languages, and what to write instead: the parser's own words list
//! its tokens.

/// The slip that a condition which cannot be read most probably holds: what is wrong, and what to write.
pub(super) fn slip(source: &str) -> Option<(String, String)> {
    let Some(bare) = without_texts(source) else {
        return said("a quotation mark is opened and never closed", "write 'text' with a straight mark on both sides");
    };
    if bare.contains(['“', '”', '„', '«', '»', '‘', '’']) {
        return said("typographic quotation marks do not work here", "write 'text' with straight ones");
    }
    for (word, sign, example) in [
        ("and", "&&", "client.city == 'Омск' && deal.amount > 5000000"),
        ("or", "||", "client.city == 'Омск' || client.city == 'Томск'"),
        ("not", "!", "!clicked('new-layouts')"),
        ("AND", "&&", "client.city == 'Омск' && deal.amount > 5000000"),
        ("OR", "||", "client.city == 'Омск' || client.city == 'Томск'"),
        ("NOT", "!", "!clicked('new-layouts')"),
    ] {
        if words(&bare).any(|(before, w, _)| w == word && !before.ends_with('.')) {
            return said(&format!("{word} belongs to texts, conditions do not know it"), &format!("write {sign}, like {example}"));
        }
    }
    for (wrong, right) in [("<>", "!="), ("=>", ">="), ("=<", "<=")] {
        if bare.contains(wrong) {
            return said(&format!("{wrong} compares nothing"), &format!("write {right}"));
        }
    }
    if single(&bare, '=', &['=', '!', '<', '>']) {
        return said("a single = compares nothing", "write ==, like client.city == 'Москва'");
    }
    for sign in ['&', '|'] {
        if single(&bare, sign, &[sign]) {
            return said(&format!("a single {sign} joins nothing"), &format!("write {sign}{sign}"));
        }
    }
    if let Some((before, word, _)) = words(&bare).find(|(_, word, _)| word.chars().any(|c| c.is_alphabetic() && !c.is_ascii())) {
        return if before.ends_with('.') {
            said(
                &format!("{word} is no name: names are written in Latin letters"),
                "write the name that spec.fields of the connection declares",
            )
        } else {
            said(&format!("{word} stands without quotes"), &format!("write a text in single quotes, like '{word}'"))
        };
    }
    // Commas part the numbers of a list: only blanks are told.
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if words(&bare).any(|(_, word, behind)| digits(word) && behind.starts_with([' ', '\u{a0}']) && digits(behind.trim_start())) {
        return said("a number is written with blanks in it", "write its digits alone, like 5000000");
    }
    let (opened, closed) = (bare.matches(['(', '[']).count(), bare.matches([')', ']']).count());
    if opened != closed {
        return said(
            &format!("a bracket is {}", if opened > closed { "opened and never closed" } else { "closed and was never opened" }),
            "write as many closing brackets as opening ones",
        );
    }
    None
}

/// The parser's words without what it would have taken: a list of its tokens.
pub(super) fn plain(said: &str) -> String {
    let Some((place, what)) = said.split_once("Syntax error: ") else { return said.to_owned() };
    let what = what.split(" expecting ").next().unwrap_or(what);
    let what = what.trim_start_matches("mismatched input ").trim_start_matches("extraneous input ");
    let what = what.trim_start_matches("token recognition error at: ").trim_start_matches("no viable alternative at input ");
    match what {
        "'<EOF>'" | "<EOF>" => format!("{place}something is missing at the end"),
        what => format!("{place}{what} does not belong there"),
    }
}

#[allow(clippy::unnecessary_wraps)] // so that each slip is one line above
fn said(what: &str, help: &str) -> Option<(String, String)> {
    Some((what.to_owned(), help.to_owned()))
}

/// With every text in quotes made blank, character for character. `None`: one is not closed.
fn without_texts(source: &str) -> Option<String> {
    let mut open: Option<char> = None;
    let (mut escaped, mut raw) = (false, false);
    let mut bare = String::with_capacity(source.len());
    for c in source.chars() {
        let quote = matches!(c, '\'' | '"').then_some(c);
        match open {
            None => {
                (open, escaped) = (quote, false);
                // In r'…' a backslash is one.
                raw = quote.is_some() && bare.ends_with(['r', 'R']);
                bare.push(if quote.is_some() { '\'' } else { c });
            }
            Some(mark) => {
                let closes = c == mark && !escaped;
                escaped = c == '\\' && !escaped && !raw;
                if closes {
                    open = None;
                }
                bare.push(if closes { '\'' } else { '\u{1}' });
            }
        }
    }
    open.is_none().then_some(bare)
}

/// Words of letters, digits and _, each with what stands before and behind it.
fn words(bare: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let starts = bare.char_indices().scan(false, move |within, (at, c)| {
        let begins = inside(c) && !*within;
        *within = inside(c);
        Some((at, begins))
    });
    starts.filter(|(_, begins)| *begins).filter_map(move |(at, _)| {
        let (before, rest) = bare.split_at_checked(at)?;
        let end = rest.find(|c: char| !inside(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end)?;
        Some((before, word, behind))
    })
}

/// Whether a sign stands alone, not doubled and not behind one of `partners`.
fn single(bare: &str, sign: char, partners: &[char]) -> bool {
    bare.match_indices(sign).any(|(at, found)| {
        !bare.get(..at).is_some_and(|before| before.ends_with(partners))
            && !bare.get(at + found.len()..).is_some_and(|behind| behind.starts_with(sign))
    })
}
