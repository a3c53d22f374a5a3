//! The addresses that clients see. `base` is the installation's public address, with or without a slash at its end.

/// `/r/{token}` of an email.
#[must_use]
pub fn click_url(base: &str, token: &str) -> String {
    join(base, "r", token)
}

/// `/r/{code}` of an SMS.
#[must_use]
pub fn code_url(base: &str, code: &str) -> String {
    join(base, "r", code)
}

/// `/u/{token}`: a page with one button; POST acts.
#[must_use]
pub fn unsubscribe_url(base: &str, token: &str) -> String {
    join(base, "u", token)
}

/// `/u/{code}`: the same page by the short code of an SMS.
#[must_use]
pub fn unsubscribe_code_url(base: &str, code: &str) -> String {
    join(base, "u", code)
}

fn join(base: &str, part: &str, id: &str) -> String {
    format!("{}/{part}/{id}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::{click_url, unsubscribe_url};

    #[test]
    fn one_slash_between_the_parts() {
        assert_eq!(click_url("https://go.example.com", "t"), "https://go.example.com/r/t");
        assert_eq!(unsubscribe_url("https://example.com/go/", "t"), "https://example.com/go/u/t");
    }
}
