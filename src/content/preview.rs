//! An item as it would be sent, without an installation behind it: for `validate` and `preview`. Its links have their real
//! lengths and lead nowhere.

use super::{Context, ItemText, RenderError, RenderedItem, Sender, Tracking, render_item};
use crate::{
    links::Keys,
    model::{Address, AddressError, CopyId, EffectRef, Email, Phone},
};
use jiff::Timestamp;
use uuid::Uuid;

/// Renders an item with stand-ins for everything that a real message gets from its ledger. `base_url` is the installation's
/// public address, or one of the same length.
pub fn preview_item(
    item: &ItemText,
    variant: Option<&str>,
    language: Option<&str>,
    context: &Context,
    base_url: Option<&str>,
) -> Result<RenderedItem, RenderError> {
    let (to, domain) = recipient(&item.sender).map_err(|_| RenderError::Medium)?;
    let zeros = |bytes: &mut [u8]| {
        bytes.fill(0);
        Ok(())
    };
    let tracking = Tracking {
        base_url,
        keys: &Keys::derive(&[0; 32]),
        effect: EffectRef { copy: CopyId(0), seq: 0 },
        random: &zeros,
        to: &to,
        as_manager: false,
        message_id_domain: &domain,
        key: Uuid::nil(),
        now: Timestamp::UNIX_EPOCH,
    };
    render_item(item, variant, language, context, &tracking)
}

fn recipient(sender: &Sender) -> Result<(Address, String), AddressError> {
    Ok(match sender {
        Sender::Sms(_) => (Address::Phone(Phone::parse("+12125550100", "US")?), String::new()),
        Sender::Email(sender) => {
            let from = Email::parse(&sender.from_address)?;
            (Address::Email(Email::parse("client@example.com")?), from.domain().to_owned())
        }
    })
}
