//! A response, with the headers that every one of ours has.

use std::io::{self, Write};

#[derive(Debug)]
pub(super) struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Response {
    fn new(content_type: &str, body: Vec<u8>) -> Response {
        Response { status: 200, headers: vec![("Content-Type", content_type.to_owned())], body }
    }

    pub(super) fn text(body: impl Into<Vec<u8>>) -> Response {
        Response::new(TEXT, body.into())
    }

    /// A page that loads nothing from anywhere and runs nothing.
    pub(super) fn page(body: String) -> Response {
        Response::new("text/html; charset=utf-8", body.into_bytes())
            .header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    }

    /// A file to save, under the name that Go gives it.
    pub(super) fn file(name: &str, body: Vec<u8>) -> Response {
        Response::new("application/octet-stream", body)
            .header("Content-Disposition", &format!("attachment; filename=\"{name}\""))
    }

    /// An error in words. The header tells `go tool pprof` to show them.
    pub(super) fn error(status: u16, text: impl Into<String>) -> Response {
        let body = format!("{}\n", text.into());
        let response = Response { status, ..Response::text(body) };
        let response = response.header("X-Go-Pprof", "1");
        if status == 503 { response.header("Retry-After", "1") } else { response }
    }

    pub(super) fn redirect(to: &str) -> Response {
        Response { status: 301, ..Response::text("") }.header("Location", to)
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Response {
        self.headers.push((name, value.to_owned()));
        self
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Of the body, in bytes.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// The body is left out for `HEAD`.
    pub(super) fn write_to(&self, mut writer: impl Write, head_only: bool) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "Content-Length: {}\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\
             Connection: close\r\n\r\n",
            self.body.len()
        ));
        writer.write_all(head.as_bytes())?;
        if !head_only {
            writer.write_all(&self.body)?;
        }
        writer.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
