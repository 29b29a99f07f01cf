//! One question of a scraper and its answer, as HTTP/1.1 writes them; no socket.
//!
//! Every connection is for one question: the answer says `Connection: close`.

use crate::wire::limits::{METRICS_HEADERS, METRICS_REQUEST_BYTES};
use crate::wire::targets::EXPORTER;
use httparse::{EMPTY_HEADER, Error, Request, Status};

const OPEN_METRICS: &str = "application/openmetrics-text";
const PLAIN: &str = "text/plain";

/// How the figures are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    OpenMetrics,
    /// What Prometheus had before.
    Classic,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Metrics(Format),
    /// Of the service discovery, with targets on this port.
    Targets(u16),
}

impl Wanted {
    pub fn content_type(self) -> &'static str {
        match self {
            Wanted::Metrics(Format::OpenMetrics) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            Wanted::Metrics(Format::Classic) => "text/plain; version=0.0.4; charset=utf-8",
            Wanted::Targets(_) => "application/json",
        }
    }
}

/// A question that is not answered: the status, and a sentence.
#[derive(PartialEq, Eq, Debug)]
pub struct Refusal(pub &'static str, pub String);

/// What these bytes ask for; None: the rest of the question has not come yet.
pub fn read(bytes: &[u8]) -> Result<Option<Wanted>, Refusal> {
    let mut headers = [EMPTY_HEADER; METRICS_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(length)) if length <= METRICS_REQUEST_BYTES => {}
        Ok(Status::Partial) if bytes.len() <= METRICS_REQUEST_BYTES => return Ok(None),
        Ok(_) => return too_large(format!("{METRICS_REQUEST_BYTES} bytes")),
        Err(Error::TooManyHeaders) => return too_large(format!("{METRICS_HEADERS} headers")),
        Err(e) => return refuse("400 Bad Request", format!("this is no question of HTTP: {e}")),
    }
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (path, method) {
        ("/metrics", "GET") => Ok(Some(Wanted::Metrics(format(request.headers)))),
        ("/sd", "GET") => port(query).map(|port| Some(Wanted::Targets(port))),
        ("/metrics" | "/sd", _) => {
            refuse("405 Method Not Allowed", "only GET is answered here".to_string())
        }
        _ => refuse("404 Not Found", "there are /metrics and /sd here, nothing else".to_string()),
    }
}

fn refuse<T>(status: &'static str, sentence: String) -> Result<T, Refusal> {
    Err(Refusal(status, sentence))
}

fn too_large<T>(limit: String) -> Result<T, Refusal> {
    refuse("431 Request Header Fields Too Large", format!("a question over {limit} is refused"))
}

fn port(query: &str) -> Result<u16, Refusal> {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, text)) = values.find(|(name, _)| *name == "port") else { return Ok(EXPORTER) };
    let port = text.parse().ok().filter(|port| *port > 0);
    let sentence = || "port wants a number from 1 to 65535".to_string();
    port.ok_or_else(|| Refusal("400 Bad Request", sentence()))
}

/// OpenMetrics where it is named and plain text is not liked more.
fn format(headers: &[httparse::Header]) -> Format {
    let accept = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("accept"));
    let texts: Vec<_> = accept.map(|header| String::from_utf8_lossy(header.value)).collect();
    let liking = |kind: &str| {
        let ranges = texts.iter().flat_map(|text| text.split(','));
        ranges.filter_map(|range| liking(range, kind)).fold(0.0, f64::max)
    };
    let open = liking(OPEN_METRICS);
    if open > 0.0 && open >= liking(PLAIN) { Format::OpenMetrics } else { Format::Classic }
}

/// How much a range such as `text/plain;q=0.5` likes this kind; None: it is about another.
fn liking(range: &str, kind: &str) -> Option<f64> {
    let mut parts = range.split(';').map(str::trim);
    let is_it = parts.next()?.eq_ignore_ascii_case(kind);
    let quality = parts.find_map(|part| part.strip_prefix("q="));
    is_it.then(|| quality.map_or(Some(1.0), |text| text.parse().ok()).unwrap_or(0.0))
}

pub fn answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    // A refusal of a method has to name those that are none.
    let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{allow}\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

pub fn refusal(Refusal(status, sentence): &Refusal) -> Vec<u8> {
    answer(status, "text/plain; charset=utf-8", &format!("{sentence}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, headers: &str) -> Result<Option<Wanted>, Refusal> {
        read(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes())
    }

    #[test]
    fn what_scrapers_accept() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, expected) in [
            (prometheus, Format::OpenMetrics),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text", Format::OpenMetrics),
            ("text/plain;q=0.9, application/openmetrics-text ; q=0.8", Format::Classic),
            ("application/openmetrics-text;q=0", Format::Classic),
            ("application/openmetrics-text;q=much", Format::Classic),
            ("text/plain;version=0.0.4", Format::Classic),
            ("*/*", Format::Classic),
            ("", Format::Classic),
        ] {
            let wanted = get("/metrics", &format!("ACCEPT: {accept}\r\n"));
            assert_eq!(wanted, Ok(Some(Wanted::Metrics(expected))), "{accept}");
        }
        assert_eq!(get("/metrics?x=1", ""), Ok(Some(Wanted::Metrics(Format::Classic))));
    }

    #[test]
    fn targets_on_a_port() {
        assert_eq!(get("/sd", ""), Ok(Some(Wanted::Targets(EXPORTER))));
        assert_eq!(get("/sd?a&port=9256", ""), Ok(Some(Wanted::Targets(9_256))));
        for wrong in ["/sd?port=0", "/sd?port=65536", "/sd?port=x", "/sd?port="] {
            assert_eq!(get(wrong, "").unwrap_err().0, "400 Bad Request", "{wrong}");
        }
    }

    #[test]
    fn what_is_refused_and_why() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("HEAD /sd HTTP/1.1\r\n\r\n", "405"),
            ("\x16\x03\x01\x02 hello TLS", "400"),
            ("GET /metrics HTTP/3.0\r\n\r\n", "400"),
            ("GET /metrics\r\n\r\n", "400"),
        ] {
            let refused = read(text.as_bytes()).unwrap_err();
            assert!(refused.0.starts_with(status), "{text:?}: {refused:?}");
            let written = String::from_utf8(refusal(&refused)).unwrap();
            assert!(written.ends_with(&format!("\r\n\r\n{}\n", refused.1)), "{written}");
            assert_eq!(written.contains("Allow: GET\r\n"), status == "405", "{written}");
        }
    }

    #[test]
    fn a_question_comes_in_pieces() {
        let text = b"GET /sd HTTP/1.1\r\nHost: x\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(read(&text[..length]), Ok(None), "{length}");
        }
        assert!(read(text).unwrap().is_some());
    }

    #[test]
    fn questions_at_their_limits() {
        let around = "GET /sd HTTP/1.1\r\nx: \r\n\r\n".len();
        for (bytes, fits) in [(METRICS_REQUEST_BYTES, true), (METRICS_REQUEST_BYTES + 1, false)] {
            let filler = "x".repeat(bytes - around);
            let text = format!("GET /sd HTTP/1.1\r\nx: {filler}\r\n\r\n");
            assert_eq!(text.len(), bytes);
            assert_eq!(read(text.as_bytes()).is_ok(), fits, "{bytes}");
            // The end has not come.
            let partial = "x".repeat(bytes);
            let refused = read(format!("GET /{}", &partial[5..]).as_bytes());
            assert_eq!(refused.is_ok(), fits, "{refused:?}");
        }
        for (headers, fits) in [(METRICS_HEADERS, true), (METRICS_HEADERS + 1, false)] {
            let text = format!("GET /sd HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(headers));
            let read = read(text.as_bytes());
            assert_eq!(read.is_ok(), fits, "{read:?}");
        }
    }
}
