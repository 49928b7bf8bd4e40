//! Variables as the three protocols carry them, written and read a second time: plain code that shares nothing with
//! portico-wire, for whole input only.

/// Names and values in the order in which they came.
pub type Variables = Vec<(Vec<u8>, Vec<u8>)>;

/// The variables in a uwsgi packet, without its header; none if the lengths do not add up.
#[must_use]
pub fn read_uwsgi(mut data: &[u8]) -> Option<Variables> {
    fn string<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let (string, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        *data = rest;
        Some(string)
    }
    let mut variables = Vec::new();
    while !data.is_empty() {
        variables.push((string(&mut data)?.to_vec(), string(&mut data)?.to_vec()));
    }
    Some(variables)
}

/// A uwsgi packet.
#[must_use]
pub fn write_uwsgi(modifier1: u8, variables: &Variables) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    for part in variables.iter().flat_map(|(name, value)| [name, value]) {
        data.extend(u16::try_from(part.len()).ok()?.to_le_bytes());
        data.extend(part);
    }
    let [low, high] = u16::try_from(data.len()).ok()?.to_le_bytes();
    Some([&[modifier1, low, high, 0], &data[..]].concat())
}

/// The variables in an SCGI netstring, without its length and comma; none if they do not end with NUL.
#[must_use]
pub fn read_scgi(content: &[u8]) -> Option<Variables> {
    let Some(content) = content.strip_suffix(b"\0") else {
        return content.is_empty().then(Vec::new);
    };
    let strings: Vec<&[u8]> = content.split(|byte| *byte == 0).collect();
    let pairs = strings.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| (pair[0].to_vec(), pair[1].to_vec())).collect())
}

/// An SCGI head; none if a NUL stands in a name or value, where it cannot be told from an end.
#[must_use]
pub fn write_scgi(variables: &Variables) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    for part in variables.iter().flat_map(|(name, value)| [name, value]) {
        if part.contains(&0) {
            return None;
        }
        content.extend(part);
        content.push(0);
    }
    Some([format!("{}:", content.len()).as_bytes(), &content, b","].concat())
}

/// The variables in the content of PARAMS records; none if the lengths do not add up.
#[must_use]
pub fn read_fastcgi(mut params: &[u8]) -> Option<Variables> {
    fn length(params: &mut &[u8]) -> Option<usize> {
        let size = if params.first()? & 0x80 == 0 { 1 } else { 4 };
        let (bytes, rest) = params.split_at_checked(size)?;
        *params = rest;
        let length = bytes.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        usize::try_from(length & 0x7fff_ffff).ok()
    }
    fn string<'a>(params: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (string, rest) = params.split_at_checked(length)?;
        *params = rest;
        Some(string)
    }
    let mut variables = Vec::new();
    while !params.is_empty() {
        let (name, value) = (length(&mut params)?, length(&mut params)?);
        variables.push((string(&mut params, name)?.to_vec(), string(&mut params, value)?.to_vec()));
    }
    Some(variables)
}

/// The content of PARAMS records; `is_long` chooses the long form for lengths that need none.
#[must_use]
pub fn write_fastcgi(variables: &Variables, is_long: bool) -> Vec<u8> {
    let mut params = Vec::new();
    for (name, value) in variables {
        for part in [name, value] {
            match u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes() {
                [0, 0, 0, short @ 0..=127] if !is_long => params.push(short),
                [first, rest @ ..] => params.extend([&[first | 0x80], &rest[..]].concat()),
            }
        }
        params.extend(name.iter().chain(value));
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let variables = vec![
            (b"REQUEST_METHOD".to_vec(), b"GET".to_vec()),
            (b"A".to_vec(), Vec::new()),
            (b"LONG".to_vec(), vec![b'x'; 300]),
        ];
        let packet = write_uwsgi(30, &variables).unwrap();
        assert_eq!((packet[0], packet[3]), (30, 0));
        assert_eq!(read_uwsgi(&packet[4..]).as_ref(), Some(&variables));
        assert_eq!(read_uwsgi(&packet[4..packet.len() - 1]), None);
        for is_long in [false, true] {
            let params = write_fastcgi(&variables, is_long);
            assert_eq!(read_fastcgi(&params).as_ref(), Some(&variables));
            assert_eq!(read_fastcgi(&params[..params.len() - 1]), None);
        }
        let head = write_scgi(&variables).unwrap();
        let content = &head[b"328:".len()..head.len() - 1];
        assert_eq!(content.len(), 328);
        assert_eq!(read_scgi(content).as_ref(), Some(&variables));
        assert_eq!(read_scgi(&content[..content.len() - 1]), None);
        assert_eq!(read_scgi(b"A\0"), None);
    }
}
