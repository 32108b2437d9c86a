//! HTTP/1.1 messages as bytes, one a connection: as much as a proxy needs that must not change them.

use hydrant::destination::s3::answer::Call;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A request with its body.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Which operation it is.
    pub fn call(&self) -> Option<Call> {
        let (_, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        Some(match self.method.as_str() {
            "PUT" if has("partNumber") => Call::Part,
            "PUT" => Call::Put,
            "HEAD" => Call::Head,
            "GET" if has("uploads") => Call::List,
            "POST" if has("uploads") => Call::Create,
            "POST" if has("uploadId") => Call::Complete,
            "DELETE" if has("uploadId") => Call::Abort,
            _ => return None,
        })
    }

    /// As it goes on, on a connection of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "connection") {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Reads up to the end of the head; returns head and what was read of the body. `None`: nothing came.
async fn read_head(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Ok(Some((head, bytes.split_off(end + 4))));
        }
        if from.read_buf(&mut bytes).await? == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Reads the head of a request, and its body unless `head_only`.
pub async fn read_request(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Request>> {
    let Some((head, mut body)) = read_head(from).await? else { return Ok(None) };
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() };
    assert!(request.header("transfer-encoding").is_none(), "a body of unknown length: {request:?}");
    let length: usize = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    while body.len() < length {
        if from.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    assert_eq!(body.len(), length, "more came than was announced");
    request.body = body;
    Ok(Some(request))
}

/// An answer with an S3 error in it.
pub fn error_answer(status: u16, code: &str, with_body: bool) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>scripted</Message></Error>"
    );
    let length = body.len();
    let body = if with_body { body } else { String::new() };
    format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\
         etag: \"00000000000000000000000000000000\"\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
