//! Windows, caps, consent, suppression, staleness, one voice, validity.

use crate::engine::testing::*;
use crate::engine::*;
use crate::model::*;
use jiff::Timestamp;

/// A warm copy whose item `first` is due at `now`, asked right then.
fn ask(plan: &Plan, edit: impl FnOnce(&mut Subject), now: Timestamp) -> Admission {
    let mut world = World::lost(plan.clone(), "layout");
    world.subject.crm_read_at = Some(now);
    edit(&mut world.subject);
    let list = &plan.lists["layout"];
    admit(plan, &world.subject, &Planned { list, item: &list.items[0], due: now, until: None }, now)
}

fn with_item(edit: impl FnOnce(&mut Item)) -> Plan {
    let mut plan = plan();
    edit(&mut plan.lists.get_mut("layout").unwrap().items[0]);
    plan
}

fn consent(address: &str, status: ConsentStatus, brand: Option<&str>, at: &str) -> Consent {
    let known = known(address);
    Consent {
        medium: known.address.medium(),
        address: known.hash,
        brand: brand.map(Into::into),
        purpose: Purpose::Advertising,
        status,
        source: format!("source at {at}"),
        at: t(at),
        wording: None,
    }
}

const PHONE: &str = "+79991234567";

#[test]
fn consent_as_the_policy_demands() {
    use ConsentStatus::{Given, Withdrawn};
    let given = |brand| consent(PHONE, Given, brand, "2026-01-05T12:00");
    let withdrawn = |brand| consent(PHONE, Withdrawn, brand, "2026-01-06T12:00");
    let source = Some("source at 2026-01-05T12:00");
    // (known, under Recorded, under AssumedFromCrm)
    let cases: Vec<(&str, Vec<Consent>, Option<&str>, Option<&str>)> = vec![
        ("unknown", vec![], None, Some("assumed:crm")),
        ("given to nobody by name", vec![given(None)], source, source),
        ("given to us", vec![given(Some("novydom"))], source, source),
        ("given to another brand", vec![given(Some("other"))], None, Some("assumed:crm")),
        ("withdrawn later", vec![given(None), withdrawn(None)], None, None),
        ("withdrawn from another brand", vec![given(None), withdrawn(Some("other"))], source, source),
        (
            "withdrawn, then given again",
            vec![withdrawn(None), consent(PHONE, Given, None, "2026-01-07T12:00")],
            Some("source at 2026-01-07T12:00"),
            Some("source at 2026-01-07T12:00"),
        ),
        ("given for the mailbox", vec![consent("anna@example.com", Given, None, "2026-01-05T12:00")], None, Some("assumed:crm")),
    ];
    for (what, known, recorded, assumed) in cases {
        for (rule, want) in [(ConsentRule::Recorded, recorded), (ConsentRule::AssumedFromCrm, assumed)] {
            let mut plan = plan();
            plan.policy.consent = rule;
            let got = match ask(&plan, |s| s.client.consents.clone_from(&known), noon()) {
                Admission::Now(ready) => ready.consent,
                Admission::Never(SkipReason::NoConsent) => None,
                other => panic!("{what}: {other:?}"),
            };
            assert_eq!(got.as_deref(), want, "{what} under {rule:?}");
        }
    }
    let mut service = with_item(|i| i.purpose = Purpose::Service);
    service.policy.consent = ConsentRule::Recorded;
    assert!(matches!(ask(&service, |_| {}, noon()), Admission::Now(Ready { consent: None, .. })));
}

#[test]
fn suppressions_forbid_what_they_name() {
    let suppression = |scope, brand: Option<&str>, medium, purpose| Suppression {
        scope,
        brand: brand.map(Into::into),
        medium,
        purpose,
        reason: SuppressionReason::Unsubscribed,
        at: noon(),
    };
    let person = SuppressionScope::Client(ClientId(7));
    let address = |a: &str| SuppressionScope::Address(known(a).hash);
    let cases = [
        ("our advertising", suppression(person.clone(), Some("novydom"), None, Some(Purpose::Advertising)), false, true),
        ("another brand's", suppression(person.clone(), Some("other"), None, None), true, true),
        ("email only", suppression(person.clone(), None, Some(Medium::Email), None), true, true),
        ("STOP from this number", suppression(address(PHONE), None, Some(Medium::Sms), None), false, false),
        ("another number", suppression(address("+79997654321"), None, None, None), true, true),
    ];
    for (what, suppression, advertising, service) in cases {
        for (purpose, passes) in [(Purpose::Advertising, advertising), (Purpose::Service, service)] {
            let plan = with_item(|i| i.purpose = purpose);
            let got = ask(&plan, |s| s.client.suppressions = vec![suppression.clone()], noon());
            assert_eq!(matches!(got, Admission::Now(_)), passes, "{what}, {purpose:?}: {got:?}");
            assert!(passes || got == Admission::Never(SkipReason::Suppressed));
        }
    }
    // A second number that is free takes its place.
    let stop = suppression(address(PHONE), None, None, None);
    let got = ask(
        &plan(),
        |s| {
            s.client.suppressions = vec![stop];
            s.client.addresses.push(known("+79997654321"));
        },
        noon(),
    );
    assert!(matches!(got, Admission::Now(ready) if ready.hash == known("+79997654321").hash));
}

#[test]
fn final_reasons() {
    type Edit = fn(&mut Item);
    let cases: [(SkipReason, Edit); 5] = [
        (SkipReason::NotValidYet, |i| i.valid_from = Some(t("2026-03-03T00:00"))),
        (SkipReason::NoLongerValid, |i| i.valid_until = Some(noon())),
        (SkipReason::NoChannel, |i| i.channel = Some("whatsapp".into())),
        (SkipReason::MissingValue, |i| i.requires = vec!["client.firstName".into(), "deal.layout".into()]),
        (SkipReason::TooOld, |i| i.expires_after = Some(d("0h"))),
    ];
    for (reason, edit) in cases {
        let plan = with_item(edit);
        let now = if reason == SkipReason::TooOld { t("2026-03-02T12:01") } else { noon() };
        let world = World::lost(plan.clone(), "layout");
        let list = &plan.lists["layout"];
        let got = admit(&plan, &world.subject, &Planned { list, item: &list.items[0], due: noon(), until: None }, now);
        assert_eq!(got, Admission::Never(reason));
    }
    let got = ask(&plan(), |s| s.client.addresses = vec![known("anna@example.com")], noon());
    assert_eq!(got, Admission::Never(SkipReason::NoAddress));
}

fn sent(at: &str, medium: Medium, purpose: Purpose) -> Recent {
    Recent { at: t(at), medium, purpose, item: "marketing/x/y".into(), copy: CopyId(44), policy: None, address: known(PHONE).hash }
}

#[test]
fn caps() {
    use CapPer::{Day, Month, Rolling, Week};
    let sms = |at| sent(at, Medium::Sms, Purpose::Advertising);
    let mail = |at| sent(at, Medium::Email, Purpose::Advertising);
    let service = |at| sent(at, Medium::Sms, Purpose::Service);
    let cap = |medium, at_most, per| Cap { medium, at_most, per };
    let any = |at_most, per| vec![cap(None, at_most, per)];
    // Monday noon; windows open at 10:00.
    let cases: Vec<(&str, Vec<Cap>, Vec<Recent>, Option<&str>)> = vec![
        ("nothing sent", any(1, Day), vec![], None),
        ("one today", any(1, Day), vec![sms("2026-03-02T10:00")], Some("2026-03-03T10:00")),
        ("one yesterday", any(1, Day), vec![sms("2026-03-01T19:59")], None),
        ("service does not count", any(1, Day), vec![service("2026-03-02T10:00")], None),
        ("another medium", vec![cap(Some(Medium::Sms), 1, Day)], vec![mail("2026-03-02T10:00")], None),
        (
            "three this week",
            any(3, Week),
            vec![sms("2026-03-02T10:00"), sms("2026-03-02T10:10"), sms("2026-03-02T10:20")],
            Some("2026-03-09T10:00"),
        ),
        ("three last week", any(3, Week), vec![sms("2026-02-25T10:00"), sms("2026-02-26T10:00"), sms("2026-03-01T10:00")], None),
        ("one this month", any(1, Month), vec![sms("2026-03-01T10:00")], Some("2026-04-01T10:00")),
        ("rolling day", any(1, Rolling(d("24h"))), vec![sms("2026-03-01T15:00")], Some("2026-03-02T15:00")),
        (
            "rolling day, two allowed",
            any(2, Rolling(d("24h"))),
            vec![sms("2026-03-01T15:00"), sms("2026-03-01T16:00")],
            Some("2026-03-02T15:00"),
        ),
        ("rolling day over", any(1, Rolling(d("24h"))), vec![sms("2026-03-01T12:00")], None),
        (
            "day, then week",
            vec![cap(None, 1, Day), cap(None, 2, Week)],
            vec![sms("2026-03-02T10:00"), sms("2026-03-02T11:00")],
            Some("2026-03-09T10:00"),
        ),
    ];
    for (what, caps, recent, until) in cases {
        for over in [OverCap::Postpone, OverCap::Skip] {
            let mut plan = plan();
            (plan.policy.caps, plan.policy.over_cap) = (caps.clone(), over);
            let got = ask(&plan, |s| s.client.recent.clone_from(&recent), noon());
            match (until, over) {
                (None, _) => assert!(matches!(got, Admission::Now(_)), "{what}: {got:?}"),
                (Some(at), OverCap::Postpone) => assert_eq!(got, Admission::At(t(at), PostponeReason::CapReached), "{what}"),
                (Some(_), OverCap::Skip) => assert_eq!(got, Admission::Never(SkipReason::CapReached), "{what}"),
            }
            let mut service = plan.clone();
            service.lists.get_mut("layout").unwrap().items[0].purpose = Purpose::Service;
            let got = ask(&service, |s| s.client.recent.clone_from(&recent), noon());
            assert!(matches!(got, Admission::Now(_)), "{what}: service is exempt");
        }
    }
}

#[test]
fn windows_and_holidays() {
    let mut plan = plan();
    plan.policy.windows = vec![window(&weekdays(), "10:00", "20:00"), window(&[jiff::civil::Weekday::Saturday], "11:00", "18:00")];
    plan.policy.holidays = [jiff::civil::date(2026, 3, 9)].into();
    for (now, advertising, service) in [
        ("2026-03-02T10:00", None, None),
        ("2026-03-02T09:59", Some(("2026-03-02T10:00", "OutsideWindow")), Some("2026-03-02T10:00")),
        ("2026-03-02T20:00", Some(("2026-03-03T10:00", "OutsideWindow")), Some("2026-03-03T10:00")),
        ("2026-03-07T18:30", Some(("2026-03-10T10:00", "OutsideWindow")), Some("2026-03-09T10:00")),
        ("2026-03-09T12:00", Some(("2026-03-10T10:00", "Holiday")), None),
    ] {
        let got = ask(&plan, |_| {}, t(now));
        let got = if let Admission::At(t, why) = &got { Some((*t, why.as_str())) } else { None };
        assert_eq!(got, advertising.map(|(at, why)| (t(at), why)), "{now}");
        let mut service_plan = plan.clone();
        service_plan.lists.get_mut("layout").unwrap().items[0].purpose = Purpose::Service;
        let got = ask(&service_plan, |_| {}, t(now));
        let got = if let Admission::At(t, _) = got { Some(t) } else { None };
        assert_eq!(got, service.map(t), "{now}, service");
    }
    // In Vladivostok it is seven hours later: Moscow noon is 19:00, and 14:00 is past closing time.
    let far = |s: &mut Subject| s.contact.as_mut().unwrap().time_zone = Some("Asia/Vladivostok".into());
    assert!(matches!(ask(&plan, far, noon()), Admission::Now(_)));
    assert_eq!(ask(&plan, far, t("2026-03-02T14:00")), Admission::At(t("2026-03-03T03:00"), PostponeReason::OutsideWindow));
}

#[test]
fn an_opening_window_releases_smoothly_and_always_the_same() {
    let mut plan = plan();
    plan.policy.spread = d("2h");
    let night = t("2026-03-02T03:00");
    let mut minutes = [0_u32; 4];
    for id in 1..=2000 {
        let at = |()| match ask(&plan, |s| s.copy.id = CopyId(id), night) {
            Admission::At(at, PostponeReason::OutsideWindow) => at,
            other => panic!("{other:?}"),
        };
        let first = at(());
        assert_eq!(first, at(()));
        let offset = first.duration_since(t("2026-03-02T10:00")).as_mins();
        assert!((0..120).contains(&offset));
        minutes[usize::try_from(offset / 30).unwrap()] += 1;
    }
    assert!(minutes.iter().all(|n| (400..600).contains(n)), "{minutes:?}");
}

#[test]
fn stale_knowledge_sends_nothing() {
    let mut plan = plan();
    plan.max_staleness = Some(d("2h"));
    for (read, passes) in [(Some("2026-03-02T10:00"), true), (Some("2026-03-02T09:59"), false), (None, false)] {
        let got = ask(&plan, |s| s.crm_read_at = read.map(t), noon());
        assert_eq!(matches!(got, Admission::Now(_)), passes);
        assert!(passes || matches!(got, Admission::At(at, PostponeReason::StaleCrm) if at > noon()));
    }
}

#[test]
fn one_voice() {
    let sibling = |role, deal_open, cycle_at: Option<&str>, copy| Sibling {
        copy: CopyId(copy),
        funnel: plan().funnel,
        role,
        deal_open,
        cycle_at: cycle_at.map(t),
        speaks: true,
        heard_at: None,
        says: None,
        voice: Voice::default(),
    };
    let silent = |sibling| Sibling { speaks: false, ..sibling };
    for (sibling, waits) in [
        (sibling(Role::InWork, true, None, 9), Some(PostponeReason::ClientInWork)),
        (sibling(Role::Revived, true, None, 9), Some(PostponeReason::ClientInWork)),
        (sibling(Role::Stalled, true, Some("2026-01-01T12:00"), 9), None),
        (sibling(Role::Warming, false, Some("2026-03-01T12:00"), 9), Some(PostponeReason::OtherDealLeads)),
        (silent(sibling(Role::Warming, false, Some("2026-03-01T12:00"), 9)), None),
        (sibling(Role::Warming, false, Some("2026-03-03T12:00"), 0), None),
        (sibling(Role::Warming, false, Some("2026-03-02T12:00"), 9), None),
        (sibling(Role::Warming, false, Some("2026-03-02T12:00"), 0), Some(PostponeReason::OtherDealLeads)),
        (sibling(Role::Unsubscribed, false, Some("2026-01-01T12:00"), 0), None),
    ] {
        let got = ask(&plan(), |s| s.client.siblings = vec![sibling.clone()], noon());
        let why = if let Admission::At(_, why) = got { Some(why) } else { None };
        assert_eq!(why, waits, "{sibling:?}");
    }
}

#[test]
fn a_deal_whose_journey_is_through_waits_its_turn_when_its_list_grows() {
    let later = Sibling {
        copy: CopyId(9),
        funnel: plan().funnel,
        role: Role::Warming,
        deal_open: false,
        cycle_at: Some(t("2026-03-20T12:00")),
        speaks: true,
        heard_at: None,
        says: None,
        voice: Voice::default(),
    };
    for (finished, speaks, waits) in [(false, true, false), (true, true, true), (true, false, false)] {
        let got = ask(
            &plan(),
            |s| {
                s.copy.state.journey.as_mut().unwrap().finished = finished;
                s.client.siblings = vec![Sibling { speaks, ..later.clone() }];
            },
            noon(),
        );
        assert_eq!(matches!(got, Admission::At(_, PostponeReason::OtherDealLeads)), waits, "{finished} {speaks} {got:?}");
    }
}

#[test]
fn the_same_item_through_another_deal_is_not_sent_again() {
    let recent = |copy, address: &str, item: &str| Recent {
        at: t("2026-02-20T12:00"),
        medium: Medium::Sms,
        purpose: Purpose::Advertising,
        item: item.into(),
        copy: CopyId(copy),
        policy: None,
        address: known(address).hash,
    };
    for (recent, never) in [
        (recent(9, PHONE, "marketing/layout/first"), true),
        (recent(9, PHONE, "marketing/layout/second"), false),
        (recent(9, "+79997654321", "marketing/layout/first"), false),
        (recent(1, PHONE, "marketing/layout/first"), false),
    ] {
        let got = ask(&plan(), |s| s.client.recent = vec![recent.clone()], noon());
        assert_eq!(got == Admission::Never(SkipReason::SentThroughOtherDeal), never, "{recent:?}");
    }
}

#[test]
fn messages_expire_with_the_strictest_rule() {
    for (item, until, expires) in [
        (None, None, "2026-03-03T00:00"),
        (Some("3h"), None, "2026-03-02T15:00"),
        (Some("3d"), None, "2026-03-03T00:00"),
        (None, Some("2026-03-02T13:00"), "2026-03-02T13:00"),
    ] {
        let plan = with_item(|i| {
            i.expires_after = item.map(d);
            i.valid_until = until.map(t);
        });
        assert!(matches!(ask(&plan, |_| {}, noon()), Admission::Now(ready) if ready.expires_at == t(expires)));
    }
}

#[test]
fn variants_follow_their_weights_and_stay_with_the_client() {
    let plan = with_item(|i| {
        i.variants = vec![Variant { name: "a".into(), weight: 3 }, Variant { name: "b".into(), weight: 1 }];
    });
    let variant = |client| match ask(&plan, |s| s.client.id = Some(ClientId(client)), noon()) {
        Admission::Now(ready) => ready.variant.unwrap(),
        other => panic!("{other:?}"),
    };
    let a = (0..2000).filter(|c| variant(*c) == "a").count();
    assert!((1400..1600).contains(&a), "{a} of 2000");
    assert_eq!(variant(5), variant(5));
}

#[test]
fn a_holdout_is_of_the_warming_and_not_of_service() {
    for (role, passes) in [(Role::Warming, false), (Role::Stalled, false), (Role::Customer, true)] {
        let got = ask(
            &plan(),
            |s| {
                s.copy.role = role;
                s.copy.state.holdout = true;
            },
            noon(),
        );
        assert_eq!(got == Admission::Never(SkipReason::Holdout), !passes, "{role:?}");
    }
}

fn warm_sibling(copy: i64, brand: &str, priority: i32) -> Sibling {
    Sibling {
        copy: CopyId(copy),
        funnel: FunnelKey { name: "houses".into(), ..plan().funnel },
        role: Role::Warming,
        deal_open: false,
        // Before ours.
        cycle_at: Some(t("2026-03-01T12:00")),
        speaks: true,
        heard_at: None,
        says: None,
        voice: Voice { brand: brand.into(), policy: "marketing/default".into(), priority, ..Voice::default() },
    }
}

fn why(got: &Admission) -> Option<PostponeReason> {
    if let Admission::At(_, why) = got { Some(*why) } else { None }
}

#[test]
fn one_deal_speaks_for_each_brand() {
    let in_work = Sibling { role: Role::InWork, deal_open: true, ..warm_sibling(9, "other", 0) };
    for (siblings, waits) in [
        (vec![warm_sibling(9, "novydom", Voice::UNRANKED)], Some(PostponeReason::OtherDealLeads)),
        (vec![warm_sibling(9, "other", Voice::UNRANKED)], None),
        // Published by a version that did not tell: it may be ours.
        (vec![warm_sibling(9, "", Voice::UNRANKED)], Some(PostponeReason::OtherDealLeads)),
        (vec![warm_sibling(8, "other", 0), warm_sibling(9, "novydom", Voice::UNRANKED)], Some(PostponeReason::OtherDealLeads)),
        // Somebody talks to them: in whatever name.
        (vec![in_work], Some(PostponeReason::ClientInWork)),
    ] {
        let got = ask(&plan(), |s| s.client.siblings.clone_from(&siblings), noon());
        assert_eq!(why(&got), waits, "{siblings:?}");
    }
    // A call names no brand: one deal is revived, the first of all.
    for brand in ["novydom", "other"] {
        let mut world = World::lost(plan(), "layout");
        world.subject.client.siblings = vec![warm_sibling(9, brand, Voice::UNRANKED)];
        world.decide(&Event::Signal { kind: SignalKind::InboundCall, at: world.now, direct: false, reaction: None });
        assert_eq!(world.role(), Role::Warming);
    }
}

#[test]
fn the_funnel_with_the_higher_priority_speaks() {
    let ranked = |priority| Plan { priority, ..plan() };
    for (mine, other, waits) in [
        (0, 1, None),
        (1, 0, Some(PostponeReason::LowerPriority)),
        // Equals: who was lost first.
        (1, 1, Some(PostponeReason::OtherDealLeads)),
        (0, Voice::UNRANKED, None),
        (Voice::UNRANKED, 5, Some(PostponeReason::LowerPriority)),
    ] {
        let got = ask(&ranked(mine), |s| s.client.siblings = vec![warm_sibling(9, "novydom", other)], noon());
        assert_eq!(why(&got), waits, "{mine} beside {other}");
        let silent = Sibling { speaks: false, ..warm_sibling(9, "novydom", other) };
        let got = ask(&ranked(mine), |s| s.client.siblings = vec![silent], noon());
        assert_eq!(why(&got), None, "it has nothing to say");
        // Of two, exactly one is free to speak.
        let theirs = ask(
            &ranked(other),
            |s| {
                s.copy.state.cycle_at = Some(t("2026-03-01T12:00"));
                s.copy.id = CopyId(9);
                let me = Sibling { cycle_at: Some(noon()), ..warm_sibling(1, "novydom", mine) };
                s.client.siblings = vec![me];
            },
            noon(),
        );
        assert_ne!(why(&theirs).is_none(), waits.is_none(), "{mine} beside {other}");
    }
}

#[test]
fn a_message_gives_way_to_one_whose_room_it_would_take() {
    let cap = |medium, at_most, per| Cap { medium, at_most, per };
    let rolling = CapPer::Rolling(d("24h"));
    let sent_today =
        || vec![Recent { policy: Some("marketing/default".into()), ..sent("2026-03-02T10:00", Medium::Sms, Purpose::Advertising) }];
    // Monday noon; the other deal is a buyer's, who may speak beside a warm one.
    for (caps, says, medium, recent, waits) in [
        (vec![cap(None, 1, CapPer::Day)], "2026-03-02T15:00", Medium::Email, vec![], Some("2026-03-02T16:00")),
        (vec![cap(None, 1, CapPer::Day)], "2026-03-03T10:00", Medium::Email, vec![], None),
        (vec![cap(None, 2, CapPer::Day)], "2026-03-02T15:00", Medium::Email, vec![], None),
        (vec![cap(None, 2, CapPer::Day)], "2026-03-02T15:00", Medium::Email, sent_today(), Some("2026-03-02T16:00")),
        (vec![cap(Some(Medium::Sms), 1, CapPer::Day)], "2026-03-02T15:00", Medium::Email, vec![], None),
        (vec![cap(None, 1, CapPer::Week)], "2026-03-08T15:00", Medium::Sms, vec![], Some("2026-03-08T16:00")),
        (vec![cap(None, 1, rolling)], "2026-03-03T11:59", Medium::Sms, vec![], Some("2026-03-03T12:59")),
        (vec![cap(None, 1, rolling)], "2026-03-03T12:00", Medium::Sms, vec![], None),
        // Its moment has come, and it waits for room in its channel.
        (vec![cap(None, 1, CapPer::Day)], "2026-03-02T11:00", Medium::Sms, vec![], Some("2026-03-02T13:00")),
    ] {
        for (priority, policy) in
            [(0, "marketing/default"), (1, "marketing/default"), (2, "marketing/default"), (0, "marketing/else")]
        {
            let mut plan = Plan { priority: 1, ..plan() };
            plan.policy.caps.clone_from(&caps);
            let mut buyer = Sibling { role: Role::Customer, ..warm_sibling(9, "novydom", priority) };
            buyer.voice.policy = policy.into();
            buyer.says = Some(Says { at: t(says), medium });
            let got = ask(
                &plan,
                |s| {
                    s.client.siblings = vec![buyer];
                    s.client.recent.clone_from(&recent);
                },
                noon(),
            );
            let waits = waits.filter(|_| priority == 0 && policy == "marketing/default");
            let want = waits.map(|until| Admission::At(t(until), PostponeReason::LowerPriority));
            assert!(want.as_ref().is_none_or(|want| got == *want), "{caps:?} {says}: {got:?}");
            assert_eq!(matches!(got, Admission::Now(_)), want.is_none(), "{caps:?} {says} {priority} {policy}: {got:?}");
        }
    }
}

/// A day that has room may be the last of one that others fill tomorrow: it is looked on until all caps have room at once.
#[test]
fn a_cap_looks_past_what_others_are_about_to_say() {
    let mut policy = plan().policy;
    policy.caps = vec![Cap { medium: None, at_most: 1, per: CapPer::Day }];
    let (zone, sms) = (zone("Europe/Moscow"), |at| (t(at), Medium::Sms));
    let days = [sms("2026-03-02T10:00"), sms("2026-03-03T11:00"), sms("2026-03-04T11:00")];
    let fits = |n: usize| crate::engine::caps::fits_at(&policy, &days[..n], Medium::Sms, &zone, noon());
    assert_eq!([1, 2, 3].map(fits), ["2026-03-03T00:00", "2026-03-04T00:00", "2026-03-05T00:00"].map(|at| Some(t(at))));
}

#[test]
fn caps_count_what_their_own_policy_sent() {
    for (policy, free) in [(None, false), (Some("marketing/default"), false), (Some("marketing/else"), true)] {
        let mut plan = plan();
        plan.policy.caps = vec![Cap { medium: None, at_most: 1, per: CapPer::Day }];
        let recent = Recent { policy: policy.map(str::to_owned), ..sent("2026-03-02T10:00", Medium::Sms, Purpose::Advertising) };
        let got = ask(&plan, |s| s.client.recent = vec![recent], noon());
        assert_eq!(matches!(got, Admission::Now(_)), free, "{policy:?}");
    }
}

#[test]
fn others_are_told_of_the_next_message_while_they_may_have_to_give_way() {
    let mut plan = plan();
    plan.policy.caps = vec![Cap { medium: None, at_most: 1, per: CapPer::Day }];
    let says = |world: &World| world.subject.copy.state.says.as_ref().map(|s| s.at);
    assert_eq!(says(&World::lost(plan.clone(), "layout")), None, "nobody is ranked");
    plan.policy.ranks = true;
    let mut world = World::lost(plan, "layout");
    assert_eq!(says(&world), Some(t("2026-03-05T12:00")), "after: 3d");
    world.pass("3d");
    assert_eq!((world.sent().len(), says(&world)), (1, Some(t("2026-03-12T12:00"))));
    world.subject.client.siblings = vec![Sibling { role: Role::InWork, deal_open: true, ..warm_sibling(9, "novydom", 0) }];
    world.pass("7d");
    assert_eq!((world.waiting(), says(&world)), (Some(PostponeReason::ClientInWork), None), "nobody waits for one that is held up");
    world.signal(SignalKind::Refusal);
    assert_eq!(says(&world), None);
}

/// SMS cost 4.20, emails nothing; 100 a day and 1000 a month.
fn with_budget() -> Plan {
    let mut plan = plan();
    plan.policy.budget =
        Some(Budget { currency: "RUB".into(), per_day: Some(1_000_000), per_month: Some(10_000_000), over: OverCap::Postpone });
    plan.channels[0].price = Some(Price { each: 42_000, currency: "RUB".into() });
    plan
}

#[test]
fn a_budget_holds_for_a_day_and_a_month() {
    for (spent, measured, waits) in [
        ((0, 0), None, None),
        ((958_000, 958_000), None, None),
        ((958_001, 958_001), None, Some("2026-03-03T10:00")),
        ((0, 9_958_001), None, Some("2026-04-01T10:00")),
        ((1_000_000, 9_958_000), None, Some("2026-03-03T10:00")),
        // Three parts, as somebody has measured.
        ((874_000, 874_000), Some(126_000), None),
        ((874_001, 874_001), Some(126_000), Some("2026-03-03T10:00")),
    ] {
        let ask = |plan: &Plan| {
            ask(
                plan,
                |s| {
                    s.spent = Spent { day: spent.0, month: spent.1 };
                    s.priced.extend(measured.map(|cost| Priced { list: "layout".into(), item: "first".into(), cost }));
                    s.priced.push(Priced { list: "layout".into(), item: "second".into(), cost: 99_000_000 });
                },
                noon(),
            )
        };
        let got = ask(&with_budget());
        let want = waits.map(|until| Admission::At(t(until), PostponeReason::BudgetReached));
        assert!(want.as_ref().map_or(matches!(got, Admission::Now(_)), |want| got == *want), "{spent:?} {measured:?}: {got:?}");
        let mut skips = with_budget();
        skips.policy.budget.as_mut().unwrap().over = OverCap::Skip;
        assert_eq!(ask(&skips) == Admission::Never(SkipReason::BudgetReached), waits.is_some());
        // What must be told is told; what costs nothing costs nothing.
        let mut service = with_budget();
        service.lists.get_mut("layout").unwrap().items[0].purpose = Purpose::Service;
        let mut email = with_budget();
        email.lists.get_mut("layout").unwrap().items[0].medium = Medium::Email;
        assert!([service, email].iter().all(|plan| matches!(ask(plan), Admission::Now(_))), "{spent:?}");
    }
    let dear = |s: &mut Subject| s.priced.push(Priced { list: "layout".into(), item: "first".into(), cost: 1_000_001 });
    assert_eq!(ask(&with_budget(), dear, noon()), Admission::Never(SkipReason::BudgetReached), "dearer than a whole day");
}

#[test]
fn the_next_month_begins_where_the_policy_lives() {
    let mut plan = with_budget();
    plan.policy.windows = Vec::new();
    // 23:30 in Moscow on the last day; the client is in Vladivostok, where it is the 1st.
    let now = t("2026-03-31T23:30");
    for (spent, until) in
        [(Spent { day: 1_000_000, month: 0 }, "2026-04-01T00:00"), (Spent { day: 0, month: 10_000_000 }, "2026-04-01T00:00")]
    {
        let got = ask(
            &plan,
            |s| {
                s.spent = spent;
                s.contact.as_mut().unwrap().time_zone = Some("Asia/Vladivostok".into());
            },
            now,
        );
        assert_eq!(got, Admission::At(t(until), PostponeReason::BudgetReached));
    }
    assert_eq!(periods(&plan.policy.time_zone, now), ("2026-03-31".to_owned(), "2026-03".to_owned()));
    assert_eq!(periods(&plan.policy.time_zone, t("2026-04-01T00:00")), ("2026-04-01".to_owned(), "2026-04".to_owned()));
    // What was sent today was sent since the midnight of that calendar.
    assert_eq!(day_start(&plan.policy.time_zone, now), t("2026-03-31T00:00"));
    assert_eq!(day_start(&plan.policy.time_zone, t("2026-04-01T00:00")), t("2026-04-01T00:00"));
}

#[test]
fn money_that_is_spent_makes_the_journey_wait_and_nothing_else() {
    let mut world = World::lost(with_budget(), "layout");
    world.subject.spent = Spent { day: 1_000_000, month: 1_000_000 };
    world.pass("4d");
    assert_eq!((world.sent(), world.waiting()), (vec![], Some(PostponeReason::BudgetReached)));
    world.subject.spent = Spent::default();
    world.pass("1d");
    assert_eq!(world.sent(), [("03-07 10:00".to_owned(), "first".to_owned())]);
    world.pass("7d");
    assert_eq!(world.sent().len(), 2, "the next counts from the one sent");
}

/// The moment itself belongs to what begins at it, and not to what ends at it.
#[test]
fn on_the_very_moment() {
    let free = |edit: fn(&mut Item)| ask(&with_item(edit), |_| {}, noon());
    assert!(matches!(free(|i| i.valid_from = Some(noon())), Admission::Now(_)));
    assert_eq!(free(|i| i.valid_until = Some(noon())), Admission::Never(SkipReason::NoLongerValid));
    assert!(matches!(free(|i| i.expires_after = Some(HumanDuration::ZERO)), Admission::Now(_)), "due this very moment");
    let pause = |until: Timestamp| {
        let pause = Pause { until, why: PauseUntil::TaskClosed };
        ask(&plan(), |s| s.copy.state.pause = Some(pause), noon())
    };
    assert!(matches!(pause(noon()), Admission::Now(_)));
    assert_eq!(why(&pause(t("2026-03-02T12:00:01"))), Some(PostponeReason::Paused));
}

#[test]
fn of_two_words_at_the_same_instant_the_refusal_holds() {
    use ConsentStatus::{Given, Withdrawn};
    let word = |status| consent(PHONE, status, None, "2026-01-05T12:00");
    for words in [[Given, Withdrawn], [Withdrawn, Given]] {
        let got = ask(&plan(), |s| s.client.consents = words.map(word).to_vec(), noon());
        assert_eq!(got, Admission::Never(SkipReason::NoConsent), "{words:?}");
    }
}

/// A CRM that goes on saying yes does not give back what the client took back through us.
#[test]
fn what_the_client_took_back_with_us_no_newer_word_of_the_crm_gives_back() {
    use ConsentStatus::{Given, Withdrawn};
    let later = consent(PHONE, Given, None, "2026-01-07T12:00");
    let own =
        |brand| Consent { source: Consent::UNSUBSCRIBED.into(), ..consent(PHONE, Withdrawn, Some(brand), "2026-01-05T12:00") };
    let got = |brand| ask(&plan(), |s| s.client.consents = vec![own(brand), later.clone()], noon());
    assert_eq!(got("novydom"), Admission::Never(SkipReason::NoConsent));
    assert!(matches!(got("another"), Admission::Now(_)));
}

#[test]
fn a_plan_says_in_whose_name_it_speaks() {
    let plan = Plan { priority: 3, ..plan() };
    assert_eq!(
        plan.voice(),
        Voice { brand: "novydom".into(), policy: "marketing/default".into(), priority: 3, ..Voice::default() }
    );
}

/// What was admitted and did not leave is asked again before it is tried again.
#[test]
fn what_is_tried_again_is_asked_again() {
    type Edit = fn(&mut Plan, &mut World);
    let holiday: Edit = |plan, _| {
        plan.policy.holidays.insert(jiff::civil::date(2026, 3, 5));
    };
    let cases: [(&str, Edit, Purpose, Again); 12] = [
        ("nothing happened", |_, _| (), Purpose::Advertising, Again::Now),
        ("the policy is paused", |p, _| p.policy.paused = true, Purpose::Advertising, Again::At(t("2026-03-05T12:05"))),
        ("the funnel is suspended", |p, _| p.suspend = true, Purpose::Service, Again::At(t("2026-03-05T12:05"))),
        ("it only observes now", |p, _| p.mode = Mode::Observe, Purpose::Advertising, Again::At(t("2026-03-05T12:05"))),
        ("a holiday", holiday, Purpose::Advertising, Again::At(t("2026-03-06T10:00"))),
        ("a holiday, and service", holiday, Purpose::Service, Again::Now),
        (
            "the window is closed",
            |p, _| p.policy.windows = vec![window(&[], "15:00", "16:00")],
            Purpose::Service,
            Again::At(t("2026-03-05T15:00")),
        ),
        ("the client refused", |_, w| w.signal(SignalKind::Refusal), Purpose::Advertising, Again::Overtaken),
        ("the client answered", |_, w| w.signal(SignalKind::Reply), Purpose::Advertising, Again::At(t("2026-03-05T12:05"))),
        ("the client called", |_, w| w.signal(SignalKind::InboundCall), Purpose::Advertising, Again::Overtaken),
        ("another reason", |_, w| w.change(|d| d.lost_reason = Some("price".into())), Purpose::Advertising, Again::Overtaken),
        ("deleted", |_, w| w.change(|d| d.state = DealState::Deleted), Purpose::Advertising, Again::Overtaken),
    ];
    for (what, edit, purpose, expected) in cases {
        let mut world = World::lost(plan(), "layout");
        world.pass("3d");
        let mut plan = plan();
        edit(&mut plan, &mut world);
        assert_eq!(again(&plan, &world.subject, "layout", purpose, world.now), expected, "{what}");
    }
    // A buyer's cycle has ended, and their message is tried again all the same; what was to bring them back is not.
    let mut plan = plan();
    plan.stages.customer = Some(cold("customer", vec![], vec![rule("other")]));
    let mut world = World::lost(plan.clone(), "layout");
    world.change(|deal| deal.state = DealState::Won);
    assert_eq!(again(&plan, &world.subject, "other", Purpose::Service, world.now), Again::Now);
    assert_eq!(again(&plan, &world.subject, "layout", Purpose::Advertising, world.now), Again::Overtaken);
}
