//! A layer for `tracing-subscriber` that turns the spans a thread is in into [labels](mod@crate::labels).
//!
//! ```
//! use pprof_runtime::tracing::LabelLayer;
//! use pprof_runtime::Labels;
//! use tracing_subscriber::prelude::*;
//!
//! let layer = LabelLayer::new().span_name("span").field("user");
//! let subscriber = tracing_subscriber::registry().with(layer);
//! tracing::subscriber::with_default(subscriber, || {
//!     let _request = tracing::info_span!("request", user = 7, secret = "not a label").entered();
//!     let _query = tracing::info_span!("query").entered();
//!     assert_eq!(format!("{:?}", Labels::current()), r#"{"span": "query", "user": "7"}"#);
//! });
//! assert!(Labels::current().is_empty());
//! ```

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::tracing_core::Subscriber;
use ::tracing_core::field::{Field, Visit};
use ::tracing_core::span::{Attributes, Id, Record};
use ::tracing_subscriber::layer::{Context, Layer};
use ::tracing_subscriber::registry::{Extensions, LookupSpan, SpanRef};

use crate::labels::{LabelGuard, Labels};
use crate::source::labels::current_id;

/// Makes labels of spans: of their names, of chosen fields, and of what other layers know of them.
///
/// A span has the labels of those that it is inside of, and its own; while it is entered they are set on top of what is set on the
/// thread. One that is left on another thread than it was entered on leaves its labels there.
///
/// What is recorded is shown at once by the thread that records it, by others when they next enter the span or one inside of it. Where
/// labels were set by hand since the span that is recorded in was entered, these stay as they are: what is recorded there is shown once
/// they are gone and a span is entered or left, or has something recorded.
///
/// # Overhead
/// For each new span about a microsecond; for each time that one is entered and left some 150 ns.
pub struct LabelLayer {
    /// No other layer's.
    number: u64,
    name_key: Option<String>,
    id_key: Option<String>,
    fields: Vec<String>,
    others: Vec<(String, Other)>,
    /// How often a span got other labels: those inside of it have copies.
    recorded: AtomicU64,
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl Default for LabelLayer {
    fn default() -> Self {
        LabelLayer::new()
    }
}

impl Clone for LabelLayer {
    fn clone(&self) -> Self {
        LabelLayer {
            name_key: self.name_key.clone(),
            id_key: self.id_key.clone(),
            fields: self.fields.clone(),
            others: self.others.clone(),
            ..LabelLayer::new()
        }
    }
}

type Other = Arc<dyn Fn(&Extensions<'_>) -> Option<String> + Send + Sync>;

impl fmt::Debug for LabelLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<&str> = self.others.iter().map(|(key, _)| &**key).collect();
        f.debug_struct("LabelLayer")
            .field("name_key", &self.name_key)
            .field("id_key", &self.id_key)
            .field("fields", &self.fields)
            .field("others", &others)
            .finish()
    }
}

impl LabelLayer {
    /// No labels yet: nothing of a span is shown unless it is asked for.
    #[must_use]
    pub fn new() -> LabelLayer {
        LabelLayer {
            // ORDERING: Relaxed: numbers that only have to differ.
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            name_key: None,
            id_key: None,
            fields: Vec::new(),
            others: Vec::new(),
            recorded: AtomicU64::new(0),
        }
    }

    /// The name of the innermost span, as the label `key`.
    #[must_use]
    pub fn span_name(mut self, key: &str) -> LabelLayer {
        self.name_key = Some(key.to_owned());
        self
    }

    /// The number of the innermost span, as the label `key`: each span has its own, see [bounds](mod@crate::labels#bounds).
    #[must_use]
    pub fn span_id(mut self, key: &str) -> LabelLayer {
        self.id_key = Some(key.to_owned());
        self
    }

    /// Spans' fields of this name, as a label of that name.
    #[must_use]
    pub fn field(mut self, name: &str) -> LabelLayer {
        self.fields.push(name.to_owned());
        self
    }

    /// What another layer has left in a span's extensions, such as a trace's id, as the label `key`. Asked when the span is first entered.
    ///
    /// # Examples
    /// ```
    /// # use pprof_runtime::tracing::LabelLayer;
    /// struct TraceId(u128); // as of an exporter for OpenTelemetry
    ///
    /// let layer = LabelLayer::new()
    ///     .extension("trace_id", |span| span.get::<TraceId>().map(|id| format!("{:032x}", id.0)));
    /// ```
    #[must_use]
    pub fn extension(
        mut self,
        key: &str,
        value: impl Fn(&Extensions<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> LabelLayer {
        self.others.push((key.to_owned(), Arc::new(value)));
        self
    }

    fn chosen<'l>(&'l self, pairs: &'l mut Vec<(String, String)>) -> Chosen<'l> {
        Chosen { fields: &self.fields, pairs }
    }
}

/// In a span's extensions: what each layer has made of it, by the layer's number.
#[derive(Default)]
struct SpanLabels(Vec<(u64, Own)>);

/// What one layer has made of a span.
#[derive(Clone)]
struct Own {
    /// The span's.
    own: Labels,
    /// Those of the spans that it is inside of, when the layer's `recorded` was `as_of`.
    outer: Labels,
    as_of: u64,
    /// Both.
    labels: Labels,
    /// Whether what other layers know is among them.
    is_complete: bool,
}

impl Own {
    /// Whether that changes anything.
    fn add(&mut self, added: &Labels) -> bool {
        let own = self.own.with(added);
        let changes = own != self.own;
        if changes {
            self.labels = self.outer.with(&own);
            self.own = own;
        }
        changes
    }

    fn set_outer(&mut self, outer: Labels, as_of: u64) {
        self.as_of = as_of;
        if self.outer != outer {
            self.labels = outer.with(&self.own);
            self.outer = outer;
        }
    }
}

/// Keeps the fields that were asked for.
struct Chosen<'l> {
    fields: &'l [String],
    pairs: &'l mut Vec<(String, String)>,
}

impl Chosen<'_> {
    fn push(&mut self, field: &Field, value: impl FnOnce() -> String) {
        if self.fields.iter().any(|name| name == field.name()) {
            self.pairs.push((field.name().to_owned(), value()));
        }
    }
}

impl Visit for Chosen<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, || format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, || value.to_owned());
    }
}

thread_local! {
    /// The spans that the thread is in.
    static ENTERED: RefCell<Vec<Entered>> = const { RefCell::new(Vec::new()) };
}

struct Entered {
    layer: u64,
    span: Id,
    labels: Labels,
    /// Whether nothing was set by hand since the one before was entered.
    is_direct: bool,
    /// Whether `labels`, or those of one before, are others than are set.
    is_stale: bool,
    /// What was recorded meanwhile, on top of `shown`.
    renewed: Option<Shown>,
    /// Stays to the end: scopes that began later may go back to its set.
    shown: Shown,
}

/// What the layer has set.
struct Shown {
    set: u64,
    _guard: LabelGuard,
}

impl Shown {
    fn new(labels: &Labels) -> Shown {
        let guard = labels.set();
        Shown { set: current_id(), _guard: guard }
    }
}

impl Entered {
    /// Also true within labels set by hand that change nothing. Going back from those shows the old labels, until `renew`.
    fn is_on_top(&self) -> bool {
        let set = current_id();
        set == self.shown.set || self.renewed.as_ref().is_some_and(|renewed| renewed.set == set)
    }

    /// The spans that the thread is in, as one layer has them.
    fn of(layer: u64) -> Vec<Id> {
        let of = |entered: &RefCell<Vec<Entered>>| {
            let entered = entered.borrow();
            entered.iter().filter(|e| e.layer == layer).map(|e| e.span.clone()).collect()
        };
        // The thread is ending: no label, then.
        ENTERED.try_with(of).unwrap_or_default()
    }

    /// The labels of these spans have changed, perhaps.
    fn update(layer: u64, spans: &[(Id, Labels)]) {
        let _ = ENTERED.try_with(|entered| {
            let mut is_stale = false;
            for entry in entered.borrow_mut().iter_mut() {
                let known =
                    spans.iter().find(|(span, _)| entry.layer == layer && entry.span == *span);
                if let Some((_, labels)) = known.filter(|(_, labels)| entry.labels != *labels) {
                    entry.labels = labels.clone();
                    is_stale = true;
                }
                entry.is_stale |= is_stale;
            }
        });
        Entered::renew();
    }

    /// Shows what was recorded, unless labels set by hand are on top: a guard of ours above a user's would keep that one's labels, and one
    /// above a closure's would end with it. Says whether none are.
    fn renew() -> bool {
        let renew = |entered: &RefCell<Vec<Entered>>| {
            let mut entered = entered.borrow_mut();
            let Some(last) = entered.last().filter(|last| last.is_on_top()) else { return false };
            if last.is_stale || last.renewed.is_some() {
                Entered::renew_last(&mut entered);
            }
            true
        };
        ENTERED.try_with(renew).unwrap_or(false)
    }

    #[cold]
    fn renew_last(entered: &mut [Entered]) {
        let first = entered.iter().rposition(|e| !e.is_direct).unwrap_or(0);
        // On top of what was set before: recording adds and replaces, and takes no key away.
        let labels =
            entered.iter().skip(first).fold(Labels::default(), |all, e| all.with(&e.labels));
        let Some(last) = entered.last_mut() else { return };
        let current = Labels::current();
        if current.with(&labels) != current {
            last.renewed = None;
            last.renewed = Some(Shown::new(&labels));
        }
        last.is_stale = false;
    }
}

impl<S> Layer<S> for LabelLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut pairs = Vec::new();
        let name = self.name_key.as_ref().map(|key| (key.clone(), span.name().to_owned()));
        let number = self.id_key.as_ref().map(|key| (key.clone(), id.into_u64().to_string()));
        pairs.extend(name.into_iter().chain(number));
        attributes.record(&mut self.chosen(&mut pairs));
        let own = Labels::new(pairs);
        let as_of = self.as_of();
        let outer = self.outer_labels_of(&span);
        let labels = outer.with(&own);
        let is_complete = self.others.is_empty();
        self.keep(&span, Own { own, outer, as_of, labels, is_complete });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut pairs = Vec::new();
        values.record(&mut self.chosen(&mut pairs));
        if pairs.is_empty() {
            return;
        }
        let added = Labels::new(pairs);
        if self.change(&span, |own| own.add(&added)) != Some(true) {
            Entered::renew();
            return;
        }
        // ORDERING: Release pairs with the Acquire in `as_of`: whoever reads this number finds the labels changed.
        self.recorded.fetch_add(1, Ordering::Release);
        // With nothing borrowed: letting go of a span may run what other layers left in it.
        let spans = Entered::of(self.number).into_iter().filter_map(|id| {
            let labels = self.labels_of(&context.span(&id)?);
            Some((id, labels))
        });
        let spans: Vec<(Id, Labels)> = spans.collect();
        Entered::update(self.number, &spans);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        self.complete(&span);
        let labels = self.labels_of(&span);
        let is_direct = Entered::renew();
        let shown = Shown::new(&labels);
        let (layer, span) = (self.number, id.clone());
        let entry =
            Entered { layer, span, labels, is_direct, is_stale: false, renewed: None, shown };
        // The thread is ending: no label, then.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(entry));
    }

    fn on_exit(&self, id: &Id, _context: Context<'_, S>) {
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let is_it = |e: &Entered| e.layer == self.number && e.span == *id;
            let index = entered.iter().rposition(is_it)?;
            let left = entered.remove(index);
            if let Some(next) = entered.get_mut(index) {
                next.is_direct &= left.is_direct;
            }
            Some(left)
        });
        // Dropped with nothing borrowed.
        drop(left);
        Entered::renew();
    }

    fn on_id_change(&self, old: &Id, new: &Id, context: Context<'_, S>) {
        let (Some(old), Some(new)) = (context.span(old), context.span(new)) else { return };
        let Some(own) = self.own(&old, Own::clone) else { return };
        self.keep(&new, Own { is_complete: self.others.is_empty(), ..own });
    }
}

impl LabelLayer {
    fn complete<'s, S: LookupSpan<'s>>(&self, span: &SpanRef<'s, S>) {
        if self.others.is_empty() || self.own(span, |own| own.is_complete) != Some(false) {
            return;
        }
        let extensions = span.extensions();
        let others = self.others.iter().filter_map(|(key, value)| Some((key, value(&extensions)?)));
        let others: Labels = others.collect();
        drop(extensions);
        self.change(span, |own| {
            own.add(&others);
            own.is_complete = true;
        });
    }

    fn as_of(&self) -> u64 {
        // ORDERING: Acquire pairs with the Release in `on_record`.
        self.recorded.load(Ordering::Acquire)
    }

    fn labels_of<'s, S: LookupSpan<'s>>(&self, span: &SpanRef<'s, S>) -> Labels {
        // Before the labels are read: what is recorded meanwhile is seen the next time.
        let as_of = self.as_of();
        let known = self.own(span, |own| (own.as_of == as_of).then(|| own.labels.clone()));
        let Some(known) = known else { return Labels::default() };
        known.unwrap_or_else(|| {
            let outer = self.outer_labels_of(span);
            let renewed = self.change(span, |own| {
                own.set_outer(outer, as_of);
                own.labels.clone()
            });
            renewed.unwrap_or_default()
        })
    }

    fn outer_labels_of<'s, S: LookupSpan<'s>>(&self, span: &SpanRef<'s, S>) -> Labels {
        span.parent().map(|outer| self.labels_of(&outer)).unwrap_or_default()
    }

    fn own<'s, S: LookupSpan<'s>, R>(
        &self,
        span: &SpanRef<'s, S>,
        read: impl FnOnce(&Own) -> R,
    ) -> Option<R> {
        let extensions = span.extensions();
        let SpanLabels(all) = extensions.get()?;
        all.iter().find(|(layer, _)| *layer == self.number).map(|(_, own)| read(own))
    }

    fn change<'s, S: LookupSpan<'s>, R>(
        &self,
        span: &SpanRef<'s, S>,
        change: impl FnOnce(&mut Own) -> R,
    ) -> Option<R> {
        let mut extensions = span.extensions_mut();
        let SpanLabels(all) = extensions.get_mut()?;
        all.iter_mut().find(|(layer, _)| *layer == self.number).map(|(_, own)| change(own))
    }

    fn keep<'s, S: LookupSpan<'s>>(&self, span: &SpanRef<'s, S>, own: Own) {
        let mut extensions = span.extensions_mut();
        let SpanLabels(mut all) = extensions.remove().unwrap_or_default();
        all.retain(|(layer, _)| *layer != self.number);
        all.push((self.number, own));
        extensions.insert(SpanLabels(all));
    }
}
