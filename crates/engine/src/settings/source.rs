//! Where settings come from, by name: Python's object in a worker, a text in tests.

/// Somebody who has the settings.
pub trait Source {
    /// What is said of a setting that is missing or of another type.
    type Error;

    /// A whole number that is not negative.
    fn integer(&self, name: &'static str) -> Result<u64, Self::Error>;
    /// A number.
    fn number(&self, name: &'static str) -> Result<f64, Self::Error>;
    /// Yes or no.
    fn flag(&self, name: &'static str) -> Result<bool, Self::Error>;
    /// A text.
    fn text(&self, name: &'static str) -> Result<String, Self::Error>;
    /// A list of texts.
    fn texts(&self, name: &'static str) -> Result<Vec<String>, Self::Error>;
    /// The error of a value that is not what it should be, as `why` says.
    fn invalid(&self, name: &'static str, why: String) -> Self::Error;

    /// A whole number of things in memory.
    fn count(&self, name: &'static str) -> Result<usize, Self::Error> {
        self.integer(name).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }
}
