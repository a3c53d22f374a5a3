//! Items as marketers write them, rendered for clients as CRMs tell them.

use super::*;
use crate::{
    engine::{LedgerEntry, TaskText},
    links::{self, Keys},
    model::{
        Address, AddressHash, Contact, CopyId, Deal, EffectKey, EffectRef, EffectStatus, Email, FieldValue, Manager, ManagerId,
        Money, Phone, SignalKind, Text,
    },
};
use jiff::{Timestamp, tz::TimeZone};
use mail_parser::MessageParser;
use proptest::prelude::{any, proptest};
use uuid::Uuid;

const BASE: &str = "https://go.example.com";

struct World {
    deal: Deal,
    contact: Contact,
    manager: Manager,
    keys: Keys,
    phone: Address,
    email: Address,
}

impl World {
    fn new() -> Self {
        Self {
            deal: Deal {
                id: "D1".into(),
                title: "Квартира 54".into(),
                stage: "Закрыто".into(),
                lost_reason: Some("Не подходит планировка".into()),
                amount: Money(540_000_000),
                currency: Some("RUB".into()),
                fields: [
                    ("layout".to_owned(), FieldValue::Text("2 & 3".into())),
                    ("handover".to_owned(), FieldValue::Text("2026-03-05".into())),
                    ("rooms".to_owned(), FieldValue::Number(3.0)),
                    ("title".to_owned(), FieldValue::Text("hijacked".into())),
                ]
                .into(),
                ..Deal::default()
            },
            contact: Contact {
                name: Text("Мария Иванова".into()),
                fields: [("city".to_owned(), FieldValue::Text("Москва".into()))].into(),
                ..Contact::default()
            },
            manager: Manager {
                id: ManagerId("m1".into()),
                name: Text("Анна Смирнова".into()),
                first_name: None,
                email: Some(Email::parse("anna@novydom.example.com").unwrap()),
                phone: None,
                supervisor: None,
                deputy: None,
                absent_until: None,
            },
            keys: Keys::derive(&[3; 32]),
            phone: Address::Phone(Phone::parse("+79991234567", "RU").unwrap()),
            email: Address::Email(Email::parse("maria@example.org").unwrap()),
        }
    }

    fn context(&self) -> Context {
        Context::new(&self.deal, Some(&self.contact), Some(&self.manager), "Новый дом", None, &TimeZone::UTC)
    }

    fn tracking<'a>(&'a self, to: &'a Address) -> Tracking<'a> {
        Tracking {
            base_url: Some(BASE),
            keys: &self.keys,
            effect: EffectRef { copy: CopyId(42), seq: 5 },
            random: &links::system_random,
            to,
            as_manager: false,
            message_id_domain: "news.example.com",
            key: Uuid::from_u128(7),
            now: now(),
        }
    }

    fn sms(&self, item: &ItemText) -> Result<RenderedItem, RenderError> {
        render_item(item, None, None, &self.context(), &self.tracking(&self.phone))
    }

    fn mail(&self, item: &ItemText) -> Result<RenderedItem, RenderError> {
        render_item(item, None, None, &self.context(), &self.tracking(&self.email))
    }
}

fn now() -> Timestamp {
    "2026-03-05T09:00:00Z".parse().unwrap()
}

fn t(source: &str, escape: Escape) -> Template {
    Template::parse(source, escape).unwrap()
}

fn sms_item(text: &str, links: &[(&str, &str)], opt_out: OptOut) -> ItemText {
    ItemText {
        title: "Новые планировки".into(),
        body: Body::Sms(t(text, Escape::Text)),
        variants: [].into(),
        translations: [].into(),
        links: links.iter().map(|(name, url)| ((*name).to_owned(), t(url, Escape::UrlParts))).collect(),
        utm: [("utm_source".to_owned(), "rekindle".to_owned()), ("utm_medium".to_owned(), "sms".to_owned())].into(),
        sender: Sender::Sms(SmsSender { from: "NOVYDOM".into(), max_parts: 3, opt_out, smart_encoding: false }),
    }
}

fn mail_item(subject: &str, source: EmailSource, links: &[(&str, &str)]) -> ItemText {
    ItemText {
        body: Body::Email(EmailBody { subject: t(subject, Escape::Header), preheader: None, source, text: None }),
        sender: Sender::Email(EmailSender {
            from_name: "Новый дом".into(),
            from_address: "hello@news.example.com".into(),
            reply_to: None,
            manager_name: Some(t("{{ manager.name }}, Новый дом", Escape::Header)),
            manager_reply_to: Some(t("{{ manager.email }}", Escape::Header)),
            bounce_address: Some("bounce@news.example.com".into()),
            postal_address: Some("Москва, ул. Парковая, 1".into()),
            brand_title: "Новый дом".into(),
            accent_color: Some("#0a7d3c".into()),
            logo_url: None,
        }),
        ..sms_item("", links, OptOut::None)
    }
}

fn markdown(source: &str) -> EmailSource {
    EmailSource::Markdown(t(source, Escape::Markdown))
}

#[test]
fn values_and_filters_print_what_people_expect() {
    let world = World::new();
    let mut context = world.context();
    context.set("client.empty", "");
    for (source, want) in [
        ("{{ client.firstName | default('Здравствуйте') }}, {{ client.lastName }}", "Мария, Иванова"),
        ("{{ client.nothing | default('Здравствуйте') }}", "Здравствуйте"),
        ("{{ deal.amount }} {{ deal.amount | money }}", "5400000 5 400 000 ₽"),
        ("{{ deal.amount * 0.7 | round }}", "5400000"),
        ("{{ (deal.amount * 0.7) | money('руб.') }}", "3 780 000 руб."),
        (
            "{{ deal.handover | date }} {{ deal.handover | date('long') }} {{ deal.handover | date('%d.%m') }}",
            "05.03.2026 5 марта 2026 05.03",
        ),
        ("{{ deal.rooms }} {{ deal.rooms | plural_ru('комната', 'комнаты', 'комнат') }}", "3 комнаты"),
        (
            "{{ client.city | upper }} {{ 'иВАН петров' | title }} {{ 'очень длинное имя' | truncate(11) }}",
            "МОСКВА Иван Петров очень…",
        ),
        ("{% if client.city == 'Москва' %}да{% elif deal.amount > 1 %}нет{% else %}?{% endif %}", "да"),
        ("{% if client.nothing %}{{ client.nothing }}{% else %}-{% endif %}", "-"),
        ("{{ 'a' if deal.rooms >= 3 and client.city in ['Москва', 'Казань'] else 'b' }}", "a"),
        ("{{ deal.title }} {{ brand }} {{ manager.firstName }}", "Квартира 54 Новый дом Анна"),
        ("{{ 'Müllerstraße 5' | truncate(8) }} {{ 'Anna' | truncate(1) }} {{ 'Комната' | truncate(5) }}", "Mülle... A Комн…"),
        (
            "{{ deal.handover | date('%d %B (%a)') }}, {{ deal.handover | date('%B %Y') }}, {{ deal.handover | date('%%B') }}",
            "05 марта (чт), март 2026, %B",
        ),
        ("{{ client.nothing or client.city }} {{ 'x' ~ deal.rooms }} {{ 7 % 4 }} {{ 1 / 3 }}", "Москва x3 3 0.33"),
    ] {
        assert_eq!(t(source, Escape::Text).render(&context).unwrap(), want, "{source}");
    }
    for (source, want) in [
        ("Здравствуйте, {{ client.nothing }}!", RenderError::Missing("client.nothing".into())),
        ("{{ client.empty }}", RenderError::Missing("client.empty".into())),
        ("{{ client.nothing | upper }}", RenderError::Missing("client.nothing".into())),
        ("{{ 'a' ~ client.nothing }}", RenderError::Missing("client.nothing".into())),
        ("{{ client.city * 2 }}", RenderError::NotANumber("client.city".into())),
        ("{{ 1 / 0 }}", RenderError::DividesByZero),
        ("{{ 5 % (deal.rooms - 3) }}", RenderError::DividesByZero),
        ("{{ deal.amount - (client.city | upper) }}", RenderError::NotANumber("client.city".into())),
        ("{{ client.city | trim | plural_ru('a', 'b', 'c') | upper }}", RenderError::NotANumber("client.city | plural_ru".into())),
        ("{{ client.city | date }}", RenderError::NotADate("client.city | date".into())),
    ] {
        assert_eq!(t(source, Escape::Text).render(&context), Err(want), "{source}");
    }
    assert!(!format!("{context:?}").contains("Мария"));
}

#[test]
fn a_value_cannot_leave_its_place() {
    let mut context = World::new().context();
    context.set("client.name", "<b>&\"'\r\nBcc: x\u{202e}[x](y) 50% a/b?c=d#e");
    for (escape, want) in [
        (Escape::Html, "&lt;b&gt;&amp;&quot;&#39;\nBcc: x[x](y) 50% a/b?c=d#e"),
        (Escape::Text, "<b>&\"'\nBcc: x[x](y) 50% a/b?c=d#e"),
        (Escape::Header, "<b>&\"'  Bcc: x[x](y) 50% a/b?c=d#e"),
        (Escape::OwnWords, "x"),
        (Escape::UrlParts, "%3Cb%3E%26%22%27%0D%0ABcc%3A%20x%E2%80%AE%5Bx%5D%28y%29%2050%25%20a%2Fb%3Fc%3Dd%23e"),
    ] {
        assert_eq!(t("{{ client.name }}", escape).render(&context).unwrap(), want, "{escape:?}");
    }
    let apart = t("{{ client.name }}", Escape::Markdown).render(&context).unwrap();
    assert!(!apart.contains(|c: char| c.is_ascii_punctuation()), "nothing of it is Markdown: {apart}");
    assert_eq!(template::whole(&apart), "<b>&\"'  Bcc: x[x](y) 50% a/b?c=d#e");
}

#[test]
fn a_rendering_stops_growing() {
    let mut context = Context::default();
    context.set("deal.x", &"x".repeat(2000));
    let source = "{{ deal.x ~ deal.x }}".repeat(1400);
    assert_eq!(t(&source, Escape::Text).render(&context), Err(RenderError::TooBig));
}

/// Nothing but openings: what is looked at again from each of them takes minutes.
#[test]
fn the_longest_bodies_are_mails_whatever_they_consist_of() {
    let world = World::new();
    let long = |piece: &str| piece.repeat(MAX_BODY / piece.chars().count());
    for piece in ["я", "слово ", "a\n\n", "- ", "> ", "[", "*a ", "`", "| a ", "&", "<", "<a href=", "{ ", "<style>", "\n"] {
        for source in [markdown(&long(piece)), EmailSource::Html(t(&long(piece), Escape::Html))] {
            match world.mail(&mail_item("x", source, &[])) {
                Ok(made) => assert!(made.preview.html.unwrap().len() < 200 * MAX_BODY && made.preview.text.len() < 32 * MAX_BODY),
                Err(error) => assert_eq!(error, RenderError::Empty, "{piece}"),
            }
        }
    }
}

#[test]
fn an_sms_as_the_example_writes_it() {
    let world = World::new();
    let item = sms_item(
        "{{ client.firstName | default('Здравствуйте') }}, у нас новые планировки: {{ links.catalog }}",
        &[
            ("unused", "https://novydom.example/{{ deal.nothing }}"),
            ("catalog", "https://novydom.example/plans?rooms={{ deal.layout }}"),
        ],
        OptOut::Link,
    );
    let made = world.sms(&item).unwrap();
    let Rendered::Sms { from, text } = &made.message else { panic!() };
    assert_eq!(from, "NOVYDOM");
    let (body, opt_out) = text.split_once("\nОтписка: https://go.example.com/u/").unwrap();
    let code = body.strip_prefix("Мария, у нас новые планировки: https://go.example.com/r/").unwrap();
    assert!(links::is_code(code) && links::is_code(opt_out));
    assert_eq!(made.links, ["", "https://novydom.example/plans?rooms=2%20%26%203&utm_medium=sms&utm_source=rekindle"]);
    assert_eq!(made.codes.len(), 3);
    assert_eq!(
        (made.codes[1].as_str(), made.codes[2].as_str()),
        (world.keys.code_hash(code).as_str(), world.keys.code_hash(opt_out).as_str())
    );
    assert_eq!(made.preview.segments.unwrap().parts, 2);
    assert_eq!(item.requires(), ["deal.layout"]);
}

#[test]
fn a_link_that_is_not_printed_needs_nothing() {
    let world = World::new();
    let links = [("plan", "https://a.example/{{ deal.nothing }}")];
    let item = sms_item("x{% if deal.nothing %} {{ links.plan }}{% endif %}", &links, OptOut::None);
    assert_eq!(world.sms(&item).unwrap().preview.text, "x");
    assert!(item.requires().is_empty());
    let item = sms_item("x {{ links.plan }}", &links, OptOut::None);
    assert_eq!(world.sms(&item).err(), Some(RenderError::Missing("deal.nothing".into())));
    assert_eq!(item.requires(), ["deal.nothing"]);
}

#[test]
fn how_an_sms_is_stopped() {
    let world = World::new();
    for (text, opt_out, ends) in [
        ("Привет", OptOut::Keyword("СТОП".into()), "Привет\nДля отказа ответьте СТОП"),
        ("Hello", OptOut::Keyword("STOP".into()), "Hello\nReply STOP to opt out"),
        ("Привет, стоп - отказ", OptOut::Keyword("СТОП".into()), "Привет, стоп - отказ"),
        ("Стопка книг", OptOut::Keyword("СТОП".into()), "Стопка книг\nДля отказа ответьте СТОП"),
        ("См. https://a.example/стоп", OptOut::Keyword("СТОП".into()), "См. https://a.example/стоп\nДля отказа ответьте СТОП"),
        ("Привет", OptOut::None, "Привет"),
    ] {
        let Rendered::Sms { text, .. } = world.sms(&sms_item(text, &[], opt_out)).unwrap().message else { panic!() };
        assert_eq!(text, ends);
    }
    let own = world.sms(&sms_item("Привет. Отказ: {{ links.unsubscribe }}", &[], OptOut::Link)).unwrap();
    assert_eq!(own.preview.text.matches("/u/").count(), 1);
    assert_eq!(own.codes.len(), 1);
    let untracked = Tracking { base_url: None, ..world.tracking(&world.phone) };
    let item = sms_item("Привет {{ links.a }}", &[("a", "https://a.example/?utm_source=x#top")], OptOut::Link);
    assert_eq!(render_item(&item, None, None, &world.context(), &untracked).err(), Some(RenderError::NoPublicAddress));
    let item = sms_item("Привет {{ links.a }}", &[("a", "https://a.example/?utm_source=x#top")], OptOut::None);
    let made = render_item(&item, None, None, &world.context(), &untracked).unwrap();
    assert_eq!(made.preview.text, "Привет https://a.example/?utm_source=x&utm_medium=sms#top");
    assert!(made.codes.is_empty());
}

/// A link in an `if` that does not hold is shown to nobody, and a word that a value brings, or that is half of another, is no offer.
#[test]
fn every_client_reads_how_to_stop_whatever_their_data_is() {
    let with_city = World::new();
    let mut without = World::new();
    without.contact.fields.clear();
    let stop = "{% if client.city %}Отписка: {{ links.unsubscribe }}{% endif %}";
    let sms = sms_item(&format!("Привет! {stop}"), &[], OptOut::Link);
    let word = sms_item(&format!("Привет! {stop}"), &[], OptOut::Keyword("СТОП".into()));
    let page =
        format!("<body><p>Привет</p>{}</body>", stop.replace("{{ links.unsubscribe }}", "<a href='{{ links.unsubscribe }}'>x</a>"));
    let html = mail_item("Привет", EmailSource::Html(t(&page, Escape::Html)), &[]);
    for (world, has_city) in [(&with_city, true), (&without, false)] {
        let text = world.sms(&sms).unwrap().preview.text;
        assert_eq!(text.matches("/u/").count(), 1, "{text}");
        let text = world.sms(&word).unwrap().preview.text;
        assert_eq!((text.contains("/u/"), text.contains("ответьте СТОП")), (has_city, !has_city), "{text}");
        let page = world.mail(&html).unwrap().preview.html.unwrap();
        assert_eq!((page.matches("/u/").count(), page.contains("ул. Парковая")), (1, !has_city), "{page}");
    }
    let mut named = World::new();
    named.deal.title = "Stop & Go".into();
    for (text, word, added) in [
        ("Показы нон-стоп все выходные", "СТОП", true),
        ("Показы нон\u{2011}стоп", "СТОП", true),
        ("Ответьте «стоп-»", "СТОП", false),
        ("Ответьте OPT-OUT", "OPT-OUT", false),
        ("{{ deal.title }}: новая цена", "STOP", true),
        ("{% if not client.city %}Отказ: STOP{% endif %} Привет", "STOP", true),
        ("{% if client.city %}Отказ: STOP{% endif %} Привет", "STOP", false),
    ] {
        let made = named.sms(&sms_item(text, &[], OptOut::Keyword(word.into()))).unwrap().preview.text;
        assert_eq!(made.contains("\nДля отказа ответьте"), added, "{made}");
    }
}

#[test]
fn a_code_reaches_the_client_as_it_is_and_can_be_typed() {
    let mut world = World::new();
    world.deal.fields.insert("promo".into(), FieldValue::Text("SPRING-10_*a*|b`c".into()));
    let source = "Промокод: `{{ deal.promo }}`\n\n    {{ deal.promo }}\n\n[{{ deal.promo }}](https://a.example/?p={{ deal.promo }})\n\n\
                  | a |\n|---|\n| {{ deal.promo }} |\n\n![{{ deal.promo }}](https://a.example/x.png) *{{ deal.promo }}* \\*";
    let made = world.mail(&mail_item("{{ deal.promo }}", markdown(source), &[])).unwrap().preview;
    let html = made.html.unwrap();
    assert_eq!((html.matches("SPRING-10_*a*|b`c").count(), html.contains('\\')), (8, false), "{html}");
    assert!(html.contains("?p=SPRING-10_*a*|b`c\"") && html.contains("<em>SPRING-10_*a*|b`c</em> *"), "{html}");
    assert_eq!((made.text.matches("SPRING-10_*a*|b`c").count(), made.text.contains('\\')), (7, false), "{}", made.text);
}

#[test]
fn a_mailbox_shows_the_preheader_of_own_html_before_its_first_words() {
    let world = World::new();
    for (page, before) in [
        (
            "<!DOCTYPE html><html><head><title>t</title></head><BODY bgcolor='#fff'><p>Открыть в браузере</p></BODY></html>",
            "bgcolor='#fff'>",
        ),
        ("<html><head></head><p>Открыть в браузере</p></html>", "</head>"),
        ("<p>Открыть в браузере</p>", ""),
    ] {
        let mut item = mail_item("Привет", EmailSource::Html(t(page, Escape::Html)), &[]);
        let Body::Email(body) = &mut item.body else { panic!() };
        body.preheader = Some(t("Цены для {{ client.name }} < 5 млн", Escape::Html));
        let made = world.mail(&item).unwrap().preview;
        let html = made.html.unwrap();
        let hidden = format!("{before}<div style=\"display:none;");
        let at = html.find(&hidden).unwrap_or_else(|| panic!("{html}"));
        assert!(
            html.find("Цены для Мария Иванова &lt; 5 млн").is_some_and(|words| at < words && html.find("<p>").unwrap() > words),
            "{html}"
        );
        assert!(!made.text.contains("Цены"), "{}", made.text);
    }
}

#[test]
fn what_must_not_be_sent_is_not_rendered() {
    let world = World::new();
    let too_long = sms_item(&"я".repeat(300), &[], OptOut::None);
    assert_eq!(world.sms(&too_long).err(), Some(RenderError::TooLong { parts: 5, max: 3 }));
    assert_eq!(world.sms(&sms_item(" \u{202e}\n", &[], OptOut::None)).err(), Some(RenderError::Empty));
    assert_eq!(world.mail(&sms_item("x", &[], OptOut::None)).err(), Some(RenderError::Medium));
    for target in [
        "javascript:alert(1)",
        "novydom.example",
        "https://a.example/ b",
        "//evil.example",
        "{{ client.city }}",
        "https://{{ client.city }}/",
        "https://a.example{{ client.city }}",
        "https://a.example@{{ client.city }}/",
        "https://a@b.example/",
    ] {
        let item = sms_item("x {{ links.a }}", &[("a", target)], OptOut::None);
        assert_eq!(world.sms(&item).err(), Some(RenderError::BadLink("a".into())), "{target}");
    }
    for target in ["HTTPS://a.example/x", "\u{200e}https://a.example/x"] {
        let made = world.sms(&sms_item("x {{ links.a }}", &[("a", target)], OptOut::None)).unwrap();
        assert!(made.links[0].is_ascii(), "{target}: {}", made.links[0]);
    }
}

#[test]
fn an_email_as_the_example_writes_it() {
    let world = World::new();
    let mut item = mail_item(
        "{{ client.firstName | default('Здравствуйте') }}, посмотрим вместе?",
        markdown("Мы обновили шоу-рум. [Выберите время]({{ links.visit }}) — {{ manager.firstName }} встретит вас.\n"),
        &[("visit", "https://novydom.example/visit")],
    );
    item.utm.clear();
    let made = world.mail(&item).unwrap();
    let Rendered::Email(message) = &made.message else { panic!() };
    assert_eq!(message.envelope_from, "bounce@news.example.com");
    let parsed = MessageParser::new().parse(message.raw.as_bytes()).unwrap();
    assert_eq!(parsed.subject(), Some("Мария, посмотрим вместе?"));
    assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("Новый дом"));
    let html = parsed.body_html(0).unwrap();
    let token = html.split("https://go.example.com/r/").nth(1).unwrap().split('"').next().unwrap();
    let click = world.keys.verify_click(token).unwrap();
    assert_eq!((click.effect, click.link), (EffectRef { copy: CopyId(42), seq: 5 }, 0));
    let stop = html.split("https://go.example.com/u/").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(world.keys.verify_unsubscribe(stop), Some(click.effect));
    assert!(message.raw.contains(&format!("List-Unsubscribe: <https://go.example.com/u/{stop}>\r\n")));
    let text = parsed.body_text(0).unwrap();
    assert!(text.contains(&format!("Выберите время (https://go.example.com/r/{token}) — Анна встретит вас.")), "{text}");
    assert!(text.contains("Отписаться: ") && text.contains("ул. Парковая"));
    assert_eq!((made.links, made.codes.len()), (vec!["https://novydom.example/visit".to_owned()], 0));
    assert!(!message.raw.contains("novydom.example/visit"), "the target is looked up, never carried");
}

#[test]
fn as_the_manager_or_else_the_brand() {
    let world = World::new();
    let item = mail_item("Привет", markdown("Текст"), &[]);
    let made_of = |item: &ItemText, world: &World, context: &Context| {
        let tracking = Tracking { as_manager: true, ..world.tracking(&world.email) };
        let made = render_item(item, None, None, context, &tracking).unwrap();
        let Rendered::Email(message) = made.message else { panic!() };
        let parsed = MessageParser::new().parse(message.raw.as_bytes()).unwrap().into_owned();
        let from = parsed.from().unwrap().first().unwrap().name().unwrap().to_owned();
        (from, parsed.reply_to().map(|r| r.first().unwrap().address().unwrap().to_owned()))
    };
    let sender = |world: &World| made_of(&item, world, &world.context());
    assert_eq!(sender(&world), ("Анна Смирнова, Новый дом".into(), Some("anna@novydom.example.com".into())));
    let mut nameless = World::new();
    nameless.manager.name = Text::default();
    nameless.manager.email = None;
    assert_eq!(sender(&nameless), ("Новый дом".into(), None));
    // An address for replies that is none loses no message: they go to the brand.
    let mut branded = item.clone();
    let Sender::Email(of_brand) = &mut branded.sender else { panic!() };
    of_brand.reply_to = Some("hello@novydom.example.com".into());
    for (email, replies) in [
        ("anna@example.com", "anna@example.com"),
        ("anna@почта.рф", "anna@xn--80a1acny.xn--p1ai"),
        ("anna@example.com, all@example.com", "hello@novydom.example.com"),
        ("Анна <anna@example.com>", "hello@novydom.example.com"),
        ("anna at example.com", "hello@novydom.example.com"),
    ] {
        let mut context = world.context();
        context.set("manager.email", email);
        assert_eq!(made_of(&branded, &world, &context).1.as_deref(), Some(replies), "{email}");
    }
}

#[test]
fn a_client_with_an_international_domain_gets_mail_from_any_server() {
    let world = World::new();
    let to = Address::Email(Email::parse("ivan@почта.рф").unwrap());
    let item = mail_item("Привет", markdown("Текст"), &[]);
    let made = render_item(&item, None, None, &world.context(), &world.tracking(&to)).unwrap();
    let Rendered::Email(message) = made.message else { panic!() };
    let headers = message.raw.split("\r\n\r\n").next().unwrap();
    assert!(headers.is_ascii() && headers.contains("<ivan@xn--80a1acny.xn--p1ai>"), "{headers}");
}

#[test]
fn own_html_gets_what_the_law_wants() {
    let world = World::new();
    let html = |source: &str| EmailSource::Html(t(source, Escape::Html));
    let item = mail_item(
        "Привет",
        html("<html><body><p>{{ client.name }}</p><a href=\"{{ links.a }}\">тут</a></body></html>"),
        &[("a", "https://a.example/?x=1")],
    );
    let made = world.mail(&item).unwrap().preview;
    let page = made.html.unwrap();
    assert!(page.contains("https://go.example.com/u/") && page.trim_end().ends_with("</body></html>"), "{page}");
    assert!(made.text.contains("Мария Иванова") && made.text.contains("Отписаться: https://go.example.com/u/"), "{}", made.text);
    let mut own = mail_item("Привет", html("<body><a href='{{ links.unsubscribe }}'>стоп</a></body>"), &[]);
    let made = world.mail(&own).unwrap().preview;
    assert_eq!(made.html.unwrap().matches("/u/").count(), 1);
    // The HTML is the marketer's, the text beside it ours.
    assert_eq!((made.text.matches("/u/").count(), made.text.matches("Москва, ул. Парковая, 1").count()), (1, 1), "{}", made.text);
    let Body::Email(body) = &mut own.body else { panic!() };
    body.source = html("<p><a href='{{ links.unsubscribe }}'>стоп</a></p><p>Москва,&nbsp;ул. Парковая,<br>1</p>");
    let text = world.mail(&own).unwrap().preview.text;
    assert!(text.trim_end().ends_with("Москва, ул. Парковая,\n1"), "an address that is there is not added: {text}");
    let own = mail_item("Привет", markdown("Новости\n\n[Не писать]({{ links.unsubscribe }})\n"), &[]);
    let made = world.mail(&own).unwrap().preview;
    assert_eq!((made.text.matches("/u/").count(), made.text.matches("ул. Парковая").count()), (1, 1), "{}", made.text);
    let mut evil = World::new();
    evil.contact.name = Text("<script>alert(1)</script>".into());
    assert!(!evil.mail(&item).unwrap().preview.html.unwrap().contains("<script"));
}

/// What a scanner finds that opens all links of a page, and no reader does.
#[test]
fn an_email_with_links_has_one_that_nobody_sees() {
    let world = World::new();
    let own = "<html><body><a href=\"{{ links.a }}\">тут</a></body></html>";
    let sources = [EmailSource::Html(t(own, Escape::Html)), markdown("[Тут]({{ links.a }})\n")];
    for source in sources {
        let made = world.mail(&mail_item("Привет", source, &[("a", "https://a.example/")])).unwrap().preview;
        let page = made.html.unwrap();
        let numbers: Vec<i16> = page
            .split("https://go.example.com/r/")
            .skip(1)
            .map(|rest| world.keys.verify_click(rest.split('"').next().unwrap()).unwrap().link)
            .collect();
        assert_eq!(numbers, [0, links::HONEYPOT], "{page}");
        let hidden = page.split("<div style=\"display:none").last().unwrap();
        assert!(hidden.contains("aria-hidden=\"true\" rel=\"nofollow\"></a></div>"), "without words: {hidden}");
        assert!(page.trim_end().ends_with("</html>"), "{page}");
        assert_eq!(made.text.matches("/r/").count(), 1, "{}", made.text);
    }
    let made = world.mail(&mail_item("Привет", markdown("Новости\n"), &[])).unwrap().preview;
    assert!(!made.html.unwrap().contains("/r/"), "nothing to follow, nothing to tell apart");
}

#[test]
fn a_client_named_like_markdown_stays_a_name() {
    let mut world = World::new();
    world.contact.first_name = Some(Text("[x](https://evil.example) **b** <i>\n# h".into()));
    let made = world.mail(&mail_item("{{ client.firstName }}", markdown("Здравствуйте, {{ client.firstName }}!\n"), &[])).unwrap();
    let html = made.preview.html.unwrap();
    assert!(
        !html.contains("evil.example\"") && !html.contains("<strong>b") && !html.contains("<i>") && !html.contains("<h1"),
        "{html}"
    );
    assert!(made.preview.text.starts_with("Здравствуйте, [x](https://evil.example) **b** <i> # h!"), "{}", made.preview.text);
}

#[test]
fn what_we_add_speaks_the_language_of_the_text_whatever_the_brand_the_client_and_the_values() {
    let mut world = World::new();
    world.contact.first_name = Some(Text("Alexander Maximilian Johnson".into()));
    let sms = |item: &ItemText, language: Option<&str>| {
        let context = Context::new(&world.deal, Some(&world.contact), None, "NovyDom", language, &TimeZone::UTC);
        render_item(item, None, language, &context, &world.tracking(&world.phone)).unwrap().preview.text
    };
    let day = "{{ deal.handover | date('long') }}, {{ deal.handover | date }}";
    let mut item = sms_item(&format!("Ждём вас, {{{{ client.firstName }}}}: {day}"), &[], OptOut::Link);
    item.translations.insert("en".into(), Body::Sms(t(&format!("Come on {day}"), Escape::Text)));
    for (language, begins, stop) in [
        (None, "Ждём вас, Alexander Maximilian Johnson: 5 марта 2026, 05.03.2026", "\nОтписка: "),
        (Some("de"), "Ждём вас, Alexander Maximilian Johnson: 5 марта 2026, 05.03.2026", "\nОтписка: "),
        (Some("en"), "Come on 5 March 2026, 2026-03-05", "\nStop: "),
    ] {
        let text = sms(&item, language);
        assert!(text.starts_with(&format!("{begins}{stop}")), "{language:?}: {text}");
    }
    let text = sms(&sms_item("Вітаємо! Є нові планування.", &[], OptOut::Link), None);
    assert!(text.contains("\nStop: "), "Ukrainian is not Russian: {text}");
    let text = sms(&sms_item("Call \u{200e}+7 999 123-45-67", &[], OptOut::None), None);
    assert!(text.is_ascii(), "a mark that was pasted along costs no part: {text:?}");
}

#[test]
fn a_mail_says_its_language_and_from_which_side_it_is_read() {
    let mut world = World::new();
    world.contact.first_name = Some(Text("\u{200f}דנה".into()));
    let mut item = mail_item("Новости", markdown("Новости дома"), &[]);
    let Body::Email(body) = &item.body else { panic!() };
    let translated = |subject: &str, source: &str| {
        Body::Email(EmailBody { subject: t(subject, Escape::Header), source: markdown(source), ..body.clone() })
    };
    let others = [
        ("uk", translated("Новини", "Є новини")),
        ("de", translated("Neues", "Neue Wohnungen")),
        ("he", translated("חדשות", "- שלום {{ client.firstName }}\u{200f}!")),
    ];
    item.translations.extend(others.map(|(tag, body)| (tag.to_owned(), body)));
    for (language, begins, stop) in [
        (None, "<!DOCTYPE html>\n<html lang=\"ru\" xmlns", ">Отписаться</a>"),
        (Some("uk"), "<!DOCTYPE html>\n<html lang=\"uk\" xmlns", ">Unsubscribe</a>"),
        (Some("de-AT"), "<!DOCTYPE html>\n<html lang=\"de\" xmlns", ">Unsubscribe</a>"),
        (Some("he"), "<!DOCTYPE html>\n<html lang=\"he\" dir=\"rtl\" xmlns", ">Unsubscribe</a>"),
    ] {
        let made = render_item(&item, None, language, &world.context(), &world.tracking(&world.email)).unwrap().preview;
        let html = made.html.unwrap();
        assert!(html.starts_with(begins) && html.contains(stop), "{language:?}: {html}");
        assert_eq!(html.contains("<td class=\"rk-card rk-pad\" dir=\"rtl\""), language == Some("he"), "{html}");
        assert_eq!(
            html.matches('\u{200f}').count(),
            usize::from(language == Some("he")),
            "the marketer's own, not the value's: {html}"
        );
    }
}

#[test]
fn a_picture_that_a_mail_program_fetches_is_no_click() {
    let world = World::new();
    let page = "<body background='{{ links.photo }}'><p style=\"background:url({{ links.photo }})\"><IMG SRC = \"{{ links.photo }}\">\
                <a class=\"src\" href=\"{{ links.photo }}\">Фото</a></p></body>";
    for (source, pictures, clicks) in [
        (EmailSource::Html(t(page, Escape::Html)), 3, 1),
        (markdown("![дом]({{ links.photo }})\n\n[Фото]({{ links.photo }})\n"), 1, 1),
    ] {
        let mut item = mail_item("Дом", source, &[("photo", "https://novydom.example/a.png?a=1&b=2")]);
        item.utm.clear();
        let html = world.mail(&item).unwrap().preview.html.unwrap();
        assert_eq!(html.matches("https://novydom.example/a.png?a=1&amp;b=2").count(), pictures, "{html}");
        assert_eq!(html.matches("https://go.example.com/r/").count(), clicks + 1, "and the one that nobody sees: {html}");
    }
}

#[test]
fn a_value_with_a_blank_in_an_address_shows_no_brackets() {
    let mut world = World::new();
    world.contact.fields.insert("city".into(), FieldValue::Text("Нижний Новгород".into()));
    let source = "В {{ client.city }}: [каталог](https://a.example/?c={{ client.city }}) ({{ client.city }})";
    let made = world.mail(&mail_item("Дом", markdown(source), &[])).unwrap().preview;
    assert!(made.html.unwrap().contains("href=\"https://a.example/?c=Нижний%20Новгород\""));
    let want = "В Нижний Новгород: каталог (https://a.example/?c=Нижний%20Новгород) (Нижний Новгород)";
    assert!(made.text.starts_with(want), "{}", made.text);
}

#[test]
fn variants_come_before_languages() {
    let world = World::new();
    let mut item = sms_item("обычный", &[], OptOut::None);
    item.variants.insert("b".into(), Body::Sms(t("вариант", Escape::Text)));
    item.translations.insert("en".into(), Body::Sms(t("english", Escape::Text)));
    for (variant, language, want) in [
        (None, None, "обычный"),
        (Some("b"), Some("en"), "вариант"),
        (Some("gone"), Some("en-GB"), "english"),
        (None, Some("EN"), "english"),
        (None, Some("de"), "обычный"),
    ] {
        let made = render_item(&item, variant, language, &world.context(), &world.tracking(&world.phone)).unwrap();
        assert_eq!(made.preview.text, want, "{variant:?} {language:?}");
    }
}

#[test]
fn a_manager_learns_what_happened_and_what_was_sent() {
    let world = World::new();
    let mut texts = Texts::default();
    texts.items.insert(
        ("lost-layout".into(), "new-layouts".into()),
        sms_item("x {{ links.catalog }}", &[("catalog", "https://novydom.example/plans")], OptOut::None),
    );
    texts.tasks.clicked = Some(t("Перезвонить: открыл {{ link.name }}", Escape::Header));
    texts.tasks.revived = Some(t("Клиент вернулся: {{ client.nothing }}", Escape::Header));
    let entry = |list: &str, item: &str, seq, status, clicked_at| LedgerEntry {
        key: EffectKey { cycle: 1, list: list.into(), item: item.into(), recipient: AddressHash("h".into()) },
        seq,
        status,
        at: "2026-03-04T08:00:00Z".parse().unwrap(),
        variant: None,
        clicked_at,
        opened: false,
        reason: None,
    };
    let ledger = [
        entry("lost-layout", "new-layouts", 1, EffectStatus::Delivered, Some(now())),
        entry("lost-layout", "gone", 2, EffectStatus::Skipped, None),
        entry("@task", "clicked", 3, EffectStatus::Accepted, None),
        entry("other", "removed", 4, EffectStatus::Accepted, None),
    ];
    let context = world.context();
    let facts = TaskFacts {
        context: &context,
        deal: &world.deal,
        ledger: &ledger,
        said: Some("Хочу посмотреть\u{202e}"),
        time_zone: &TimeZone::UTC,
        now: now(),
    };
    let clicked = render_task(&texts, &TaskText::Clicked { seq: 1, link: 0 }, &facts);
    assert_eq!(clicked.title, "Перезвонить: открыл catalog");
    assert_eq!(
        clicked.body,
        "Клиент открыл ссылку catalog.\nЕго слова: «Хочу посмотреть»\n\
         Почему сделка была закрыта: Не подходит планировка\nЧто было отправлено:\n\
         - 04.03.2026 08:00 SMS «Новые планировки» — переход по ссылке 05.03.2026 09:00\n- 04.03.2026 08:00 «removed»\n"
    );
    // A value is missing in the title: the manager is told all the same.
    let revived = render_task(&texts, &TaskText::Revived { signal: SignalKind::MissedCall }, &facts);
    assert_eq!(revived.title, "Клиент вернулся: Мария Иванова (пропущенный звонок)");
    texts.tasks.language = Some("en".into());
    for (text, title) in [
        (TaskText::Replied, "The client answered: Мария Иванова"),
        (TaskText::Forgotten { supervisor: false, customer: true }, "Ask a customer how they are: Мария Иванова"),
        (
            TaskText::Forgotten { supervisor: true, customer: true },
            "Time for a manager to ask a customer how they are (Анна Смирнова): Мария Иванова",
        ),
        (TaskText::Forgotten { supervisor: false, customer: false }, "Nothing happens on the deal: Квартира 54"),
        (TaskText::Forgotten { supervisor: true, customer: false }, "A manager's deal stands still (Анна Смирнова): Квартира 54"),
        (TaskText::Called { signal: SignalKind::Chat }, "Мария Иванова: chat message"),
    ] {
        assert_eq!(render_task(&texts, &text, &facts).title, title);
    }
}

#[test]
fn a_preview_needs_no_installation() {
    let references = ["client.firstName", "deal.layout"];
    let context = Context::sample(references, "Новый дом", None);
    let text = "{{ client.firstName | default('Здравствуйте') }}, у нас новые планировки: {{ links.catalog }}";
    let mut item = sms_item(text, &[("catalog", "https://novydom.example/plans?rooms={{ deal.layout }}")], OptOut::Link);
    let made = preview_item(&item, None, None, &context, Some(BASE)).unwrap();
    assert_eq!(made.preview.segments.unwrap().parts, 2, "{}", made.preview.text);
    if let Sender::Sms(sender) = &mut item.sender {
        sender.max_parts = 1;
    }
    assert_eq!(preview_item(&item, None, None, &context, Some(BASE)).err(), Some(RenderError::TooLong { parts: 2, max: 1 }));
    let mail = preview_item(&mail_item("Привет", markdown("Текст"), &[]), None, None, &context, None).unwrap();
    assert!(mail.preview.text.contains("ответьте на это письмо словом СТОП"));
    let Rendered::Email(message) = mail.message else { panic!() };
    assert!(message.raw.starts_with("List-Unsubscribe: <mailto:hello@news.example.com?subject=unsubscribe>\r\nFrom:"));
}

#[test]
fn samples_are_long_and_complete() {
    let template = t(
        "{{ client.firstName }} {{ client.city }} {{ deal.amount | money }} {{ manager.name }} {{ deal.handover | date }}",
        Escape::Text,
    );
    let references = template.references();
    let context = Context::sample(references.iter().map(String::as_str), "Новый дом", None)
        .with("deal.handover", &FieldValue::Text("2026-12-28T00:00:00Z".into()));
    let text = template.render(&context).unwrap();
    assert!(text.chars().count() > 100 && text.contains("28.12.2026"), "{text}");
}

/// The default look, kept as a file so that a change of it is seen and looked at (in a browser, at 600 and 360 px).
#[test]
fn the_default_look_is_the_one_that_was_looked_at() {
    let world = World::new();
    let mut item = mail_item(
        "{{ client.firstName }}, посмотрим вместе?",
        markdown(include_str!("snapshots/email.md")),
        &[("visit", "https://novydom.example/visit"), ("plans", "https://novydom.example/plans?rooms={{ deal.layout }}")],
    );
    if let Body::Email(body) = &mut item.body {
        body.preheader = Some(t("Новые планировки от {{ deal.amount | money }}", Escape::Header));
    }
    let made = world.mail(&item).unwrap().preview;
    for (file, now, kept) in [
        ("email.html", made.html.unwrap(), include_str!("snapshots/email.html")),
        ("email.txt", made.text, include_str!("snapshots/email.txt")),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/content/snapshots").join(file);
        if std::env::var_os("REKINDLE_UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, now).unwrap();
        } else {
            assert!(now == kept, "{file} changed: run again with REKINDLE_UPDATE_SNAPSHOTS=1 and look at it in a browser");
        }
    }
}

proptest! {
    /// Whatever is written, parsing and rendering end, and end within bounds.
    #[test]
    fn any_template_ends(source in r"(\PC|\n|\{\{ client\.(name|x) (\| (upper|money|date|truncate\(3\)|default\('a'\)) )?\}\}|\{% (if|elif) (a|not a|deal\.amount > 3) %\}|\{% (else|endif) %\}|[{}%'|()~+*.]){0,40}") {
        for escape in [Escape::Html, Escape::Text, Escape::Markdown, Escape::UrlParts, Escape::Header] {
            if let Ok(template) = Template::parse(&source, escape) {
                let _ = template.references();
                if let Ok(text) = template.render(&World::new().context()) {
                    assert!(text.len() <= MAX_RENDERED);
                    assert!(!text.contains(['\u{202e}', '\0']));
                }
            }
        }
    }

    /// Whatever a CRM calls a client, the mail reads back with our headers and no others.
    #[test]
    fn any_name_makes_a_mail_that_reads_back(name in any::<String>()) {
        let mut world = World::new();
        world.contact.first_name = Some(Text(name));
        let item = mail_item("{{ client.firstName | default('x') }}!", markdown("{{ client.firstName | default('x') }}, a\n\n# b"), &[]);
        let Rendered::Email(message) = world.mail(&item).unwrap().message else { panic!() };
        let names: Vec<String> = message.headers().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.join(" "), "List-Unsubscribe List-Unsubscribe-Post From To Subject Date Message-ID X-Rekindle-Effect MIME-Version Content-Type");
        let parsed = MessageParser::new().parse(message.raw.as_bytes()).unwrap();
        assert!(parsed.subject().is_some_and(|s| s.ends_with('!')));
        assert!(parsed.body_html(0).unwrap().contains("</html>") && parsed.body_text(0).unwrap().contains("/u/"));
    }

    /// Parts join to the text, none is over its limit, none but the last could take the next character.
    #[test]
    fn any_text_splits_exactly(text in "[a-zà-я€{}\\n😀`]{0,400}") {
        let whole = segments(&text);
        let parts = split(&text);
        assert_eq!((parts.concat(), parts.len()), (text.clone(), whole.parts as usize));
        let units = |part: &str| match whole.encoding {
            Encoding::Ucs2 => part.encode_utf16().count(),
            Encoding::Gsm7 => part.chars().map(|c| if "^{}\\[~]|€".contains(c) { 2 } else { 1 }).sum(),
        };
        let limit = match (whole.encoding, parts.len() > 1) {
            (Encoding::Gsm7, false) => 160,
            (Encoding::Gsm7, true) => 153,
            (Encoding::Ucs2, false) => 70,
            (Encoding::Ucs2, true) => 67,
        };
        for pair in parts.windows(2) {
            let next: String = pair[1].chars().take(1).collect();
            assert!(units(&pair[0]) + units(&next) > limit);
        }
        assert!(parts.iter().all(|part| units(part) <= limit));
    }
}
