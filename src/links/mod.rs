//! The codec of tracking tokens and short codes: `content` writes them, `web` reads them.
