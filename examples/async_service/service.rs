//! A small shop: what it has of an item is in a cache and, after a while, in a store; orders are written to a ledger.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use pprof_runtime::profile;
use pprof_runtime::sync::Mutex;
use pprof_runtime::tokio::sync::Mutex as AsyncMutex;
use pprof_runtime::tokio::task::spawn_blocking;
use pprof_runtime::tower::{LabelLayer, http_labels};

pub(crate) struct Shop {
    /// One connection to the store, for all.
    store: AsyncMutex<()>,
    ledger: Arc<Mutex<Vec<u64>>>,
}

/// The routes, and the middleware that labels them: all that it takes.
pub(crate) fn router() -> Router {
    let shop = Shop {
        store: AsyncMutex::named((), "store"),
        ledger: Arc::new(Mutex::named(Vec::new(), "ledger")),
    };
    let labels = LabelLayer::new(|request: &Request| {
        http_labels(request, request.extensions().get::<MatchedPath>().map(MatchedPath::as_str))
    });
    Router::new()
        .route("/stock/{item}", get(stock))
        .route("/search/{words}", get(search))
        .route("/orders/{item}", post(order))
        .layer(labels)
        .with_state(Arc::new(shop))
}

#[profile]
async fn stock(State(shop): State<Arc<Shop>>, Path(item): Path<u64>) -> String {
    let connection = shop.store.lock().await;
    let found = ask_store(item).await;
    drop(connection);
    format!("{item}: {found}\n")
}

/// Mostly waits.
#[profile]
async fn ask_store(item: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(2)).await;
    item % 7
}

#[profile]
async fn search(Path(words): Path<String>) -> String {
    let found = (0..200).filter(|item| matches(*item, &words)).count();
    format!("{found} items\n")
}

/// Mostly computes.
#[profile]
fn matches(item: u64, words: &str) -> bool {
    let name = format!("item number {item} of the shop");
    words.split('+').any(|word| name.bytes().rev().eq(word.bytes()) || distance(&name, word) < 20)
}

/// How many changes make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[profile]
async fn order(State(shop): State<Arc<Shop>>, Path(item): Path<u64>) -> (StatusCode, String) {
    let ledger = Arc::clone(&shop.ledger);
    // Files are written by threads that may wait: the labels go along.
    match spawn_blocking(move || write_down(&ledger, item)).await {
        Ok(orders) => (StatusCode::CREATED, format!("{orders} orders\n")),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")),
    }
}

#[profile]
fn write_down(ledger: &Mutex<Vec<u64>>, item: u64) -> usize {
    let mut orders = ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    orders.push(item);
    // As the disk would.
    std::thread::sleep(Duration::from_millis(1));
    orders.len()
}
