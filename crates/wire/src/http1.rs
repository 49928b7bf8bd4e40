//! HTTP/1, by stage: heads in, bodies in, responses out.

pub(crate) mod body;
mod chunk_extension;
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod target;
