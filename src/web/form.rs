//! `application/x-www-form-urlencoded` pairs, from queries and bodies. Bytes that are no UTF-8 are replaced, never refused:
//! what is read here comes from SMS gateways too.

/// At most this many pairs are read.
const PAIRS: usize = 200;

pub(super) fn parse(text: &[u8]) -> Vec<(String, String)> {
    text.split(|b| *b == b'&')
        .filter(|pair| !pair.is_empty())
        .take(PAIRS)
        .map(|pair| {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let mut next = || decode(halves.next().unwrap_or_default());
            (next(), next())
        })
        .collect()
}

/// The first value of `name`.
pub(super) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn decode(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    percent_decode(&spaced)
}

/// `%XX` only, as headers of `CloudEvents` use it.
pub(super) fn percent_decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%'
            && let Some((digits, tail)) = tail.split_first_chunk::<2>()
            && let Some(byte) = hex(*digits)
        {
            out.push(byte);
            rest = tail;
        } else {
            out.push(*first);
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn hex(digits: [u8; 2]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

#[cfg(test)]
mod tests {
    use super::{parse, percent_decode, value};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn whatever_was_encoded_is_read_back(name in "[a-z]{1,8}", text in ".{0,40}") {
            let encoded = text.bytes().fold(String::new(), |out, b| out + &format!("%{b:02X}"));
            let pairs = parse(format!("{name}={encoded}").as_bytes());
            prop_assert_eq!(value(&pairs, &name), Some(text.as_str()));
        }

        #[test]
        fn nothing_breaks_the_reader(body in any::<Vec<u8>>()) {
            prop_assert!(parse(&body).len() <= 200);
        }
    }

    #[test]
    fn pairs_as_browsers_and_gateways_write_them() {
        let pairs = parse("from=%2B79990001122&text=STOP+now&&empty=&bare&a=b=c&text=second&bad=%zz%e".as_bytes());
        for (name, want) in [
            ("from", Some("+79990001122")),
            ("text", Some("STOP now")),
            ("empty", Some("")),
            ("bare", Some("")),
            ("a", Some("b=c")),
            ("bad", Some("%zz%e")),
            ("none", None),
        ] {
            assert_eq!(value(&pairs, name), want, "{name}");
        }
        assert_eq!(parse(b"t=%D0%A1%FF")[0].1, "С\u{fffd}");
        assert_eq!(parse(&b"a=1&".repeat(5000)).len(), 200);
        assert_eq!(percent_decode(b"Euro%20%E2%82%AC+"), "Euro €+");
    }
}
