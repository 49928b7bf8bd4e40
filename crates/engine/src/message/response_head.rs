//! A response's head as the application has given it, checked and encoded.

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
        self.status_line.clear();
        self.fields.clear();
        self.content_length = None;
        self.has_status = false;
        self.has_date = false;
        self.has_server = false;
    }
}
