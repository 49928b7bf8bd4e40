//! Receives the bytes after the `;` of a chunk extension one by one; hands on where in the grammar the next one
//! stands, or nothing where a byte may not stand. What extensions say is of no interest to anybody here.

use crate::grammar::{TOKEN, is_field_byte};

/// Where the next byte of a chunk's extensions stands, RFC 9112 7.1.1:
/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`. A blank is part of it only before and after `;` and
/// `=`, so never at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkExtension {
    /// After a `;`, before the first byte of a name.
    BeforeName,
    /// In a name.
    Name,
    /// In the blanks after a name.
    AfterName,
    /// After a `=`, before the first byte of a value.
    BeforeValue,
    /// In a value that is a token.
    Value,
    /// Between the quotes of a value (RFC 9110 5.6.4).
    Quoted,
    /// After a backslash between quotes.
    Escaped,
    /// After the quote that ends a value.
    AfterQuote,
    /// In the blanks after a value.
    AfterValue,
}

impl ChunkExtension {
    /// Where the byte after `byte` stands; `None` if `byte` may not stand here.
    pub(super) fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::BeforeName | Self::BeforeValue, b' ' | b'\t') => Some(self),
            (Self::BeforeName | Self::Name, _) if TOKEN[byte as usize] => Some(Self::Name),
            (Self::Name | Self::AfterName, b' ' | b'\t') => Some(Self::AfterName),
            (Self::Name | Self::AfterName, b'=') => Some(Self::BeforeValue),
            (Self::BeforeValue, b'"') => Some(Self::Quoted),
            (Self::BeforeValue | Self::Value, _) if TOKEN[byte as usize] => Some(Self::Value),
            (Self::Quoted, b'"') => Some(Self::AfterQuote),
            (Self::Quoted, b'\\') => Some(Self::Escaped),
            (Self::Quoted | Self::Escaped, _) if is_field_byte(byte) => Some(Self::Quoted),
            (Self::Value | Self::AfterQuote | Self::AfterValue, b' ' | b'\t') => Some(Self::AfterValue),
            (Self::Name | Self::AfterName | Self::Value | Self::AfterQuote | Self::AfterValue, b';') => {
                Some(Self::BeforeName)
            }
            _ => None,
        }
    }

    /// Whether the line of the chunk's size may end here.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::AfterQuote)
    }
}
