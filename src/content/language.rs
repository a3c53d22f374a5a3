//! The two languages in which we have words of our own: footers, opt-out texts, task titles.

/// A language of built-in words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    English,
    Russian,
}

impl Language {
    /// From a BCP 47 tag. Neighbours who read Russian better than English get Russian.
    #[must_use]
    pub fn from_tag(tag: &str) -> Self {
        let first = tag.split(['-', '_']).next().unwrap_or_default().to_lowercase();
        if matches!(first.as_str(), "ru" | "be" | "kk" | "ky") { Self::Russian } else { Self::English }
    }

    /// Of a text: its letters decide, those of addresses left out. Cyrillic wins from a third on: brands are written in Latin.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let (mut cyrillic, mut latin) = (0_usize, 0_usize);
        for c in text.split_whitespace().filter(|word| !word.starts_with("http")).flat_map(str::chars).take(4000) {
            match c {
                'а'..='я' | 'А'..='Я' | 'ё' | 'Ё' => cyrillic += 1,
                'a'..='z' | 'A'..='Z' => latin += 1,
                _ => {}
            }
        }
        if cyrillic * 2 > latin { Self::Russian } else { Self::English }
    }

    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    pub(super) const fn pick<'a>(self, russian: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Russian => russian,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Language;

    #[test]
    fn texts_and_tags() {
        for (text, want) in [
            ("Привет: https://go.example.com/r/abcdefghijkl", Language::Russian),
            ("Новый iPhone уже в Apple Store", Language::Russian),
            ("Hello Мария, the show room is open", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::of(text), want, "{text}");
        }
        assert_eq!((Language::from_tag("ru-RU"), Language::from_tag("de")), (Language::Russian, Language::English));
    }
}
