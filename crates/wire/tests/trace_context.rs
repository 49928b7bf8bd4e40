//! `traceparent` as W3C Trace Context defines it: what is taken, and that nothing else is.

use portico_wire::TraceParent;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn read(field: &str) -> Option<String> {
    let parent = TraceParent::read(field.as_bytes())?;
    Some(String::from_utf8_lossy(&parent.encode()).into_owned())
}

#[test]
fn takes_what_is_well_formed() {
    for (what, field, expected) in [
        ("sampled", VALID.to_owned(), VALID.to_owned()),
        ("not sampled", format!("00-{TRACE}-{SPAN}-00"), format!("00-{TRACE}-{SPAN}-00")),
        ("sampled and random", format!("00-{TRACE}-{SPAN}-03"), format!("00-{TRACE}-{SPAN}-03")),
        ("unknown flags are not sent on", format!("00-{TRACE}-{SPAN}-fd"), format!("00-{TRACE}-{SPAN}-01")),
        ("of a later version", format!("01-{TRACE}-{SPAN}-01"), VALID.to_owned()),
        ("of the last version", format!("fe-{TRACE}-{SPAN}-01"), VALID.to_owned()),
        ("of a later version, with more", format!("cc-{TRACE}-{SPAN}-01-what-the-future-has"), VALID.to_owned()),
        (
            "of a later version, whose flags mean something else",
            format!("01-{TRACE}-{SPAN}-0a"),
            format!("00-{TRACE}-{SPAN}-00"),
        ),
        ("with an end that is empty", format!("01-{TRACE}-{SPAN}-01-"), VALID.to_owned()),
    ] {
        assert_eq!(read(&field), Some(expected), "{what}: {field}");
    }
}

#[test]
fn takes_nothing_else() {
    let upper = VALID.to_ascii_uppercase();
    for (what, field) in [
        ("nothing", String::new()),
        ("blank", " ".to_owned()),
        ("no version", format!("{TRACE}-{SPAN}-01")),
        ("the version that is none", format!("ff-{TRACE}-{SPAN}-01")),
        ("the version that is none, with more", format!("ff-{TRACE}-{SPAN}-01-more")),
        ("a version of capitals", format!("CC-{TRACE}-{SPAN}-01")),
        ("a version of one digit", format!("0-{TRACE}-{SPAN}-01")),
        ("a version of three digits", format!("000-{TRACE}-{SPAN}-01")),
        ("a version that is no number", format!(".0-{TRACE}-{SPAN}-01")),
        ("capitals", upper),
        ("one capital in the trace", VALID.replacen('b', "B", 1)),
        ("the trace of zeros", format!("00-{}-{SPAN}-01", "0".repeat(32))),
        ("the span of zeros", format!("00-{TRACE}-{}-01", "0".repeat(16))),
        ("a trace that is too short", format!("00-{}-{SPAN}-01", &TRACE[1..])),
        ("a trace that is too long", format!("00-{TRACE}0-{SPAN}-01")),
        ("a span that is too short", format!("00-{TRACE}-{}-01", &SPAN[1..])),
        ("a span that is too long", format!("00-{TRACE}-{SPAN}0-01")),
        ("a trace of other letters", format!("00-g{}-{SPAN}-01", &TRACE[1..])),
        ("flags of one digit", format!("00-{TRACE}-{SPAN}-1")),
        ("flags of three digits", format!("00-{TRACE}-{SPAN}-001")),
        ("flags that are none", format!("00-{TRACE}-{SPAN}-.0")),
        ("capital flags", format!("00-{TRACE}-{SPAN}-0B")),
        ("no flags", format!("00-{TRACE}-{SPAN}")),
        ("no flags, but their dash", format!("00-{TRACE}-{SPAN}-")),
        ("version 00 with more", format!("{VALID}-more")),
        ("version 00 with a dash behind", format!("{VALID}-")),
        ("a later version with more and no dash", format!("01-{TRACE}-{SPAN}-01.more")),
        ("a later version that is too short", format!("01-{TRACE}-{SPAN}-0")),
        ("underscores", VALID.replace('-', "_")),
        ("two in one field", format!("{VALID},{VALID}")),
        ("a blank before", format!(" {VALID}")),
        ("a blank behind", format!("{VALID} ")),
        ("a zero behind", format!("{VALID}\0")),
    ] {
        assert_eq!(read(&field), None, "{what}: {field}");
    }
}

#[test]
fn two_fields_are_none() {
    let fields = |count: usize| TraceParent::read_only(std::iter::repeat_n(VALID.as_bytes(), count));
    assert_eq!(fields(0), None);
    assert_eq!(fields(1), TraceParent::read(VALID.as_bytes()));
    assert_eq!(fields(2), None);
}

/// Every change of one byte, every beginning, and every byte more: none panics, and what is taken says the same as it was.
#[test]
fn any_other_bytes_are_none_or_the_same_kind() {
    let valid = VALID.as_bytes();
    for length in 0..valid.len() {
        assert_eq!(TraceParent::read(&valid[..length]), None, "{length} bytes");
    }
    for place in 0..valid.len() {
        for byte in 0..=u8::MAX {
            let mut field = valid.to_vec();
            field[place] = byte;
            let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let may_be = if matches!(valid[place], b'-') { byte == b'-' } else { is_digit };
            let taken = TraceParent::read(&field);
            // All versions but 255 are taken.
            assert_eq!(taken.is_some(), may_be, "byte {byte} at {place}");
            if let Some(parent) = taken {
                assert_eq!(TraceParent::read(&parent.encode()), Some(parent));
            }
        }
    }
    for byte in 0..=u8::MAX {
        assert_eq!(TraceParent::read(&[valid, &[byte]].concat()), None, "byte {byte} behind");
    }
}
