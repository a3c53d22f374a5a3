//! People's names as CRMs write them. Conditions and texts must agree on what a first name is, so it is decided here, once.

use super::Text;

/// First and last name: the CRM's own, else the words of the name; nothing (empty) of what looks like a company or is not a name.
#[must_use]
pub fn first_and_last<'a>(first: Option<&'a Text>, name: &'a Text) -> (&'a str, &'a str) {
    split(first.map(|t| t.0.as_str()), &name.0)
}

fn split<'a>(first: Option<&'a str>, name: &'a str) -> (&'a str, &'a str) {
    let mut words = name.split_whitespace();
    let (guess, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_name = |word: &str| word.chars().count() > 1 && word.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’'));
    if let Some(first) = first.map(str::trim).filter(|f| !f.is_empty()) {
        return (first, if guess == first { rest } else { "" });
    }
    if looks_like_company(name) || !is_name(guess) { ("", "") } else { (guess, rest) }
}

fn looks_like_company(name: &str) -> bool {
    const FORMS: [&str; 33] = [
        "ооо",
        "оао",
        "зао",
        "пао",
        "ао",
        "ип",
        "нко",
        "тоо",
        "чп",
        "фгуп",
        "гк",
        "ск",
        "жк",
        "агентство",
        "компания",
        "фирма",
        "клиника",
        "группа",
        "llc",
        "ltd",
        "inc",
        "corp",
        "gmbh",
        "ag",
        "sa",
        "sarl",
        "plc",
        "bv",
        "oy",
        "company",
        "group",
        "limited",
        "holding",
    ];
    name.contains(['"', '«', '»', '&', '@'])
        || name
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| FORMS.contains(&word.to_lowercase().as_str()) || word.chars().any(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn first_names_are_names() {
        for (first, name, want) in [
            (None, "Мария Иванова", "Мария"),
            (None, "Анна-Мария Ли", "Анна-Мария"),
            (Some("Мария"), "Иванова Мария", "Мария"),
            (Some(" "), "Sara Moreau", "Sara"),
            (None, "ООО Ромашка", ""),
            (None, "Ромашка, ООО", ""),
            (None, "«Ромашка»", ""),
            (None, "Acme Ltd.", ""),
            (None, "Клиент 4521", ""),
            (None, "+7 999 123-45-67", ""),
            (None, "И. Петров", ""),
            (None, "М Петров", ""),
            (None, "", ""),
        ] {
            assert_eq!(split(first, name).0, want, "{name}");
        }
    }
}
