//! Framing read a second time, plainly and slowly, by code that shares nothing with portico-wire: the judge
//! of what was decoded, and of what was encoded. Whole inputs only, no limits, no state.

/// What a chunked body at the start of an input came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunked {
    /// The data, and the length of the body on the wire.
    Complete {
        /// The chunks' data.
        data: Vec<u8>,
        /// Bytes of the input that are the body.
        length: usize,
    },
    /// Every byte may stand where it stands, but the end is missing; the data so far.
    Incomplete {
        /// The chunks' data.
        data: Vec<u8>,
    },
    /// A byte stands where it may not.
    Malformed,
}

/// Trailers that would frame or route the request (RFC 9110 6.5.1), which portico rejects.
const FORBIDDEN_TRAILERS: [&[u8]; 8] =
    [b"host", b"te", b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"trailer"];

/// Why reading stops before the end.
enum ReadStop {
    Short,
    Bad,
}

/// Reads a chunked body by the grammar of RFC 9112 7.1, with these narrowings: 1 to 16 digits of a
/// size, no line folding, no trailers that would frame or route the request.
#[must_use]
pub fn read_chunked(input: &[u8]) -> Chunked {
    let mut reader = Cursor { input, at: 0 };
    let mut data = Vec::new();
    match reader.chunks(&mut data) {
        Ok(()) => Chunked::Complete { data, length: reader.at },
        Err(ReadStop::Short) => Chunked::Incomplete { data },
        Err(ReadStop::Bad) => Chunked::Malformed,
    }
}

struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Result<u8, ReadStop> {
        self.input.get(self.at).copied().ok_or(ReadStop::Short)
    }

    fn expect(&mut self, bytes: &[u8]) -> Result<(), ReadStop> {
        for &byte in bytes {
            if self.peek()? != byte {
                return Err(ReadStop::Bad);
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Passes over bytes of a kind; returns how many.
    fn pass(&mut self, kind: impl Fn(u8) -> bool) -> usize {
        let start = self.at;
        while self.input.get(self.at).is_some_and(|&byte| kind(byte)) {
            self.at += 1;
        }
        self.at - start
    }

    /// `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`, RFC 9112 7.1.1.
    fn extensions(&mut self) -> Result<(), ReadStop> {
        loop {
            let blanks = self.blanks();
            if self.peek()? != b';' {
                return if blanks == 0 { Ok(()) } else { Err(ReadStop::Bad) };
            }
            self.at += 1;
            self.blanks();
            self.token()?;
            let end_of_name = self.at;
            self.blanks();
            if self.peek()? != b'=' {
                // The blanks were those before another extension, or had no place.
                self.at = end_of_name;
                continue;
            }
            self.at += 1;
            self.blanks();
            if self.peek()? == b'"' { self.quoted()? } else { self.token()? }
        }
    }

    fn blanks(&mut self) -> usize {
        self.pass(|byte| byte == b' ' || byte == b'\t')
    }

    fn token(&mut self) -> Result<(), ReadStop> {
        if self.pass(is_tchar) > 0 {
            return Ok(());
        }
        self.peek()?;
        Err(ReadStop::Bad)
    }

    /// A quoted-string, RFC 9110 5.6.4, from its first quote on.
    fn quoted(&mut self) -> Result<(), ReadStop> {
        self.at += 1;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                b'\\' => {
                    let escaped = self.peek()?;
                    self.at += 1;
                    if !is_text(escaped) {
                        return Err(ReadStop::Bad);
                    }
                }
                _ if is_text(byte) => {}
                _ => return Err(ReadStop::Bad),
            }
        }
    }

    fn chunks(&mut self, data: &mut Vec<u8>) -> Result<(), ReadStop> {
        loop {
            let start = self.at;
            let digits = self.pass(|byte| byte.is_ascii_hexdigit());
            if digits > 16 {
                return Err(ReadStop::Bad);
            }
            self.peek()?;
            if digits == 0 {
                return Err(ReadStop::Bad);
            }
            let text = std::str::from_utf8(&self.input[start..self.at]).map_err(|_| ReadStop::Bad)?;
            let size = u64::from_str_radix(text, 16).map_err(|_| ReadStop::Bad)?;
            self.extensions()?;
            self.expect(b"\r\n")?;
            if size == 0 {
                break;
            }
            let rest = &self.input[self.at..];
            let Some(chunk) = usize::try_from(size).ok().and_then(|size| rest.get(..size)) else {
                data.extend_from_slice(rest);
                return Err(ReadStop::Short);
            };
            data.extend_from_slice(chunk);
            self.at += chunk.len();
            self.expect(b"\r\n")?;
        }
        while self.peek()? != b'\r' {
            let start = self.at;
            if self.pass(is_tchar) == 0 {
                return Err(ReadStop::Bad);
            }
            let name = self.input[start..self.at].to_ascii_lowercase();
            self.expect(b":")?;
            if FORBIDDEN_TRAILERS.contains(&&name[..]) {
                return Err(ReadStop::Bad);
            }
            self.pass(is_text);
            self.expect(b"\r\n")?;
        }
        self.expect(b"\r\n")
    }
}

/// `tchar`, RFC 9110 5.6.2.
#[must_use]
pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What may stand in a field value or a reason phrase: tab, space, visible and opaque bytes.
#[must_use]
pub fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff)
}

/// One response, read strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Reason phrase, may be empty.
    pub reason: Vec<u8>,
    /// Field lines in order, values without blanks around.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, decoded.
    pub body: Vec<u8>,
    /// Whether the client may send another request after it (RFC 9112 9.3).
    pub keeps: bool,
    /// Bytes of the input that are this response.
    pub length: usize,
}

/// What a strict client says about the bytes it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The response is not complete.
    Short,
    /// The response breaks the rule named.
    Broken(&'static str),
}

/// Reads one response to a request (HEAD or not) at the start of `input`. `ended` says that the connection was
/// closed after `input`.
///
/// # Errors
///
/// What a client that forgives nothing complains about.
pub fn read_response(input: &[u8], to_head: bool, ended: bool) -> Result<Response, Complaint> {
    let head_length = input.windows(4).position(|four| four == b"\r\n\r\n").ok_or(Complaint::Short)? + 4;
    let head = &input[..head_length - 4];
    let count = |wanted: &[u8]| head.windows(wanted.len()).filter(|bytes| *bytes == wanted).count();
    if count(b"\r") != count(b"\r\n") || count(b"\n") != count(b"\r\n") {
        return Err(Complaint::Broken("a CR or LF alone"));
    }
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (status, reason) = read_status_line(lines.next().unwrap_or_default())?;
    let headers = lines.map(read_field).collect::<Result<Vec<_>, _>>()?;

    let all = |name: &str| -> Vec<&[u8]> {
        let named = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.as_slice()).collect()
    };
    let (lengths, codings, connections) = (all("content-length"), all("transfer-encoding"), all("connection"));
    let declared = match lengths[..] {
        [] => None,
        [digits] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
            Some(number.ok_or(Complaint::Broken("a Content-Length beyond 64 bits"))?)
        }
        _ => return Err(Complaint::Broken("not one Content-Length")),
    };
    if declared.is_some() && !codings.is_empty() {
        return Err(Complaint::Broken("Content-Length and Transfer-Encoding"));
    }
    if declared.is_some() && (status < 200 || status == 204) {
        return Err(Complaint::Broken("a Content-Length where there may be none"));
    }
    let closes = match connections[..] {
        [] | [b"keep-alive"] => false,
        [b"close"] => true,
        _ => return Err(Complaint::Broken("Connection is not one of ours")),
    };

    let rest = &input[head_length..];
    let (body, body_length, framed) = if to_head || status < 200 || matches!(status, 204 | 304) {
        (Vec::new(), 0, true)
    } else if let Some(length) = declared {
        let body = usize::try_from(length).ok().and_then(|length| rest.get(..length)).ok_or(Complaint::Short)?;
        (body.to_vec(), body.len(), true)
    } else if codings == [b"chunked"] {
        match read_chunked(rest) {
            Chunked::Complete { data, length } => (data, length, true),
            Chunked::Incomplete { .. } => return Err(Complaint::Short),
            Chunked::Malformed => return Err(Complaint::Broken("the chunks")),
        }
    } else if codings.is_empty() {
        if !ended {
            return Err(Complaint::Short);
        }
        (rest.to_vec(), rest.len(), false)
    } else {
        return Err(Complaint::Broken("Transfer-Encoding is not chunked"));
    };
    if !framed && !closes {
        return Err(Complaint::Broken("a body up to the close, which was not announced"));
    }
    Ok(Response { status, reason, headers, body, keeps: !closes, length: head_length + body_length })
}

/// `HTTP-version SP status-code SP [ reason-phrase ]`, RFC 9112 4.
fn read_status_line(line: &[u8]) -> Result<(u16, Vec<u8>), Complaint> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").ok_or(Complaint::Broken("the version"))?;
    let (code, reason) = rest.split_at_checked(3).ok_or(Complaint::Broken("the status code"))?;
    let reason = reason.strip_prefix(b" ").ok_or(Complaint::Broken("the space after the status code"))?;
    if !code.iter().all(u8::is_ascii_digit) || code[0] == b'0' {
        return Err(Complaint::Broken("the status code"));
    }
    if !reason.iter().all(|&byte| is_text(byte)) {
        return Err(Complaint::Broken("the reason phrase"));
    }
    let status = code.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    Ok((status, reason.to_vec()))
}

fn read_field(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Complaint> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(Complaint::Broken("a field line without a colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|&byte| is_tchar(byte)) {
        return Err(Complaint::Broken("a field name"));
    }
    if !value.iter().all(|&byte| is_text(byte)) {
        return Err(Complaint::Broken("a field value"));
    }
    Ok((name.to_vec(), without_blanks(value).to_vec()))
}

/// `bytes` without spaces and tabs at either end.
#[must_use]
pub fn without_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_chunked_bodies() {
        let complete = |data: &[u8], length| Chunked::Complete { data: data.to_vec(), length };
        assert_eq!(read_chunked(b"3\r\nabc\r\n0\r\n\r\nGET"), complete(b"abc", 13));
        assert_eq!(read_chunked(b"3 ;x=y\r\nabc\r\n0;z\r\nA: b\r\n\r\n"), complete(b"abc", 26));
        assert_eq!(read_chunked(b"3;a = \"\\\"\" ; b\r\nabc\r\n0\r\n\r\n"), complete(b"abc", 26));
        assert_eq!(read_chunked(b"5\r\nabc"), Chunked::Incomplete { data: b"abc".to_vec() });
        assert_eq!(read_chunked(b""), Chunked::Incomplete { data: Vec::new() });
        for bad in [
            &b"3 \r\nabc"[..],
            b"g",
            b"\r\n",
            b"3\nabc",
            b"3\r\nabcd",
            b"0\r\n :",
            b"0\r\nA\r",
            b"00000000000000001",
            b"0\r\nTE:",
            b"3;\r\nabc",
            b"3;=b\r\nabc",
            b"3;a=\r\nabc",
            b"3;a \r\nabc",
            b"3;a=\"b\r\nabc",
            b"3;a=\"b\"c\r\nabc",
        ] {
            assert_eq!(read_chunked(bad), Chunked::Malformed, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn reads_exactly_one_response() {
        let two = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 204 \r\n\r\n";
        let first = read_response(two, false, false).unwrap();
        assert_eq!((first.status, &first.body[..], first.keeps, first.length), (200, &b"x"[..], true, 39));
        let second = read_response(&two[first.length..], false, false).unwrap();
        assert_eq!((second.status, second.length), (204, two.len() - first.length));
    }

    #[test]
    fn complains_about_what_is_not_one_response() {
        let broken: [&[u8]; 8] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
            b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA b\r\n\r\n",
            b"HTTP/1.1 200\r\n\r\n",
            b"HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nup to an end not announced",
        ];
        for bytes in broken {
            let outcome = read_response(bytes, false, true);
            assert!(matches!(outcome, Err(Complaint::Broken(_))), "{outcome:?} for {}", bytes.escape_ascii());
        }
        let short: [&[u8]; 3] = [
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        ];
        for bytes in short {
            assert_eq!(read_response(bytes, false, true), Err(Complaint::Short), "{}", bytes.escape_ascii());
        }
    }
}
