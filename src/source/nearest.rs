//! "Did you mean": the known word nearest to what was written.

/// The candidate within a third of its length in edits (one for short words), upper and lower case alike.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.to_lowercase().chars().take(64).collect();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(edits, candidate)| *edits <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant_and_nothing_far_off() {
        let known = ["subject", "markdown", "html", "name", "after", "at", "Observe", "Live"];
        for (word, meant) in [
            ("sbject", Some("subject")),
            ("subejct", Some("subject")),
            ("markDown", Some("markdown")),
            ("htlm", Some("html")),
            ("live", Some("Live")),
            ("att", Some("at")),
            ("observed", Some("Observe")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
