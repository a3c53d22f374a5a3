//! Who is who, and what is known of a person.

use super::{Data, Named, ms, trim};
use crate::engine::{Client, Copy, KnownAddress, Sibling};
use crate::model::{
    Address, AddressHash, ClientId, Consent, ConsentStatus, Contact, CopyId, Deal, DealState, EffectRef, Medium, Purpose, Role,
    SignalSubject, Suppression, SuppressionReason, SuppressionScope, shard_of,
};
use crate::store::Page;
use crate::store::identity::Words;
use crate::store::rules::{AddressHasher, with_state};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

fn addresses(hasher: &AddressHasher, contact: &Contact) -> Vec<KnownAddress> {
    let phones = contact.phones.iter().cloned().map(Address::Phone);
    let mut known: Vec<KnownAddress> = Vec::new();
    for address in phones.chain(contact.emails.iter().cloned().map(Address::Email)) {
        let hash = hasher.hash(&address);
        if !known.iter().any(|k| k.hash == hash) {
            known.push(KnownAddress { address, hash });
        }
    }
    known
}

fn contact_key((connection, id): &Named) -> String {
    format!("contact:{connection}:{id}")
}

fn address_key(hash: &AddressHash) -> String {
    format!("address:{}", hash.0)
}

impl Data {
    /// The client that these keys lead to: a new one, or the oldest of several, who are one person from now on.
    fn identify(&mut self, keys: &[String]) -> i64 {
        let met: BTreeSet<i64> = keys.iter().filter_map(|k| self.keys.get(k)).map(|id| self.root(*id)).collect();
        let client = met.first().copied().unwrap_or_else(|| {
            self.last_client += 1;
            let id = self.last_client;
            self.members.insert(id, BTreeSet::from([id]));
            id
        });
        for other in met.into_iter().skip(1) {
            let joined = self.members.remove(&other).unwrap_or_default();
            self.roots.extend(joined.iter().map(|member| (*member, client)));
            self.members.entry(client).or_default().extend(joined);
        }
        for key in keys {
            self.keys.entry(key.clone()).or_insert(client);
        }
        client
    }

    pub(super) fn take_over(&mut self, hasher: &AddressHasher, page: Page, now: Timestamp) {
        let named = |id: &str| (page.connection.clone(), id.to_owned());
        for manager in page.managers {
            self.managers.insert(named(&manager.id.0), manager);
        }
        for id in &page.gone_managers {
            self.managers.remove(&named(&id.0));
        }
        // The last of each id: a page may name a row twice.
        let told = page.contacts.into_iter().map(|c| (named(&c.id), (addresses(hasher, &c), c)));
        let contacts: BTreeMap<Named, (Vec<KnownAddress>, Contact)> = told.collect();
        self.let_go(&contacts);
        // What is said of the addresses that they have or had.
        let mut touched: BTreeSet<AddressHash> = BTreeSet::new();
        for (name, (known, contact)) in contacts {
            let mut keys = vec![contact_key(&name)];
            keys.extend(known.iter().map(|k| address_key(&k.hash)));
            let client = self.identify(&keys);
            if let Some(before) = self.contact_clients.insert(name.clone(), client)
                && let Some(names) = self.contacts_of.get_mut(&before)
            {
                names.remove(&name);
            }
            self.contacts_of.entry(client).or_default().insert(name.clone());
            touched.extend(known.iter().map(|k| k.hash.clone()));
            let had = self.addresses.insert(name.clone(), known);
            touched.extend(had.into_iter().flatten().map(|k| k.hash));
            self.contacts.insert(name, contact);
        }
        self.weigh(touched, now);
        for (deal, hash) in page.deals {
            self.take_deal(&page.connection, deal, hash);
        }
        let mut touched = BTreeSet::new();
        for name in page.gone_contacts.iter().map(|id| named(id)) {
            touched.extend(self.addresses.remove(&name).into_iter().flatten().map(|k| k.hash));
            self.contacts.remove(&name);
            if let Some(client) = self.contact_clients.remove(&name)
                && let Some(names) = self.contacts_of.get_mut(&client)
            {
                names.remove(&name);
            }
        }
        self.weigh(touched, now);
        if let Some(cursor) = page.cursor {
            self.cursors.insert(page.connection, cursor);
        }
    }

    /// Who has this address now.
    fn holders(&self, hash: &AddressHash) -> Vec<Named> {
        let root = self.keys.get(&address_key(hash)).map(|client| self.root(*client));
        let members = root.and_then(|root| self.members.get(&root)).into_iter().flatten();
        let theirs = members.filter_map(|member| self.contacts_of.get(member)).flatten();
        let has = |name: &&Named| self.addresses.get(*name).is_some_and(|known| known.iter().any(|k| k.hash == *hash));
        theirs.filter(has).cloned().collect()
    }

    /// An address that nobody has any more joins nobody: it is whose it is now.
    fn let_go(&mut self, told: &BTreeMap<Named, (Vec<KnownAddress>, Contact)>) {
        for hash in told.values().flat_map(|(known, _)| known).map(|k| &k.hash) {
            // Who tells of no address at all any more may be told under another id from now on.
            let has = |now: &[KnownAddress]| now.is_empty() || now.iter().any(|k| k.hash == *hash);
            let still_has = |name: &Named| told.get(name).is_none_or(|(now, _)| has(now));
            if !self.holders(hash).iter().any(still_has) {
                self.keys.remove(&address_key(hash));
            }
        }
    }

    /// What all contacts of these addresses say of them together.
    fn weigh(&mut self, touched: BTreeSet<AddressHash>, now: Timestamp) {
        let mut words = Words::default();
        for hash in &touched {
            for name in self.holders(hash) {
                let known = self.addresses.get(&name).and_then(|known| known.iter().find(|k| k.hash == *hash));
                if let (Some(known), Some(contact)) = (known, self.contacts.get(&name)) {
                    words.hear(&name.0, &contact.consent, hash, known.address.medium());
                }
            }
        }
        for key in touched.into_iter().flat_map(|hash| [Medium::Sms, Medium::Email].map(|medium| (hash.clone(), medium))) {
            let Some((given, source)) = words.0.remove(&key) else {
                let (address, medium) = key;
                let key = (address, String::new(), medium);
                if self.consents.get(&key).is_some_and(|(_, own)| !own) {
                    self.consents.remove(&key);
                }
                continue;
            };
            self.crm_consent(key.0, key.1, given, source, now);
        }
    }

    fn crm_consent(&mut self, address: AddressHash, medium: Medium, given: bool, source: String, now: Timestamp) {
        let status = if given { ConsentStatus::Given } else { ConsentStatus::Withdrawn };
        let key = (address.clone(), String::new(), medium);
        let keep = self.consents.get(&key).is_some_and(|(c, own)| *own || c.status == status && c.source == source);
        if !keep {
            let purpose = Purpose::Advertising;
            let consent = Consent { address, brand: None, medium, purpose, status, source, at: ms(now), wording: None };
            self.consents.insert(key, (consent, false));
        }
    }

    fn take_deal(&mut self, connection: &str, deal: Deal, hash: i64) {
        let name = (connection.to_owned(), deal.id.clone());
        let key = deal.contacts.first().map_or_else(
            || format!("deal:{connection}:{}", deal.id),
            |contact| contact_key(&(connection.to_owned(), contact.clone())),
        );
        let client = self.identify(&[key]);
        if let Some(there) = self.deals.get(&name)
            && let (Some(old), Some(new)) = (there.deal.updated_at, deal.updated_at)
            && ms(old) > ms(new)
        {
            return;
        }
        self.deals.insert(name.clone(), super::StoredDeal { deal, hash, client });
        let theirs: Vec<CopyId> = self.copies_of_deal.get(&name).into_iter().flat_map(|f| f.values()).copied().collect();
        for id in theirs {
            let Some(old) = self.copies.get(&id).map(|c| c.copy.client.0) else { continue };
            if self.root(old) == client {
                continue;
            }
            if let Some(copies) = self.copies_of_client.get_mut(&old) {
                copies.remove(&id);
            }
            self.copies_of_client.entry(client).or_default().insert(id);
            if let Some(stored) = self.copies.get_mut(&id) {
                stored.copy.client = ClientId(client);
                stored.copy.shard = shard_of(ClientId(client));
            }
        }
    }

    pub(super) fn suppress(&mut self, suppressions: Vec<Suppression>) {
        for new in suppressions {
            let new = Suppression { at: ms(new.at), ..new };
            if new.reason == SuppressionReason::Unsubscribed {
                self.withdraw(&new);
            }
            let known = self.suppressions.iter().any(|s| Suppression { at: new.at, ..s.clone() } == new);
            if !known {
                self.suppressions.push(new);
            }
        }
        self.suppressions.sort_by_key(|s| s.at);
    }

    /// The evidence beside the prohibition.
    fn withdraw(&mut self, suppression: &Suppression) {
        let known: Vec<(AddressHash, Medium)> = match &suppression.scope {
            // Whoever has it, or nobody any more.
            SuppressionScope::Address(hash) => suppression.medium.map(|medium| (hash.clone(), medium)).into_iter().collect(),
            SuppressionScope::Client(id) => {
                let members = self.members.get(&self.root(id.0)).into_iter().flatten();
                let names: BTreeSet<&Named> = members.filter_map(|m| self.contacts_of.get(m)).flatten().collect();
                let known = names.into_iter().filter_map(|name| self.addresses.get(name)).flatten();
                known.map(|k| (k.hash.clone(), k.address.medium())).collect()
            }
        };
        for (address, medium) in known.into_iter().filter(|(_, m)| suppression.medium.is_none_or(|only| only == *m)) {
            let consent = Consent {
                address: address.clone(),
                brand: suppression.brand.clone(),
                medium,
                purpose: Purpose::Advertising,
                status: ConsentStatus::Withdrawn,
                source: Consent::UNSUBSCRIBED.into(),
                at: suppression.at,
                wording: None,
            };
            self.consents.insert((address, suppression.brand.clone().unwrap_or_default(), medium), (consent, true));
        }
    }

    /// All copies of a person, archived ones too.
    pub(super) fn copies_of_person(&self, root: Option<i64>) -> Vec<CopyId> {
        let members = root.and_then(|r| self.members.get(&r)).into_iter().flatten();
        let copies: BTreeSet<CopyId> = members.filter_map(|m| self.copies_of_client.get(m)).flatten().copied().collect();
        copies.into_iter().collect()
    }

    /// The person that a contact is, as far as its own row or a deal that names it told.
    pub(super) fn root_of_contact(&self, connection: &str, id: &str) -> Option<i64> {
        self.keys.get(&contact_key(&(connection.to_owned(), id.to_owned()))).map(|client| self.root(*client))
    }

    /// Whom a message was written to, by its address, whoever its deal belongs to by now. What leads to nobody (a write-back) is of the
    /// copy's client.
    pub(super) fn root_of_effect(&self, effect: EffectRef) -> Option<i64> {
        let recipient = self.effects.get(&effect).map(|entry| address_key(&entry.key.recipient));
        let written_to = recipient.and_then(|key| self.keys.get(&key)).map(|client| self.root(*client));
        written_to.or_else(|| self.root_of_copy(effect.copy))
    }

    /// The person that a signal is about: the first of what its sender knows that leads to anyone.
    pub(super) fn person(&self, hasher: &AddressHasher, signal: &SignalSubject) -> Option<i64> {
        if let Some(root) = signal.effect.and_then(|e| self.root_of_effect(e)) {
            return Some(root);
        }
        if let Some(row) = signal.deal.as_ref().and_then(|name| self.deals.get(name)) {
            return Some(self.root(row.client));
        }
        let contact = signal.contact.as_ref().map(contact_key);
        let phone = signal.phone.clone().map(|p| address_key(&hasher.hash(&Address::Phone(p))));
        let email = signal.email.clone().map(|e| address_key(&hasher.hash(&Address::Email(e))));
        [contact, phone, email].into_iter().flatten().find_map(|key| self.keys.get(&key)).map(|id| self.root(*id))
    }

    pub(super) fn client(&self, copy: &Copy, contact: Option<&Named>, now: Timestamp) -> Client {
        let root = self.root(copy.client.0);
        let members = self.members.get(&root);
        // The addresses of the deal's own contact come first.
        let mut known: Vec<KnownAddress> = contact.and_then(|name| self.addresses.get(name)).cloned().unwrap_or_default();
        let others: BTreeSet<&Named> = members.into_iter().flatten().filter_map(|m| self.contacts_of.get(m)).flatten().collect();
        for other in others.into_iter().filter_map(|name| self.addresses.get(name)).flatten() {
            if !known.iter().any(|k| k.hash == other.hash) {
                known.push(other.clone());
            }
        }
        let mut recent = Vec::new();
        let mut consents = Vec::new();
        for k in &known {
            recent.extend(self.recent.get(&k.hash).into_iter().flatten().cloned());
            let of = |(hash, _, _): &(AddressHash, String, Medium)| *hash == k.hash;
            consents.extend(
                self.consents
                    .range((k.hash.clone(), String::new(), Medium::Sms)..)
                    .take_while(|(key, _)| of(key))
                    .map(|(_, (c, _))| c.clone()),
            );
        }
        trim(&mut recent, now);
        recent.sort_by_key(|r| r.at);
        let theirs = |s: &&Suppression| match &s.scope {
            SuppressionScope::Client(id) => self.root(id.0) == root,
            SuppressionScope::Address(hash) => known.iter().any(|k| k.hash == *hash),
        };
        let suppressions = self.suppressions.iter().filter(theirs).cloned().collect();
        let siblings = self.copies_of_person(Some(root)).into_iter().filter(|id| *id != copy.id).filter_map(|id| self.sibling(id));
        Client { id: Some(ClientId(root)), siblings: siblings.collect(), addresses: known, consents, suppressions, recent }
    }

    fn sibling(&self, id: CopyId) -> Option<Sibling> {
        let stored = self.copies.get(&id)?;
        let retired = self.funnels.get(&stored.copy.funnel).and_then(|f| f.revisions.last()).is_some_and(|r| r.deleted);
        let deal = self.deals.get(&(stored.connection.clone(), stored.deal.clone()))?;
        (stored.copy.role != Role::Archived && !retired).then(|| {
            let sibling = Sibling {
                copy: id,
                funnel: stored.copy.funnel.clone(),
                role: stored.copy.role,
                deal_open: deal.deal.state == DealState::Open,
                cycle_at: None,
                speaks: false,
                heard_at: None,
                says: None,
                voice: self.funnels.get(&stored.copy.funnel).map(|f| f.voice.clone()).unwrap_or_default(),
            };
            with_state(sibling, &stored.copy.state, deal.deal.last_activity_at)
        })
    }
}
