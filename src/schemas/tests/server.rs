//! A server on loopback that answers as a script says and keeps what it was asked.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Answers 200 and breaks off in the middle of the body.
    Truncated(String),
    /// Reads and says nothing.
    Silence,
    /// Closes the connection.
    Close,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Header lines, in lower case.
    pub head: String,
    /// The body.
    pub body: serde_json::Value,
}

/// The server. Dropping it ends it.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    always: Option<Reply>,
    asked: Vec<Asked>,
}

impl Server {
    /// Starts it; it answers `always`.
    pub async fn start(always: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script { always: Some(always), ..Script::default() }));
        let shared = Arc::clone(&script);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, script, task }
    }

    /// What it answers from now on.
    pub fn answer(&self, always: Reply) {
        self.script.lock().always = Some(always);
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().asked.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    while let Some(asked) = read(&mut stream).await {
        let reply = {
            let mut script = script.lock();
            script.asked.push(asked);
            script.always.clone()
        };
        let head = |status: u16, len: usize| {
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {len}\r\n\r\n")
        };
        match reply {
            Some(Reply::Answer(status, body)) => {
                let text = head(status, body.len()) + &body;
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Some(Reply::Truncated(body)) => {
                let text = head(200, body.len()) + &body[..body.len() / 2];
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Some(Reply::Silence) => std::future::pending().await,
            Some(Reply::Close) | None => return,
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Asked { head, body: serde_json::from_slice(&bytes[end..]).ok()? })
}
