//! Receives what is known about a response to FastCGI or SCGI; hands on how it is framed, and how its head begins
//! (RFC 3875 6).

use crate::http1::encode::write_header;
use crate::{ResponsePlan, ResponseProperties, Version, plan_response};

/// Decides how a response over FastCGI or SCGI is framed.
///
/// The same as over HTTP, except that nothing is said of the connection, which is not the client's, and that a body
/// of unknown length ends with its stream (`UntilClose`): the STDOUT stream of FastCGI, after which the connection may
/// be kept, and the connection of SCGI, which never is.
#[must_use]
pub fn plan_cgi_response(properties: &ResponseProperties) -> ResponsePlan {
    // Chunks are HTTP/1.1's own (RFC 3875 6.2.1 has no transfer codings).
    let plan = plan_response(&ResponseProperties { version: Version::Http10, ..*properties });
    ResponsePlan { connection: None, keep_alive: properties.keep_alive, ..plan }
}

/// Appends the first line of a response head, RFC 3875 6.3.3; `status_and_reason` is like `200 OK`. Fields and the
/// empty line follow as in HTTP.
pub fn write_cgi_status(out: &mut Vec<u8>, status_and_reason: &[u8]) {
    write_header(out, b"Status", status_and_reason);
}
