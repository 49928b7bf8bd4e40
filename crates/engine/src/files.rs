//! Files in responses: from what is asked of one to the head, and which bytes follow. Without sockets.
//!
//! Pure functions, which the corpus in `tests/corpus/static` holds:
//!
//! 1. `prefixes`: which directory a path belongs to.
//! 2. `relative_path`: where below that directory it leads, if anywhere.
//! 3. `media_type`: what a file is, by the end of its name; `hashed_name`: whether its content can ever change.
//! 4. `validators`: entity tag and date of a file; `conditions`: what of them a client has already (RFC 9110 13).
//! 5. `ranges`: which bytes it wants (RFC 9110 14).
//!
//! On a disk:
//!
//! 6. `opening`: opens what is beneath a directory, and nothing else.
//! 7. `file_response`: a file and what is asked of it become a response; `asked` reads that from a request.
//!    `reading`: reads ranges of it. `kept_files`: small files as they were within the last second.
//! 8. `static_root`: a directory whose files are served; knows nothing of prefixes.
//! 9. `named_files`: the directories whose files an application may name.
//! 10. `error_pages`: files that are the bodies of what the server responds with itself.

pub mod asked;
pub mod conditions;
pub mod error_pages;
pub mod file_response;
pub mod hashed_name;
pub mod kept_files;
pub mod media_type;
pub mod named_files;
pub mod opening;
pub mod prefixes;
pub mod ranges;
pub mod reading;
pub mod relative_path;
pub mod static_root;
pub mod validators;
