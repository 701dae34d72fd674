//! One way to do a thing, and what a run of it showed.

/// A row of the table.
#[allow(missing_debug_implementations, reason = "a closure has none")]
pub struct Contender {
    /// As the table shows it.
    pub name: String,
    /// Of its figure.
    pub unit: &'static str,
    /// Run once in a process.
    pub run: Box<dyn Fn() -> Figures>,
}

impl Contender {
    /// A row with a figure in `unit`.
    pub fn new(
        name: impl Into<String>,
        unit: &'static str,
        run: impl Fn() -> Figures + 'static,
    ) -> Contender {
        Contender { name: name.into(), unit, run: Box::new(run) }
    }
}

/// A contender whose figure is nanoseconds for each operation.
pub fn ns(name: impl Into<String>, run: impl Fn() -> Figures + 'static) -> Contender {
    Contender::new(name, "ns", run)
}

/// Contenders of which the first is what the others are compared with.
#[allow(missing_debug_implementations, reason = "as its contenders")]
pub struct Group {
    /// What it is chosen by on the command line: this, or the words up to some slash.
    pub name: String,
    /// As the table's heading.
    pub title: String,
    /// In the order of the table.
    pub contenders: Vec<Contender>,
}

impl Group {
    /// A group.
    pub fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        contenders: Vec<Contender>,
    ) -> Group {
        Group { name: name.into(), title: title.into(), contenders }
    }

    pub(crate) fn is_called(&self, word: &str) -> bool {
        self.name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// In the contender's unit.
    pub value: f64,
    /// The most memory that the process had in use.
    pub peak_mb: f64,
    /// Of profilers: milliseconds to start, milliseconds to stop and encode, samples of those that the CPU time asks for.
    pub extra: Option<[f64; 3]>,
}

impl Figures {
    /// With the process's memory.
    #[must_use]
    pub fn new(value: f64) -> Figures {
        Figures { value, peak_mb: crate::measure::peak_mb(), extra: None }
    }

    /// What a child process prints.
    #[must_use]
    pub fn to_line(self) -> String {
        let extra = self.extra.map_or(String::new(), |[a, b, c]| format!(" {a} {b} {c}"));
        format!("figures {} {}{extra}", self.value, self.peak_mb)
    }

    /// What a child process printed.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Figures> {
        let numbers = line.strip_prefix("figures ")?.split(' ').map(|n| n.parse().ok());
        match numbers.collect::<Option<Vec<f64>>>()?[..] {
            [value, peak_mb] => Some(Figures { value, peak_mb, extra: None }),
            [value, peak_mb, a, b, c] => Some(Figures { value, peak_mb, extra: Some([a, b, c]) }),
            _ => None,
        }
    }
}
