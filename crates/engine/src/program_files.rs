//! Pages of the program and of its libraries: those that only the start has needed go back to the system.
//!
//! The dynamic linker reads all the relocations of each library, the interpreter much that a supervisor never runs
//! again. Such pages stay mapped, though nobody looks at them; and where nobody else has them mapped they are this
//! process's alone.

/// Lets go of what is mapped of files and is as in the file; whatever is needed again is mapped again, from the
/// system's cache. Nothing happens where the system does not tell what is mapped.
#[cfg(target_os = "linux")]
pub fn let_go() {
    let Ok(mappings) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for mapping in unchanged(&mappings) {
        let start = std::ptr::without_provenance_mut(mapping.start);
        #[expect(unsafe_code, reason = "memory is given back by its address")]
        // SAFETY: the mapping is of a file, is never written to and has no page that is not the file's: whoever reads
        // it after this reads the same.
        let _ = unsafe { rustix::mm::madvise(start, mapping.len(), rustix::mm::Advice::LinuxDontNeed) };
    }
}

/// Only Linux tells what is mapped.
#[cfg(not(target_os = "linux"))]
pub fn let_go() {}

/// The addresses of mappings in `smaps` (proc_pid_smaps(5)) that are of files, cannot be written to, and have no page
/// of their own, here or in swap: the linker writes to some before it makes them read-only.
fn unchanged(smaps: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut addresses = None;
    let mut is_as_in_file = false;
    for line in smaps.lines() {
        if let Some((name, value)) = line.split_once(": ").filter(|(name, _)| !name.contains(' ')) {
            match name {
                "Anonymous" => is_as_in_file = value.trim() == "0 kB",
                // The line comes after that.
                "Swap" if is_as_in_file && value.trim() == "0 kB" => found.extend(addresses.take()),
                _ => {}
            }
        } else {
            addresses = addresses_of_file(line);
            is_as_in_file = false;
        }
    }
    found
}

/// What `7f00-7f10 r-xp 00000000 08:01 42  /lib/libm.so.6` maps, if it is a file that cannot be written to there.
fn addresses_of_file(line: &str) -> Option<std::ops::Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let is_file = words.nth(3)?.starts_with('/');
    let addresses = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    (is_file && !permissions.contains('w')).then_some(addresses)
}

#[cfg(test)]
mod tests {
    use super::unchanged;

    fn smaps(head: &str, anonymous: u32, swap: u32) -> String {
        format!(
            "{head}\nSize: 8 kB\nAnonymous: {anonymous:8} kB\nAnonHugePages: 0 kB\nSwap: {swap:8} kB\nSwapPss: 0 kB\n"
        )
    }

    #[test]
    fn only_pages_that_are_as_in_a_file_are_let_go() {
        let library = "/lib/a library.so";
        for (head, anonymous, swap, expected) in [
            (format!("1000-3000 r--p 00000000 08:01 42    {library}"), 0, 0, Some(0x1000..0x3000)),
            (format!("1000-3000 r-xp 00002000 08:01 42    {library} (deleted)"), 0, 0, Some(0x1000..0x3000)),
            (format!("1000-3000 r--p 00002000 08:01 42    {library}"), 4, 0, None),
            (format!("1000-3000 r--p 00002000 08:01 42    {library}"), 0, 4, None),
            (format!("1000-3000 rw-p 00002000 08:01 42    {library}"), 0, 0, None),
            (format!("1000-3000 rw-s 00002000 08:01 42    {library}"), 0, 0, None),
            ("1000-3000 r--s 00002000 08:01 42    /lib/gconv.cache".to_owned(), 0, 0, Some(0x1000..0x3000)),
            ("1000-3000 r-xp 00000000 00:00 0    [vdso]".to_owned(), 0, 0, None),
            ("1000-3000 r--p 00000000 00:00 0 ".to_owned(), 0, 0, None),
        ] {
            assert_eq!(unchanged(&smaps(&head, anonymous, swap)).pop(), expected, "{head} {anonymous} {swap}");
        }
    }

    #[test]
    fn each_mapping_is_judged_by_its_own_lines() {
        let changed = smaps("1000-3000 r--p 0 08:01 42 /lib/a.so", 4, 0);
        let other = smaps("3000-4000 r-xp 0 08:01 42 /lib/a.so", 0, 0);
        let mut found = unchanged(&format!("{changed}{other}{changed}"));
        assert_eq!((found.pop(), found.pop()), (Some(0x3000..0x4000), None));
        assert_eq!(unchanged("3000-4000 r-xp 0 08:01 42 /lib/a.so\nSize: 4 kB\n").pop(), None);
        assert_eq!(unchanged("nothing of the kind").pop(), None);
    }

    #[test]
    fn the_process_goes_on() {
        super::let_go();
        assert_eq!("a".repeat(3), "aaa");
    }
}
