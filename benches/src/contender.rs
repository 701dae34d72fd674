//! One way to do a thing, and what a run of it showed.

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) run: fn() -> Figures,
}

/// A contender whose figure is nanoseconds for each operation.
pub(crate) fn ns(name: &'static str, run: fn() -> Figures) -> Contender {
    Contender { name, unit: "ns", run }
}

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) value: f64,
    pub(crate) peak_mb: f64,
    /// Of profilers: milliseconds to start, milliseconds to stop and encode, samples of those that the CPU time asks for.
    pub(crate) extra: Option<[f64; 3]>,
}

impl Figures {
    pub(crate) fn new(value: f64) -> Figures {
        Figures { value, peak_mb: crate::measure::peak_mb(), extra: None }
    }

    pub(crate) fn to_line(self) -> String {
        let extra = self.extra.map_or(String::new(), |[a, b, c]| format!(" {a} {b} {c}"));
        format!("figures {} {}{extra}", self.value, self.peak_mb)
    }

    pub(crate) fn from_line(line: &str) -> Option<Figures> {
        let numbers = line.strip_prefix("figures ")?.split(' ').map(|n| n.parse().ok());
        match numbers.collect::<Option<Vec<f64>>>()?[..] {
            [value, peak_mb] => Some(Figures { value, peak_mb, extra: None }),
            [value, peak_mb, a, b, c] => Some(Figures { value, peak_mb, extra: Some([a, b, c]) }),
            _ => None,
        }
    }
}
