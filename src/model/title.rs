//! Titles and ids of stages, pipelines and reasons. Manifests and CRMs write them apart from each other, so what counts as the same is
//! decided here, once.

/// Compared as people write them: without outer spaces, and in any letters' case.
#[must_use]
pub fn same_title(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::same_title;

    #[test]
    fn people_write_titles_in_their_own_way() {
        assert!(same_title("Продажи", " продажи"));
        assert!(same_title("New build", "NEW BUILD\t"));
        assert!(!same_title("Продажи", "Продажа"));
    }
}
