//! A made-up property developer: its deals, its clients, and salespeople who work, forget, lose and win. Writes the CSV files that
//! the `File` connector reads, and does what the write-backs ask for, as a CRM would.

use super::dice::Dice;
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, fmt::Write as _, path::Path};

const FIRST: [&str; 16] = [
    "Анна",
    "Иван",
    "Мария",
    "Дмитрий",
    "Елена",
    "Сергей",
    "Ольга",
    "Алексей",
    "Наталья",
    "Андрей",
    "Татьяна",
    "Михаил",
    "Ирина",
    "Павел",
    "Светлана",
    "Николай",
];
const LAST: [&str; 16] = [
    "Смирнов",
    "Иванов",
    "Кузнецов",
    "Соколов",
    "Попов",
    "Лебедев",
    "Козлов",
    "Новиков",
    "Морозов",
    "Петров",
    "Волков",
    "Соловьёв",
    "Васильев",
    "Зайцев",
    "Павлов",
    "Семёнов",
];
const CITIES: [&str; 6] = ["Москва", "Москва", "Москва", "Казань", "Екатеринбург", "Новосибирск"];
pub const REASONS: [&str; 5] =
    ["Не подходит планировка", "Не подходит месторасположение", "Не подходит срок сдачи", "Не берет трубку", "Другая причина"];
const OPEN: [&str; 4] = ["Новая", "Встреча", "Переговоры", "Бронь"];
const LOST: &str = "Проиграна";
const WON: &str = "Выиграна";
const MANAGERS: usize = 12;

/// A deal as its CRM keeps it.
#[derive(Clone, Debug)]
struct Row {
    id: String,
    stage: String,
    reason: &'static str,
    manager: usize,
    amount: i64,
    rooms: i64,
    created: Timestamp,
    stage_changed: Timestamp,
    activity: Timestamp,
    next_task: Option<Timestamp>,
}

/// The person behind a deal.
#[derive(Clone, Debug)]
pub struct Person {
    pub deal: String,
    pub name: String,
    pub phone: String,
    pub email: String,
    pub city: &'static str,
    pub english: bool,
    pub consent: &'static str,
    /// Works behind a mail gateway that opens every link.
    pub scanned: bool,
}

pub struct World {
    dice: Dice,
    rows: Vec<Row>,
    people: Vec<Person>,
    index: BTreeMap<String, usize>,
    by_phone: BTreeMap<String, usize>,
    by_email: BTreeMap<String, usize>,
    pub dirty: bool,
}

impl World {
    /// `deals` of them at `now`: some in work, some lost long ago.
    pub fn new(dice: Dice, deals: usize, now: Timestamp) -> Self {
        let mut world = Self {
            dice,
            rows: Vec::new(),
            people: Vec::new(),
            index: BTreeMap::new(),
            by_phone: BTreeMap::new(),
            by_email: BTreeMap::new(),
            dirty: true,
        };
        for n in 0..deals {
            let who = n.to_string();
            let age = SignedDuration::from_hours(dice.range("age", &who, 24, 24 * 150));
            let i = world.add(n, now - age);
            let fate = dice.share("fate", &who);
            let row = &mut world.rows[i];
            if fate < 0.36 {
                row.stage = LOST.into();
                row.reason = dice.pick("reason", &who, &REASONS).copied().unwrap_or(REASONS[4]);
                row.stage_changed = row.created + age.checked_div(2).unwrap_or_default();
                row.activity = row.stage_changed;
            } else if fate < 0.44 {
                row.stage = WON.into();
                row.stage_changed = row.created + age.checked_div(2).unwrap_or_default();
            } else {
                row.activity = now - SignedDuration::from_hours(dice.range("idle", &who, 1, 24 * 9));
            }
        }
        world
    }

    fn add(&mut self, n: usize, created: Timestamp) -> usize {
        let (dice, who) = (self.dice, n.to_string());
        let id = format!("D{:05}", n + 1);
        let first = dice.pick("first", &who, &FIRST).copied().unwrap_or("Анна");
        let last = dice.pick("last", &who, &LAST).copied().unwrap_or("Иванов");
        let scanned = dice.share("gateway", &who) < 0.08;
        let domain = if scanned { "office.example" } else { "mail.example" };
        let consent = match dice.share("consent", &who) {
            s if s < 0.88 => "yes",
            s if s < 0.95 => "",
            _ => "no",
        };
        let person = Person {
            deal: id.clone(),
            name: format!("{first} {last}"),
            phone: format!("+7999{:07}", 1_000_000 + n),
            email: format!("client{}@{domain}", n + 1),
            city: dice.pick("city", &who, &CITIES).copied().unwrap_or("Москва"),
            english: dice.share("english", &who) < 0.04,
            consent,
            scanned,
        };
        let i = self.rows.len();
        self.rows.push(Row {
            id: id.clone(),
            stage: dice.pick("stage", &who, &OPEN).copied().unwrap_or(OPEN[0]).into(),
            reason: "",
            manager: usize::try_from(dice.range("manager", &who, 0, 12)).unwrap_or(0) % MANAGERS,
            amount: dice.range("amount", &who, 42, 190) * 100_000,
            rooms: dice.range("rooms", &who, 1, 5),
            created,
            stage_changed: created,
            activity: created,
            next_task: None,
        });
        self.by_phone.insert(person.phone.clone(), i);
        self.by_email.insert(person.email.clone(), i);
        self.people.push(person);
        self.index.insert(id, i);
        i
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn person(&self, address: &str) -> Option<&Person> {
        let i = self.by_phone.get(address).or_else(|| self.by_email.get(address))?;
        self.people.get(*i)
    }

    pub fn is_open(&self, deal: &str) -> bool {
        self.index.get(deal).and_then(|i| self.rows.get(*i)).is_some_and(|row| row.stage != LOST && row.stage != WON)
    }

    /// One working day of the sales department.
    pub fn work(&mut self, day: i64, morning: Timestamp) {
        let dice = self.dice;
        for row in &mut self.rows {
            if row.stage == LOST || row.stage == WON {
                continue;
            }
            let who = format!("{}/{day}", row.id);
            let at = morning + SignedDuration::from_mins(dice.range("minute", &who, 0, 300));
            // One deal in seven belongs to someone who forgets.
            let forgotten = dice.share("forgotten", &row.id) < 0.15;
            if dice.share("works", &who) < if forgotten { 0.02 } else { 0.30 } {
                row.activity = at;
                row.next_task =
                    (dice.share("plans", &who) < 0.5).then(|| at + SignedDuration::from_hours(dice.range("next", &who, 24, 120)));
            }
            match dice.share("turn", &who) {
                s if s < 0.014 => {
                    row.stage = LOST.into();
                    row.reason = dice.pick("why", &who, &REASONS).copied().unwrap_or(REASONS[4]);
                    (row.stage_changed, row.activity, row.next_task) = (at, at, None);
                }
                s if s < 0.020 => {
                    row.stage = WON.into();
                    (row.stage_changed, row.activity, row.next_task) = (at, at, None);
                }
                _ => {}
            }
        }
        for k in 0..dice.range("new", &day.to_string(), 8, 20) {
            let n = self.rows.len();
            self.add(n, morning + SignedDuration::from_mins(k * 7));
        }
        self.dirty = true;
    }

    /// A manager works on a deal now.
    pub fn touch(&mut self, deal: &str, at: Timestamp) {
        if let Some(row) = self.index.get(deal).and_then(|i| self.rows.get_mut(*i)) {
            row.activity = row.activity.max(at);
            row.next_task = Some(at + SignedDuration::from_hours(48));
            self.dirty = true;
        }
    }

    /// A write-back moved a deal.
    pub fn move_to(&mut self, deal: &str, stage: &str, at: Timestamp) {
        if let Some(row) = self.index.get(deal).and_then(|i| self.rows.get_mut(*i)) {
            row.stage = stage.into();
            row.reason = "";
            row.stage_changed = at;
            row.next_task = Some(at + SignedDuration::from_hours(24));
            self.dirty = true;
        }
    }

    /// Writes the three files, each in one step, as an export job would.
    pub fn write(&mut self, dir: &Path) -> std::io::Result<()> {
        let mut deals = String::from(
            "id,title,pipeline,stage,lostReason,manager,amount,currency,createdAt,stageChangedAt,lastActivityAt,nextTaskAt,contactId,layout\n",
        );
        let mut contacts = String::from("id,name,phone,email,language,consent,city\n");
        for (row, person) in self.rows.iter().zip(&self.people) {
            let task = row.next_task.map(|t| t.to_string()).unwrap_or_default();
            let _ = writeln!(
                deals,
                "{},Квартира {}-комн.,Продажи,{},{},m{},{},RUB,{},{},{},{task},C{},{}",
                row.id,
                row.rooms,
                row.stage,
                row.reason,
                row.manager,
                row.amount,
                row.created,
                row.stage_changed,
                row.activity,
                row.id,
                row.rooms
            );
            let language = if person.english { "en" } else { "ru" };
            let _ = writeln!(
                contacts,
                "C{},{},{},{},{language},{},{}",
                person.deal, person.name, person.phone, person.email, person.consent, person.city
            );
        }
        let mut managers = String::from("id,name,email,supervisor,deputy\n");
        for m in 0..MANAGERS {
            let name = format!("{} {}", FIRST[m % FIRST.len()], LAST[(m * 5 + 3) % LAST.len()]);
            let _ = writeln!(managers, "m{m},{name},m{m}@developer.example,s{},m{}", m % 3, (m + 1) % MANAGERS);
        }
        for s in 0..3 {
            let _ = writeln!(managers, "s{s},Руководитель {s},s{s}@developer.example,,");
        }
        for (name, text) in [("contacts.csv", contacts), ("managers.csv", managers), ("deals.csv", deals)] {
            let fresh = dir.join(format!(".{name}.new"));
            std::fs::write(&fresh, text)?;
            std::fs::rename(fresh, dir.join(name))?;
        }
        self.dirty = false;
        Ok(())
    }
}
