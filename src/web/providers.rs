//! How the installation's channels read what their providers report: the settings in force, asked anew for every report.

use super::{HookAnswer, HookError, HookRequest, Hooks, InboundKind, ParsedInbound, ParsedReceipt, ReceiptOf};
use crate::{
    channels::{Fields, Receipt, ReceiptFor, http_sms, kannel, stop},
    compile::{ProviderKind, ProviderWiring},
    workers::Engine,
};
use std::sync::Arc;

/// [`Hooks`] over the channels of an engine.
pub struct Providers {
    engine: Arc<Engine>,
    /// Country of numbers without a country code.
    region: String,
}

impl Providers {
    #[must_use]
    pub const fn new(engine: Arc<Engine>, region: String) -> Self {
        Self { engine, region }
    }

    fn provider(&self, request: &HookRequest) -> Result<ProviderWiring, HookError> {
        let adapters = self.engine.adapters();
        let channel = adapters.channels.get(&request.channel).ok_or(HookError::Unknown)?;
        channel.wiring.providers.iter().find(|p| p.name == request.provider).cloned().ok_or(HookError::Unknown)
    }
}

impl Hooks for Providers {
    fn receipts(&self, request: &HookRequest) -> Result<(Vec<ParsedReceipt>, HookAnswer), HookError> {
        let provider = self.provider(request)?;
        let (query, form) = (fields(&request.query), fields(&request.form));
        let mut answer = HookAnswer::default();
        let receipt = match &provider.kind {
            ProviderKind::Kannel(_) => kannel::read_receipt(&provider.name, &query),
            ProviderKind::Http(settings) => {
                if let Some(body) = settings.receipt.as_ref().and_then(|r| r.answer.clone()) {
                    answer.body = body;
                }
                http_sms::read_receipt(settings, &query, &form, &request.body)
            }
            ProviderKind::Smtp(_) => return Err(HookError::Unknown),
        };
        let receipt: Receipt = receipt.ok_or(HookError::Unreadable)?;
        let of = match receipt.of {
            ReceiptFor::Effect(effect) => ReceiptOf::Effect(effect),
            ReceiptFor::ProviderId(id) => ReceiptOf::ProviderId(id),
        };
        Ok((vec![ParsedReceipt { of, outcome: receipt.outcome }], answer))
    }

    fn inbound(&self, request: &HookRequest) -> Result<(Vec<ParsedInbound>, HookAnswer), HookError> {
        let provider = self.provider(request)?;
        let ProviderKind::Kannel(_) = &provider.kind else { return Err(HookError::Unknown) };
        let message = kannel::read_inbound(&fields(&request.query), &self.region).ok_or(HookError::Unreadable)?;
        let kind = match stop::classify(&message.text.0) {
            stop::Keyword::Stop => InboundKind::Stop,
            _ => InboundKind::Reply,
        };
        let parsed = ParsedInbound {
            from: message.from.as_str().to_owned(),
            region: self.region.clone(),
            text: message.text.0,
            id: message.id,
            kind,
        };
        Ok((vec![parsed], HookAnswer::default()))
    }
}

fn fields(pairs: &[(String, String)]) -> Fields {
    pairs.iter().cloned().collect()
}
