//! Answers that a phone gave by itself: nobody said anything, so that no journey pauses and no manager is asked. SMS carries no mark
//! for them (email has RFC 3834), only the words that phones and operators use. Better one autoreply that reaches a manager than one
//! client who is not heard: only whole openings count, never a word in the middle.

/// What such messages begin with, in lower case, ё as е, punctuation left out.
const OPENINGS: &[&str] = &[
    "auto reply",
    "autoreply",
    "automatic reply",
    "automated reply",
    "auto response",
    "out of office",
    "i am out of office",
    "i am driving with do not disturb",
    "i am driving right now",
    "im driving with do not disturb",
    "im driving right now",
    "im not receiving notifications",
    "i am not receiving notifications",
    "this is an automated",
    "this is an automatic",
    "this number does not accept replies",
    "автоответ",
    "автоматический ответ",
    "это автоматический ответ",
    "это автоответ",
    "я за рулем включен",
    "я за рулем и не могу",
    "я не получаю уведомления",
    "абонент не может принять",
    "абонент временно",
    "данный номер не принимает",
    "автовідповідь",
    "автоматична відповідь",
    "automatische antwort",
    "respuesta automatica",
    "reponse automatique",
];

/// Whether a phone or an operator wrote it.
#[must_use]
pub fn is_autoreply(text: &str) -> bool {
    let mut plain = String::new();
    for c in text.chars().take(200).flat_map(char::to_lowercase) {
        match c {
            'ё' => plain.push('е'),
            'é' => plain.push('e'),
            'á' => plain.push('a'),
            '\'' | '’' => {}
            c if c.is_alphanumeric() => plain.push(c),
            _ if !plain.is_empty() && !plain.ends_with(' ') => plain.push(' '),
            _ => {}
        }
    }
    let plain = plain.trim_end();
    OPENINGS.iter().any(|opening| plain.strip_prefix(opening).is_some_and(|rest| rest.chars().next().is_none_or(|c| c == ' ')))
}

#[cfg(test)]
mod tests {
    use super::is_autoreply;

    #[test]
    fn what_phones_write_is_told_from_what_people_write() {
        for phone in [
            "Auto-reply: I am in a meeting",
            "I'm driving with Do Not Disturb While Driving turned on. I’ll see your message when I get where I’m going.",
            "(I’m not receiving notifications. If this is urgent, reply “urgent”.)",
            "Автоответ: перезвоню позже",
            "Я за рулём, включён режим «Не беспокоить водителя»",
            "Абонент временно недоступен",
            "Réponse automatique : absent",
        ] {
            assert!(is_autoreply(phone), "{phone}");
        }
        for person in [
            "",
            "я за рулем, перезвоните",
            "Стоп",
            "I'm driving to you now, wait for me",
            "Пришёл автоответ, это вы?",
            "Автоответчик не нужен",
            "office?",
        ] {
            assert!(!is_autoreply(person), "{person}");
        }
    }
}
