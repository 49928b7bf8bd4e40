//! What becomes of a response's body: it leaves as the application has given it, or compressed. Settled when the head is
//! there, by what the client accepts.

use super::coded_body::{CodedBody, PIECE_BYTES};
use crate::message::compression::{Negotiation, Verdict, coded_head, not_modified_head, varying_head};
use crate::message::inbound::Inbound;
use crate::message::response_head::ResponseHead;
use crate::resources::Resources;
use crate::settings::Settings;

/// How far that is settled.
#[derive(Default)]
pub enum Coding {
    /// The body is sent as the application has given it.
    #[default]
    None,
    /// That is settled when the head is there.
    Negotiated(Box<Negotiation>),
    /// The body is compressed.
    Coded(Box<CodedBody>),
}

/// How a response starts.
pub enum Start {
    /// With its head as it is.
    AsItIs,
    /// With this head, and the length of the body where that is known.
    With(ResponseHead, Option<u64>),
    /// With the head that its body has: when its only block has been compressed.
    WithBody,
}

impl Coding {
    /// Of the response to a request.
    pub fn of(inbound: &Inbound, settings: &Settings) -> Coding {
        if settings.compress.list().is_empty() { Coding::None } else { Coding::negotiated(inbound, settings) }
    }

    /// Out of the way of those who do not compress, as all that is cold here.
    #[cold]
    fn negotiated(inbound: &Inbound, settings: &Settings) -> Coding {
        Coding::Negotiated(Box::new(Negotiation::with(inbound, settings)))
    }

    /// Whether the body is compressed.
    pub fn is_coded(&self) -> bool {
        matches!(self, Coding::Coded(_))
    }

    /// Whether a body of `length` bytes is going to be, with this head.
    pub fn compresses(&self, head: &ResponseHead, length: u64, settings: &Settings) -> bool {
        let Coding::Negotiated(negotiation) = self else { return false };
        let verdict = negotiation.judge(head, Some(head.content_length.unwrap_or(length)), settings);
        matches!(verdict, Verdict::Negotiated(Some(_)))
    }

    /// Settles it. `known_length` is the body's where the server knows it; all of that comes in one block then.
    pub fn settle(
        &mut self,
        head: &ResponseHead,
        known_length: Option<u64>,
        is_head: bool,
        resources: &Resources,
    ) -> Start {
        match std::mem::take(self) {
            Coding::Negotiated(negotiation) => {
                self.settle_negotiated(&negotiation, head, known_length, is_head, resources)
            }
            _ => Start::AsItIs,
        }
    }

    #[cold]
    fn settle_negotiated(
        &mut self,
        negotiation: &Negotiation,
        head: &ResponseHead,
        known_length: Option<u64>,
        is_head: bool,
        resources: &Resources,
    ) -> Start {
        // RFC 9110 9.3.2: the head is that of GET. That a body made for HEAD is empty says nothing about it.
        let length_of_get = known_length.filter(|&length| length > 0 || !is_head);
        let declared = head.content_length.or(length_of_get);
        let coding = match negotiation.judge(head, declared, &resources.settings) {
            Verdict::Unrelated => return Start::AsItIs,
            Verdict::NotModified => return Start::With(not_modified_head(head), known_length),
            // A body that is longer or shorter than declared is the application's mistake, and stays that.
            Verdict::Negotiated(coding) => {
                coding.filter(|_| is_head || length_of_get.is_none() || length_of_get == declared)
            }
        };
        let Some(coding) = coding else { return Start::With(varying_head(head), known_length) };
        if is_head {
            return Start::With(coded_head(head, coding), None);
        }
        let Some(encoder) = resources.encoders.take(coding) else {
            return Start::With(varying_head(head), known_length);
        };
        let head = coded_head(head, coding);
        let is_one_piece = length_of_get.is_some_and(|length| length <= PIECE_BYTES as u64);
        let (waiting, start) =
            if is_one_piece { (Some(head), Start::WithBody) } else { (None, Start::With(head, None)) };
        *self = Coding::Coded(Box::new(CodedBody::new(encoder, declared, waiting)));
        start
    }
}
