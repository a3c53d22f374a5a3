//! STOP words in replies (sms.md §6.1; CTIA, FCC 47 CFR 64.1200(a)(10)). The whole message is compared first, its first word
//! second, never a substring: "when do we start?" subscribes nobody. The word that a channel announces itself counts as the whole message.

use unicode_normalization::UnicodeNormalization;

/// What a reply asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// Stop all messages to this number.
    Stop,
    /// Asked to be written to again.
    Start,
    Help,
    /// Something for a person to read.
    None,
}

/// As the whole message or as its first word.
const STOP: &[&str] = &[
    "STOP",
    "CTOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "REVOKE",
    "OPTOUT",
    "OPT-OUT",
    "ARRET",
    "ARRÊT",
    "STOPP",
    "BAJA",
    "SAIR",
    "СТОП",
    "СТОПП",
    "ОТПИСКА",
    "ОТПИСАТЬСЯ",
    "ОТПИШИТЕ",
    "ОТПИСАТЬ",
    "ВІДПИСКА",
    "ВІДПИСАТИСЯ",
    "UNSUB",
    "ABMELDEN",
    "ABBESTELLEN",
    "DÉSABONNER",
    "DESABONNER",
];

/// Everyday words and phrases: only as the whole message.
const STOP_WHOLE: &[&str] =
    &["PARAR", "CANCELAR", "END", "QUIT", "CANCEL", "НЕТ", "НІ", "OPT OUT", "STOP ALL", "НЕ ПИШИТЕ", "НЕ ПИШИТЕ МНЕ"];

const START_WHOLE: &[&str] = &["START", "UNSTOP", "СТАРТ", "ПОДПИСАТЬСЯ", "ПІДПИСАТИСЯ"];
const HELP_WHOLE: &[&str] = &["HELP", "INFO", "ПОМОЩЬ", "ИНФО", "AIDE"];

/// Reads one reply. `own`: the words that texts announce for stopping, whatever else they may mean.
#[must_use]
pub fn classify(text: &str, own: &[&str]) -> Keyword {
    // Longer than any SMS: nothing that a keyword could be, and not worth normalising.
    let words: Vec<String> = plain(&text.chars().take(1600).collect::<String>());
    let Some(first) = words.first() else { return Keyword::None };
    let whole = words.join(" ");
    let is = |list: &[&str], word: &str| list.iter().any(|w| plain(w).join(" ") == word);
    if is(own, &whole) || is(STOP, &whole) || is(STOP_WHOLE, &whole) {
        Keyword::Stop
    } else if is(START_WHOLE, &whole) {
        Keyword::Start
    } else if is(HELP_WHOLE, &whole) {
        Keyword::Help
    } else if is(STOP, first) {
        Keyword::Stop
    } else {
        Keyword::None
    }
}

/// Words in a form in which look-alikes are equal: NFKC, upper case, no marks or punctuation, Cyrillic letters that look Latin as
/// Latin. Hyphens and apostrophes within a word disappear, other punctuation divides.
fn plain(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.nfkc().flat_map(char::to_uppercase).nfd() {
        let c = latin(c);
        if c.is_alphanumeric() {
            if let Some(word) = words.last_mut() {
                word.push(c);
            }
        } else if !(matches!(c, '-' | '\'' | '’' | '\u{ad}') || invisible(c)) && words.last().is_some_and(|w| !w.is_empty()) {
            words.push(String::new());
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// Marks left by the decomposition, joiners, direction marks and variation selectors.
const fn invisible(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// A Latin letter for each upper-case Cyrillic or Greek one that is drawn like it.
const fn latin(c: char) -> char {
    match c {
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'Е' | 'Ε' => 'E',
        'З' => '3',
        'І' | 'Ι' => 'I',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Н' | 'Η' => 'H',
        'О' | 'Ο' => 'O',
        'Р' | 'Ρ' => 'P',
        'С' => 'C',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'Х' | 'Χ' => 'X',
        'У' | 'Υ' => 'Y',
        'П' => 'Π',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::{Keyword, classify};

    #[test]
    fn replies_as_people_write_them() {
        for (text, want) in [
            ("STOP", Keyword::Stop),
            (" stop. ", Keyword::Stop),
            ("Stop!!!", Keyword::Stop),
            ("СТОП", Keyword::Stop),
            ("стоп, хватит", Keyword::Stop),
            ("CTOП", Keyword::Stop),     // Latin C, T, O
            ("СTОп", Keyword::Stop),     // mixed
            ("СTОP", Keyword::Stop),     // Cyrillic, Latin, Cyrillic, Latin
            ("ＳＴＯＰ", Keyword::Stop), // full width
            ("s\u{200b}top", Keyword::Stop),
            ("«СТОП»", Keyword::Stop),
            ("STOP all", Keyword::Stop),
            ("stop please", Keyword::Stop),
            ("Opt-out", Keyword::Stop),
            ("opt out", Keyword::Stop),
            ("optout", Keyword::Stop),
            ("Arrêt", Keyword::Stop),
            ("arret", Keyword::Stop),
            ("STOPP", Keyword::Stop),
            ("baja", Keyword::Stop),
            ("Sair", Keyword::Stop),
            ("отписка", Keyword::Stop),
            ("Отписаться пожалуйста", Keyword::Stop),
            ("нет", Keyword::Stop),
            ("Нет.", Keyword::Stop),
            ("НЕТ, спасибо, уже купили", Keyword::None),
            ("нет времени, перезвоните", Keyword::None),
            ("END", Keyword::Stop),
            ("end of the month works", Keyword::None),
            ("cancel my visit on Friday", Keyword::None),
            ("Cancel", Keyword::Stop),
            ("Cancelar mi visita del viernes", Keyword::None),
            ("please don't stop", Keyword::None),
            ("when do we start?", Keyword::None),
            ("start", Keyword::Start),
            ("UNSTOP", Keyword::Start),
            ("help", Keyword::Help),
            ("инфо", Keyword::Help),
            ("info about the flat please", Keyword::None),
            ("stopover in Riga", Keyword::None),
            ("Позвоните завтра", Keyword::None),
            ("", Keyword::None),
            ("!!!", Keyword::None),
            ("👍", Keyword::None),
        ] {
            assert_eq!(classify(text, &[]), want, "{text:?}");
        }
    }

    #[test]
    fn the_word_that_a_channel_announces_stops_it() {
        for (own, text, want) in [
            ("ОТКАЗ", "ОТКАЗ", Keyword::Stop),
            ("ОТКАЗ", " «отказ». ", Keyword::Stop),
            ("ОТКАЗ", "OTKАЗ", Keyword::Stop), // Latin O, T, K
            ("ОТКАЗ", "отказ банка, как быть?", Keyword::None),
            ("ОТКАЗ", "стоп", Keyword::Stop),
            ("не надо", "Не  надо!", Keyword::Stop),
            // What was announced for stopping asks for nothing else.
            ("ИНФО", "инфо", Keyword::Stop),
            ("--", "--", Keyword::None),
            ("--", "", Keyword::None),
        ] {
            assert_eq!(classify(text, &[own]), want, "{own}: {text:?}");
            assert_eq!(classify(text, &["another word", own]), want, "{own}: {text:?}");
        }
        assert_eq!(classify("отказ", &[]), Keyword::None);
    }
}
