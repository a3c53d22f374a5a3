//! What a text is written in, by its letters or its tag, and the two languages in which we have words of our own: footers, opt-out
//! texts, task titles, dates.

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

    /// Of a text: its letters decide, those of addresses left out.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Letters::of(text).tag().map_or(Self::English, Self::from_tag)
    }

    pub(super) const fn pick<'a>(self, russian: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Russian => russian,
        }
    }
}

/// How many letters of which alphabet a text has: what tells its language, as far as letters do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    latin: usize,
    cyrillic: usize,
    /// Of the Cyrillic ones: that Russian has and Ukrainian has not, the reverse, and those of others.
    russian: usize,
    ukrainian: usize,
    belarusian: usize,
    kazakh: usize,
    hebrew: usize,
    arabic: usize,
    /// Of the Arabic ones: that Arabic itself has not.
    persian: usize,
}

impl Letters {
    /// The first letters of a text, those of addresses left out.
    pub fn of(text: &str) -> Self {
        let mut all = Self::default();
        for c in text.split_whitespace().filter(|word| !word.contains("://")).flat_map(str::chars).take(4000) {
            all.add(c);
        }
        all
    }

    const fn add(&mut self, c: char) {
        match c {
            'a'..='z' | 'A'..='Z' => self.latin += 1,
            '\u{400}'..='\u{52f}' => {
                self.cyrillic += 1;
                match c {
                    'ы' | 'э' | 'ъ' | 'ё' | 'Ы' | 'Э' | 'Ъ' | 'Ё' => self.russian += 1,
                    // A capital І numbers quarters in Russian texts as well.
                    'і' | 'ї' | 'є' | 'ґ' | 'Ї' | 'Є' | 'Ґ' => self.ukrainian += 1,
                    'ў' | 'Ў' => self.belarusian += 1,
                    'ә' | 'ғ' | 'қ' | 'ң' | 'ө' | 'ұ' | 'ү' | 'һ' | 'Ә' | 'Ғ' | 'Қ' | 'Ң' | 'Ө' | 'Ұ' | 'Ү' | 'Һ' =>
                    {
                        self.kazakh += 1;
                    }
                    _ => {}
                }
            }
            '\u{5d0}'..='\u{5ea}' => self.hebrew += 1,
            '\u{620}'..='\u{64a}' | '\u{66e}'..='\u{6d3}' => {
                self.arabic += 1;
                if matches!(c, 'پ' | 'چ' | 'ژ' | 'گ') {
                    self.persian += 1;
                }
            }
            _ => {}
        }
    }

    /// Those of both.
    pub const fn and(self, other: Self) -> Self {
        Self {
            latin: self.latin + other.latin,
            cyrillic: self.cyrillic + other.cyrillic,
            russian: self.russian + other.russian,
            ukrainian: self.ukrainian + other.ukrainian,
            belarusian: self.belarusian + other.belarusian,
            kazakh: self.kazakh + other.kazakh,
            hebrew: self.hebrew + other.hebrew,
            arabic: self.arabic + other.arabic,
            persian: self.persian + other.persian,
        }
    }

    /// The language that they look like; `None` for a text without letters. Another alphabet wins from a third on: brands are written in
    /// Latin.
    pub const fn tag(self) -> Option<&'static str> {
        let turned = self.hebrew + self.arabic;
        if self.latin + self.cyrillic + turned == 0 {
            return None;
        }
        Some(if turned * 2 > self.latin + self.cyrillic {
            if self.hebrew > self.arabic {
                "he"
            } else if self.persian > 0 {
                "fa"
            } else {
                "ar"
            }
        } else if self.cyrillic * 2 <= self.latin {
            "en"
        } else if self.kazakh > 0 {
            "kk"
        } else if self.belarusian > 0 {
            "be"
        } else if self.ukrainian > self.russian {
            "uk"
        } else {
            "ru"
        })
    }
}

/// Whether a language of that tag is written from right to left.
pub fn right_to_left(tag: &str) -> bool {
    let tag = tag.to_lowercase();
    let mut parts = tag.split(['-', '_']);
    let first = parts.next().unwrap_or_default();
    match parts.find(|part| part.len() == 4) {
        // Its script is written out.
        Some(script) => matches!(script, "arab" | "hebr"),
        None => matches!(first, "ar" | "he" | "iw" | "fa" | "ur" | "ps" | "sd" | "ug" | "yi" | "dv" | "ckb"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, Letters, right_to_left};

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

    #[test]
    fn neighbours_are_not_called_russian_and_who_writes_from_the_right_is_known() {
        for (text, tag) in [
            ("Вітаємо! Є нові планування у вашому будинку", Some("uk")),
            ("Мы открыли шоу-рум в Києві, приезжайте", Some("ru")),
            ("Жаңа жоспарлар бар", Some("kk")),
            ("Новыя планіроўкі", Some("be")),
            ("דירות חדשות ב-NovyDom", Some("he")),
            ("شقق جديدة", Some("ar")),
            ("آپارتمان‌های جدید", Some("fa")),
            ("Neue Wohnungen", Some("en")),
            ("5 400 000", None),
        ] {
            assert_eq!(Letters::of(text).tag(), tag, "{text}");
        }
        for (tag, want) in [("he", true), ("AR-EG", true), ("uz-Arab", true), ("ku-Latn", false), ("en", false), ("fa_IR", true)] {
            assert_eq!(right_to_left(tag), want, "{tag}");
        }
    }
}
