//! A middleware that labels what handles a request: for axum, tonic, hyper and whatever else is made of [`tower_service::Service`]s.
//!
//! ```
//! use http::{Request, Response};
//! use pprof_runtime::tower::{LabelLayer, http_labels};
//! use pprof_runtime::Labels;
//! use tower_layer::Layer;
//! use tower_service::Service;
//! # #[derive(Clone)]
//! # struct Handler;
//! # impl Service<Request<String>> for Handler {
//! #     type Response = Response<String>;
//! #     type Error = std::convert::Infallible;
//! #     type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
//! #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
//! #         std::task::Poll::Ready(Ok(()))
//! #     }
//! #     fn call(&mut self, _: Request<String>) -> Self::Future {
//! #         std::future::ready(Ok(Response::new(format!("{:?}", Labels::current()))))
//! #     }
//! # }
//!
//! // With axum: Router::new().route("/users/{id}", ...).layer(layer), and as the route
//! // request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).
//! let layer = LabelLayer::new(|request: &Request<String>| http_labels(request, Some("/users/{id}")));
//! let mut service = layer.layer(Handler);
//! # #[cfg(feature = "tokio")]
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let response = service.call(Request::new(String::new())).await.unwrap();
//! assert_eq!(response.body(), r#"{"method": "GET", "route": "/users/{id}"}"#);
//! # });
//! ```

use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::labels::{Labelled, Labels, labelled, with_labels};

/// The labels `method` and, if it is known, `route` of an HTTP request.
///
/// A route is the pattern that the request was matched by, not its path, of which there may be any number.
#[must_use]
pub fn http_labels<B>(request: &Request<B>, route: Option<&str>) -> Labels {
    let method = ("method", request.method().as_str());
    Labels::new(std::iter::once(method).chain(route.map(|route| ("route", route))))
}

/// Sets the labels that a function makes of a request while that is handled.
#[derive(Debug)]
pub struct LabelLayer<F> {
    labels: Arc<F>,
}

impl<F> LabelLayer<F> {
    /// `labels` is called once for each request, before the service is.
    #[must_use]
    pub fn new<R>(labels: F) -> LabelLayer<F>
    where
        F: Fn(&R) -> Labels,
    {
        LabelLayer { labels: Arc::new(labels) }
    }
}

// Whatever the function is.
impl<F> Clone for LabelLayer<F> {
    fn clone(&self) -> Self {
        LabelLayer { labels: Arc::clone(&self.labels) }
    }
}

impl<S, F> Layer<S> for LabelLayer<F> {
    type Service = LabelService<S, F>;

    fn layer(&self, inner: S) -> LabelService<S, F> {
        LabelService { inner, labels: Arc::clone(&self.labels) }
    }
}

/// A service whose calls are labelled; see [`LabelLayer`].
#[derive(Debug)]
pub struct LabelService<S, F> {
    inner: S,
    labels: Arc<F>,
}

impl<S: Clone, F> Clone for LabelService<S, F> {
    fn clone(&self) -> Self {
        LabelService { inner: self.inner.clone(), labels: Arc::clone(&self.labels) }
    }
}

impl<R, S, F> Service<R> for LabelService<S, F>
where
    S: Service<R>,
    F: Fn(&R) -> Labels,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Labelled<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let labels = (self.labels)(&request);
        // Some do their work here, and return what is ready.
        let future = with_labels(&labels, || self.inner.call(request));
        labelled(labels, future)
    }
}
