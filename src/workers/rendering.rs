//! From an effect to the bytes of its message.

use super::{engine::Engine, plans::Live};
use crate::{
    channels::Job,
    content::{self, Context, ItemText, RenderError, Sender, Tracking},
    engine::{Effect, Subject, zone_of},
    links::{HookPath, hook_url, system_random},
    model::{Address, EffectRef, SendAs},
};
use jiff::Timestamp;

pub(super) struct OutgoingMessage {
    pub id: EffectRef,
    pub address: Address,
    pub variant: Option<String>,
    pub send_as: SendAs,
}

pub(super) struct Ready {
    pub job: Job,
    pub body_hash: String,
    pub links: Vec<String>,
    pub codes: Vec<String>,
    /// SMS parts; 1 for an email.
    pub parts: u32,
}

impl Engine {
    /// Where a provider may report on a message. The channel fills in `{provider}` and adds which message it is.
    pub(super) fn receipt_url(&self, channel: &str) -> Option<String> {
        let base = self.settings.base_url.as_deref()?;
        Some(hook_url(base, &self.journal.secret(), channel, "{provider}", HookPath::Receipt))
    }

    /// Stable over attempts and restarts: derived from the installation and the effect.
    pub(super) fn key_of(&self, id: EffectRef) -> uuid::Uuid {
        uuid::Uuid::new_v5(&self.namespace, id.to_string().as_bytes())
    }

    pub(super) fn render(
        &self,
        live: &Live,
        subject: &Subject,
        effect: &Effect,
        message: OutgoingMessage,
        channel: &str,
        now: Timestamp,
    ) -> Result<Ready, RenderError> {
        let item = (effect.key.list.clone(), effect.key.item.clone());
        let text = live.texts.items.get(&item).ok_or(RenderError::Empty)?;
        let context = context_of(live, subject);
        let key = self.key_of(message.id);
        let tracking = Tracking {
            base_url: self.settings.base_url.as_deref(),
            keys: &self.keys,
            effect: message.id,
            random: &system_random,
            to: &message.address,
            as_manager: message.send_as.is_manager(&subject.deal, subject.manager.as_ref()),
            message_id_domain: message_id_domain(text),
            key,
            now,
        };
        let language = subject.contact.as_ref().and_then(|c| c.language.as_deref());
        let rendered = content::render_item(text, message.variant.as_deref(), language, &context, &tracking)?;
        Ok(Ready {
            job: Job {
                effect: message.id,
                attempt: 1,
                key,
                to: message.address,
                message: rendered.message,
                receipt_url: self.receipt_url(channel),
            },
            body_hash: rendered.body_hash,
            links: rendered.links,
            codes: rendered.codes,
            parts: rendered.preview.segments.map_or(1, |counted| counted.parts),
        })
    }
}

pub(crate) fn context_of(live: &Live, subject: &Subject) -> Context {
    let (policy, contact) = (&live.plan.policy, subject.contact.as_ref());
    let language = contact.and_then(|c| c.language.as_deref());
    let zone = zone_of(&live.plan, subject);
    Context::new(&subject.deal, contact, subject.manager.as_ref(), &policy.brand_title, language, &zone)
}

/// The sender's own domain, so that a Message-ID looks like the mail it stands in.
fn message_id_domain(text: &ItemText) -> &str {
    match &text.sender {
        Sender::Email(sender) => sender.from_address.rsplit_once('@').map_or("rekindle.invalid", |(_, domain)| domain),
        Sender::Sms(_) => "rekindle.invalid",
    }
}
