//! A request: parsing, and the parameters in its query.

use std::net::IpAddr;

use super::response::Response;

/// Heads longer than this are refused.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Bodies longer than this are refused; only `symbol` takes one.
const MAX_BODY_BYTES: usize = 1024 * 1024;
const MAX_HEADERS: usize = 64;

#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) host: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) body: Vec<u8>,
}

pub(super) enum Parsed {
    Incomplete,
    Whole(Request),
    Refused(Response),
}

impl Request {
    pub(super) fn parse(received: &[u8]) -> Parsed {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let head_bytes = match head.parse(received) {
            Ok(httparse::Status::Complete(bytes)) if bytes <= MAX_HEAD_BYTES => bytes,
            Ok(httparse::Status::Partial) if received.len() <= MAX_HEAD_BYTES => {
                return Parsed::Incomplete;
            }
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return refused(431, "Request Header Fields Too Large");
            }
            Err(e) => return refused(400, format!("Bad Request: {e}")),
        };
        let header = |name: &str| {
            let found = head.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
            Some(String::from_utf8_lossy(found.value).trim().to_owned())
        };
        if header("transfer-encoding").is_some() {
            return refused(411, "Length Required: send a Content-Length");
        }
        let body_bytes = match header("content-length").map(|l| l.parse::<usize>()) {
            None => 0,
            Some(Ok(length)) if length <= MAX_BODY_BYTES => length,
            Some(Ok(_)) => {
                return refused(413, format!("Content Too Large: at most {MAX_BODY_BYTES} bytes"));
            }
            Some(Err(_)) => return refused(400, "Bad Request: invalid Content-Length"),
        };
        let Some(body) = received.get(head_bytes..head_bytes + body_bytes) else {
            return Parsed::Incomplete;
        };
        let target = head.path.unwrap_or("/");
        // A proxy's form names the server first.
        let target = match target.strip_prefix("http://") {
            Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => target,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Parsed::Whole(Request {
            method: head.method.unwrap_or("").to_owned(),
            path: decode(path),
            query: query.to_owned(),
            host: header("host"),
            origin: header("origin"),
            body: body.to_vec(),
        })
    }

    /// The first value of a parameter, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').map(|p| p.split_once('=').unwrap_or((p, "")));
        pairs.find(|(key, _)| decode(key) == name).map(|(_, value)| decode(value))
    }

    /// Whether the request calls this server by one of its names. Anything else is a name that somebody
    /// pointed at this address.
    pub(super) fn is_for(&self, hosts: &[String]) -> bool {
        let is_ours = |authority: &str| {
            let name = name_of(authority).to_ascii_lowercase();
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            bare.parse::<IpAddr>().is_ok()
                || name == "localhost"
                || name.ends_with(".localhost")
                || hosts.contains(&name)
        };
        let host = self.host.as_deref().is_none_or(is_ours);
        let origin = self.origin.as_deref().is_none_or(|origin| {
            let authority = origin.split_once("://").map_or(origin, |(_, authority)| authority);
            is_ours(authority)
        });
        host && origin
    }
}

fn refused(status: u16, text: impl Into<String>) -> Parsed {
    Parsed::Refused(Response::error(status, text))
}

/// `host` of `host:port`; an IPv6 address stands in brackets.
fn name_of(authority: &str) -> &str {
    match authority.rfind(']') {
        Some(end) => authority.get(..=end).unwrap_or(authority),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

/// Percent-decoding; what is not well formed stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |i: usize| after.get(i).and_then(|d| char::from(*d).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or(&[]);
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Request {
        match Request::parse(text.as_bytes()) {
            Parsed::Whole(request) => request,
            Parsed::Incomplete => panic!("incomplete: {text:?}"),
            Parsed::Refused(response) => panic!("{response:?}"),
        }
    }

    fn status(bytes: &[u8]) -> u16 {
        match Request::parse(bytes) {
            Parsed::Refused(response) => response.status(),
            Parsed::Whole(_) => 200,
            Parsed::Incomplete => 0,
        }
    }

    #[test]
    fn reads_path_parameters_and_body() {
        let text = "POST /debug/pprof/sym%62ol?seconds=5&a=%20b&seconds=6&x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let request = whole(text);
        assert_eq!(request.path, "/debug/pprof/symbol");
        assert_eq!(request.parameter("seconds").as_deref(), Some("5"), "the first wins");
        assert_eq!(request.parameter("a").as_deref(), Some(" b"));
        assert_eq!(request.parameter("x").as_deref(), Some(""));
        assert_eq!(request.parameter("y"), None);
        assert_eq!(request.body, b"abc");
        for cut in 0..text.len() {
            assert_eq!(status(&text.as_bytes()[..cut]), 0, "cut at {cut}");
        }
    }

    #[test]
    fn refuses_what_is_no_request() {
        assert_eq!(status(b"\x00\x01\x02\r\n\r\n"), 400);
        assert_eq!(status(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"), 400);
        assert_eq!(status(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"), 413);
        assert_eq!(status(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
        let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX_HEAD_BYTES));
        assert_eq!(status(long.as_bytes()), 431);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(status(many.as_bytes()), 431);
    }

    #[test]
    fn foreign_hosts_are_told_from_ours() {
        let is_for = |headers: &str| {
            whole(&format!("GET / HTTP/1.1\r\n{headers}\r\n")).is_for(&["box".into()])
        };
        for ours in [
            "127.0.0.1",
            "127.0.0.1:6060",
            "[::1]:6060",
            "localhost",
            "LOCALHOST:1",
            "a.localhost:1",
            "box:6060",
        ] {
            assert!(is_for(&format!("Host: {ours}\r\n")), "{ours}");
        }
        assert!(is_for(""), "HTTP/1.0 has no Host");
        for foreign in ["evil.example", "localhost.evil.example:6060", "boxx", ""] {
            assert!(!is_for(&format!("Host: {foreign}\r\n")), "{foreign}");
        }
        assert!(!is_for("Host: localhost\r\nOrigin: http://evil.example\r\n"));
        assert!(is_for("Host: localhost\r\nOrigin: http://localhost:6060\r\n"));
    }
}
