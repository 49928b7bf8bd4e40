//! Where in the application the crew's threads are, as tracebacks show it.

use portico_engine::lock::lock;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::sync::Mutex;

/// What Python calls the crew's threads (`threading.get_ident`), by their number.
#[derive(Default)]
pub struct Identities(Mutex<Vec<Option<u64>>>);

impl Identities {
    /// Notes that the calling thread is `number` of the crew.
    pub fn note(&self, py: Python<'_>, number: usize) -> PyResult<()> {
        let identity = py.import("_thread")?.call_method0("get_ident")?.extract()?;
        let mut identities = lock(&self.0);
        if identities.len() <= number {
            identities.resize(number + 1, None);
        }
        if let Some(place) = identities.get_mut(number) {
            *place = Some(identity);
        }
        Ok(())
    }

    /// The stacks of these threads, innermost last. Waits for the interpreter.
    pub fn stacks_of(&self, threads: &[usize]) -> Vec<Option<String>> {
        let identities = lock(&self.0).clone();
        let stacks = Python::try_attach(|py| -> PyResult<Vec<Option<String>>> {
            let frames = py.import("sys")?.call_method0("_current_frames")?.cast_into::<PyDict>()?;
            let stack_of = |thread: &usize| {
                let identity = (*identities.get(*thread)?)?;
                let frame = frames.get_item(identity).ok()??;
                stack_text(&frame).ok()
            };
            Ok(threads.iter().map(stack_of).collect())
        });
        stacks.and_then(Result::ok).unwrap_or_default()
    }
}

fn stack_text(frame: &Bound<'_, PyAny>) -> PyResult<String> {
    // Imported only now: workers import as little as possible.
    let lines = frame.py().import("traceback")?.call_method1("format_stack", (frame,))?;
    let mut text = String::from("Stack (most recent call last):\n");
    for line in lines.cast::<PyList>()?.iter() {
        text += &line.str()?.to_string_lossy();
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}
