//! The custom resources of group `rekindle.dev`: types and schema only.
