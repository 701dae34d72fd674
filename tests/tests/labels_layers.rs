//! Labels that middleware sets: from the spans of `tracing`, wherever they are entered, and from requests through `tower`.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pprof_runtime::tower::LabelLayer as TowerLayer;
use pprof_runtime::tracing::LabelLayer;
use pprof_runtime::{Labels, labelled, labels, with_labels};
use tower_layer::Layer as _;
use tower_service::Service;
use tracing::span::{Attributes, Id};
use tracing::{Instrument, Subscriber, field, info_span};
use tracing_subscriber::layer::{Context as LayerContext, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

fn now() -> String {
    let labels = Labels::current();
    labels.iter().map(|(key, value)| format!("{key}={value} ")).collect()
}

#[test]
fn spans_become_labels_where_they_are_entered() {
    let layer = LabelLayer::new().span_name("span").field("user").field("late");
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let request = info_span!("request", user = "ann", other = 1, late = field::Empty);
        let inside = request.in_scope(|| info_span!("query", user = ?Some(1)));
        assert_eq!(now(), "", "made, not entered");
        request.in_scope(|| assert_eq!(now(), "span=request user=ann "));
        // The inside has what it is inside of, wherever it is entered, and what is set there.
        with_labels(labels! { "set" => "by hand" }, || {
            inside.in_scope(|| assert_eq!(now(), "set=by hand span=query user=Some(1) "));
        });
        request.record("late", true);
        request.in_scope(|| assert_eq!(now(), "late=true span=request user=ann "));
        // Left in another order than entered.
        let (a, b) = (info_span!("a").entered(), info_span!("b").entered());
        drop(a);
        assert_eq!(now(), "span=b ");
        drop(b);
        assert_eq!(now(), "");
    });
}

#[test]
fn what_is_recorded_in_a_span_is_a_label_at_once() {
    let layer = LabelLayer::new().field("user").span_name("span");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let outer = info_span!("outer", user = field::Empty);
        outer.in_scope(|| {
            info_span!("inner").in_scope(|| {
                outer.record("user", "ann");
                assert_eq!(now(), "span=inner user=ann ");
            });
            assert_eq!(now(), "span=outer user=ann ");
        });
        assert_eq!(now(), "");
    });
}

/// In a span with the label `user=1`, as layers that show spans' names and users have it.
fn in_a_span(check: impl FnOnce(&tracing::Span)) {
    let layer = LabelLayer::new().field("user").span_name("span");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = info_span!("outer", user = 1);
        span.in_scope(|| {
            assert_eq!(now(), "span=outer user=1 ");
            check(&span);
        });
        assert_eq!(now(), "", "left");
        span.in_scope(|| assert!(now().starts_with("span=outer user="), "{}", now()));
        assert_eq!(now(), "", "left again");
    });
}

/// Where what was recorded is not shown yet.
fn old_then_new(span: &str) {
    assert_eq!(now(), format!("span={span} user=1 "), "the old ones are back");
    info_span!("inner").in_scope(|| assert_eq!(now(), "span=inner user=2 "));
    assert_eq!(now(), format!("span={span} user=2 "));
}

#[test]
fn recording_within_a_labelled_closure_takes_no_label_away() {
    in_a_span(|span| {
        with_labels(labels! { "by" => "hand" }, || {
            span.record("user", 2);
            assert_eq!(now(), "by=hand span=outer user=1 ");
        });
        old_then_new("outer");
    });
    // The next record shows it as well; and so does leaving a span that was entered before.
    in_a_span(|span| {
        with_labels(labels! { "by" => "hand" }, || span.record("user", 2));
        span.record("user", 3);
        assert_eq!(now(), "span=outer user=3 ");
        with_labels(labels! { "by" => "hand" }, || {
            let inner = info_span!("inner").entered();
            assert_eq!(now(), "by=hand span=inner user=3 ");
            span.record("user", 4);
            assert_eq!(now(), "by=hand span=inner user=4 ");
            drop(inner);
            assert_eq!(now(), "by=hand span=outer user=3 ");
        });
        assert_eq!(now(), "span=outer user=3 ");
        info_span!("inner").in_scope(|| {});
        assert_eq!(now(), "span=outer user=4 ");
    });
}

#[test]
fn recording_within_labels_that_change_nothing_takes_no_label_away() {
    for nothing in [labels! {}, labels! { "user" => 1 }] {
        in_a_span(|span| {
            with_labels(&nothing, || {
                span.record("user", 2);
                with_labels(labels! { "by" => "hand" }, || {
                    assert_eq!(now(), "by=hand span=outer user=2 ");
                });
            });
            old_then_new("outer");
        });
        in_a_span(|span| {
            let guard = nothing.set();
            span.record("user", 2);
            drop(guard);
            assert_eq!(now(), "span=outer user=2 ");
        });
    }
}

#[test]
fn recording_within_a_labelled_future_takes_no_label_away() {
    in_a_span(|span| {
        let mut future = pin!(labelled(labels! { "by" => "hand" }, async {
            span.record("user", 2);
            tokio::task::yield_now().await;
            span.record("user", 2);
        }));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        old_then_new("outer");
        assert!(future.as_mut().poll(&mut context).is_ready());
        assert_eq!(now(), "span=outer user=2 ");
    });
}

#[test]
fn labels_set_by_hand_end_with_their_guard_whatever_is_recorded() {
    in_a_span(|span| {
        {
            let _guard = labels! { "by" => "hand" }.set();
            span.record("user", 2);
            assert_eq!(now(), "by=hand span=outer user=1 ");
        }
        old_then_new("outer");
    });
    in_a_span(|span| {
        let guard = labels! { "by" => "hand", "user" => "mine" }.set();
        let other = info_span!(parent: None, "other").entered();
        span.record("user", 2);
        assert_eq!(now(), "by=hand span=other user=mine ", "set after the outer one");
        drop(other);
        assert_eq!(now(), "by=hand span=outer user=mine ");
        drop(guard);
        old_then_new("outer");
    });
}

#[test]
fn what_is_recorded_in_an_outer_span_is_a_label_of_those_within() {
    in_a_span(|span| {
        let (inner, own) = (info_span!("inner"), info_span!("own", user = "own"));
        let child = inner.in_scope(|| {
            span.record("user", 2);
            assert_eq!(now(), "span=inner user=2 ");
            info_span!("child")
        });
        assert_eq!(now(), "span=outer user=2 ");
        inner.in_scope(|| assert_eq!(now(), "span=inner user=2 "));
        span.record("user", 3);
        child.in_scope(|| assert_eq!(now(), "span=child user=3 "));
        own.in_scope(|| {
            span.record("user", 4);
            assert_eq!(now(), "span=own user=own ", "the inner one's counts");
        });
        let other = info_span!(parent: None, "other").entered();
        span.record("user", 5);
        assert_eq!(now(), "span=other user=5 ");
        drop(other);
        assert_eq!(now(), "span=outer user=5 ");
    });
}

#[test]
fn what_is_recorded_in_a_span_entered_twice_is_a_label_of_both() {
    in_a_span(|span| {
        span.in_scope(|| {
            span.record("user", 2);
            assert_eq!(now(), "span=outer user=2 ");
        });
        assert_eq!(now(), "span=outer user=2 ");
    });
}

#[test]
fn layers_do_not_disturb_each_other() {
    let (a, b) = (LabelLayer::new().span_name("a"), LabelLayer::new().field("b"));
    let both = tracing_subscriber::registry().with(a.clone()).with(b);
    tracing::subscriber::with_default(both, || {
        info_span!("one", b = 2).in_scope(|| assert_eq!(now(), "a=one b=2 "));
    });
    // The spans of two subscribers have the same numbers.
    let [first, second] = [a.clone(), LabelLayer::new().span_name("c")]
        .map(|layer| tracing::Dispatch::new(tracing_subscriber::registry().with(layer)));
    let enter =
        |dispatch| tracing::dispatcher::with_default(dispatch, || info_span!("x").entered());
    let (x, y) = (enter(&first), enter(&second));
    drop(x);
    assert!(now().contains("c=x"), "{}", now());
    drop(y);
    assert_eq!(now(), "");
}

/// As an exporter that numbers traces.
struct Traces;

struct TraceId(u64);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Traces {
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: LayerContext<'_, S>) {
        context.span(id).unwrap().extensions_mut().insert(TraceId(77));
    }
}

#[test]
fn what_other_layers_know_is_asked_for_in_any_order_of_layers() {
    let ours = || {
        LabelLayer::new()
            .span_id("span_id")
            .extension("trace_id", |span| span.get::<TraceId>().map(|id| id.0.to_string()))
    };
    let check = || {
        let span = info_span!("traced");
        let id = span.id().unwrap().into_u64();
        span.in_scope(|| assert_eq!(now(), format!("span_id={id} trace_id=77 ")));
    };
    tracing::subscriber::with_default(
        tracing_subscriber::registry().with(ours()).with(Traces),
        check,
    );
    tracing::subscriber::with_default(
        tracing_subscriber::registry().with(Traces).with(ours()),
        check,
    );
}

#[test]
fn futures_have_the_labels_of_their_span_on_every_thread() {
    let layer = LabelLayer::new().field("task");
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let work = async move {
                    for _ in 0..50 {
                        assert_eq!(now(), format!("task={task} "));
                        tokio::task::yield_now().await;
                    }
                };
                let span =
                    tracing::dispatcher::with_default(&dispatch, || info_span!("work", task));
                tokio::spawn(work.instrument(span))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Does its work when called, and has nothing to wait for.
struct AtOnce;

impl Service<u32> for AtOnce {
    type Response = String;
    type Error = Infallible;
    type Future = Ready<Result<String, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        ready(Ok(now()))
    }
}

#[test]
fn requests_are_labelled_while_they_are_handled() {
    let layer = TowerLayer::new(|request: &u32| labels! { "request" => request });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut at_once = layer.layer(AtOnce);
    assert_eq!(runtime.block_on(at_once.call(5)).unwrap(), "request=5 ");
    assert_eq!(now(), "");
}
