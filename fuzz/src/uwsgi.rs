//! uwsgi packets: the same in every split, exactly as long as their header says, and what their variables say.

use crate::gateway_head::{ObservedGateway, check_meaning, observe};
use crate::input::FuzzInput;
use crate::splits_of_head::check_splits;
use crate::variables;
use portico_wire::{GatewayHead, GatewayLimits, UwsgiModifiers, UwsgiPacket, WireError};

/// What a packet came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ReadPacket {
    Request(Box<ObservedGateway>, usize),
    Ping(usize),
    Unsupported(UwsgiModifiers),
}

/// Takes the message for what a uwsgi connection begins with.
pub fn check(input: &[u8]) {
    let input = FuzzInput::of(input);
    let (bytes, limits) = (input.message, input.gateway_limits());
    let whole = check_splits(&input, |head, bytes| read(head, bytes, &limits));
    let header = bytes.first_chunk::<4>().copied();
    let Some([modifier1, low, high, modifier2]) = header else { return assert_eq!(whole, Ok(None)) };
    let datasize = u16::from_le_bytes([low, high]);
    let length = 4 + usize::from(datasize);
    let is_request = matches!(modifier1, 0 | 30) && modifier2 == 0;
    match whole {
        Ok(None) => assert!(is_request && bytes.len() < length),
        Ok(Some(ReadPacket::Ping(length))) => assert_eq!((&bytes[..4], length), (&[100, 0, 0, 0][..], 4)),
        Ok(Some(ReadPacket::Unsupported(found))) => {
            assert_eq!(found, UwsgiModifiers { modifier1, modifier2, datasize });
            assert!(!is_request && bytes[..4] != [100, 0, 0, 0]);
            assert!(found.to_string().starts_with(&format!("modifier1 {modifier1}, modifier2 {modifier2}")));
        }
        Ok(Some(ReadPacket::Request(head, found))) => {
            assert!(is_request && found == length);
            let given = variables::read_uwsgi(&bytes[4..length]).expect("lengths that add up");
            check_meaning(&head, &given, modifier1 == 30, &limits);
        }
        Err(WireError::VARIABLES_TOO_LARGE) => assert!(usize::from(datasize) > limits.max_variables_bytes),
        Err(error) => {
            assert!(is_request && bytes.len() >= length);
            let adds_up = variables::read_uwsgi(&bytes[4..length]).is_some();
            assert!(error != WireError::VARIABLES_LENGTHS || !adds_up, "{error}");
        }
    }
}

fn read(head: &mut GatewayHead, bytes: &[u8], limits: &GatewayLimits) -> Result<Option<ReadPacket>, WireError> {
    Ok(head.read_uwsgi(bytes, limits)?.map(|packet| match packet {
        UwsgiPacket::Request { length } => ReadPacket::Request(Box::new(observe(head, &bytes[..length])), length),
        UwsgiPacket::Ping { length } => ReadPacket::Ping(length),
        UwsgiPacket::Unsupported(modifiers) => ReadPacket::Unsupported(modifiers),
    }))
}
