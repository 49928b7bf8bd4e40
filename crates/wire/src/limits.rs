//! How much of anything a peer may send before its request is rejected.

/// Declares a set of limits: the struct, its defaults, and how all of it is read from who has values by name.
macro_rules! limits {
    (
        $(#[$of_struct:meta])*
        pub struct $limits:ident {
            $($(#[$documentation:meta])* pub $name:ident: usize = $default:expr,)*
        }
    ) => {
        $(#[$of_struct])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $limits {
            $($(#[$documentation])* pub $name: usize,)*
        }

        impl $limits {
            /// The names of the limits.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Reads all limits: `number` knows the value of each by its name.
            pub fn read<E>(number: impl Fn(&'static str) -> Result<usize, E>) -> Result<Self, E> {
                Ok(Self { $($name: number(stringify!($name))?,)* })
            }
        }

        impl Default for $limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }
    };
}

limits! {
    /// Bounds on what the readers of HTTP accept, all in bytes unless named otherwise.
    pub struct Limits {
        /// A whole request head, from the first byte to the empty line, inclusive: above it, 431. The caller's
        /// read buffer must be able to hold this much.
        pub max_head_bytes: usize = 64 * 1024,
        /// Number of field lines in a head: above it, 431.
        pub max_headers: usize = 100,
        /// The request line without its CRLF: above it, 414. RFC 9112 3 asks for at least 8000.
        pub max_request_line_bytes: usize = 8190,
        /// One field line as it came, without its CRLF: above it, 431.
        pub max_header_bytes: usize = 16 * 1024,
        /// Everything between the sizes of a body's chunks and their CRLFs, of all its chunks together: above it,
        /// 400. A bound on each chunk alone would let a body be mostly extensions (RFC 9112 7.1.1).
        pub max_chunk_extension_bytes: usize = 16 * 1024,
        /// All trailer lines of one chunked body together, with their CRLFs: above it, 431.
        pub max_trailer_bytes: usize = 8192,
    }
}

limits! {
    /// Bounds on what the readers of uwsgi, FastCGI and SCGI accept.
    pub struct GatewayLimits {
        /// The variables of a request with their lengths, in bytes: above it, 431. A uwsgi packet has at most 65535.
        pub max_variables_bytes: usize = 64 * 1024,
        /// Number of variables, headers among them: above it, 431. nginx sends about 20 variables of its own, Apache with
        /// `mod_ssl` about 60; the rest are headers.
        pub max_variables: usize = 250,
    }
}
