//! Receives the bytes of a uwsgi connection; hands on a [`GatewayHead`] and its length, a ping, a packet of another
//! kind, an error, or "need more data".
//!
//! ```text
//! packet    = modifier1 datasize modifier2 *variable     ; datasize bytes of variables
//! variable  = length name length value
//! datasize, length = 2 bytes, little-endian
//! ```
//!
//! Nothing is read before the packet is complete but its header, which says how large it is. After a request its body
//! follows raw, `CONTENT_LENGTH` bytes. A request that is passed on to a uwsgi server is written the same way.

use std::fmt;

use crate::gateway::{Collector, PathInfo};
use crate::{GatewayHead, GatewayLimits, Span, Variables, WireError};

/// Header of a packet.
const HEADER_BYTES: usize = 4;

/// The reply to a ping: a packet without variables, with modifier2 set.
pub const UWSGI_PONG: [u8; 4] = [MODIFIER1_PING, 0, 0, 1];

const MODIFIER1_WSGI: u8 = 0;
/// WSGI, with `PATH_INFO` holding `SCRIPT_NAME` too.
const MODIFIER1_WSGI_WHOLE_PATH: u8 = 30;
const MODIFIER1_PING: u8 = 100;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UwsgiPacket {
    /// A request; the head is filled in. Its body follows.
    Request {
        /// Length of the packet.
        length: usize,
    },
    /// A query whether somebody is there; the reply is [`UWSGI_PONG`].
    Ping {
        /// Length of the packet.
        length: usize,
    },
    /// Something that is not for a WSGI server: reject it, say so in the log, close.
    Unsupported(UwsgiModifiers),
}

/// The two modifiers of a packet that is not served, for the log. `Display` names what they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UwsgiModifiers {
    /// The kind of packet.
    pub modifier1: u8,
    /// Its variant.
    pub modifier2: u8,
    /// What stands between them; tells other protocols from packets.
    pub datasize: u16,
}

impl GatewayHead {
    /// Reads a packet from the start of `bytes`.
    ///
    /// # Returns
    ///
    /// `Ok(None)` when more data is needed: call again with all bytes and more of them.
    ///
    /// # Errors
    ///
    /// The rule that the packet or its variables break; see the constants of [`WireError`].
    pub fn read_uwsgi(&mut self, bytes: &[u8], limits: &GatewayLimits) -> Result<Option<UwsgiPacket>, WireError> {
        let Some([modifier1, low, high, modifier2]) = bytes.first_chunk::<HEADER_BYTES>().copied() else {
            return Ok(None);
        };
        let datasize = u16::from_le_bytes([low, high]);
        let length = HEADER_BYTES + usize::from(datasize);
        let path_info = match (modifier1, modifier2) {
            (MODIFIER1_WSGI, 0) => PathInfo::Split,
            (MODIFIER1_WSGI_WHOLE_PATH, 0) => PathInfo::Whole,
            (MODIFIER1_PING, 0) if datasize == 0 => return Ok(Some(UwsgiPacket::Ping { length })),
            _ => return Ok(Some(UwsgiPacket::Unsupported(UwsgiModifiers { modifier1, modifier2, datasize }))),
        };
        if usize::from(datasize) > limits.max_variables_bytes {
            return Err(WireError::VARIABLES_TOO_LARGE);
        }
        let Some(packet) = bytes.get(..length) else {
            return Ok(None);
        };
        let mut collector = Collector::new(self, packet, limits);
        let mut at = HEADER_BYTES;
        while at < length {
            let (name, after_name) = read_string(packet, at)?;
            let (value, after_value) = read_string(packet, after_name)?;
            collector.add(name, value)?;
            at = after_value;
        }
        collector.finish(path_info)?;
        Ok(Some(UwsgiPacket::Request { length }))
    }
}

impl Variables {
    /// Appends the packet of a request, after which its body has to follow.
    ///
    /// # Errors
    ///
    /// They do not fit into a packet; `out` is as before then.
    pub fn write_uwsgi(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        let start = out.len();
        out.extend_from_slice(&[MODIFIER1_WSGI, 0, 0, 0]);
        for part in self.iter().flat_map(|(name, value)| [name, value]) {
            // The sum below is too large then, too.
            out.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(part);
        }
        let datasize = u16::try_from(out.len() - start - HEADER_BYTES);
        let (Ok(datasize), Some(place)) = (datasize, out.get_mut(start + 1..start + 3)) else {
            out.truncate(start);
            return Err(WireError::VARIABLES_TOO_LARGE);
        };
        place.copy_from_slice(&datasize.to_le_bytes());
        Ok(())
    }
}

/// A string at index `at`, after its length; returns where it lies and where it ends.
fn read_string(packet: &[u8], at: usize) -> Result<(Span, usize), WireError> {
    let rest = packet.get(at..).unwrap_or_default();
    let Some((length, content)) = rest.split_first_chunk::<2>() else {
        return Err(WireError::VARIABLES_LENGTHS);
    };
    let length = usize::from(u16::from_le_bytes(*length));
    if length > content.len() {
        return Err(WireError::VARIABLES_LENGTHS);
    }
    let start = at + 2;
    Ok((Span::new(start, start + length), start + length))
}

impl UwsgiModifiers {
    /// What this asks for, where that is known.
    fn kind(self) -> Option<&'static str> {
        let [low, high] = self.datasize.to_le_bytes();
        // A client that speaks another protocol: its first bytes are taken for a header.
        match [self.modifier1, low, high, self.modifier2] {
            [b'G', b'E', b'T', b' ']
            | [b'H', b'E', b'A', b'D']
            | [b'P', b'O', b'S', b'T']
            | [b'P', b'U', b'T', b' ']
            | [b'D', b'E', b'L', b'E']
            | [b'O', b'P', b'T', b'I']
            | [b'P', b'A', b'T', b'C'] => {
                return Some("an HTTP request, not a uwsgi packet");
            }
            [b'P', b'R', b'I', b' '] => return Some("an HTTP/2 preface, not a uwsgi packet"),
            [1, 1, _, _] => return Some("a FastCGI record, not a uwsgi packet"),
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9' | b':', _] => {
                return Some("an SCGI netstring, not a uwsgi packet");
            }
            [0x16, 3, 0..=4, _] => return Some("a TLS hello, not a uwsgi packet"),
            [b'P', b'R', b'O', b'X'] | [b'\r', b'\n', b'\r', b'\n'] => {
                return Some("a PROXY protocol header, not a uwsgi packet");
            }
            _ => {}
        }
        // The list of uWSGI, "uwsgi protocol magic variables and modifiers".
        Some(match self.modifier1 {
            0 | 30 => "WSGI with a variant",
            1..=4 | 10..=13 | 16 | 28 | 29 | 31 => "uWSGI's own",
            5 => "PSGI",
            6 => "Lua",
            7 => "Rack",
            8 | 33 => "JVM or Mono",
            9 => "CGI",
            14 => "PHP",
            15 => "Mono",
            17 | 32 => "the spooler or mules",
            18 => "symbol calls",
            22 => "code to be evaluated",
            23 => "XSLT",
            24 => "V8 JavaScript",
            25 => "GridFS",
            27 => "FastFuncs",
            100 => "a ping with content or a variant",
            110 => "a signal",
            111 => "the cache",
            173 => "a remote procedure call",
            _ => return None,
        })
    }
}

impl fmt::Display for UwsgiModifiers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { modifier1, modifier2, .. } = self;
        write!(formatter, "modifier1 {modifier1}, modifier2 {modifier2}")?;
        match self.kind() {
            Some(kind) => write!(formatter, " ({kind})"),
            None => Ok(()),
        }
    }
}
