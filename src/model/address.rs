//! Phone numbers and email addresses, normalised once at the edge. `Debug` never shows them.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Medium {
    Sms,
    Email,
}

impl Medium {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "Sms",
            Self::Email => "Email",
        }
    }
}

/// Why a text is not an address. The text itself is personal data and not part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("not a phone number; write it with its country code, like +79991234567")]
    Phone,
    #[error("a number with an extension, which no SMS reaches and which many share; write a number of the person's own")]
    Extension,
    #[error("not an email address; write it like name@example.com")]
    Email,
}

/// A valid phone number in E.164 (`+79991234567`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

/// How much speaks for a reading of a number that could be read in several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likelihood {
    /// It has the length of a number there.
    Possible,
    /// Such numbers are given out.
    Valid,
    /// They are given to mobile phones, or cannot be told from those that are.
    Mobile,
}

impl Phone {
    /// Parses what people type (`8 (999) 123-45-67` with region `RU`). `region` is an ISO country used when the number has no
    /// country code. Numbers that are merely possible (like the 555-01xx range kept for fiction) are accepted: whether a number
    /// is in service only the network knows.
    ///
    /// # Errors
    /// [`AddressError::Phone`] when no number of that region can be read out of it, [`AddressError::Extension`] when it is one behind a
    /// switchboard: whoever stands under the switchboard's own number would be one person with all their colleagues.
    pub fn parse(text: &str, region: &str) -> Result<Self, AddressError> {
        let (phone, has_extension, _) = Self::number(text, region)?;
        if has_extension { Err(AddressError::Extension) } else { Ok(phone) }
    }

    /// The same of a number that is only shown, like a manager's in a text: an extension is left out.
    ///
    /// # Errors
    /// [`AddressError::Phone`] when no number of that region can be read out of it.
    pub fn shown(text: &str, region: &str) -> Result<Self, AddressError> {
        Self::number(text, region).map(|(phone, ..)| phone)
    }

    /// The same, with how much speaks for it.
    ///
    /// # Errors
    /// As [`Phone::shown`].
    pub fn read(text: &str, region: &str) -> Result<(Self, Likelihood), AddressError> {
        Self::number(text, region).map(|(phone, _, likely)| (phone, likely))
    }

    /// With whether it has an extension, and how much speaks for it.
    fn number(text: &str, region: &str) -> Result<(Self, bool, Likelihood), AddressError> {
        if text.len() > 64 {
            return Err(AddressError::Phone);
        }
        let number = PHONE_NUMBER_UTIL.parse(text, region.parse().ok()).map_err(|_| AddressError::Phone)?;
        if !PHONE_NUMBER_UTIL.is_possible_number(&number) {
            return Err(AddressError::Phone);
        }
        let likely = match PHONE_NUMBER_UTIL.get_number_type(&number) {
            PhoneNumberType::Unknown => Likelihood::Possible,
            PhoneNumberType::Mobile | PhoneNumberType::FixedLineOrMobile => Likelihood::Mobile,
            _ => Likelihood::Valid,
        };
        let phone = Self(PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned());
        Ok((phone, number.extension.is_some_and(|extension| !extension.is_empty()), likely))
    }

    /// The E.164 text, plus sign included. Personal data: for providers and storage only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An email address: local part kept as written, domain in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Parses one address (no display name). Refuses control characters and everything that could leave an SMTP command.
    ///
    /// # Errors
    /// [`AddressError::Email`] when it is not one plain address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Email)?;
        let forbidden = |c: char| {
            c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '\\' | '"' | '@')
        };
        if local.is_empty()
            || local.len() > 64
            || domain.len() > 253
            || !domain.contains('.')
            || local.chars().any(forbidden)
            || domain.chars().any(forbidden)
            || domain.split('.').any(|label| label.is_empty() || label.starts_with('-') || label.ends_with('-'))
        {
            return Err(AddressError::Email);
        }
        Ok(Self(format!("{local}@{}", domain.to_lowercase())))
    }

    /// The address. Personal data: for providers and storage only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it travels: an international domain by its DNS name (`xn--…`), which every server understands. Its identity stays that of
    /// [`Email::as_str`]: hashes that stand in a ledger are made of it.
    #[must_use]
    pub fn to_ascii_domain(&self) -> Cow<'_, str> {
        match self.0.rsplit_once('@') {
            Some((local, domain)) if !domain.is_ascii() => Cow::Owned(format!("{local}@{}", ascii_domain(domain))),
            _ => Cow::Borrowed(&self.0),
        }
    }

    /// The part after `@`, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, d)| d)
    }
}

/// The DNS name of an international domain; any other text as it is.
#[must_use]
pub fn ascii_domain(domain: &str) -> Cow<'_, str> {
    if !domain.is_ascii()
        && let Ok(url::Host::Domain(name)) = url::Host::parse(domain)
    {
        return Cow::Owned(name);
    }
    Cow::Borrowed(domain)
}

/// Where a message goes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Address {
    Phone(Phone),
    Email(Email),
}

impl Address {
    #[must_use]
    pub const fn medium(&self) -> Medium {
        match self {
            Self::Phone(_) => Medium::Sms,
            Self::Email(_) => Medium::Email,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(p) => p.as_str(),
            Self::Email(e) => e.as_str(),
        }
    }

    /// The form under which two spellings are one person: email in lower case throughout, phone in E.164.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Self::Phone(p) => format!("tel:{}", p.as_str()),
            Self::Email(e) => format!("mailto:{}", e.as_str().to_lowercase()),
        }
    }
}

/// Keyed hash (HMAC-SHA256, first 16 bytes, base64url) of [`Address::identity`]: what ledgers, caps and suppressions hold in
/// place of the address. The key stays in the installation's own database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressHash(pub String);

/// Free personal text (a name, a reply): usable, but never shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub String);

macro_rules! redacted {
    ($($type:ty => $mask:literal),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($mask)
            }
        }
    )*};
}
redacted!(Phone => "<phone>", Email => "<email>", Text => "<text>", Address => "<address>");

#[cfg(test)]
mod tests {
    use super::{Address, AddressError, Email, Phone};

    #[test]
    fn phones_as_people_type_them() {
        for (text, want) in [
            ("8 (999) 123-45-67", Some("+79991234567")),
            ("+7 999 123 45 67", Some("+79991234567")),
            ("9991234567", Some("+79991234567")),
            ("tel:+79991234567", Some("+79991234567")),
            ("8-800-555-35-35", Some("+78005553535")),
            ("+12125550100", Some("+12125550100")),
            ("12345", None),
            ("", None),
            ("нет", None),
        ] {
            assert_eq!(Phone::parse(text, "RU").ok().as_ref().map(Phone::as_str), want, "{text}");
        }
    }

    #[test]
    fn colleagues_behind_a_switchboard_are_not_one_number() {
        for text in ["+7 495 123-45-67 доб. 101", "8 (495) 123-45-67 x102", "+74951234567 ext. 103", "tel:+74951234567;ext=104"]
        {
            assert_eq!(Phone::parse(text, "RU").unwrap_err(), AddressError::Extension, "{text}");
            assert_eq!(Phone::shown(text, "RU").unwrap().as_str(), "+74951234567", "{text}");
        }
        assert_eq!(Phone::shown("доб. 101", "RU").unwrap_err(), AddressError::Phone);
    }

    #[test]
    fn an_address_cannot_carry_a_command() {
        for bad in ["a@b", "a b@c.de", "a@b.c\r\nRCPT TO:<x@y.z>", "<a@b.cd>", "a@b..cd", "@b.cd", "a@-b.cd", "a\0@b.cd"] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Email::parse(" Sara.Moreau@Example.COM ").unwrap().as_str(), "Sara.Moreau@example.com");
    }

    #[test]
    fn an_international_domain_travels_by_its_dns_name_and_keeps_its_identity() {
        for (written, travels) in [
            ("ivan@Почта.рф", "ivan@xn--80a1acny.xn--p1ai"),
            ("иван@почта.рф", "иван@xn--80a1acny.xn--p1ai"),
            ("иван@mail.example", "иван@mail.example"),
            ("ivan@mail.example", "ivan@mail.example"),
        ] {
            let email = Email::parse(written).unwrap();
            assert_eq!(email.to_ascii_domain(), travels);
            assert_eq!(Address::Email(email).identity(), format!("mailto:{}", written.to_lowercase()), "as it was hashed before");
        }
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let phone = Phone::parse("+79991234567", "RU").unwrap();
        assert_eq!(format!("{:?} {:?}", phone.clone(), Address::Phone(phone)), "<phone> <address>");
    }
}
