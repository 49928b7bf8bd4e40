//! Where the application is mounted, and the path below: `SCRIPT_NAME` and `PATH_INFO`, given or to be split.

use super::GatewayHead;
use crate::grammar::mount_length;
use crate::{Span, WireError};

/// Whether `PATH_INFO` already is what follows `SCRIPT_NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathInfo {
    /// It is (RFC 3875 4.1.5).
    Split,
    /// It is the whole path, from which `SCRIPT_NAME` is to be removed.
    Whole,
}

/// What the reverse proxy says of the path.
pub(super) struct GivenPath {
    /// `SCRIPT_NAME`, or empty.
    pub(super) script_name: Span,
    /// `PATH_INFO`, which may be empty.
    pub(super) path_info: Option<Span>,
    /// Path of `REQUEST_URI`, not decoded.
    pub(super) target_path: Option<Span>,
    /// `DOCUMENT_URI`, decoded.
    pub(super) document_uri: Option<Span>,
}

impl GivenPath {
    /// Fills in `script_name`, `path_info` and `path_is_encoded`.
    ///
    /// Without `PATH_INFO` the reverse proxy has not split the path, and puts all of it, decoded and normalised, where
    /// CGI has the script: nginx into `DOCUMENT_URI` and, with `fastcgi_params`, `SCRIPT_NAME`; Apache over FastCGI and
    /// SCGI into `SCRIPT_NAME`. That is the path whose access the reverse proxy has decided on, so it goes before
    /// `REQUEST_URI`.
    /// Only an operator's own `SCRIPT_NAME` can be the beginning of `DOCUMENT_URI`: then the application is mounted
    /// there. `REQUEST_URI` is never split: `/a/b/..` would let the client choose where.
    pub(super) fn split(&self, head: &mut GatewayHead, bytes: &[u8], path_info: PathInfo) -> Result<(), WireError> {
        let script_name = without_slashes_at_end(self.script_name, bytes);
        let mount = script_name.of(bytes);
        check_path(mount)?;
        let below = |path: Span| mount_length(path.of(bytes), mount, false).map(|length| after(path, length));
        let is_whole = |path: Span| {
            let whole = self.document_uri.map(|uri| uri.of(bytes)).filter(|uri| *uri == self.script_name.of(bytes));
            whole == Some(path.of(bytes))
        };
        let (script_name, path_info, is_encoded) = match (self.path_info, path_info) {
            // An operator has added PATH_INFO to nginx's fastcgi_params, whose SCRIPT_NAME is the whole path already.
            (Some(path), PathInfo::Split) if is_whole(path) => (Span::default(), path, false),
            (Some(path), PathInfo::Split) => (script_name, path, false),
            (Some(path), PathInfo::Whole) => (script_name, below(path).ok_or(WireError::PATH_NOT_BELOW)?, false),
            (None, _) => match (self.document_uri, self.target_path) {
                (Some(path), _) if path.of(bytes) == self.script_name.of(bytes) => (Span::default(), path, false),
                (Some(path), _) => match below(path) {
                    Some(path_info) => (script_name, path_info, false),
                    None => (Span::default(), path, false),
                },
                (None, _) if !self.script_name.is_empty() => (Span::default(), self.script_name, false),
                (None, Some(path)) => (Span::default(), path, true),
                (None, None) => return Err(WireError::PATH_MISSING),
            },
        };
        let is_asterisk = path_info.of(bytes) == b"*" && head.method.of(bytes) == b"OPTIONS";
        if !is_asterisk {
            check_path(path_info.of(bytes))?;
        }
        head.script_name = script_name;
        head.path_info = path_info;
        head.path_is_encoded = is_encoded;
        Ok(())
    }
}

/// RFC 3875 4.1.5 and 4.1.13: empty, or from a slash on.
fn check_path(path: &[u8]) -> Result<(), WireError> {
    if matches!(path, [] | [b'/', ..]) { Ok(()) } else { Err(WireError::PATH_INVALID) }
}

/// RFC 3875 4.1.13: `/` is the empty `SCRIPT_NAME`, and the slash that follows one belongs to `PATH_INFO`.
fn without_slashes_at_end(span: Span, bytes: &[u8]) -> Span {
    let length = span.of(bytes).iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    Span::new(span.start as usize, span.start as usize + length)
}

fn after(span: Span, length: usize) -> Span {
    Span::new((span.start as usize + length).min(span.end as usize), span.end as usize)
}
