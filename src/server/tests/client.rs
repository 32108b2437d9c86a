//! A client that sends exactly the bytes it is told to.

use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) struct Client<S = TcpStream> {
    stream: S,
    read: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name)));
        line.and_then(|line| Some(line.split_once(':')?.1.trim()))
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The type of an AWS error.
    pub fn kind(&self) -> String {
        self.json()["__type"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// Sends these bytes and no more.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends these bytes again and again until the server has enough.
    pub async fn send_for_ever(&mut self, bytes: &[u8]) {
        while self.stream.write_all(bytes).await.is_ok() {}
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next answer; `None` when the connection closed before one.
    pub async fn reply(&mut self) -> Option<Reply> {
        let head_upto = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                assert!(self.read.is_empty(), "half an answer: {}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..head_upto).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply { status, head, body: Vec::new() };
        let length: usize = reply.header("content-length").unwrap_or("0").parse().unwrap();
        while self.read.len() < length {
            assert!(self.fill().await, "an answer broke off");
        }
        reply.body = self.read.drain(..length).collect();
        Some(reply)
    }

    async fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        // A reset after the peer closed is an end as well.
        let length = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..length]);
        length > 0
    }

    /// Sends a whole request and waits for its answer.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(head(method, path, headers, body.len())).await;
        self.send(body).await;
        self.reply().await.unwrap()
    }

    /// An AWS call.
    pub async fn call(&mut self, operation: &str, body: impl AsRef<[u8]>) -> Reply {
        let target = format!("Firehose_20150804.{operation}");
        let headers = [("X-Amz-Target", target.as_str()), ("Content-Type", "application/x-amz-json-1.1")];
        self.ask("POST", "/", &headers, body.as_ref()).await
    }
}

/// The head of a request.
pub(super) fn head(method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}
