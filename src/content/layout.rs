//! The default look of an email: one column of 600 px, tables and inline styles (what mail clients honour), readable in dark mode.

use super::{EmailSender, html_text::end_of_tag, item::Tongue, template::escape_html};
use std::fmt::Write as _;

const ACCENT: &str = "#1a56db";

/// Colours of links and buttons.
pub struct Colors {
    pub accent: String,
    /// Legible on it.
    pub on_accent: &'static str,
}

impl Colors {
    /// `accent` as `#rgb` or `#rrggbb`; anything else gives the default.
    pub fn of(accent: Option<&str>) -> Self {
        let digits =
            accent.and_then(|a| a.strip_prefix('#')).filter(|d| d.chars().all(|c| c.is_ascii_hexdigit())).unwrap_or_default();
        let accent = match digits.len() {
            6 => format!("#{digits}"),
            3 => digits.chars().fold(String::from("#"), |mut all, c| {
                all.extend([c, c]);
                all
            }),
            _ => ACCENT.to_owned(),
        };
        let channel = |at: usize| accent.get(at..at + 2).and_then(|d| u32::from_str_radix(d, 16).ok()).unwrap_or(0);
        let luminance = channel(1) * 299 + channel(3) * 587 + channel(5) * 114;
        Self { accent, on_accent: if luminance > 160_000 { "#1f2933" } else { "#ffffff" } }
    }
}

pub struct Page<'a> {
    pub sender: &'a EmailSender,
    pub tongue: &'a Tongue,
    pub subject: &'a str,
    /// What a mailbox shows after the subject.
    pub preheader: &'a str,
    /// `None`: no public address; people answer the mail instead.
    pub unsubscribe: Option<&'a str>,
}

impl Page<'_> {
    /// The complete document around a body.
    pub fn html(&self, body: &str) -> String {
        let mut out = String::with_capacity(body.len() + 4096);
        // Mail programs cut the document off, so its cells say the direction once more.
        let dir = if self.tongue.right_to_left { " dir=\"rtl\"" } else { "" };
        out.push_str("<!DOCTYPE html>\n<html lang=\"");
        escape_html(&mut out, &self.tongue.tag);
        let _ = write!(
            out,
            "\"{dir} xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
             <meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"supported-color-schemes\" content=\"light dark\">\n<title>"
        );
        escape_html(&mut out, self.subject);
        out.push_str("</title>\n");
        out.push_str(STYLE);
        out.push_str("</head>\n<body class=\"rk-page\" style=\"margin:0;padding:0;background-color:#f3f5f8\">\n");
        self.push_preheader(&mut out);
        let side = if self.tongue.right_to_left { "right" } else { "left" };
        out.push_str(OPEN);
        let _ = writeln!(out, "text-align:{side}\">");
        self.head(&mut out);
        let _ = write!(
            out,
            "<tr><td class=\"rk-card rk-pad\"{dir} style=\"padding:32px 32px 16px;background-color:#ffffff;border-radius:8px;"
        );
        out.push_str(FONT);
        out.push_str("font-size:16px;line-height:24px;color:#1f2933\">\n");
        out.push_str(body);
        let _ = write!(out, "</td></tr>\n<tr><td class=\"rk-foot rk-pad\"{dir} style=\"padding:20px 32px 0;");
        out.push_str(FONT);
        out.push_str("font-size:13px;line-height:20px;color:#616e7c\">\n");
        self.foot(&mut out);
        out.push_str("</td></tr>\n</table>\n<!--[if mso]></td></tr></table><![endif]-->\n</td></tr></table>\n</body>\n</html>\n");
        out
    }

    fn push_preheader(&self, out: &mut String) {
        if !self.preheader.is_empty() {
            out.push_str("<div style=\"display:none;max-height:0;overflow:hidden;opacity:0;font-size:1px;line-height:1px\">");
            escape_html(out, self.preheader);
            // Keeps the body's first words out of the mailbox's list.
            out.push_str(&"&#847;&zwnj;&nbsp;".repeat(40));
            out.push_str("</div>\n");
        }
    }

    /// Puts the preheader before the first words of a marketer's own HTML.
    pub fn insert_preheader(&self, html: &mut String) {
        let mut hidden = String::new();
        self.push_preheader(&mut hidden);
        if !hidden.is_empty() {
            let behind = ["body", "/head", "html", "!doctype"].into_iter().find_map(|tag| end_of_tag(html, tag));
            html.insert_str(behind.unwrap_or(0), &hidden);
        }
    }

    fn head(&self, out: &mut String) {
        out.push_str("<tr><td class=\"rk-head rk-pad\" style=\"padding:0 32px 16px;");
        out.push_str(FONT);
        out.push_str("font-size:18px;line-height:24px;font-weight:bold;color:#1f2933\">");
        match self.sender.logo_url.as_deref().filter(|url| url.starts_with("https://")) {
            Some(url) => {
                out.push_str("<img src=\"");
                escape_html(out, url);
                out.push_str("\" height=\"40\" alt=\"");
                escape_html(out, &self.sender.brand_title);
                out.push_str("\" style=\"display:block;height:40px;width:auto;border:0\">");
            }
            None => escape_html(out, &self.sender.brand_title),
        }
        out.push_str("</td></tr>\n");
    }

    /// Who writes, where from, why, and how to stop it.
    pub fn foot(&self, out: &mut String) {
        escape_html(out, &self.sender.brand_title);
        if let Some(postal) = &self.sender.postal_address {
            out.push_str("<br>");
            escape_html(out, postal);
        }
        out.push_str("<br>");
        // Words of ours are read from left to right.
        let (open, close) = if self.tongue.right_to_left { ("<span dir=\"ltr\">", "</span>") } else { ("", "") };
        out.push_str(open);
        escape_html(out, self.why());
        out.push_str(close);
        out.push_str("<br>");
        if let Some(url) = self.unsubscribe {
            out.push_str("<a href=\"");
            escape_html(out, url);
            out.push_str("\" class=\"rk-foot\" style=\"color:#616e7c;text-decoration:underline\">");
            out.push_str(self.stop());
            out.push_str("</a>\n");
        } else {
            out.push_str(open);
            escape_html(out, self.answer());
            out.push_str(close);
        }
    }

    /// The same under the plain text.
    pub fn foot_text(&self, out: &mut String) {
        self.sign(out);
        let _ = writeln!(out, "{}", self.why());
        let _ = match self.unsubscribe {
            Some(url) => writeln!(out, "{}: {url}", self.stop()),
            None => writeln!(out, "{}", self.answer()),
        };
    }

    /// Under a text of ours that shows how to stop it: from where it comes, unless it says so.
    pub fn sign_text(&self, out: &mut String) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.sender.postal_address.as_ref().is_some_and(|postal| !words(out).contains(&words(postal))) {
            self.sign(out);
        }
    }

    fn sign(&self, out: &mut String) {
        let _ = write!(out, "\n-- \n{}\n", self.sender.brand_title);
        if let Some(postal) = &self.sender.postal_address {
            let _ = writeln!(out, "{postal}");
        }
    }

    /// Puts the footer into a marketer's own HTML that shows no unsubscribe link.
    pub fn append_foot(&self, html: &mut String) {
        let mut foot = format!("<div style=\"padding:20px 0;{FONT}font-size:13px;line-height:20px;color:#616e7c\">");
        self.foot(&mut foot);
        foot.push_str("</div>\n");
        append(html, &foot);
    }

    const fn stop(&self) -> &'static str {
        self.tongue.words.pick("Отписаться", "Unsubscribe")
    }

    const fn why(&self) -> &'static str {
        self.tongue.words.pick(
            "Вы получили это письмо, потому что обращались к нам.",
            "You receive this email because you were in touch with us.",
        )
    }

    const fn answer(&self) -> &'static str {
        self.tongue.words.pick(
            "Чтобы больше не получать писем, ответьте на это письмо словом СТОП.",
            "To get no more emails, answer this one with STOP.",
        )
    }
}

/// Puts the targets of links in the place of their tracked addresses where a mail program fetches them to show the mail.
pub fn direct_pictures(html: &mut String, tracked: &[(&str, String)], targets: &[(&str, String)]) {
    for ((_, tracked), (_, target)) in tracked.iter().zip(targets) {
        if !tracked.is_empty() && !target.is_empty() && tracked != target {
            direct_picture(html, tracked, target);
        }
    }
}

fn direct_picture(html: &mut String, tracked: &str, target: &str) {
    let (mut written, mut direct) = (String::new(), String::new());
    escape_html(&mut written, tracked);
    escape_html(&mut direct, target);
    let mut out = String::with_capacity(html.len());
    let mut rest = html.as_str();
    while let Some((before, after)) = rest.split_once(written.as_str()) {
        out.push_str(before);
        let address = if is_fetched(&out) { &direct } else { &written };
        out.push_str(address);
        rest = after;
    }
    out.push_str(rest);
    *html = out;
}

/// Whether the address that follows is one of a picture: `src="`, `background="`, `url(`.
fn is_fetched(before: &str) -> bool {
    let before = before.trim_end();
    let before = before.strip_suffix(['"', '\'']).unwrap_or(before).trim_end();
    let last_word = |text: &str| {
        let word = text.trim_end().rsplit(|c: char| !c.is_ascii_alphabetic()).next();
        word.unwrap_or_default().to_ascii_lowercase()
    };
    if let Some(function) = before.strip_suffix('(') {
        return last_word(function) == "url";
    }
    // The second picture of a set.
    if let Some((_, inside)) = before.rsplit_once("srcset=")
        && !inside.trim_start_matches(['"', '\'']).contains(['"', '\'', '>'])
    {
        return true;
    }
    before.strip_suffix('=').is_some_and(|name| {
        // An attribute stands behind a blank or a quote, a parameter of another address behind ? or &.
        let (word, name) = (last_word(name), name.trim_end());
        matches!(word.as_str(), "src" | "srcset" | "background" | "poster")
            && name
                .get(..name.len() - word.len())
                .is_some_and(|behind| behind.ends_with(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')))
    })
}

/// Puts a link into a document that no reader sees, hears or comes to with a keyboard.
pub fn hide_link(html: &mut String, url: &str) {
    let mut link = String::from("<div style=\"display:none;max-height:0;overflow:hidden\"><a href=\"");
    escape_html(&mut link, url);
    link.push_str("\" tabindex=\"-1\" aria-hidden=\"true\" rel=\"nofollow\"></a></div>\n");
    append(html, &link);
}

/// At the end of a document's body.
fn append(html: &mut String, piece: &str) {
    let lower = html.to_ascii_lowercase();
    let at = lower.rfind("</body").or_else(|| lower.rfind("</html")).unwrap_or(html.len());
    html.insert_str(at, piece);
}

const FONT: &str = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;";

const OPEN: &str = "<table role=\"presentation\" class=\"rk-page\" width=\"100%\" border=\"0\" cellpadding=\"0\" cellspacing=\"0\" style=\"background-color:#f3f5f8\"><tr><td align=\"center\" style=\"padding:24px 12px\">\n\
<!--[if mso]><table role=\"presentation\" width=\"600\" cellpadding=\"0\" cellspacing=\"0\"><tr><td><![endif]-->\n\
<table role=\"presentation\" width=\"100%\" border=\"0\" cellpadding=\"0\" cellspacing=\"0\" style=\"max-width:600px;margin:0 auto;";

const STYLE: &str = "<style>\n\
body{-webkit-text-size-adjust:100%;-ms-text-size-adjust:100%}\n\
@media (max-width:480px){.rk-pad{padding-left:20px!important;padding-right:20px!important}}\n\
@media (prefers-color-scheme:dark){\n\
.rk-page{background-color:#14181d!important}\n\
.rk-card{background-color:#1f252c!important;color:#e4e7eb!important}\n\
.rk-head{color:#e4e7eb!important}.rk-foot{color:#9aa5b1!important}\n\
.rk-link{color:#8ab4ff!important}.rk-line{border-color:#3e4c59!important}\n\
}\n</style>\n";

#[cfg(test)]
mod tests {
    use super::Colors;

    #[test]
    fn buttons_stay_legible_and_colours_are_colours() {
        for (given, accent, on_accent) in [
            (None, "#1a56db", "#ffffff"),
            (Some("#fc0"), "#ffcc00", "#1f2933"),
            (Some("#0a7d3c"), "#0a7d3c", "#ffffff"),
            (Some("red;background:url(x)"), "#1a56db", "#ffffff"),
            (Some("#12345\""), "#1a56db", "#ffffff"),
        ] {
            let colors = Colors::of(given);
            assert_eq!((colors.accent.as_str(), colors.on_accent), (accent, on_accent), "{given:?}");
        }
    }
}
