//! Whether the holdout shows that messages bring clients back, and how many it takes to tell.

/// So many of so many came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    pub came: u64,
    pub of: u64,
}

/// What those who came back say, beside those of the holdout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Uplift {
    /// By so many percentage points more came back than of the holdout, or fewer if it is negative. Chance alone does as much in one
    /// case of twenty.
    Points(f64),
    /// Chance may do it. With about so many held out a difference like the present one, and at least of one percentage point, would show.
    NotYet { needed: u64 },
}

/// Two sides, one case of twenty.
const SURE: f64 = 1.96;
/// So much more, and a difference that is there is seen in four cases of five.
const SEEN: f64 = 0.84;
/// Smaller differences are not looked for: they take everybody.
const LEAST: f64 = 0.01;
/// With fewer expected on either side the comparison does not hold.
const EXPECTED: f64 = 5.0;

/// Compares two shares. `None`: one side has nobody. Both sides have everybody who could have been written to, not only whom a message
/// reached: who has no address or consent, or comes back before the first message, is in the holdout, too.
#[must_use]
#[allow(clippy::cast_precision_loss)] // clients of one funnel
pub fn uplift(treated: Arm, holdout: Arm) -> Option<Uplift> {
    if treated.of == 0 || holdout.of == 0 {
        return None;
    }
    let (n, m) = (treated.of as f64, holdout.of as f64);
    let difference = treated.came as f64 / n - holdout.came as f64 / m;
    let all = (treated.came + holdout.came) as f64 / (n + m);
    let chance = (all * (1.0 - all) * (1.0 / n + 1.0 / m)).sqrt();
    if n.min(m) * all.min(1.0 - all) >= EXPECTED && difference.abs() >= SURE * chance {
        return Some(Uplift::Points(difference * 100.0));
    }
    // As if one more had come back and one more had not: nobody of nine is no proof of never.
    let near = |came: u64, of: u64| (came as f64 + 1.0) / (of as f64 + 2.0);
    let (p, q) = (near(treated.came, treated.of), near(holdout.came, holdout.of));
    let both = near(treated.came + holdout.came, treated.of + holdout.of);
    let spread = p * (1.0 - p) * m / n + q * (1.0 - q);
    let needed = ((SURE + SEEN) / difference.abs().max(LEAST)).powi(2) * spread;
    Some(Uplift::NotYet { needed: about(needed.max(EXPECTED / both.min(1.0 - both)).max(m + 1.0)) })
}

/// Two digits of it, upwards.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a number of clients
fn about(number: f64) -> u64 {
    let unit = 10_f64.powf((number.log10().floor() - 1.0).max(0.0));
    ((number / unit).ceil() * unit) as u64
}
