//! A response's head as the application has given it, checked and encoded.

/// What one that is used again keeps of its memory: a response with much more in its head is rare.
const KEPT_BYTES: usize = 16 * 1024;

/// The head.
#[derive(Default)]
pub struct ResponseHead {
    /// The status code; 0 before `start_response`.
    pub status: u16,
    /// Status code and reason phrase.
    pub status_line: Vec<u8>,
    /// Encoded header lines, without Content-Length.
    pub fields: Vec<u8>,
    /// The application's Content-Length.
    pub content_length: Option<u64>,
    /// Whether `fields` has a Status, which CGI takes for the status.
    pub has_status: bool,
    /// Whether `fields` has a Date.
    pub has_date: bool,
    /// Whether `fields` has a Server.
    pub has_server: bool,
}

impl ResponseHead {
    /// As before `start_response`.
    pub fn clear(&mut self) {
        self.status = 0;
        for bytes in [&mut self.status_line, &mut self.fields] {
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);
        }
        self.content_length = None;
        self.has_status = false;
        self.has_date = false;
        self.has_server = false;
    }
}

/// The lines of encoded fields, with their ends.
pub fn lines(fields: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = fields;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let line;
        (line, rest) = rest.split_at(end);
        (!line.is_empty()).then_some(line)
    })
}

/// Name and value of a line.
pub fn split_line(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
    let (name, value) = line.split_at(colon);
    (name, value.get(1..).unwrap_or_default().trim_ascii())
}
