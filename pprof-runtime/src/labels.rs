//! Labels: what the program is working on, on every sample that is taken meanwhile.
//!
//! Go's `pprof.Labels`, `pprof.Do` and `pprof.WithLabels`. A set is made once, and then set on the running code by a closure
//! ([`with_labels`]), for a future, wherever it is polled ([`labelled`]), or until the end of a block ([`label!`](crate::label)).
//!
//! ```
//! use pprof_runtime::{labels, with_labels};
//!
//! let words = with_labels(labels! { "route" => "/search" }, || {
//!     // CPU, lock and function profiles have the label for what runs here.
//!     "a b c".split(' ').count()
//! });
//! # assert_eq!(words, 3);
//! ```
//!
//! `go tool pprof -tags` lists them, `-tagfocus=route=/search` keeps the samples that have one.
//!
//! Labels are those of the thread that runs, not of what it calls for: threads started by [`thread::spawn`](crate::thread::spawn) and tasks
//! of `tokio::spawn` of this crate have those that their starter had; others begin without.
//!
//! # Bounds
//! Memory is that of the sets that the program holds, and of those that profiles keep: see [`MAX_SAMPLED_LABEL_SETS`] and
//! [`MAX_RECORDED_LABEL_SETS`]. Samples beyond have one label, `labels=overflow`, and are counted in the profile's comments.
//!
//! The profiles that accumulate (all but `cpu`) keep what they have seen for good. So that a label with ever new values, such as the number of
//! a request, does not take the room of the others, they tell the first [`MAX_LABEL_VALUES`] values of a key apart. Further ones are `(overflow)`;
//! the other labels of such samples stay, and the comments name the key. So are all values of further keys than
//! [`MAX_LABEL_KEYS`], of which each counts that a set was ever made with. Two keys of many values in all their combinations may still fill the
//! room; and a set that was made, with a further value, before the key had so many is `labels=overflow`. CPU profiles, which begin anew each
//! time, and waits in progress have all values.
//!
//! [`MAX_SAMPLED_LABEL_SETS`]: crate::config::MAX_SAMPLED_LABEL_SETS
//! [`MAX_RECORDED_LABEL_SETS`]: crate::config::MAX_RECORDED_LABEL_SETS
//! [`MAX_LABEL_VALUES`]: crate::config::MAX_LABEL_VALUES
//! [`MAX_LABEL_KEYS`]: crate::config::MAX_LABEL_KEYS

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::source::labels::{self as source, GuardScope, Scope, SetRef};

// What changes in a set is atomic or under a lock that no panic happens under.
impl UnwindSafe for Labels {}
impl RefUnwindSafe for Labels {}

/// A set of labels, each a key and a value. Cheap to clone and to compare: equal sets are one.
///
/// Sorted by key, each key once. Keys and values longer than [`MAX_LABEL_BYTES`](crate::config::MAX_LABEL_BYTES) are cut; a label without a
/// key is none; there are up to [`MAX_LABELS`](crate::config::MAX_LABELS).
#[derive(Clone, Default)]
pub struct Labels(Option<SetRef>);

impl Labels {
    /// The set of these pairs of keys and values; of those with one key the last counts.
    ///
    /// # Overhead
    /// Some 200 ns. Keep the set where it is the same each time.
    ///
    /// # Examples
    /// ```
    /// use pprof_runtime::Labels;
    ///
    /// let labels = Labels::new([("route", "/"), ("method", "GET")]);
    /// assert_eq!(labels.get("method"), Some("GET"));
    /// assert_eq!(labels, Labels::new([("method", "GET"), ("route", "/")]));
    /// ```
    #[must_use]
    pub fn new<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Labels
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let pairs: Vec<(K, V)> = pairs.into_iter().collect();
        Labels(source::intern(pairs.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))))
    }

    /// What is set on the running code.
    ///
    /// Unlike Go, where it can only be asked for from a context.
    #[must_use]
    pub fn current() -> Labels {
        Labels(source::current())
    }

    /// Both sets in one; where both have a key, the value is that of `added`.
    #[must_use]
    pub fn with(&self, added: &Labels) -> Labels {
        Labels(source::on_top_of(self.0.as_ref(), added.0.as_ref()))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.as_ref().map_or(&[][..], |set| set.pairs());
        pairs.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Sets these, on top of what is set, until the guard is dropped.
    ///
    /// Not across an `.await`, where other tasks run on the thread, and would have the labels: use [`labelled`] there. A future that holds the guard
    /// is not `Send`, which most runtimes refuse, but not those of one thread.
    /// Dropped before one that was made later, it leaves that one's labels, its own among them, until that is dropped.
    ///
    /// # Examples
    /// ```
    /// use pprof_runtime::{Labels, labels};
    ///
    /// let guard = labels! { "phase" => "load" }.set();
    /// assert_eq!(Labels::current().get("phase"), Some("load"));
    /// drop(guard);
    /// assert!(Labels::current().is_empty());
    /// ```
    pub fn set(&self) -> LabelGuard {
        LabelGuard { _scope: GuardScope::add(self.0.as_ref()), not_send: PhantomData }
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(other)) => own.is(other),
            (own, other) => own.is_none() && other.is_none(),
        }
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ref().map(SetRef::hash).hash(state);
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Labels {
        Labels::new(pairs)
    }
}

/// What was set before is set again when this is dropped; see [`Labels::set`].
#[derive(Debug)]
#[must_use = "the labels are set until the guard is dropped: bind it to a name, such as `_labels`"]
pub struct LabelGuard {
    _scope: GuardScope,
    /// They are its thread's.
    not_send: PhantomData<*const ()>,
}

/// Runs `f` with these labels set, on top of what is set: Go's `pprof.Do`.
///
/// Afterwards, and if `f` panics, what was set before is set again.
///
/// # Overhead
/// Some 3 ns where no labels are set already, else 20 ns, and 200 ns if that adds up to a set which is not there yet.
///
/// # Examples
/// ```
/// use pprof_runtime::{Labels, labels, with_labels};
///
/// let route = labels! { "route" => "/" };
/// with_labels(&route, || {
///     with_labels(labels! { "user" => 7 }, || {
///         assert_eq!(format!("{:?}", Labels::current()), r#"{"route": "/", "user": "7"}"#);
///     });
///     assert_eq!(Labels::current(), route);
/// });
/// ```
#[inline]
pub fn with_labels<R>(labels: impl Borrow<Labels>, f: impl FnOnce() -> R) -> R {
    let _scope = Scope::add(labels.borrow().0.as_ref());
    f()
}

/// Runs `f` with these labels instead of what is set, as what was started elsewhere.
#[inline]
#[cfg(feature = "instrument")]
pub(crate) fn with_only<R>(labels: &Labels, f: impl FnOnce() -> R) -> R {
    let _scope = Scope::replace(labels.0.as_ref());
    f()
}

/// The future with these labels set while it is polled, on top of what is set at its first poll.
///
/// # Overhead
/// As [`with_labels`], for each poll.
///
/// # Examples
/// ```
/// use pprof_runtime::{Labels, labelled, labels};
///
/// # #[cfg(feature = "tokio")]
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// labelled(labels! { "request" => 42 }, async {
///     // Wherever the task goes on after this, it has the label.
///     tokio::task::yield_now().await;
///     assert_eq!(Labels::current().get("request"), Some("42"));
/// })
/// .await;
/// # });
/// ```
#[inline]
pub fn labelled<F: Future>(labels: Labels, future: F) -> Labelled<F> {
    Labelled { labels, begun: false, future: ManuallyDrop::new(future) }
}

/// A future with labels; see [`labelled`].
#[must_use = "futures do nothing unless polled"]
pub struct Labelled<F> {
    labels: Labels,
    /// Whether what was set at the first poll is among them.
    begun: bool,
    /// Dropped by `drop` alone.
    future: ManuallyDrop<F>,
}

impl<F: fmt::Debug> fmt::Debug for Labelled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labelled")
            .field("labels", &self.labels)
            .field("future", &*self.future)
            .finish_non_exhaustive()
    }
}

impl<F> Drop for Labelled<F> {
    /// What is cancelled is cleared up with the labels that it ran with.
    #[inline]
    fn drop(&mut self) {
        let _scope = self.begun.then(|| Scope::replace(self.labels.0.as_ref()));
        // SAFETY: dropped here alone, once; where it is, so that it stays pinned to the end.
        unsafe { ManuallyDrop::drop(&mut self.future) };
    }
}

impl<F> Labelled<F> {
    /// With these labels, whatever is set where it is polled.
    #[cfg(all(feature = "tokio", feature = "instrument"))]
    pub(crate) fn only(labels: Labels, future: F) -> Labelled<F> {
        Labelled { labels, begun: true, future: ManuallyDrop::new(future) }
    }
}

impl<F: Future> Future for Labelled<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self`: it is never moved out, nor is there other access but that of `drop`, which drops it in its
        // place.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.begun {
            this.begun = true;
            this.labels = Labels::current().with(&this.labels);
        }
        let _scope = Scope::replace(this.labels.0.as_ref());
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut *this.future) };
        future.poll(context)
    }
}

/// A set of labels: keys, `=>`, and values of any type that can be displayed.
///
/// # Examples
/// ```
/// use pprof_runtime::{Labels, labels};
///
/// let labels = labels! { "route" => "/users/:id", "user" => 42 };
/// assert_eq!(labels, Labels::new([("route", "/users/:id"), ("user", "42")]));
/// assert!(labels! {}.is_empty());
/// ```
#[macro_export]
macro_rules! labels {
    () => {
        <$crate::Labels as ::core::default::Default>::default()
    };
    ($($key:expr => $value:expr),+ $(,)?) => {
        $crate::Labels::new([
            $(($key, ::std::string::ToString::to_string(&$value))),+
        ])
    };
}

/// Sets labels, on top of what is set, until the end of the block that this stands in as a statement.
///
/// Not across an `.await`: see [`Labels::set`].
///
/// # Examples
/// ```
/// use pprof_runtime::{Labels, label};
///
/// for file in ["a.txt", "b.txt"] {
///     label!("file" => file);
///     assert_eq!(Labels::current().get("file"), Some(file));
/// }
/// assert!(Labels::current().is_empty());
/// ```
#[macro_export]
macro_rules! label {
    ($($key:expr => $value:expr),+ $(,)?) => {
        let __pprof_labels = $crate::labels!($($key => $value),+).set();
    };
}
