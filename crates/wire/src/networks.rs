//! Receives the peers that an operator named: addresses, networks, Unix sockets, everybody. Decides whether a
//! peer is one of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A list of peers. An IPv4 address that was mapped into IPv6 (`::ffff:10.0.0.1`, RFC 4291 2.5.5.2), as sockets
/// that take both show it, is the IPv4 address, in the list as in a question.
///
/// ```
/// use portico_wire::Networks;
///
/// let networks = Networks::parse(["10.0.0.0/8", "2001:db8::1", "unix"])?;
/// assert!(networks.contains("10.1.2.3".parse()?));
/// assert!(!networks.contains("2001:db8::2".parse()?));
/// assert!(networks.contains_unix());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Networks {
    blocks: Vec<AddressBlock>,
    has_unix: bool,
    has_everybody: bool,
}

/// Addresses that begin with the same bits. The families are apart, so that `::/0` is no IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressBlock {
    V4 { first: u32, mask: u32 },
    V6 { first: u128, mask: u128 },
}

/// What an entry should have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworksError {
    /// The entry as it was given.
    pub entry: String,
}

impl fmt::Display for NetworksError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "expected an IP address, a network such as 10.0.0.0/8 (no bits beyond its length), unix, or *, got {:?}",
            self.entry
        )
    }
}

impl std::error::Error for NetworksError {}

impl Networks {
    /// Reads a list of entries: an address, a network in CIDR notation (RFC 4632 3.1), `unix` for every Unix
    /// socket, `*` for every peer there is.
    ///
    /// # Errors
    ///
    /// The first entry that is none of these.
    pub fn parse<Entry: AsRef<str>>(entries: impl IntoIterator<Item = Entry>) -> Result<Self, NetworksError> {
        let mut networks = Self::default();
        for entry in entries {
            match entry.as_ref() {
                "*" => networks.has_everybody = true,
                "unix" => networks.has_unix = true,
                text => {
                    networks
                        .blocks
                        .push(AddressBlock::parse(text).ok_or_else(|| NetworksError { entry: text.into() })?);
                }
            }
        }
        Ok(networks)
    }

    /// Whether the peer at this address is in the list.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.has_everybody || {
            let address = address.to_canonical();
            self.blocks.iter().any(|block| block.contains(address))
        }
    }

    /// Whether peers on Unix sockets are in the list.
    #[must_use]
    pub fn contains_unix(&self) -> bool {
        self.has_everybody || self.has_unix
    }
}

impl AddressBlock {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(read_length(length)?)),
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => Self::v4(address, length.unwrap_or(32)),
            IpAddr::V6(address) => match (address.to_ipv4_mapped(), length.unwrap_or(128)) {
                (Some(mapped), length @ 96..) => Self::v4(mapped, length - 96),
                (_, length) => Self::v6(address, length),
            },
        }
    }

    fn v4(address: Ipv4Addr, length: u32) -> Option<Self> {
        let first = address.to_bits();
        let mask = u32::MAX.checked_shl(32u32.checked_sub(length)?).unwrap_or(0);
        // Bits beyond the length are most likely a mistake, and one about whom to trust.
        (first & !mask == 0).then_some(Self::V4 { first, mask })
    }

    fn v6(address: Ipv6Addr, length: u32) -> Option<Self> {
        let first = address.to_bits();
        let mask = u128::MAX.checked_shl(128u32.checked_sub(length)?).unwrap_or(0);
        (first & !mask == 0).then_some(Self::V6 { first, mask })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { first, mask }, IpAddr::V4(address)) => address.to_bits() & mask == first,
            (Self::V6 { first, mask }, IpAddr::V6(address)) => address.to_bits() & mask == first,
            _ => false,
        }
    }
}

/// A prefix length: digits only, where `parse` would also take a sign.
fn read_length(digits: &str) -> Option<u32> {
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten()
}
