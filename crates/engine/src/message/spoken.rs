//! What is spoken on a connection.

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.
    Http,
    /// uwsgi.
    Uwsgi,
    /// FastCGI.
    FastCgi,
    /// SCGI.
    Scgi,
}

impl Protocol {
    /// The protocol of this name.
    pub fn named(name: &str) -> Option<Protocol> {
        match name {
            "http" => Some(Protocol::Http),
            "uwsgi" => Some(Protocol::Uwsgi),
            "fastcgi" => Some(Protocol::FastCgi),
            "scgi" => Some(Protocol::Scgi),
            _ => None,
        }
    }

    /// Its name, as the scheme of an address.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Uwsgi => "uwsgi",
            Protocol::FastCgi => "fastcgi",
            Protocol::Scgi => "scgi",
        }
    }
}
