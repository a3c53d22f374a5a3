//! What stands in the store, read past the engine and through no wire.

use super::sinks::Place;
use rekindle::model::EffectStatus;
use sqlx::{Connection as _, PgConnection, Row as _};
use std::{collections::BTreeMap, time::Duration};

pub struct Ledger {
    runtime: tokio::runtime::Runtime,
    url: String,
    open: Option<PgConnection>,
}

/// One message as the ledger tells of it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub status: EffectStatus,
    pub reason: String,
    /// Rows for this message; the ledger's key allows one.
    pub rows: u32,
}

impl Ledger {
    pub fn of(url: String) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, url, open: None }
    }

    /// `None` while the server is away.
    fn ask(&mut self, text: &'static str) -> Option<Vec<sqlx::postgres::PgRow>> {
        let (url, mut connection) = (self.url.clone(), self.open.take());
        let answer = self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(5), async {
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => PgConnection::connect(&url).await.ok()?,
                };
                let rows = sqlx::query(text).fetch_all(&mut open).await.ok()?;
                Some((rows, open))
            })
            .await
            .ok()
            .flatten()
        });
        let (rows, open) = answer?;
        self.open = Some(open);
        Some(rows)
    }

    fn number(&mut self, text: &'static str) -> Option<i64> {
        self.ask(text)?.first()?.try_get(0).ok()
    }

    /// How many deals the store has met.
    pub fn met(&mut self) -> Option<usize> {
        self.number("SELECT count(*) FROM copy")?.try_into().ok()
    }

    /// Deals whose last message came to rest.
    pub fn finished(&mut self) -> Option<usize> {
        self.number("SELECT count(*) FROM effect WHERE item = 'text' AND status > 1")?.try_into().ok()
    }

    /// Messages that came to rest.
    pub fn rested(&mut self) -> Option<usize> {
        self.number("SELECT count(*) FROM effect WHERE item IN ('letter', 'text') AND status > 1")?.try_into().ok()
    }

    /// How often the lease was taken.
    pub fn epoch(&mut self) -> Option<usize> {
        self.number("SELECT epoch FROM lease")?.try_into().ok()
    }

    /// For whoever has to find out why something does not come about.
    pub fn told(&mut self) -> String {
        let states = "SELECT string_agg(item || ' ' || status || ': ' || n, ', ') FROM \
            (SELECT item, status, count(*) AS n FROM effect GROUP BY 1, 2 ORDER BY 1, 2) s";
        let ask = |ledger: &mut Self, text| ledger.ask(text)?.first()?.try_get::<String, _>(0).ok();
        format!("ledger {:?}", ask(self, states))
    }

    /// Every message, by medium and address.
    pub fn messages(&mut self) -> BTreeMap<Place, Entry> {
        let text =
            "SELECT e.item, substr(c.deal, 2)::bigint, e.status, coalesce(e.reason, '') FROM effect e JOIN copy c USING (copy_id)";
        let rows = self.ask(text).expect("the server answers");
        let mut all: BTreeMap<Place, Entry> = BTreeMap::new();
        for row in rows {
            let (item, deal, status, reason): (String, i64, i16, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
            let place = match item.as_str() {
                "letter" => letter(deal),
                "text" => text_to(deal),
                _ => continue,
            };
            let entry = Entry { status: EffectStatus::from_code(status).unwrap(), reason, rows: 0 };
            all.entry(place).or_insert(entry).rows += 1;
        }
        all
    }

    /// Somebody meddles with it.
    pub fn meddle(&mut self, text: &'static str) {
        self.ask(text).expect("the server does it");
    }
}

pub fn letter(deal: i64) -> Place {
    ("Email".into(), format!("client{deal}@mail.example"))
}

pub fn text_to(deal: i64) -> Place {
    ("Sms".into(), format!("+7999{deal:07}"))
}
