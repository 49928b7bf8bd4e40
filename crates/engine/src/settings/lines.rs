//! Settings out of a text, for processes without an interpreter and for tests: lines like `keep_alive_s = 15.0`, lists
//! separated by commas.

use super::source::Source;

/// Settings of a text. Where a name stands in several lines, the last one counts.
pub struct Lines<'a>(pub &'a str);

impl Lines<'_> {
    fn value(&self, name: &str) -> Result<&str, String> {
        // A line of another setting may begin with this one's name: then no equals sign follows it.
        let mut lines = self.0.lines().rev();
        let value = lines.find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        value.map(str::trim).ok_or_else(|| format!("{name}: expected a value, got none"))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<T, String> {
        let value = self.value(name)?;
        value.parse().map_err(|_| format!("{name}: expected {expected}, got {value:?}"))
    }
}

impl Source for Lines<'_> {
    type Error = String;

    fn integer(&self, name: &'static str) -> Result<u64, String> {
        self.parsed(name, "a whole number that is not negative")
    }

    fn number(&self, name: &'static str) -> Result<f64, String> {
        self.parsed(name, "a number")
    }

    fn flag(&self, name: &'static str) -> Result<bool, String> {
        self.parsed(name, "true or false")
    }

    fn text(&self, name: &'static str) -> Result<String, String> {
        self.value(name).map(str::to_owned)
    }

    fn texts(&self, name: &'static str) -> Result<Vec<String>, String> {
        Ok(self.value(name)?.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect())
    }

    fn invalid(&self, name: &'static str, why: String) -> String {
        format!("{name}: {why}")
    }
}
