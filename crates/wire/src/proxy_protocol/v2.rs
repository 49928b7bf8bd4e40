//! Version 2: a signature, command, family and length (16 bytes), then addresses, then TLVs: type, length (2), value.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ProxyEndpoints, ProxyHeader, V2_START, crc32c};
use crate::grammar::is_field_value;
use crate::{Span, WireError};

const HEADER_BYTES: usize = V2_START.len() + 4;
/// Path of a Unix socket, filled up with NUL.
const UNIX_PATH_BYTES: usize = 108;
const MAX_UNIQUE_ID_BYTES: usize = 128;

/// Types of TLVs.
mod kind {
    pub(super) const ALPN: u8 = 0x01;
    pub(super) const AUTHORITY: u8 = 0x02;
    pub(super) const CRC32C: u8 = 0x03;
    pub(super) const UNIQUE_ID: u8 = 0x05;
    pub(super) const SSL: u8 = 0x20;
    pub(super) const SSL_VERSION: u8 = 0x21;
    pub(super) const SSL_COMMON_NAME: u8 = 0x22;
    pub(super) const SSL_CIPHER: u8 = 0x23;
}

/// What a load balancer tells of the client's TLS. Texts hold no control characters.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct ProxyTls {
    /// Whether the client uses TLS at all.
    pub is_used: bool,
    /// Whether the client has shown a certificate, on this connection or an earlier one of its session.
    pub has_certificate: bool,
    /// Whether that certificate was found valid; true without one means nothing.
    pub is_verified: bool,
    /// Version, such as `TLSv1.3`.
    pub version: Option<Span>,
    /// Common name in the client's certificate.
    pub common_name: Option<Span>,
    /// Cipher, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: Option<Span>,
}

/// Reads a header that begins like [`V2_START`], as far as it has come.
pub(super) fn read(bytes: &[u8], max_bytes: usize) -> Result<Option<ProxyHeader>, WireError> {
    let Some([.., version_and_command, family, high, low]) = bytes.first_chunk::<HEADER_BYTES>().copied() else {
        return Ok(None);
    };
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(WireError::PROXY_COMMAND),
    };
    let length = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > max_bytes {
        return Err(WireError::PROXY_TOO_LARGE);
    }
    let Some(bytes) = bytes.get(..length) else {
        return Ok(None);
    };
    if is_local {
        // What follows is to be discarded, whatever it is.
        return Ok(Some(ProxyHeader::new(length, ProxyEndpoints::Local)));
    }
    let (endpoints, tlvs_start) = read_endpoints(bytes, family)?;
    let mut header = ProxyHeader::new(length, endpoints);
    header.read_tlvs(bytes, tlvs_start)?;
    Ok(Some(header))
}

/// Reads the addresses; returns where the TLVs begin.
fn read_endpoints(bytes: &[u8], family: u8) -> Result<(ProxyEndpoints, usize), WireError> {
    let rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let short = WireError::PROXY_ADDRESSES;
    match family {
        0x00 => Ok((ProxyEndpoints::Unknown, HEADER_BYTES)),
        0x11 => {
            let (source, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
            let (destination, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
            let endpoints = with_ports(Ipv4Addr::from(*source), Ipv4Addr::from(*destination), rest).ok_or(short)?;
            Ok((endpoints, HEADER_BYTES + 12))
        }
        0x21 => {
            let (source, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(short)?;
            let endpoints = with_ports(Ipv6Addr::from(*source), Ipv6Addr::from(*destination), rest).ok_or(short)?;
            Ok((endpoints, HEADER_BYTES + 36))
        }
        0x31 => {
            let path = |start: usize| {
                let path = bytes.get(start..start + UNIX_PATH_BYTES).ok_or(short)?;
                let length = match path {
                    // An abstract name: NUL, then bytes of any kind.
                    [0, ..] => path.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1),
                    _ => memchr::memchr(0, path).unwrap_or(path.len()),
                };
                Ok(Span::new(start, start + length))
            };
            let (source, destination) = (path(HEADER_BYTES)?, path(HEADER_BYTES + UNIX_PATH_BYTES)?);
            Ok((ProxyEndpoints::Unix { source, destination }, HEADER_BYTES + 2 * UNIX_PATH_BYTES))
        }
        // Datagrams among them: this is a stream.
        _ => Err(WireError::PROXY_FAMILY),
    }
}

fn with_ports<Address: Into<std::net::IpAddr>>(
    source: Address,
    destination: Address,
    ports: &[u8],
) -> Option<ProxyEndpoints> {
    let [source_high, source_low, high, low] = *ports.first_chunk::<4>()?;
    Some(ProxyEndpoints::Ip {
        source: SocketAddr::new(source.into(), u16::from_be_bytes([source_high, source_low])),
        destination: SocketAddr::new(destination.into(), u16::from_be_bytes([high, low])),
    })
}

/// A TLV: its type, and where its value lies.
struct Tlv {
    kind: u8,
    value: Span,
}

/// The TLVs of `bytes` from `start` on.
fn tlvs(bytes: &[u8], start: usize) -> impl Iterator<Item = Result<Tlv, WireError>> {
    let mut at = start;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        if rest.is_empty() {
            return None;
        }
        let read = || {
            let ([kind, high, low], content) = rest.split_first_chunk::<3>()?;
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let start = at + 3;
            (length <= content.len()).then(|| Tlv { kind: *kind, value: Span::new(start, start + length) })
        };
        let tlv = read();
        // After an error there is nothing more.
        at = tlv.as_ref().map_or(bytes.len(), |tlv| tlv.value.end as usize);
        Some(tlv.ok_or(WireError::PROXY_TLV))
    })
}

impl ProxyHeader {
    /// Reads those TLVs that mean something here; all others are skipped, fillers (`NOOP`) among them.
    fn read_tlvs(&mut self, bytes: &[u8], start: usize) -> Result<(), WireError> {
        let mut checksum = None;
        for tlv in tlvs(bytes, start) {
            let Tlv { kind, value } = tlv?;
            match kind {
                kind::ALPN => once(&mut self.alpn, value)?,
                kind::AUTHORITY => once(&mut self.authority, check_text(value, bytes)?)?,
                kind::CRC32C => once(&mut checksum, value)?,
                kind::UNIQUE_ID if value.len() > MAX_UNIQUE_ID_BYTES => return Err(WireError::PROXY_TLV),
                kind::UNIQUE_ID => once(&mut self.unique_id, value)?,
                kind::SSL => once(&mut self.tls, ProxyTls::read(value, bytes)?)?,
                _ => {}
            }
        }
        checksum.map_or(Ok(()), |checksum| check_checksum(bytes, checksum))
    }
}

impl ProxyTls {
    /// Reads a TLV of TLVs: flags, result of the verification (4), then more of them.
    fn read(span: Span, bytes: &[u8]) -> Result<Self, WireError> {
        let Some([flags, verification @ ..]) = span.of(bytes).first_chunk::<5>() else {
            return Err(WireError::PROXY_TLV);
        };
        let mut tls = Self {
            is_used: flags & 1 != 0,
            has_certificate: flags & 0b110 != 0,
            is_verified: *verification == [0; 4],
            ..Self::default()
        };
        let within = bytes.get(..span.end as usize).unwrap_or_default();
        for tlv in tlvs(within, span.start as usize + 5) {
            let Tlv { kind, value } = tlv?;
            let place = match kind {
                kind::SSL_VERSION => &mut tls.version,
                kind::SSL_COMMON_NAME => &mut tls.common_name,
                kind::SSL_CIPHER => &mut tls.cipher,
                _ => continue,
            };
            once(place, check_text(value, bytes)?)?;
        }
        Ok(tls)
    }
}

/// The specification says nothing of repeats, so nobody knows which would count.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), WireError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(WireError::PROXY_TLV),
    }
}

/// What the client chose itself may end up in headers and logs.
fn check_text(value: Span, bytes: &[u8]) -> Result<Span, WireError> {
    if is_field_value(value.of(bytes)) { Ok(value) } else { Err(WireError::PROXY_TLV) }
}

/// The checksum is that of the whole header with zeros in its own place.
fn check_checksum(bytes: &[u8], checksum: Span) -> Result<(), WireError> {
    let Ok(expected) = <[u8; 4]>::try_from(checksum.of(bytes)) else {
        return Err(WireError::PROXY_TLV);
    };
    let before = bytes.get(..checksum.start as usize).unwrap_or_default();
    let after = bytes.get(checksum.end as usize..).unwrap_or_default();
    if crc32c::checksum(&[before, &[0; 4], after]) == u32::from_be_bytes(expected) {
        Ok(())
    } else {
        Err(WireError::PROXY_CHECKSUM)
    }
}
