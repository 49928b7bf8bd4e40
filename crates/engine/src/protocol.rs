//! The lives of connections: what each protocol does from the first byte to the last. Each connection that has to be
//! waited for has one small task, on whichever thread drives the runtime; no task ever calls the application.
//!
//! 1. `end`: why such a life ends, and what is left to do then.
//! 2. `pass_on`: a request that an upstream responds to; `pass_on_complete`: the same where its body comes first.
//! 3. `enqueue`: a request's body is received, the response before it is waited for, then it is queued.
//! 4. `pipelining`: requests that are read before their turn.
//! 5. `proxy_header`: what a load balancer says first.
//! 6. `upgrade`: a request whose client wants a web socket.
//! 7. `http1`: HTTP/1, uwsgi and SCGI; `fastcgi`: FastCGI.

pub mod end;
pub mod enqueue;
pub mod fastcgi;
pub mod http1;
pub mod pass_on;
pub mod pass_on_complete;
pub mod pipelining;
pub mod proxy_header;
pub mod upgrade;
