//! How commands that work beside a running process find its store.

use crate::store::Store;
use clap::Args;

#[derive(Args, Debug, Clone)]
pub struct StoreArgs {
    /// The store of the running process: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(long, env = "REKINDLE_STORE", default_value = "sqlite:rekindle.db", hide_env_values = true)]
    pub store: String,
}

impl StoreArgs {
    /// Opens it beside whoever works with it: for reading, and for holds.
    ///
    /// # Errors
    /// A sentence.
    pub async fn open(&self) -> Result<Store, String> {
        Store::open_beside(&self.store).await.map_err(|e| e.to_string())
    }
}
