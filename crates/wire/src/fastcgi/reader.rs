//! Records, one header after the other: which of them belong to the open request, and what each means (FastCGI 1.0,
//! sections 3 to 5).

use super::record::RecordHeader;
use super::{FastCgiReply, FastCgiStep, HEADER_BYTES, kind, values};
use crate::{GatewayLimits, WireError};

/// Content of a `BEGIN_REQUEST`: role (2), flags, reserved (5).
const BEGIN_BYTES: usize = 8;
const ROLE_RESPONDER: u16 = 1;
const FLAG_KEEP_CONNECTION: u8 = 1;
/// A query for values is read in one piece. The three names there are make 49 bytes.
const MAX_GET_VALUES_BYTES: usize = 512;

/// Reads one connection. It keeps a few integers and no bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FastCgiReader {
    place: Place,
    request: RequestState,
    /// Number of the request that is open, if one is.
    id: u16,
    params_bytes: usize,
    /// How much of a body with a length is still to come.
    body_remaining: Option<u64>,
}

/// Where the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the header of a record.
    Header,
    /// In the content of a stream, of which this much is to come.
    Content { stream: RequestStream, remaining: u16, padding: u8 },
    /// In what is not looked at: padding, or a record that does not matter.
    Skipped { remaining: u32 },
    /// The peer broke a rule, and nothing after that can be trusted.
    Failed(WireError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestStream {
    Params,
    Stdin,
}

/// What is known of the open request.
///
/// ```text
/// None -> Params -> Stdin -> Complete
///   ^        |        |         |
///   |        v        v         |  ABORT_REQUEST
///   |      Aborted <--+---------+
///   +------ finish() from each, with a response
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestState {
    None,
    Params,
    Stdin,
    Complete,
    Aborted,
}

impl Default for FastCgiReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FastCgiReader {
    /// A reader for a fresh connection.
    #[must_use]
    pub fn new() -> Self {
        Self { place: Place::Header, request: RequestState::None, id: 0, params_bytes: 0, body_remaining: None }
    }

    /// Finds the next step at the start of `input`. Drop `consumed` bytes of the input after each call.
    ///
    /// # Errors
    ///
    /// The rule of the specification that the bytes break, at this and every later call.
    pub fn read(&mut self, input: &[u8], limits: &GatewayLimits) -> Result<FastCgiStep, WireError> {
        self.next_step(input, limits).inspect_err(|error| self.place = Place::Failed(*error))
    }

    /// Holds the body against its length from now on: `content_length` of the head. Call it after `ParamsEnd`.
    pub fn expect_body(&mut self, content_length: Option<u64>) {
        self.body_remaining = content_length;
    }

    /// The response is complete but for its last record: from now on the next request may begin. What is still to come
    /// of the body is skipped.
    pub fn finish(&mut self) {
        self.request = RequestState::None;
        if let Place::Content { remaining, padding, .. } = self.place {
            self.place = skipped(remaining, padding);
        }
    }

    /// Passes over padding, or what else is not looked at, at the start of `input`; returns how many bytes to drop.
    /// What follows is the header of a record.
    pub fn skip(&mut self, input: &[u8]) -> usize {
        let Place::Skipped { remaining } = self.place else { return 0 };
        let skipped = u32::try_from(input.len()).unwrap_or(u32::MAX).min(remaining);
        self.place = Place::Skipped { remaining: remaining - skipped };
        skipped as usize
    }

    /// Number of the request that is open; of the last one if none is.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Whether a request is open, so that a response is due.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.request != RequestState::None
    }

    fn next_step(&mut self, input: &[u8], limits: &GatewayLimits) -> Result<FastCgiStep, WireError> {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            match self.place {
                Place::Failed(error) => return Err(error),
                Place::Skipped { remaining: 0 } => self.place = Place::Header,
                Place::Skipped { remaining } => {
                    let taken = rest.len().min(remaining as usize);
                    if taken == 0 {
                        return Ok(FastCgiStep::NeedMore { consumed });
                    }
                    consumed += taken;
                    // At most `remaining`, which has 32 bits.
                    self.place =
                        Place::Skipped { remaining: remaining.saturating_sub(u32::try_from(taken).unwrap_or(0)) };
                }
                Place::Content { remaining: 0, padding, .. } => self.place = skipped(0, padding),
                Place::Content { stream, remaining, padding } => {
                    let taken = rest.len().min(usize::from(remaining));
                    if taken == 0 {
                        return Ok(FastCgiStep::NeedMore { consumed });
                    }
                    let left = remaining.saturating_sub(u16::try_from(taken).unwrap_or(0));
                    self.place = Place::Content { stream, remaining: left, padding };
                    let data = consumed..consumed + taken;
                    let consumed = data.end;
                    return Ok(match stream {
                        RequestStream::Params => FastCgiStep::Params { consumed, data },
                        RequestStream::Stdin => FastCgiStep::Stdin { consumed, data },
                    });
                }
                Place::Header => {
                    let Some(record) = RecordHeader::read(rest)? else {
                        return Ok(FastCgiStep::NeedMore { consumed });
                    };
                    let after_header = rest.get(HEADER_BYTES..).unwrap_or_default();
                    match self.take_record(record, after_header, limits)? {
                        Taken::NeedMore => return Ok(FastCgiStep::NeedMore { consumed }),
                        Taken::Nothing => consumed += HEADER_BYTES,
                        Taken::Step(found) => return Ok(found.at(consumed + HEADER_BYTES)),
                    }
                }
            }
        }
    }

    /// Decides what becomes of a record, whose header was read and of whose content `rest` has come.
    fn take_record(&mut self, record: RecordHeader, rest: &[u8], limits: &GatewayLimits) -> Result<Taken, WireError> {
        let step = match record.kind {
            kind::BEGIN_REQUEST => return self.begin(record, rest),
            kind::GET_VALUES => return self.get_values(record, rest),
            kind::PARAMS | kind::STDIN | kind::ABORT_REQUEST | kind::DATA => {
                if record.id == 0 {
                    return Err(WireError::FASTCGI_REQUEST_ID);
                }
                if record.id == self.id && self.is_open() { self.take_part(record, limits)? } else { None }
            }
            // 4.2 asks for it where the id is 0, but types that only a server sends are as unknown here.
            kind => Some(FoundStep::Reply(FastCgiReply::UnknownType { kind })),
        };
        if !matches!(self.place, Place::Content { .. }) {
            self.place = skipped(record.content, record.padding);
        }
        Ok(step.map_or(Taken::Nothing, Taken::Step))
    }

    /// A record of the open request.
    fn take_part(&mut self, record: RecordHeader, limits: &GatewayLimits) -> Result<Option<FoundStep>, WireError> {
        let content = |stream| Place::Content { stream, remaining: record.content, padding: record.padding };
        match (self.request, record.kind, record.content) {
            // 5.4: the reverse proxy may have sent it before it had the end of the request.
            (RequestState::Aborted, ..) => Ok(None),
            (_, kind::ABORT_REQUEST, _) => {
                self.request = RequestState::Aborted;
                Ok(Some(FoundStep::Abort))
            }
            (RequestState::Params, kind::PARAMS, 0) => {
                self.request = RequestState::Stdin;
                Ok(Some(FoundStep::ParamsEnd))
            }
            (RequestState::Params, kind::PARAMS, length) => {
                self.params_bytes = self.params_bytes.saturating_add(usize::from(length));
                // Spans hold 32 bits.
                if self.params_bytes > limits.max_variables_bytes.min(u32::MAX as usize) {
                    return Err(WireError::VARIABLES_TOO_LARGE);
                }
                self.place = content(RequestStream::Params);
                Ok(None)
            }
            (RequestState::Stdin, kind::STDIN, 0) => {
                // A client that went away must not look like the end of its body.
                if self.body_remaining.is_some_and(|remaining| remaining > 0) {
                    return Err(WireError::FASTCGI_BODY_SHORT);
                }
                self.request = RequestState::Complete;
                Ok(Some(FoundStep::StdinEnd))
            }
            (RequestState::Stdin, kind::STDIN, length) => {
                if let Some(remaining) = &mut self.body_remaining {
                    *remaining = remaining.checked_sub(u64::from(length)).ok_or(WireError::FASTCGI_BODY_LONG)?;
                }
                self.place = content(RequestStream::Stdin);
                Ok(None)
            }
            _ => Err(WireError::FASTCGI_ORDER),
        }
    }

    /// 5.1.
    fn begin(&mut self, record: RecordHeader, rest: &[u8]) -> Result<Taken, WireError> {
        if usize::from(record.content) != BEGIN_BYTES {
            return Err(WireError::FASTCGI_BEGIN);
        }
        // 3.3: 0 is for records that belong to no request.
        if record.id == 0 || record.id == self.id && self.is_open() {
            return Err(WireError::FASTCGI_REQUEST_ID);
        }
        let Some([high, low, flags, ..]) = rest.first_chunk::<BEGIN_BYTES>().copied() else {
            return Ok(Taken::NeedMore);
        };
        // The content is what is still ahead.
        self.place = skipped(record.content, record.padding);
        let id = record.id;
        Ok(Taken::Step(if self.is_open() {
            FoundStep::Reply(FastCgiReply::CannotMultiplex { id })
        } else if u16::from_be_bytes([high, low]) != ROLE_RESPONDER {
            FoundStep::Reply(FastCgiReply::UnknownRole { id })
        } else {
            self.request = RequestState::Params;
            self.id = id;
            self.params_bytes = 0;
            self.body_remaining = None;
            FoundStep::Begin { id, keep_connection: flags & FLAG_KEEP_CONNECTION != 0 }
        }))
    }

    /// 4.1.
    fn get_values(&mut self, record: RecordHeader, rest: &[u8]) -> Result<Taken, WireError> {
        if record.id != 0 {
            return Err(WireError::FASTCGI_REQUEST_ID);
        }
        let length = usize::from(record.content);
        if length > MAX_GET_VALUES_BYTES {
            return Err(WireError::FASTCGI_GET_VALUES);
        }
        let Some(content) = rest.get(..length) else {
            return Ok(Taken::NeedMore);
        };
        let reply = FastCgiReply::Values(values::result(content)?);
        self.place = skipped(record.content, record.padding);
        Ok(Taken::Step(FoundStep::Reply(reply)))
    }
}

/// What became of a record's header.
enum Taken {
    /// More of its content has to be there first.
    NeedMore,
    /// It was read, and means nothing by itself.
    Nothing,
    Step(FoundStep),
}

/// A step without its place in the input.
enum FoundStep {
    Begin { id: u16, keep_connection: bool },
    ParamsEnd,
    StdinEnd,
    Abort,
    Reply(FastCgiReply),
}

impl FoundStep {
    fn at(self, consumed: usize) -> FastCgiStep {
        match self {
            Self::Begin { id, keep_connection } => FastCgiStep::Begin { consumed, id, keep_connection },
            Self::ParamsEnd => FastCgiStep::ParamsEnd { consumed },
            Self::StdinEnd => FastCgiStep::StdinEnd { consumed },
            Self::Abort => FastCgiStep::Abort { consumed },
            Self::Reply(reply) => FastCgiStep::Reply { consumed, reply },
        }
    }
}

/// The place before content and padding that are not looked at.
fn skipped(content: u16, padding: u8) -> Place {
    Place::Skipped { remaining: u32::from(content) + u32::from(padding) }
}
