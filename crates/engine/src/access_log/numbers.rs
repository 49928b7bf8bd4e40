//! The numbers of a record that a line may have as they are, in places: a line in JSON has most of them, so they are read
//! together instead of asked for field by field.

use super::field::{Field, Time};
use super::record::AccessRecord;
use super::value::Unit;

/// The place of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The status.
    Status,
    /// Bytes of the response's body.
    BodyBytes,
    /// Nanoseconds in all.
    Total,
    /// The announced length of the request's body.
    RequestBytes,
    /// The thread.
    Thread,
    /// Of a call: nanoseconds until a thread had it.
    Queue,
    /// Until that had the interpreter.
    Lock,
    /// In the application.
    Application,
    /// Waiting for the client.
    Client,
    /// Of that, computing.
    Cpu,
    /// Until the head of the response was made.
    FirstByte,
}

const PLACES: usize = Place::FirstByte as usize + 1;

/// Those of one record.
pub struct Numbers {
    values: [u64; PLACES],
    /// A bit for each that there is.
    known: u32,
}

impl Place {
    /// Where the number of `field` is, if it is there as it is written.
    pub fn of(field: &Field) -> Option<Place> {
        Some(match field {
            Field::Status => Place::Status,
            Field::BodyBytes => Place::BodyBytes,
            Field::RequestBytes => Place::RequestBytes,
            Field::Thread => Place::Thread,
            Field::Time(time, Unit::Nanoseconds) => match time {
                Time::Total => Place::Total,
                Time::Queue => Place::Queue,
                Time::Lock => Place::Lock,
                Time::Application => Place::Application,
                Time::Client => Place::Client,
                Time::Cpu => Place::Cpu,
                Time::FirstByte => Place::FirstByte,
            },
            _ => return None,
        })
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl Numbers {
    /// Those of `record`.
    pub fn of(record: &AccessRecord<'_>) -> Numbers {
        let mut numbers = Numbers { values: [0; PLACES], known: 0 };
        numbers.set(Place::Status, record.status.into());
        numbers.set(Place::BodyBytes, record.body_bytes);
        numbers.set(Place::Total, record.duration_ns);
        numbers.set_known(Place::RequestBytes, record.request_bytes());
        numbers.set_known(Place::Thread, record.served_by.thread.map(|thread| thread as u64));
        if let Some(call) = &record.call {
            numbers.set(Place::Queue, call.queue_ns);
            numbers.set(Place::Lock, call.lock_ns);
            numbers.set(Place::Application, call.application_ns());
            numbers.set(Place::Client, call.client_ns);
            numbers.set_known(Place::Cpu, call.cpu_ns);
            numbers.set_known(Place::FirstByte, call.head_ns);
        }
        numbers
    }

    /// The one in that place, if there is one.
    #[inline]
    pub fn get(&self, place: Place) -> Option<u64> {
        (self.known & place.bit() != 0).then_some(self.values[place as usize])
    }

    fn set(&mut self, place: Place, number: u64) {
        self.values[place as usize] = number;
        self.known |= place.bit();
    }

    fn set_known(&mut self, place: Place, number: Option<u64>) {
        if let Some(number) = number {
            self.set(place, number);
        }
    }
}
