//! The rules for variables: whatever a reverse proxy sends, and whichever protocol carries it, the same head or the
//! same error, the head is what the variables say, and what nobody may set changes nothing.
//!
//! An input is text in fields, separated by byte 0x1e: one variable each, its name and value separated by 0x1f. So a
//! mutation needs no lengths.

use crate::gateway_errors::check_error;
use crate::gateway_head::{ObservedGateway, check_meaning, observe};
use crate::input::FuzzInput;
use crate::variables::{Variables, write_fastcgi, write_scgi, write_uwsgi};
use portico_wire::{GatewayHead, GatewayLimits, UwsgiPacket, WireError};

/// Ends a variable of the input.
const FIELD: u8 = 0x1e;
/// Parts its name and value.
const PART: u8 = 0x1f;

/// Variables that have to be dropped without a word.
const DROPPED: [(&str, &str); 14] = [
    ("wsgi.input", "evil"),
    ("wsgi.url_scheme", "https"),
    ("wsgi.errors", ""),
    ("portico.peer", "0"),
    ("portico.disconnected", "evil"),
    ("HTTP_PROXY", "http://evil/"),
    ("HTTP_TRANSFER_ENCODING", "chunked"),
    ("HTTP_CONTENT_LENGTH", "99"),
    ("HTTP_X-Forwarded-For", "6.6.6.6"),
    ("HTTP_x", "y"),
    ("UWSGI_FILE", "/tmp/evil.py"),
    ("UWSGI_SETENV", "A=b"),
    ("path_info", "/evil"),
    ("SERVER_SOFTWARE", "evil"),
];

/// What reading variables came to.
type GatewayOutcome = Result<ObservedGateway, WireError>;

/// Takes the message for the variables of one request.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let given = read_given(input.message);
    let limits = GatewayLimits { max_variables: input.gateway_limits().max_variables, ..GatewayLimits::default() };
    let Some(packet) = write_uwsgi(0, &given) else { return };
    let outcome = read_uwsgi(&mut GatewayHead::new(), &packet, &limits);
    let whole = write_uwsgi(30, &given).expect("as long as the other packet");
    let outcome_whole = read_uwsgi(&mut GatewayHead::new(), &whole, &limits);
    for (outcome, is_whole) in [(&outcome, false), (&outcome_whole, true)] {
        match outcome {
            Ok(head) => check_meaning(head, &given, is_whole, &limits),
            Err(error) => check_error(*error, &given, is_whole, &limits),
        }
    }

    let mut used = GatewayHead::new();
    for is_long in [false, true] {
        let params = write_fastcgi(&given, is_long);
        let read = used.read_fastcgi(&params, &limits).map(|()| observe(&used, &params));
        assert_eq!(read, outcome, "FastCGI, and a head that was used before");
    }
    check_scgi(&given, &limits);
    check_dropped(&given, &input);
}

fn read_given(message: &[u8]) -> Variables {
    let pairs = message.split(|byte| *byte == FIELD).map(|field| {
        let length = field.iter().position(|byte| *byte == PART).unwrap_or(field.len());
        (field[..length].to_vec(), field.get(length + 1..).unwrap_or_default().to_vec())
    });
    pairs.collect()
}

/// Reads a packet that is complete.
fn read_uwsgi(head: &mut GatewayHead, packet: &[u8], limits: &GatewayLimits) -> GatewayOutcome {
    match head.read_uwsgi(packet, limits)? {
        Some(UwsgiPacket::Request { length }) => {
            assert_eq!(length, packet.len());
            Ok(observe(head, packet))
        }
        other => panic!("{other:?}, not a request"),
    }
}

/// The same over SCGI, whose own rules are about order and repeats.
fn check_scgi(given: &Variables, limits: &GatewayLimits) {
    let (mut ordered, others): (Variables, Variables) =
        given.iter().cloned().partition(|(name, _)| name == b"CONTENT_LENGTH");
    if ordered.is_empty() {
        ordered.push((b"CONTENT_LENGTH".to_vec(), b"0".to_vec()));
    }
    ordered.extend(others);
    ordered.push((b"SCGI".to_vec(), b"1".to_vec()));
    let (Some(bytes), Some(packet)) = (write_scgi(&ordered), write_uwsgi(0, &ordered)) else { return };
    let expected = read_uwsgi(&mut GatewayHead::new(), &packet, limits);
    let mut head = GatewayHead::new();
    match head.read_scgi(&bytes, limits) {
        Ok(length) => {
            assert_eq!(length, Some(bytes.len()));
            assert_eq!(Ok(observe(&head, &bytes)), expected, "SCGI");
        }
        Err(WireError::VARIABLE_REPEATED) if expected != Err(WireError::VARIABLE_REPEATED) => {
            let mut names: Vec<_> = ordered.iter().map(|(name, _)| name).filter(|name| !is_header(name)).collect();
            names.sort();
            assert!(names.windows(2).any(|pair| pair[0] == pair[1]), "nothing is repeated");
        }
        Err(WireError::SCGI_CONTENT_LENGTH) => {
            assert!(ordered[0].1.is_empty(), "the length comes first and is there");
        }
        Err(error) => assert_eq!(Err(error), expected, "SCGI"),
    }
}

fn is_header(name: &[u8]) -> bool {
    name.starts_with(b"HTTP_")
}

/// What has to be dropped, wherever it stands, changes nothing, not even which rule is found to be broken.
fn check_dropped(given: &Variables, input: &FuzzInput) {
    let limits = GatewayLimits { max_variables: usize::MAX, ..GatewayLimits::default() };
    let mut with_dropped = given.clone();
    let mut random = input.random();
    for _ in 0..=random.below(3) {
        let (name, value) = DROPPED[random.below(DROPPED.len())];
        with_dropped.insert(random.below(with_dropped.len() + 1), (name.into(), value.into()));
    }
    let read = |variables: &Variables| {
        let params = write_fastcgi(variables, false);
        let mut head = GatewayHead::new();
        head.read_fastcgi(&params, &limits).map(|()| observe(&head, &params))
    };
    assert_eq!(read(&with_dropped), read(given), "{with_dropped:?}");
}
