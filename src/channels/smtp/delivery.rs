//! Messages over one session. With PIPELINING (RFC 2920) a message's content and the next one's MAIL, RCPT and DATA are one
//! write, so a round trip each, and never more than one message whose fate is open.

use super::{
    envelope::{Prepared, prepare},
    pool::{Item, Pool},
    reply::Reply,
    session::Session,
    verdict::{Stage, queue_id, refusal},
    wire::WireError,
};
use crate::{channels::ticket::Progress, model::Outcome};

/// What became of the session.
pub(super) enum Ended {
    /// May be used again.
    Open(Session),
    Gone,
    /// Died before it had served anything: the next one may well do the same.
    Useless(String),
}

struct Current {
    item: Item,
    prepared: Prepared,
}

/// What the server said to MAIL, RCPT and DATA.
enum Answer {
    /// 354: content is awaited.
    Go,
    Refused(Outcome),
    /// 421: it closes. Nothing was accepted.
    Closing(String),
}

/// Delivers `first` and what can follow it without a pause.
pub(super) async fn run(pool: &Pool, mut session: Session, first: Item) -> Ended {
    let Some(mut current) = ready(pool, &session, first) else { return Ended::Open(session) };
    let mut group = Vec::new();
    envelope(&mut session, &mut current, &mut group);
    if let Err((_, e)) = session.wire.write(&group, pool.limits.block).await {
        return lost(pool, &session, current.item, &e);
    }
    loop {
        let answer = tokio::select! {
            answer = answer(pool, &mut session, &current.prepared) => answer,
            () = pool.closed() => {
                // Whoever hangs up before the content has handed nothing over.
                current.item.not_started();
                return Ended::Gone;
            }
        };
        match answer {
            Ok(Answer::Go) => {}
            Ok(Answer::Refused(outcome)) => {
                session.dirty = true;
                current.item.ticket.report(outcome);
                return Ended::Open(session);
            }
            Ok(Answer::Closing(codes)) => {
                let why = format!("SMTP {codes}: the server closed the session");
                return untouched(pool, &session, current.item, why, true);
            }
            Err(e) => return lost(pool, &session, current.item, &e),
        }
        if current.item.late() || pool.is_closed() {
            // Content must not begin after the deadline, and after 354 only closing takes DATA back.
            current.item.not_started();
            return Ended::Gone;
        }

        let mut following = next(pool, &session);
        let mut write = std::mem::take(&mut current.prepared.content);
        let dot_at = write.len();
        if let Some(following) = &mut following {
            envelope(&mut session, following, &mut write);
        }
        current.item.ticket.progress = Progress::Ambiguous;
        let reply = match session.wire.write(&write, pool.limits.block).await {
            Ok(()) => session.wire.reply(pool.limits.dot).await,
            Err((written, _)) if written < dot_at => {
                // The final dot never left, so nothing was accepted; the server may have said why it hung up.
                let said = session.wire.reply(pool.limits.quit).await.ok().filter(|r| matches!(r.class(), 4 | 5) && r.code != 421);
                let outcome = said.map_or_else(
                    || Outcome::Retry { reason: "the connection broke before the message was complete".into(), after: None },
                    |reply| refusal(&reply, Stage::Content),
                );
                current.item.ticket.report(outcome);
                give_back(pool, following, "the connection broke");
                return Ended::Gone;
            }
            Err((_, e)) => Err(e),
        };
        let (outcome, open) = after_dot(reply);
        current.item.ticket.report(outcome);
        match (open, following) {
            (true, Some(next)) => current = next,
            (true, None) => return Ended::Open(session),
            (false, following) => {
                give_back(pool, following, "the server closed the session");
                return Ended::Gone;
            }
        }
    }
}

/// The answer to the final dot decides alone; whether the session goes on comes with it.
fn after_dot(reply: Result<Reply, WireError>) -> (Outcome, bool) {
    match reply {
        Ok(reply) if reply.class() == 2 => (Outcome::Accepted { provider: String::new(), provider_id: queue_id(&reply) }, true),
        // 421 here means "closing", which says nothing certain about the message.
        Ok(reply) if reply.code == 421 || reply.class() == 3 => {
            (Outcome::Unknown { reason: format!("SMTP {} after the final dot", reply.codes()) }, false)
        }
        Ok(reply) => (refusal(&reply, Stage::Content), true),
        Err(e) => (Outcome::Unknown { reason: format!("after the final dot: {e}") }, false),
    }
}

/// Makes a message ready for this session; one that can never go is reported.
fn ready(pool: &Pool, session: &Session, item: Item) -> Option<Current> {
    match prepare(&item.job.to, &item.job.message, pool.signer.as_deref(), &session.announced) {
        Ok(prepared) => Some(Current { item, prepared }),
        Err(outcome) => {
            item.ticket.report(outcome);
            None
        }
    }
}

fn next(pool: &Pool, session: &Session) -> Option<Current> {
    if !session.announced.pipelining || session.used >= pool.wiring.messages_per_connection {
        return None;
    }
    loop {
        if let Some(current) = ready(pool, session, pool.try_take()?) {
            return Some(current);
        }
    }
}

/// Appends what opens the transaction: everything up to DATA when pipelining, else the first command only.
fn envelope(session: &mut Session, current: &mut Current, out: &mut Vec<u8>) {
    session.used += 1;
    current.item.ticket.progress = Progress::Begun;
    if session.announced.pipelining {
        if session.dirty {
            out.extend_from_slice(b"RSET\r\n");
        }
        out.extend_from_slice(current.prepared.mail.as_bytes());
        out.extend_from_slice(current.prepared.rcpt.as_bytes());
        out.extend_from_slice(b"DATA\r\n");
    } else if session.dirty {
        out.extend_from_slice(b"RSET\r\n");
    } else {
        out.extend_from_slice(current.prepared.mail.as_bytes());
    }
}

/// Reads the answers to [`envelope`], writing the remaining commands one by one where the server does not pipeline.
async fn answer(pool: &Pool, session: &mut Session, prepared: &Prepared) -> Result<Answer, WireError> {
    let limits = &pool.limits;
    let pipelined = session.announced.pipelining;
    if std::mem::take(&mut session.dirty) {
        let reset = session.wire.reply(limits.command).await?;
        if reset.class() != 2 {
            return Ok(Answer::Closing(reset.codes()));
        }
        if !pipelined {
            session.wire.write(prepared.mail.as_bytes(), limits.command).await.map_err(|(_, e)| e)?;
        }
    }
    let mut refused = None;
    let steps = [(Stage::Sender, None), (Stage::Recipient, Some(prepared.rcpt.as_str())), (Stage::Data, Some("DATA\r\n"))];
    for (stage, command) in steps {
        if !pipelined {
            if let Some(outcome) = refused {
                return Ok(Answer::Refused(outcome));
            }
            if let Some(command) = command {
                session.wire.write(command.as_bytes(), limits.command).await.map_err(|(_, e)| e)?;
            }
        }
        let reply = session.wire.reply(if stage == Stage::Data { limits.data } else { limits.command }).await?;
        match (stage, reply.class()) {
            _ if reply.code == 421 => return Ok(Answer::Closing(reply.codes())),
            (Stage::Data, 3) if refused.is_some() => {
                // DATA was taken although nobody is to get it: a lone dot ends it (RFC 2920 §3.1), whatever the answer is.
                session.wire.write(b".\r\n", limits.block).await.map_err(|(_, e)| e)?;
                session.wire.reply(limits.dot).await?;
            }
            (Stage::Data, 3) => return Ok(Answer::Go),
            (Stage::Sender | Stage::Recipient, 2) => {}
            (_, 4 | 5) => refused = refused.or_else(|| Some(refusal(&reply, stage))),
            // 2xx to DATA or 3xx to MAIL: both sides no longer speak of the same thing.
            _ => return Ok(Answer::Closing(reply.codes())),
        }
    }
    Ok(refused.map_or_else(|| Answer::Closing("out of step".into()), Answer::Refused))
}

/// The session died before any content: nothing was accepted. One that had served before may simply have been closed while
/// idle, which is no reason to count an attempt.
fn lost(pool: &Pool, session: &Session, item: Item, why: &WireError) -> Ended {
    let reason = format!("before the message was handed over: {why}");
    untouched(pool, session, item, reason, !matches!(why, WireError::Timeout))
}

fn untouched(pool: &Pool, session: &Session, item: Item, why: String, again: bool) -> Ended {
    if session.used > 1 && again {
        pool.put_back(item, &why);
        return Ended::Gone;
    }
    item.ticket.report(Outcome::Retry { reason: why.clone(), after: None });
    if session.used > 1 { Ended::Gone } else { Ended::Useless(why) }
}

fn give_back(pool: &Pool, following: Option<Current>, why: &str) {
    if let Some(following) = following {
        pool.put_back(following.item, why);
    }
}
