//! The codec of tracking tokens and short codes: `content` writes them, `web` reads them.
//!
//! An address of ours never names its target: it names an effect and the number of a link in it, and the target is looked up
//! in the ledger. So an open redirect cannot be built out of it (CWE-601), and no client or deal can be guessed from it.

mod code;
mod hook;
mod keys;
mod token;
mod url;
mod verdict;

pub use code::{CODE_LENGTH, Random, RandomError, is_code, new_code, system_random};
pub use hook::{HookPath, hook_key, hook_key_matches, hook_url};
pub use keys::Keys;
pub use token::{CLICK_LIFETIME_DAYS, ClickToken, unix_day};
pub use url::{click_url, code_url, unsubscribe_code_url, unsubscribe_url};
pub use verdict::{Arrival, BURST, HONEYPOT, Judgement, Sent, judge, settle};
