//! HTTP/1, by stage: heads in, bodies in, responses out; and as a client: requests passed on, heads of responses in.

pub(crate) mod body;
mod chunk_extension;
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod hop_by_hop;
pub(crate) mod passed_on;
pub(crate) mod response_head;
pub(crate) mod target;
