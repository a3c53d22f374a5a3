//! What happens in one run: what people and providers do, and which faults strike where. Every line can be left out by itself, so
//! that a run that fails can be made smaller.

use super::{
    dice::Dice,
    fixture::{DEALS, PEOPLE},
    world::AT_WORK,
};

/// At the n-th change that the processes ask for, of the store, a provider or the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies with nothing done.
    CrashBefore,
    /// It was done, and the process dies before it knows.
    CrashAfter,
    /// The answer is an error, and nothing was done.
    Refused,
    /// It was done, and the answer is an error. For transactions: the reply to COMMIT is lost.
    ReplyLost,
    /// The process stands still that long (milliseconds), before or after.
    PausedBefore(u64),
    PausedAfter(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    Lose(usize),
    Reopen(usize),
    Win(usize),
    Delete(usize),
    /// Somebody writes a comment: the deal has a newer version, nothing else.
    Touch(usize),
    /// The next look at the CRM shows this deal as it was before its last change.
    GoBack(usize),
    /// The next look shows every deal twice.
    Twice,
    /// The CRM cannot be read for so many seconds.
    CrmDown(u64),
    Call(usize),
    Reply(usize),
    Stop(usize),
    /// A person unsubscribes by the newest message they got: from everything of the brand, or from that message's medium only.
    Unsubscribe(usize, bool),
    /// The CRM says that a person takes back their consent to SMS, or to email.
    Refuse(usize, bool),
    /// A person opens the link of the newest message they got.
    Click(usize),
    Kill(usize),
    Pause(usize, u64),
    /// A process's wall clock is suddenly wrong by that many seconds more.
    Jump(usize, i64),
    /// All clocks are put right.
    ClocksRight,
    /// Somebody sets back by hand, an hour into the past, when this deal is looked at next.
    Backdate(usize),
    /// The store is away for so many seconds.
    StoreDown(u64),
    Hold,
    Release,
    /// A new text, and the first item sooner or later. On one process now, on the others a while later.
    Publish(u8, bool),
    /// The same, and the others never hear of it.
    PublishOn(usize, u8, bool),
    /// The database is copied, and later put back as it was then, with all processes stopped.
    Backup,
    Restore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// After so many seconds.
    At(u64, Happening),
    On(u64, Fault),
    /// At the n-th hand-over to a provider: few of all changes are one.
    Over(u64, Fault),
}

/// How often, in thousandths, a provider does what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manners {
    /// Takes the message and the reply is lost.
    pub drops_reply: u64,
    /// The connection breaks and nobody knows; it was not taken.
    pub breaks: u64,
    pub refuses: u64,
    pub rejects: u64,
    pub too_many: u64,
    pub out_of_money: u64,
    /// Answers after half a minute: longer than a lease.
    pub slow: u64,
    /// Receipts: before the reply, twice, bounced, about a message that does not exist.
    pub early: u64,
    pub twice: u64,
    pub bounces: u64,
    pub stray: u64,
    /// Receipts for SMS that name only the provider's own id, which may come before anybody told us of that id.
    pub by_id: u64,
    /// Write-backs that are applied while the reply is lost, and such as are refused for now.
    pub crm_unsure: u64,
    pub crm_busy: u64,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub processes: usize,
    pub sqlite: bool,
    pub resend: bool,
    pub manners: Manners,
    /// The reply to a renewal is on its way for up to so many milliseconds, and at least half as long.
    pub slow_store: u64,
    /// Hand-over numbers are set aside outside the database.
    pub witness: bool,
    pub lines: Vec<Line>,
}

impl Scenario {
    /// Everything may happen.
    pub fn drawn(seed: u64, sqlite: bool) -> Self {
        let dice = Dice(seed);
        let mut lines: Vec<Line> = Vec::new();
        // Half of all runs are short and dense, the others last for days.
        let span = if dice.chance("span", 0, 500) { 3 * 3600 } else { 3 * 86_400 };
        let at = |what: &str, n: u64| dice.roll(what, n, span);
        for deal in 0..DEALS as u64 {
            if dice.chance("lost", deal, 800) {
                lines.push(Line::At(30 + dice.roll("lost at", deal, 1800), Happening::Lose(usize::try_from(deal).unwrap())));
            }
        }
        for n in 0..6 + dice.roll("happenings", 0, 14) {
            let deal = usize::try_from(dice.roll("deal", n, DEALS as u64)).unwrap();
            let person = usize::try_from(dice.roll("person", n, PEOPLE as u64)).unwrap();
            // Three of them, and whoever works.
            let process = usize::try_from(dice.roll("process", n, 5)).unwrap().min(AT_WORK);
            let (text, sooner) = (u8::try_from(dice.roll("text", n, 3)).unwrap(), dice.chance("sooner", n, 500));
            let what = match dice.roll("what", n, 33) {
                0 => Happening::Lose(deal),
                1 => Happening::Reopen(deal),
                2 => Happening::Win(deal),
                3 => Happening::Delete(deal),
                4 => Happening::Touch(deal),
                5 => Happening::GoBack(deal),
                6 => Happening::Twice,
                7 => Happening::CrmDown(dice.roll("down", n, 4 * 3600)),
                8 => Happening::Call(deal),
                9 => Happening::Reply(person),
                10 | 11 => Happening::Stop(person),
                12 | 13 => Happening::Click(person),
                14..=16 => Happening::Kill(process),
                17 | 18 => Happening::Pause(process, 1000 + dice.roll("pause", n, 40_000)),
                19 => {
                    // Most clocks that went wrong are found out, and what happens then was once below the watermark of what is due.
                    if dice.chance("found out", n, 700) {
                        lines.push(Line::At(at("at", n) + dice.roll("right", n, 7200), Happening::ClocksRight));
                    }
                    Happening::Jump(process, [-3600, 3600, 86_400, -60, 60][usize::try_from(dice.roll("jump", n, 5)).unwrap()])
                }
                20 => Happening::StoreDown(1 + dice.roll("store", n, 40)),
                21 => Happening::Hold,
                22 => Happening::Release,
                23..=25 => Happening::Publish(text, sooner),
                26 | 27 => Happening::Backdate(deal),
                30 | 31 => Happening::Unsubscribe(person, dice.chance("narrow", n, 600)),
                32 => Happening::Refuse(person, dice.chance("sms", n, 500)),
                _ => Happening::PublishOn(process, text, sooner),
            };
            lines.push(Line::At(at("at", n), what));
        }
        let fault = |n: u64| match dice.roll("fault", n, 12) {
            0 | 1 => Fault::CrashBefore,
            2..=4 => Fault::CrashAfter,
            5 => Fault::Refused,
            6..=8 => Fault::ReplyLost,
            9 => Fault::PausedBefore(500 + dice.roll("stands", n, 30_000)),
            10 => Fault::PausedBefore(2_000 + dice.roll("stands", n, 8_000)),
            _ => Fault::PausedAfter(500 + dice.roll("stands", n, 30_000)),
        };
        for n in 0..2 + dice.roll("faults", 0, 10) {
            lines.push(Line::On(1 + dice.roll("on", n, 160), fault(n)));
        }
        for n in 100..100 + dice.roll("faults over", 0, 4) {
            lines.push(Line::Over(1 + dice.roll("over", n, 12), fault(n)));
        }
        let often = |what: &str, most: u64| if dice.chance(what, 1, 500) { dice.roll(what, 2, most) } else { 0 };
        let manners = Manners {
            drops_reply: often("drops", 200),
            breaks: often("breaks", 100),
            refuses: often("refuses", 300),
            rejects: often("rejects", 60),
            too_many: often("429", 200),
            out_of_money: often("money", 50),
            slow: often("slow", 150),
            early: often("early", 400),
            twice: often("twice", 500),
            bounces: often("bounces", 60),
            stray: often("stray", 100),
            by_id: often("by id", 500),
            crm_unsure: often("unsure", 200),
            crm_busy: often("busy", 200),
        };
        let processes = 1 + usize::try_from(dice.roll("processes", 0, 3)).unwrap();
        let slow_store = if dice.chance("slow store", 0, 300) { 500 + dice.roll("slow store", 1, 5_500) } else { 0 };
        Self { seed, processes, sqlite, resend: dice.chance("resend", 0, 150), manners, slow_store, witness: false, lines }
    }

    /// Everything may happen, and then the database is put back to an earlier copy. Nobody holds or releases anything.
    pub fn restored(seed: u64) -> Self {
        let mut drawn = Self::drawn(seed, true);
        let dice = Dice(seed);
        let backup = 120 + dice.roll("backup", 0, 3_000);
        let restore = backup + 60 + dice.roll("restore", 0, 2 * 86_400);
        drawn.lines.retain(
            |line| !matches!(line, Line::At(at, what) if *at > restore || matches!(what, Happening::Hold | Happening::Release)),
        );
        drawn.lines.extend([Line::At(backup, Happening::Backup), Line::At(restore, Happening::Restore)]);
        // In most runs there is time in which nothing is sent before: what is passed over is none.
        if dice.chance("rests", 0, 600) {
            drawn.lines.extend([9, 6, 3].map(|before| Line::At(restore - before, Happening::Touch(0))));
        }
        Self { witness: true, ..drawn }
    }

    /// Four deals of three people are lost and warmed in peace.
    pub fn quiet(seed: u64) -> Self {
        let lines = [0, 6, 2, 3].iter().zip(0..).map(|(deal, n)| Line::At(30 + 7 * n, Happening::Lose(*deal))).collect();
        Self { seed, processes: 2, sqlite: false, resend: false, manners: Manners::default(), slow_store: 0, witness: false, lines }
    }

    /// What strikes the n-th change, which is the `over`-th hand-over if it is one.
    pub fn fault_on(&self, n: u64, over: Option<u64>) -> Option<Fault> {
        self.lines.iter().find_map(|line| match line {
            Line::On(on, fault) if *on == n => Some(*fault),
            Line::Over(on, fault) if Some(*on) == over => Some(*fault),
            _ => None,
        })
    }
}
