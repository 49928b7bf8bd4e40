//! What is sent in place of the application's response where there is none.

use portico_engine::exchange::responder::Responder;
use portico_engine::exchange::server_response::reason_phrase;
use portico_engine::message::response_head::ResponseHead;

/// RFC 9110 15.6.5, as it is meant where a call takes too long.
pub const GATEWAY_TIMEOUT: u16 = 504;

/// Head and body of a response that says no more than its status, or what the operator has written for it.
pub fn plain_response(status: u16, responder: &Responder) -> (ResponseHead, Vec<u8>) {
    let status_line = format!("{status} {}", reason_phrase(status));
    let body = format!("{status_line}\n").into_bytes();
    let mut head = ResponseHead {
        status,
        status_line: status_line.into_bytes(),
        fields: b"Content-Type: text/plain; charset=utf-8\r\n".to_vec(),
        ..ResponseHead::default()
    };
    match responder.error_page(status) {
        Some(page) => {
            page.replace(&mut head);
            (head, page.body.clone())
        }
        None => (head, body),
    }
}
