//! Whether an SMS fits the GSM 03.38 default alphabet, and how many parts it takes.

/// The basic table (3GPP TS 23.038 §6.2.1), one septet each.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table (§6.2.1.1), two septets each.
const EXTENDED: &str = "^{}\\[~]|€";

/// Septets of one character, or `None` when only UCS-2 has it.
fn septets(c: char) -> Option<usize> {
    if BASIC.contains(c) { Some(1) } else { EXTENDED.contains(c).then_some(2) }
}

pub(super) fn is_gsm7(text: &str) -> bool {
    text.chars().all(|c| septets(c).is_some())
}

/// Parts as the network counts them: escapes and surrogate pairs never straddle two.
pub(super) fn parts(text: &str) -> usize {
    let (single, each) = if is_gsm7(text) { (160, 153) } else { (70, 67) };
    let costs = || text.chars().map(|c| if single == 160 { septets(c).unwrap_or(1) } else { c.len_utf16() });
    if costs().sum::<usize>() <= single {
        return 1;
    }
    let (mut parts, mut used) = (1, 0);
    for cost in costs() {
        if used + cost > each {
            parts += 1;
            used = 0;
        }
        used += cost;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_as_the_network_counts() {
        for (text, want) in [
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("я".repeat(70), 1),
            ("я".repeat(71), 2),
            ("я".repeat(135), 3),
            (format!("{}😀{}", "я".repeat(66), "я".repeat(10)), 2),
            ("₽".into(), 1),
        ] {
            assert_eq!(parts(&text), want, "{text}");
        }
    }
}
