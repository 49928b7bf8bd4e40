//! A plain Rust function as an application: the engine without any interpreter. For tests of the engine, and for
//! processes that have no interpreter.

use crate::calls::{Call, Caller, Outcome};
use crate::clock::DateHeader;
use crate::engine::{Application, CrewThread};
use crate::exchange::block_writer::Sent;
use crate::message::body::{Body, Received, Rest};
use crate::message::response_head::ResponseHead;
use portico_wire::write_header;
use std::io;

/// A request, all of which has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRequest {
    /// The method.
    pub method: Vec<u8>,
    /// The target, as it was sent.
    pub target: Vec<u8>,
    /// Which of the server's applications is called.
    pub application: usize,
    /// The path, below where that is mounted.
    pub path: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionResponse {
    /// Status code and reason phrase, such as `200 OK`.
    pub status: &'static str,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The blocks of the body, each sent before the next is looked at.
    pub blocks: Vec<Vec<u8>>,
}

/// An application that is a function.
pub struct Function<F>(pub F);

impl<F: Fn(FunctionRequest) -> FunctionResponse + Send + Sync + 'static> Application for Function<F> {
    fn run(&self, thread: CrewThread<'_>) -> Result<(), String> {
        thread.serve(&mut FunctionCaller { function: &self.0, date: DateHeader::default() });
        Ok(())
    }

    fn computes_in_parallel(&self) -> bool {
        true
    }
}

struct FunctionCaller<'a, F> {
    function: &'a F,
    date: DateHeader,
}

impl<F: Fn(FunctionRequest) -> FunctionResponse> Caller for FunctionCaller<'_, F> {
    fn outside<T: Send>(&mut self, wait: impl FnOnce() -> T + Send) -> T {
        wait()
    }

    fn call(&mut self, call: &mut Call<'_>) -> Outcome {
        let (Some(body), Some(mut responder)) = (call.body.take(), call.responder.take()) else {
            return Outcome { status: 0, body_bytes: 0 };
        };
        let (bytes, head) = (call.inbound.bytes(), &call.inbound.head);
        let (method, target) = (head.method.of(bytes).to_vec(), head.target.of(bytes).to_vec());
        let read = read_body(bytes, body, |rest| call.resources.wait_out_call(call.cell, rest.next()).flatten());
        let (application, path) = (call.application, head.path.of(bytes).to_vec());
        let Ok(body) = read else {
            responder.abort();
            return Outcome { status: 0, body_bytes: 0 };
        };
        let FunctionResponse { status, headers, blocks } =
            (self.function)(FunctionRequest { method, target, application, path, body });
        let code = status.get(..3).and_then(|code| code.parse().ok()).unwrap_or(500);
        let mut head = ResponseHead { status: code, status_line: status.into(), ..ResponseHead::default() };
        for (name, value) in &headers {
            write_header(&mut head.fields, name.as_bytes(), value.as_bytes());
        }
        let only = match blocks.as_slice() {
            [] => Some(0),
            [only] => Some(only.len() as u64),
            _ => None,
        };
        responder.start(&head, only, &mut self.date);
        let count = blocks.len();
        let blocks = if responder.has_body() { blocks } else { Vec::new() };
        for (index, block) in blocks.into_iter().enumerate() {
            let (length, is_last) = (block.len(), index + 1 == count);
            let sent = match responder.block(&block, is_last) {
                Ok(Sent::Full(offset)) => {
                    let queueing = responder.queue(Box::new(block), offset, length, is_last);
                    call.resources.wait_out_call(call.cell, queueing).unwrap_or(Ok(()))
                }
                sent => sent.map(drop),
            };
            if sent.is_err() {
                break;
            }
        }
        // Where there was no block at all, the head leaves with this; after the last one it changes nothing.
        if count == 0 || !responder.has_body() {
            let _ = responder.block(b"", true);
        }
        Outcome { status: code, body_bytes: responder.body_bytes }
    }
}

/// All of a body, wherever it is.
fn read_body(bytes: &[u8], body: Body, mut next: impl FnMut(&mut Rest) -> Option<Received>) -> io::Result<Vec<u8>> {
    let (kept, rest) = match body {
        Body::Empty => return Ok(Vec::new()),
        Body::Buffered(range) => return Ok(bytes.get(range).unwrap_or_default().to_vec()),
        Body::Kept(kept) => (*kept, None),
        Body::Streamed(stream) => (stream.before_call, Some(stream.rest)),
    };
    let mut all = kept.memory;
    if let Some(file) = kept.file {
        all.resize(usize::try_from(file.length()).unwrap_or(usize::MAX), 0);
        file.read_at(&mut all, 0)?;
    }
    if let Some(mut rest) = rest {
        while let Some(block) = next(&mut rest) {
            all.extend_from_slice(&block.map_err(|error| io::Error::other(error.to_string()))?);
        }
    }
    Ok(all)
}
