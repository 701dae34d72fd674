//! The index page.

use crate::deadlock;
use crate::profile::profiles;

/// Every profile with its count and a sentence, and the commands to try.
pub(super) fn page() -> String {
    let mut rows = String::new();
    let mut row = |count: &str, name: &str, link: &str, description: &str| {
        rows.push_str(&format!(
            "<tr><td align=\"right\">{count}</td><td><a href=\"{}\">{}</a></td><td>{}</td></tr>\n",
            escape(link),
            escape(name),
            escape(description),
        ));
    };
    for source in profiles() {
        let name = source.name();
        let count = source.count().to_string();
        row(&count, name, &format!("{name}?debug=1"), source.description());
    }
    row(
        "",
        "cmdline",
        "cmdline",
        "The command line of the running program, its words separated by NUL.",
    );
    row(
        &deadlock::count().to_string(),
        "deadlocks",
        "deadlocks?debug=1",
        "Who waits for whom, and which waits will never end; always text. With debug=2 also where.",
    );
    row(
        "",
        "profile",
        "profile",
        "CPU profile: takes 30 seconds, or as many as the parameter seconds says.",
    );
    row(
        "",
        "symbol",
        "symbol",
        "Names of the functions at the addresses in the query, separated by +.",
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>/debug/pprof/</title>\n</head>\n\
         <body>\n<h1>/debug/pprof/</h1>\n\
         <p>Links show profiles as text; without <code>?debug=1</code> they are files for \
         <code>go tool pprof</code>. Add <code>seconds=N</code> for what happens in N seconds from now. \
         <code>heap</code> has other views: <code>age=1</code>, <code>older=N</code> seconds, <code>peak=1</code>, \
         <code>lifetimes=1</code>.</p>\n\
         <table cellpadding=\"4\">\n<thead><tr><th>Count</th><th>Profile</th><th></th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n\
         <p>To look at one, give its address to the tool:</p>\n\
         <pre>go tool pprof -http=: 'http://HOST:PORT/debug/pprof/profile?seconds=5'</pre>\n\
         </body>\n</html>\n"
    )
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
