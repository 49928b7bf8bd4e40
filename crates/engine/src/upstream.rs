//! Requests that other servers respond to: the engine as a client. Independent of the server's side, which it meets in two
//! traits, and of the crew: everything here runs in tasks of the runtime.
//!
//! 1. `failure`: why there is no response, with the status that says so.
//! 2. `tls`, `session`, `link`: a connection to a server, plain or with a session over it. `address`, `connect`: where a
//!    server is, and how one comes to be.
//! 3. `pool`: connections that are kept for further requests.
//! 4. `circuit`, `balance`: whether a server gets requests, and which of several gets the next one; pure functions.
//! 5. `member`: one server. `roster`: who is to be one. `group`: all that serve the same, from which one is chosen for each
//!    request.
//! 6. `ends`: where a request's body comes from and where the response goes, as traits.
//! 7. `encoding`: a request in a member's protocol; `outgoing`: how it is sent; `incoming`: what comes in response.
//! 8. `transfer`: one exchange over one connection; `tunnel`: what follows an upgrade.
//! 9. `forward`: one request, over as many members as it takes; `probe`: whether members are well, asked in time; `names`:
//!    members that are known by a name; `orders`: what is ordered and told of members meanwhile.

pub mod address;
pub mod balance;
pub mod circuit;
pub mod connect;
pub mod encoding;
pub mod ends;
pub mod failure;
pub mod forward;
pub mod group;
pub mod incoming;
pub mod link;
pub mod member;
pub mod names;
pub mod orders;
pub mod outgoing;
pub mod pool;
pub mod probe;
pub mod roster;
pub mod session;
pub mod tls;
pub mod transfer;
pub mod tunnel;
