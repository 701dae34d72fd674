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

/// Makes labels of spans: of their names, of chosen fields, and of what other layers know of them.
///
/// A span has the labels of those that it is inside of, and its own; while it is entered they are set on top of what is set on the
/// thread. One that is left on another thread than it was entered on leaves its labels there.
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
    labels: Labels,
    /// Whether what other layers know is among them.
    is_complete: bool,
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
    /// `None` while those of one around it are set anew.
    guard: Option<LabelGuard>,
}

impl Entered {
    /// A span that the thread is in has other labels from now on.
    fn update(layer: u64, span: &Id, labels: &Labels) {
        // The thread is ending: no label, then.
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let index = entered.iter().rposition(|e| e.layer == layer && e.span == *span)?;
            let from_there = entered.get_mut(index..)?;
            from_there.iter_mut().rev().for_each(|e| e.guard = None);
            from_there.first_mut()?.labels = labels.clone();
            from_there.iter_mut().for_each(|e| e.guard = Some(e.labels.set()));
            Some(())
        });
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
        let outer = span.parent().map(|outer| self.labels_of(&outer)).unwrap_or_default();
        let labels = outer.with(&Labels::new(pairs));
        self.keep(&span, Own { labels, is_complete: self.others.is_empty() });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut pairs = Vec::new();
        values.record(&mut self.chosen(&mut pairs));
        if pairs.is_empty() {
            return;
        }
        let Some(mut own) = self.own(&span) else { return };
        own.labels = own.labels.with(&Labels::new(pairs));
        Entered::update(self.number, id, &own.labels);
        self.keep(&span, own);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        self.complete(&span);
        let labels = self.labels_of(&span);
        let guard = Some(labels.set());
        let entry = Entered { layer: self.number, span: id.clone(), labels, guard };
        // The thread is ending: no label, then.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(entry));
    }

    fn on_exit(&self, id: &Id, _context: Context<'_, S>) {
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let is_it = |e: &Entered| e.layer == self.number && e.span == *id;
            let index = entered.iter().rposition(is_it)?;
            Some(entered.remove(index))
        });
        // Dropped with nothing borrowed.
        drop(left);
    }

    fn on_id_change(&self, old: &Id, new: &Id, context: Context<'_, S>) {
        let (Some(old), Some(new)) = (context.span(old), context.span(new)) else { return };
        let labels = self.labels_of(&old);
        self.keep(&new, Own { labels, is_complete: false });
    }
}

impl LabelLayer {
    fn complete<'s, S: LookupSpan<'s>>(&self, span: &SpanRef<'s, S>) {
        let Some(own) = self.own(span).filter(|own| !own.is_complete) else { return };
        let extensions = span.extensions();
        let others = self.others.iter().filter_map(|(key, value)| Some((key, value(&extensions)?)));
        let others: Labels = others.collect();
        drop(extensions);
        self.keep(span, Own { labels: own.labels.with(&others), is_complete: true });
    }

    fn own<'s, S: LookupSpan<'s>>(&self, span: &SpanRef<'s, S>) -> Option<Own> {
        let extensions = span.extensions();
        let SpanLabels(all) = extensions.get::<SpanLabels>()?;
        all.iter().find(|(layer, _)| *layer == self.number).map(|(_, own)| own.clone())
    }

    fn labels_of<'s, S: LookupSpan<'s>>(&self, span: &SpanRef<'s, S>) -> Labels {
        self.own(span).map(|own| own.labels).unwrap_or_default()
    }

    fn keep<'s, S: LookupSpan<'s>>(&self, span: &SpanRef<'s, S>, own: Own) {
        let mut extensions = span.extensions_mut();
        let SpanLabels(mut all) = extensions.remove::<SpanLabels>().unwrap_or_default();
        all.retain(|(layer, _)| *layer != self.number);
        all.push((self.number, own));
        extensions.insert(SpanLabels(all));
    }
}
