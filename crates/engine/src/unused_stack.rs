//! The stack below where the process stands: what a start has needed once, imports that went deep for example, goes
//! back to the system.

/// Lets go of the pages of the first thread's stack that no call is using. Nothing happens in another thread, and
/// where the system does not tell where the stack is.
#[cfg(target_os = "linux")]
pub fn let_go() {
    let Ok(mappings) = std::fs::read_to_string("/proc/self/maps") else { return };
    let here = std::ptr::from_ref(&mappings).addr();
    let Some(unused) = below(&mappings, here) else { return };
    let start = std::ptr::without_provenance_mut(unused.start);
    #[expect(unsafe_code, reason = "memory is given back by its address")]
    // SAFETY: the stack grows downwards, so that nothing is alive two pages below a variable of the function that runs;
    // whoever calls next finds zeros there and writes before it reads.
    let _ = unsafe { rustix::mm::madvise(start, unused.len(), rustix::mm::Advice::LinuxDontNeed) };
}

/// Only Linux tells what is mapped.
#[cfg(not(target_os = "linux"))]
pub fn let_go() {}

/// As on every machine that this is built for; where pages are larger the system refuses what does not begin with one.
const PAGE: usize = 4096;

/// What of the stack in `maps` (proc_pid_maps(5)) is further down than two pages below `here`, if that is in it.
fn below(maps: &str, here: usize) -> Option<std::ops::Range<usize>> {
    let line = maps.lines().find(|line| line.ends_with("[stack]"))?;
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let unused = start..(here / PAGE).saturating_sub(2) * PAGE;
    (here < end && unused.start < unused.end).then_some(unused)
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn only_what_is_below_is_let_go() {
        let maps = "1000-3000 r-xp 0 08:01 42 /lib/a.so\n10000-20000 rw-p 00000000 00:00 0    [stack]\n";
        for (here, expected) in [
            (0x1f123, Some(0x10000..0x1d000)),
            (0x13fff, Some(0x10000..0x11000)),
            (0x12fff, None),
            (0x10000, None),
            (0x2000, None),
            (0x20000, None),
        ] {
            assert_eq!(below(maps, here), expected, "{here:#x}");
        }
        assert_eq!(below("nothing of the kind", 0x1f123), None);
    }

    #[test]
    fn the_process_goes_on() {
        fn deep(count: u32) -> u32 {
            let frame = std::hint::black_box([count; 256]);
            if count == 0 { 0 } else { deep(count - 1) + frame[17] / count }
        }
        assert_eq!(deep(64), 64);
        super::let_go();
        assert_eq!(deep(64), 64);
    }
}
