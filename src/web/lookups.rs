//! Look-ups of what links name. Those asked for at the same moment share one statement: the first clicks of a mailing come by
//! thousands a second, and a statement costs more than what it reads.

use crate::{
    model::EffectRef,
    store::{EffectInfo, Journal, StoreError},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Look-ups that may wait: a store in trouble must not gather requests without bound.
const QUEUE: usize = 4_096;

/// Look-ups of one statement.
const BATCH: usize = 256;

/// Statements under way at once.
const STATEMENTS: usize = 2;

/// How long one look-up may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why something could not be looked up now.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// Shared by everybody who asked with that statement.
    #[error(transparent)]
    Store(Arc<StoreError>),
    #[error("the store did not answer in time")]
    Slow,
    /// Nothing was looked up: too many unknown codes came from there.
    #[error("too many unknown links were tried")]
    Guessing,
}

impl LookupError {
    pub fn label(&self) -> &'static str {
        match self {
            Self::Store(error) => error.label(),
            Self::Slow => "slow",
            Self::Guessing => "guessing",
        }
    }
}

/// What a link is known by.
#[derive(Debug)]
enum Question {
    Effect(EffectRef, Reply<EffectInfo>),
    /// By the keyed hash of a short code: the effect and the number of its link.
    Code(String, Reply<(EffectRef, i16)>),
}

type Reply<T> = oneshot::Sender<Result<Option<T>, LookupError>>;

pub(super) struct Lookups {
    queue: mpsc::Sender<Question>,
}

impl Lookups {
    /// Must be called inside a tokio runtime: it starts the task that asks. The task ends when this is dropped.
    pub fn start(journal: Arc<dyn Journal>) -> Self {
        let (queue, questions) = mpsc::channel(QUEUE);
        tokio::spawn(ask(journal, questions));
        Self { queue }
    }

    pub async fn effect(&self, effect: EffectRef) -> Result<Option<EffectInfo>, LookupError> {
        self.wait(|reply| Question::Effect(effect, reply)).await
    }

    pub async fn code(&self, hash: &str) -> Result<Option<(EffectRef, i16)>, LookupError> {
        self.wait(|reply| Question::Code(hash.to_owned(), reply)).await
    }

    async fn wait<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<Option<T>, LookupError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(question(reply)).map_err(|_| LookupError::Slow)?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(LookupError::Slow),
        }
    }
}

async fn ask(journal: Arc<dyn Journal>, mut questions: mpsc::Receiver<Question>) {
    let statements = Arc::new(Semaphore::new(STATEMENTS));
    loop {
        // While all statements are under way the next batch gathers.
        let Ok(turn) = Arc::clone(&statements).acquire_owned().await else { return };
        let mut batch = Vec::new();
        if questions.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            answer(&*journal, batch).await;
            drop(turn);
        });
    }
}

async fn answer(journal: &dyn Journal, batch: Vec<Question>) {
    let (mut effects, mut codes) = (Vec::new(), Vec::new());
    for question in batch {
        match question {
            // Whoever gave up meanwhile costs nothing.
            Question::Effect(effect, reply) if !reply.is_closed() => effects.push((effect, reply)),
            Question::Code(hash, reply) if !reply.is_closed() => codes.push((hash, reply)),
            _ => {}
        }
    }
    if !effects.is_empty() {
        answer_effects(journal, effects).await;
    }
    if !codes.is_empty() {
        answer_codes(journal, codes).await;
    }
}

async fn answer_effects(journal: &dyn Journal, asked: Vec<(EffectRef, Reply<EffectInfo>)>) {
    let refs: Vec<EffectRef> = asked.iter().map(|(effect, _)| *effect).collect();
    match journal.effects(&refs).await {
        Ok(found) => {
            // In the order asked, unknown ones left out.
            let mut found = found.into_iter().peekable();
            for (effect, reply) in asked {
                let _ = reply.send(Ok(found.next_if(|info| info.effect == effect)));
            }
        }
        // One damaged row must not close the links of the others.
        Err(StoreError::Corrupt { .. }) if asked.len() > 1 => {
            for (effect, reply) in asked {
                let _ = reply.send(journal.effect(effect).await.map_err(|error| LookupError::Store(Arc::new(error))));
            }
        }
        Err(error) => refuse(error, asked),
    }
}

async fn answer_codes(journal: &dyn Journal, asked: Vec<(String, Reply<(EffectRef, i16)>)>) {
    let hashes: Vec<String> = asked.iter().map(|(hash, _)| hash.clone()).collect();
    match journal.codes(&hashes).await {
        Ok(found) => {
            for (hash, reply) in asked {
                let _ = reply.send(Ok(found.get(&hash).copied()));
            }
        }
        Err(error) => refuse(error, asked),
    }
}

fn refuse<K, T>(error: StoreError, asked: Vec<(K, Reply<T>)>) {
    let error = Arc::new(error);
    for (_, reply) in asked {
        let _ = reply.send(Err(LookupError::Store(Arc::clone(&error))));
    }
}
