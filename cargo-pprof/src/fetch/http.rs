//! Profiles over HTTP, and what their servers know of addresses.

use std::fmt::Display;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{self, Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};
use url::{Host, Url};

/// What has to be known to ask a server.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Over how many seconds a profile is taken; what its address says if none is given.
    pub seconds: Option<u64>,
    /// For how many to wait; one and a half times as many, or a minute, if none is given.
    pub timeout: Option<u64>,
    /// File of a certificate to show, in PEM.
    pub tls_cert: String,
    /// File of its key.
    pub tls_key: String,
    /// File of the certificates to trust, instead of those that the system does.
    pub tls_ca: String,
}

/// Beyond the time for which a profile is taken.
const SLACK: Duration = Duration::from_secs(5);

/// For how many seconds is waited at most: a year.
const LONGEST: u64 = 365 * 24 * 3600;

/// The address of a profile, and for how long to wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) url: Url,
    pub(super) timeout: Duration,
    /// Over how many seconds it is taken, as the user says.
    pub(super) seconds: Option<u64>,
}

impl Client {
    /// What a source is the address of; nothing if it cannot be one.
    pub(super) fn address(&self, source: &str) -> Option<Address> {
        let is_whole = |url: &Url| {
            matches!(url.scheme(), "http" | "https" | "https+insecure") && url.has_host()
        };
        let whole = Url::parse(source).ok().filter(is_whole);
        // `localhost:6060/debug` would be of the scheme `localhost`. Without a port it is a file that is missing.
        let first = source.split('/').next().unwrap_or_default();
        let is_short = !source.contains("://") && first.contains(':');
        let short = || Url::parse(&format!("http://{source}")).ok().filter(|_| is_short);
        let mut url = whole.or_else(short)?;
        if matches!(url.path(), "" | "/") {
            url.set_path("/debug/pprof/profile");
        }
        let mut pairs: Vec<(String, String)> =
            url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        let given = pairs.iter().find(|(key, _)| key == "seconds");
        let of_url = given.and_then(|(_, seconds)| seconds.parse::<u32>().ok());
        let mut seconds = of_url.map(u64::from);
        if let Some(wanted) = self.seconds {
            pairs.retain(|(key, _)| key != "seconds");
            pairs.push(("seconds".to_owned(), wanted.to_string()));
            seconds = Some(wanted);
        }
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        if pairs.is_empty() {
            url.set_query(None);
        } else {
            url.query_pairs_mut().clear().extend_pairs(pairs);
        }
        let timeout = match (self.timeout, seconds) {
            (Some(timeout), _) => timeout,
            (None, Some(seconds)) => seconds.saturating_add(seconds / 2),
            (None, None) => 60,
        };
        let timeout = Duration::from_secs(timeout.min(LONGEST));
        Some(Address { url, timeout, seconds: self.seconds })
    }

    /// What a server answers.
    pub(super) fn get(&self, address: &Address) -> Result<Vec<u8>, String> {
        let (agent, url) = self.agent(&address.url, address.timeout)?;
        read(agent.get(url.as_str()).call())
    }

    /// What the server of a profile calls addresses.
    ///
    /// # Errors
    /// It does not answer, or not with names.
    pub fn post(&self, url: &Url, body: &str) -> Result<Vec<u8>, String> {
        let timeout = Duration::from_secs(self.timeout.unwrap_or(60).min(LONGEST));
        let (agent, url) = self.agent(url, timeout)?;
        let request = agent.post(url.as_str()).content_type("application/octet-stream");
        read(request.send(body)).map_err(|error| format!("http post {url}: {error}"))
    }

    fn agent(&self, url: &Url, timeout: Duration) -> Result<(Agent, Url), String> {
        let mut url = url.clone();
        let mut tls = TlsConfig::builder();
        if url.scheme() == "https+insecure" {
            tls = tls.disable_verification(true);
            url = Url::parse(&url.as_str().replacen("https+insecure", "https", 1))
                .map_err(|error| error.to_string())?;
        }
        let trusted = match self.tls_ca.as_str() {
            "" if url.scheme() == "https" => system_certificates(),
            "" => Vec::new(),
            path => certificates("-tls_ca", path)?,
        };
        if !trusted.is_empty() {
            tls = tls.root_certs(RootCerts::Specific(Arc::new(trusted)));
        }
        if self.tls_cert.is_empty() != self.tls_key.is_empty() {
            return Err("-tls_cert and -tls_key go together: give both".to_owned());
        }
        if !self.tls_cert.is_empty() {
            let certificates = certificates("-tls_cert", &self.tls_cert)?;
            let key = PrivateKey::from_pem(&file(&self.tls_key)?)
                .map_err(|error| format!("-tls_key {}: {error}", self.tls_key))?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&certificates, key)));
        }
        let mut config = Agent::config_builder();
        if is_here(&url) {
            // No proxy is asked for what is on this machine.
            config = config.proxy(None);
        }
        let agent = config
            .http_status_as_error(false)
            .timeout_global(Some(timeout + SLACK))
            .tls_config(tls.build())
            .build();
        Ok((agent.into(), url))
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn file(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))
}

/// Those that the system trusts. Where it has none, as in a bare container, those of the web that come with the client are used.
fn system_certificates() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs().certs;
    found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
}

/// All of a file; one at least.
fn certificates(flag: &str, path: &str) -> Result<Vec<Certificate<'static>>, String> {
    let wrong = |error: &dyn Display| format!("{flag} {path}: {error}");
    let pem = file(path)?;
    let mut certificates = Vec::new();
    for item in tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(&error))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong(&"there is no certificate in PEM in it"));
    }
    Ok(certificates)
}

fn read(response: Result<http::Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>, String> {
    let mut response = response.map_err(|error| error.to_string())?;
    let status = response.status();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    // A profiler says why; what other servers write is long.
    let explains = header("x-go-pprof").is_some_and(|value| !value.is_empty())
        && header("content-type").is_some_and(|value| value.contains("text/plain"));
    let body = response.body_mut().with_config().limit(u64::MAX).read_to_vec();
    if status.is_success() {
        return body.map_err(|error| error.to_string());
    }
    let why = match body {
        Ok(body) if explains => format!(" - {}", String::from_utf8_lossy(&body).trim_end()),
        _ => String::new(),
    };
    Err(format!("server response: {status}{why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed() {
        let address = |seconds, source| {
            let client = Client { seconds, ..Client::default() };
            client.address(source).map(|a| (a.url.to_string(), a.timeout.as_secs()))
        };
        let cases = [
            (None, "http://a:1", "http://a:1/debug/pprof/profile", 60),
            (None, "a:1/", "http://a:1/debug/pprof/profile", 60),
            (None, "a:1/x?seconds=4&b=c%20d", "http://a:1/x?b=c+d&seconds=4", 6),
            (Some(2), "http://a/heap?seconds=9", "http://a/heap?seconds=2", 3),
            (None, "https+insecure://a/x", "https+insecure://a/x", 60),
        ];
        for (seconds, source, url, timeout) in cases {
            assert_eq!(address(seconds, source), Some((url.to_owned(), timeout)), "{source}");
        }
        let endless = address(Some(u64::MAX), "a:1/x").map(|(_, timeout)| timeout);
        assert_eq!(endless, Some(LONGEST));
        for source in ["/no/such/file", "no/such.pb", "-top", "ftp://a/b", ""] {
            assert_eq!(address(None, source), None, "{source}");
        }
    }
}
