//! Pipelines of a CRM: how many are kept, and what is said of a funnel that looks for one that is not there.

use super::Cursor;
use crate::model::same_title;

/// More of them are noise: a column was mapped that is not the one of pipelines.
pub(crate) const MOST_PIPELINES: usize = 50;

impl Cursor {
    /// What is wrong with a funnel that looks for the deals of that pipeline, in a sentence; `None` while the CRM has not told all
    /// that it has.
    #[must_use]
    pub fn empty_pipeline(&self, wanted: &str, connection: &str) -> Option<String> {
        let found = self.pipelines.keys().map(String::as_str);
        if self.complete { empty_pipeline(wanted, connection, found) } else { None }
    }
}

/// A pipeline that no deal of the CRM is in: a typing error would copy nothing, in silence. Only the CRM knows, so no manifest is
/// refused for it, and the funnel works as soon as the pipeline has a deal.
pub(crate) fn empty_pipeline<'a>(wanted: &str, connection: &str, found: impl Iterator<Item = &'a str>) -> Option<String> {
    let found: Vec<&str> = found.collect();
    // Beyond so many not all are kept.
    if found.is_empty() || found.len() >= MOST_PIPELINES || found.iter().any(|title| same_title(title, wanted)) {
        return None;
    }
    let there: Vec<&str> = found.into_iter().map(|title| if title.is_empty() { "(none)" } else { title }).collect();
    Some(format!("no deal of {connection} is in the pipeline {wanted}, so none is copied; its deals are in: {}", there.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn a_pipeline_that_the_crm_does_not_have_is_told() {
        let of = |titles: &[&str]| titles.iter().map(|t| ((*t).to_owned(), std::collections::BTreeSet::new())).collect();
        let cursor = Cursor { complete: true, pipelines: of(&["Аренда", "Продажи"]), ..Cursor::default() };
        assert_eq!(cursor.empty_pipeline("продажи", "crm"), None);
        let said = cursor.empty_pipeline("Продажа", "crm").unwrap();
        assert!(said.ends_with("its deals are in: Аренда, Продажи"), "{said}");
        let reading = Cursor { complete: false, ..cursor };
        assert_eq!(reading.empty_pipeline("Продажа", "crm"), None, "it has not told all of them yet");
        let silent = Cursor { complete: true, ..Cursor::default() };
        assert_eq!(silent.empty_pipeline("Продажа", "crm"), None, "it tells none");
    }
}
