//! What a peer did wrong: one constant per rule, each with the status of its error response.

use std::fmt;

/// A violation of the protocol by the peer. The connection must be closed after the response: where
/// the next request would begin is no longer known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// Status code of the response.
    pub status: u16,
    /// The rule that was broken, for a debug line; not a reason phrase.
    pub reason: &'static str,
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.reason, self.status)
    }
}

impl std::error::Error for WireError {}

impl WireError {
    /// The same rule, broken in a response by a server that a request was passed on to: 502 (RFC 9110 15.6.3).
    #[must_use]
    pub const fn of_response(self) -> Self {
        Self { status: 502, ..self }
    }
}

/// Declares the constants of [`WireError`] as a table: name, status, reason.
macro_rules! wire_errors {
    ($($name:ident = $status:literal, $reason:literal;)*) => {
        impl WireError {
            $(
                #[doc = concat!("Status ", stringify!($status), ": ", $reason, ".")]
                pub const $name: Self = Self { status: $status, reason: $reason };
            )*
        }
    };
}

wire_errors! {
    // Request line, RFC 9112 3.
    METHOD = 400, "the method is not a token";
    REQUEST_LINE = 400, "the request line is not `method target version`";
    VERSION_SYNTAX = 400, "the version is not `HTTP/` digit `.` digit";
    VERSION_UNSUPPORTED = 505, "the version is not HTTP/1.0 or HTTP/1.1";
    TARGET_CHARACTER = 400, "the target holds a space, control, `#` or non-ASCII byte";
    TARGET_FORM = 400, "the target has none of the four forms, or not the one its method asks for";
    TARGET_AUTHORITY = 400, "the authority in the target is not a valid host and port";
    REQUEST_LINE_TOO_LONG = 414, "the request line is too long";

    METHOD_NOT_ALLOWED = 405, "the method is CONNECT or TRACE";
    MISDIRECTED = 421, "the target asks for https on a connection that is not TLS";

    // Fields, RFC 9112 5.
    LINE_END = 400, "a line does not end with CRLF";
    LINE_FOLDED = 400, "a field line begins with a space or tab";
    FIELD_NAME = 400, "a field name is not a token followed at once by a colon";
    FIELD_VALUE = 400, "a field value holds a control character";
    TOO_MANY_HEADERS = 431, "there are too many header fields";
    HEADER_TOO_LARGE = 431, "a header field is too large";
    HEAD_TOO_LARGE = 431, "the request head is too large";

    // What fields mean, RFC 9110 7.2, 8.6, 10.1.1 and RFC 9112 6.
    HOST_MISSING = 400, "an HTTP/1.1 request has no Host";
    HOST_REPEATED = 400, "Host is given more than once";
    HOST_INVALID = 400, "Host is not a valid host and port";
    CONTENT_LENGTH_REPEATED = 400, "Content-Length is given more than once";
    CONTENT_TYPE_REPEATED = 400, "Content-Type is given more than once";
    CONTENT_LENGTH_INVALID = 400, "Content-Length is not a number of at most 64 bits";
    LENGTH_AND_TRANSFER_ENCODING = 400, "Content-Length and Transfer-Encoding are both given";
    TRANSFER_ENCODING_IN_1_0 = 400, "an HTTP/1.0 message has a Transfer-Encoding";
    TRANSFER_ENCODING_REPEATED = 400, "Transfer-Encoding is given more than once";
    TRANSFER_ENCODING_INVALID = 400, "Transfer-Encoding is malformed or repeats `chunked`";
    TRANSFER_ENCODING_UNKNOWN = 501, "a transfer coding other than `chunked` is asked for";
    EXPECTATION = 417, "an expectation other than 100-continue is asked for";

    // Responses of servers that a request was passed on to, RFC 9112 4, RFC 3875 6 and FastCGI 1.0.
    STATUS_LINE = 502, "the response does not begin with `version status`";
    STATUS_LINE_TOO_LONG = 502, "the status line is too long";
    STATUS_CODE = 502, "the status is not a number from 100 to 599";
    REASON_PHRASE = 502, "the reason phrase holds a control character";
    RESPONSE_HEAD_TOO_LARGE = 502, "the response head is too large";
    BODY_NOT_ALLOWED = 502, "a response with status 1xx or 204 has a body";
    CGI_FIELDS = 502, "the head of the response has no field";
    CGI_STATUS_REPEATED = 502, "Status is given more than once";
    RECORD_TYPE = 502, "a record has a type that no server sends";
    RECORD_REQUEST = 502, "a record is of another request";
    RECORD_STREAM = 502, "a stream goes on after its end";
    RECORD_END = 502, "END_REQUEST does not have 8 bytes, or an unknown status";
    UPGRADE_NOT_ASKED = 502, "the response switches to a protocol that was not asked for or is not named";

    // Chunked bodies, RFC 9112 7.1.
    CHUNK_SIZE = 400, "a chunk size is not 1 to 16 hexadecimal digits";
    CHUNK_EXTENSION = 400, "a chunk extension is not `;` name, or `;` name `=` value";
    CHUNK_EXTENSIONS_TOO_LARGE = 400, "the chunk extensions of a body are too large";
    CHUNK_LINE_END = 400, "a chunk size does not end with CRLF";
    CHUNK_DATA_END = 400, "chunk data does not end with CRLF";
    TRAILER = 400, "a trailer line is not a valid field";
    TRAILER_FORBIDDEN = 400, "a trailer field would frame or route the message";
    TRAILERS_TOO_LARGE = 431, "the trailers are too large";

    // What the variables of uwsgi, FastCGI and SCGI mean, RFC 3875 4.1.
    VARIABLES_LENGTHS = 400, "the lengths of the variables do not add up to the size of what holds them";
    VARIABLES_TOO_LARGE = 431, "the variables are too large";
    TOO_MANY_VARIABLES = 431, "there are too many variables";
    VARIABLE_NAME = 400, "the name of a variable is empty or holds a NUL";
    VARIABLE_VALUE = 400, "the value of a variable holds a NUL";
    VARIABLE_REPEATED = 400, "a variable that may come once is given more than once";
    METHOD_MISSING = 400, "there is no REQUEST_METHOD";
    PATH_MISSING = 400, "there is neither PATH_INFO nor REQUEST_URI";
    PATH_INVALID = 400, "PATH_INFO or SCRIPT_NAME does not begin with a slash";
    PATH_NOT_BELOW = 404, "PATH_INFO does not begin with the SCRIPT_NAME that is to be removed from it";
    SCHEME_INVALID = 400, "UWSGI_SCHEME, HTTPS or REQUEST_SCHEME has no valid value";
    REMOTE_ADDR_INVALID = 400, "REMOTE_ADDR is not an IP address";
    REMOTE_PORT_INVALID = 400, "REMOTE_PORT is not a port";
    SERVER_PORT_INVALID = 400, "SERVER_PORT is not a port";

    // uwsgi.
    UWSGI_MODIFIER = 501, "the packet is not one for a WSGI server";

    // SCGI.
    SCGI_NETSTRING = 400, "the head is not a netstring: a length without leading zeros, a colon, the head, a comma";
    SCGI_CONTENT_LENGTH = 400, "CONTENT_LENGTH does not come first or is no number";
    SCGI_VERSION = 400, "there is no SCGI with the value 1";

    // FastCGI.
    FASTCGI_VERSION = 400, "a record does not have version 1";
    FASTCGI_REQUEST_ID = 400, "the request number of a record does not fit its type, or is taken";
    FASTCGI_BEGIN = 400, "BEGIN_REQUEST does not have 8 bytes";
    FASTCGI_GET_VALUES = 400, "GET_VALUES is too large";
    FASTCGI_ORDER = 400, "a record of a request comes where it has no place: PARAMS, its end, STDIN, its end";
    FASTCGI_BODY_SHORT = 400, "STDIN ends before CONTENT_LENGTH";
    FASTCGI_BODY_LONG = 400, "STDIN is longer than CONTENT_LENGTH";

    // PROXY protocol. The statuses are never sent: there is no HTTP yet.
    PROXY_SIGNATURE = 400, "the connection does not begin with a PROXY protocol header";
    PROXY_LINE = 400, "the PROXY line is not `PROXY family source destination port port` of at most 107 bytes";
    PROXY_COMMAND = 400, "the PROXY header does not have version 2 and the command LOCAL or PROXY";
    PROXY_FAMILY = 400, "the PROXY header is not of TCP over IPv4 or IPv6 or of a Unix stream socket";
    PROXY_ADDRESSES = 400, "the PROXY header is too short for its addresses";
    PROXY_TLV = 400, "a TLV of the PROXY header is truncated, repeated or malformed";
    PROXY_CHECKSUM = 400, "the checksum of the PROXY header is wrong";
    PROXY_TOO_LARGE = 400, "the PROXY header is too large";

    // What only the caller can know: time, space, and what a reverse proxy said.
    REQUEST_TIMEOUT_HEAD = 408, "the request head did not come in time";
    REQUEST_TIMEOUT_BODY = 408, "the request body did not come in time";
    LENGTH_REQUIRED = 411, "the body has no length, and is larger than body_spool";
    BODY_TOO_LARGE = 413, "the request body is too large";
    FORWARDED = 400, "the forwarded headers are invalid or contradict each other";
    TEMPORARY_SPACE = 507, "there is no space for the request body";
}
