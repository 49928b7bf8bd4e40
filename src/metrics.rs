//! What `portico.metrics` has of the engine: series that are added to without a lock, on any thread of any process.
//!
//! A worker uses the scoreboard of its server, from `use_for_metrics` on; a process that is none uses memory of its own,
//! made when the first series is. A template has gauges of its own, which the workers that are forked from it begin with.

use crate::Scoreboard;
use portico_engine::clock;
use portico_engine::metrics::{Found, Gauges, Room};
use portico_engine::scoreboard::Mapping;
use pyo3::exceptions::{PyMemoryError, PyOSError, PyValueError};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Where the series of this process are.
static SHARED: OnceLock<Arc<Mapping>> = OnceLock::new();
/// Whose gauges those of this process are.
static SLOT: AtomicUsize = AtomicUsize::new(0);
/// In place of a slot.
const TEMPLATE: usize = usize::MAX;
/// The gauges of a template; untouched memory anywhere else.
static OF_TEMPLATE: Gauges = Gauges::new();
static HAS_OF_TEMPLATE: AtomicBool = AtomicBool::new(false);

/// Has the process count in `mapping`, as the worker of `slot`, or as a template.
pub fn use_for_metrics(mapping: &Arc<Mapping>, slot: Option<usize>) {
    let is_first = SHARED.set(mapping.clone()).is_ok();
    let before = SLOT.swap(slot.unwrap_or(TEMPLATE), Relaxed);
    match slot {
        // A template has forked it.
        Some(slot) if HAS_OF_TEMPLATE.load(Relaxed) => {
            if let Some(gauges) = mapping.use_gauges(slot) {
                gauges.copy(&OF_TEMPLATE, mapping.metrics().taken());
            }
        }
        // It was a worker, whose slot is about to be cleared.
        None if !is_first => {
            if let Some(gauges) = mapping.gauges(before) {
                OF_TEMPLATE.copy(gauges, mapping.metrics().taken());
                HAS_OF_TEMPLATE.store(true, Relaxed);
            }
        }
        _ => {}
    }
}

fn shared() -> PyResult<&'static Arc<Mapping>> {
    if let Some(mapping) = SHARED.get() {
        return Ok(mapping);
    }
    let own = Mapping::new(1).map_err(|error| PyOSError::new_err(format!("cannot map memory for metrics: {error}")))?;
    Ok(SHARED.get_or_init(|| own))
}

/// Finds or makes an entry with as many cells.
fn entry(key: &[u8], cells: usize, is_bounded: bool) -> PyResult<(Arc<Mapping>, Found)> {
    let mapping = shared()?;
    let room = if is_bounded { Room::Bounded } else { Room::Defined };
    let found = mapping.metrics().entry(key, cells, room);
    Ok((mapping.clone(), found.ok_or_else(|| PyMemoryError::new_err("there is no room for another series"))?))
}

/// Finds or makes an entry without a value, and notes that it is used now; returns its number.
#[pyfunction]
fn define_metric(key: &[u8]) -> PyResult<usize> {
    let (mapping, found) = entry(key, 0, false)?;
    mapping.metrics().stamp(found.number, clock::monotonic_ns());
    Ok(found.number)
}

/// Whether nobody has said yet that there is no room; who asks says it.
#[pyfunction]
fn is_to_say_that_metrics_are_full() -> PyResult<bool> {
    Ok(shared()?.metrics().is_to_say_full())
}

/// A number that only grows.
#[pyclass(frozen)]
struct CounterSeries {
    mapping: Arc<Mapping>,
    cell: usize,
}

#[pymethods]
impl CounterSeries {
    #[new]
    fn new(key: &[u8], is_bounded: bool) -> PyResult<Self> {
        let (mapping, Found { cell, .. }) = entry(key, 1, is_bounded)?;
        Ok(CounterSeries { mapping, cell })
    }

    #[pyo3(signature = (amount = 1.0, /))]
    fn inc(&self, amount: f64) -> PyResult<()> {
        if !(amount >= 0.0 && amount.is_finite()) {
            return Err(PyValueError::new_err(format!("inc: expected a number from 0 on, got {amount}")));
        }
        self.mapping.metrics().add(self.cell, amount);
        Ok(())
    }

    fn value(&self) -> f64 {
        self.mapping.metrics().number(self.cell)
    }
}

/// A number that goes up and down.
#[pyclass(frozen)]
struct GaugeSeries {
    mapping: Arc<Mapping>,
    found: Found,
    is_shared: bool,
}

#[pymethods]
impl GaugeSeries {
    #[new]
    fn new(key: &[u8], is_bounded: bool, is_shared: bool) -> PyResult<Self> {
        let (mapping, found) = entry(key, 1, is_bounded)?;
        Ok(GaugeSeries { mapping, found, is_shared })
    }

    #[pyo3(signature = (value, /))]
    fn set(&self, value: f64) {
        if self.is_shared {
            self.mapping.metrics().set(self.found.cell, value);
        } else if let Some(gauges) = self.gauges() {
            gauges.set(self.found.number, value);
        }
    }

    #[pyo3(signature = (amount = 1.0, /))]
    fn inc(&self, amount: f64) {
        if self.is_shared {
            self.mapping.metrics().add(self.found.cell, amount);
        } else if let Some(gauges) = self.gauges() {
            gauges.add(self.found.number, amount);
        }
    }

    #[pyo3(signature = (amount = 1.0, /))]
    fn dec(&self, amount: f64) {
        self.inc(-amount);
    }

    fn value(&self) -> f64 {
        if self.is_shared {
            return self.mapping.metrics().number(self.found.cell);
        }
        self.gauges().and_then(|gauges| gauges.get(self.found.number)).unwrap_or(0.0)
    }
}

impl GaugeSeries {
    fn gauges(&self) -> Option<&Gauges> {
        match SLOT.load(Relaxed) {
            TEMPLATE => {
                HAS_OF_TEMPLATE.store(true, Relaxed);
                Some(&OF_TEMPLATE)
            }
            slot => self.mapping.use_gauges(slot),
        }
    }
}

/// How often something was how large.
#[pyclass(frozen, subclass)]
struct HistogramSeries {
    mapping: Arc<Mapping>,
    found: Found,
    bounds: Box<[f64]>,
}

#[pymethods]
impl HistogramSeries {
    #[new]
    fn new(key: &[u8], is_bounded: bool, bounds: Vec<f64>) -> PyResult<Self> {
        // With one for what is beyond all, and the sum.
        let (mapping, found) = entry(key, bounds.len() + 2, is_bounded)?;
        Ok(HistogramSeries { mapping, found, bounds: bounds.into() })
    }

    #[pyo3(signature = (value, /))]
    fn observe(&self, value: f64) -> PyResult<()> {
        if value.is_nan() {
            return Err(PyValueError::new_err("observe: expected a number, got nan"));
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let metrics = self.mapping.metrics();
        metrics.count(self.found.cell + bucket);
        metrics.add(self.found.cell + self.bounds.len() + 1, value);
        Ok(())
    }

    fn figures(&self) -> Vec<f64> {
        self.mapping.metrics().figures(self.found.number)
    }
}

/// A row of `Metrics::rows`.
pub type MetricRow = (usize, Vec<u8>, u64, Vec<f64>);

/// All entries: the number of each, its key, when it was used last, and its figures.
pub fn rows(mapping: &Mapping) -> Vec<MetricRow> {
    let rows = mapping.metrics().rows().into_iter();
    rows.map(|row| (row.number, row.key, row.stamped_ns, row.figures)).collect()
}

/// All gauges that are set: by slot and the number of the entry.
pub fn gauges(mapping: &Mapping) -> Vec<(usize, usize, f64)> {
    let taken = mapping.metrics().taken();
    let all = (0..mapping.slots()).filter_map(|slot| Some((slot, mapping.gauges(slot)?)));
    all.flat_map(|(slot, gauges)| (0..taken).filter_map(move |number| Some((slot, number, gauges.get(number)?))))
        .collect()
}

/// Adds what is here to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<CounterSeries>()?;
    module.add_class::<GaugeSeries>()?;
    module.add_class::<HistogramSeries>()?;
    module.add_function(wrap_pyfunction!(define_metric, module)?)?;
    module.add_function(wrap_pyfunction!(is_to_say_that_metrics_are_full, module)?)?;
    module.add_function(wrap_pyfunction!(metrics_here, module)?)
}

/// The scoreboard that the series of this process are in.
#[pyfunction]
fn metrics_here() -> PyResult<Scoreboard> {
    Ok(Scoreboard(shared()?.clone()))
}
