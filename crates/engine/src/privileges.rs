//! What a process may do that others may not: capabilities (capabilities(7)), and what its programs may gain.
//!
//! All of it is for the calling thread, so it is called while a process has one. Which capabilities are to stay, and in
//! which order all that is done, Python decides (python/portico/process/privileges.py).

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};
use std::io;

/// The bits of a set of capabilities.
const MOST_CAPABILITIES: u32 = u64::BITS;

/// Lets no program that this process starts ever have a capability that is not among the numbers `kept`, and lets those
/// live on when the process becomes another user.
///
/// # Errors
/// The process has not the right to (`CAP_SETPCAP`).
pub fn bound_capabilities(kept: &[u32]) -> io::Result<()> {
    let kept = set_of(kept)?;
    for number in 0..MOST_CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !kept.contains(capability) => remove_capability_from_bounding_set(capability)?,
            Ok(_) => {}
            // The kernel knows no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(set_keep_capabilities(true)?)
}

/// Gives up all capabilities but the numbers `kept`, which are the process's own: a program that it starts has none.
///
/// # Errors
/// The process does not have one of those.
pub fn hold_capabilities(kept: &[u32]) -> io::Result<()> {
    let kept = set_of(kept)?;
    // A kernel before 4.3 has no such set.
    match clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })?;
    Ok(set_keep_capabilities(false)?)
}

/// Lets no program that this process starts gain anything by its file: setuid, setgid, capabilities. For ever.
///
/// # Errors
/// What prctl(2) says.
pub fn gain_no_privileges() -> io::Result<()> {
    Ok(set_no_new_privs(true)?)
}

fn set_of(numbers: &[u32]) -> io::Result<CapabilitySet> {
    let bits = numbers.iter().try_fold(0, |bits: u64, number| Some(bits | 1_u64.checked_shl(*number)?));
    bits.map(CapabilitySet::from_bits_retain).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
