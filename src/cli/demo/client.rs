//! The smallest client of the API: AWS JSON over one kept-alive connection. What the demo sends goes through the same
//! door as everybody's requests.

use crate::task::TaskSet;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

/// Why a request has no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Connection or protocol.
    #[error("the API does not answer: {0}")]
    Transport(String),
    /// An error answer.
    #[error("{operation}: {message}")]
    Refused {
        /// The operation.
        operation: String,
        /// The service's text.
        message: String,
    },
}

/// A connection to the API.
pub struct Client {
    host: String,
    sender: SendRequest<Full<Bytes>>,
    connection: TaskSet,
}

impl Client {
    /// Connects to `http://host:port`.
    pub async fn connect(api_url: &str) -> Result<Self, ClientError> {
        let transport = |e: &dyn std::fmt::Display| ClientError::Transport(e.to_string());
        let host = api_url.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await.map_err(|e| transport(&e))?;
        stream.set_nodelay(true).map_err(|e| transport(&e))?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| transport(&e))?;
        let mut driver = TaskSet::default();
        driver.spawn("connection of the demo", async move {
            // Its error reaches the caller through the request that fails.
            let _ = connection.await;
        });
        Ok(Self { host, sender, connection: driver })
    }

    /// Calls an operation; throttled requests are repeated.
    pub async fn call(&mut self, operation: &str, body: &Value) -> Result<Value, ClientError> {
        let body = Bytes::from(body.to_string());
        loop {
            let (status, answer) = self.post(operation, body.clone()).await?;
            if status == 200 {
                return Ok(answer);
            }
            let kind = answer["__type"].as_str().unwrap_or_default();
            if kind == "ServiceUnavailableException" {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            let message = format!("{kind}: {}", answer["message"].as_str().unwrap_or("no message"));
            return Err(ClientError::Refused { operation: operation.to_owned(), message });
        }
    }

    async fn post(&mut self, operation: &str, body: Bytes) -> Result<(u16, Value), ClientError> {
        let transport = |e: &dyn std::fmt::Display| ClientError::Transport(e.to_string());
        let request = http::Request::post("/")
            .header(http::header::HOST, &self.host)
            .header(http::header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", format!("Firehose_20150804.{operation}"))
            .body(Full::new(body))
            .map_err(|e| transport(&e))?;
        self.sender.ready().await.map_err(|e| transport(&e))?;
        let answer = self.sender.send_request(request).await.map_err(|e| transport(&e))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|e| transport(&e))?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// Closes the connection.
    pub async fn close(mut self) {
        drop(self.sender);
        for died in self.connection.join_all().await {
            tracing::warn!(%died, "a connection ended abnormally");
        }
    }
}
