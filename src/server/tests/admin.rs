//! The admin listener's routes.

use super::{options, start};
use crate::server::Admin;
use crate::telemetry::status::{
    Count, Deleted, DestinationStatus, Ledger, OperationError, Operations, Overview, StreamState, StreamStatus,
};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

/// One stream, `s`.
#[derive(Default)]
struct One {
    asked: Mutex<Vec<String>>,
    unready: Mutex<Option<String>>,
}

impl One {
    fn ask(&self, what: &str, name: &str) -> Result<(), OperationError> {
        if name != "s" {
            return Err(OperationError::Unknown(name.to_owned()));
        }
        self.asked.lock().push(what.to_owned());
        Ok(())
    }
}

impl Operations for One {
    fn overview(&self) -> Overview {
        Overview {
            streams: self.stream("s").into_iter().collect(),
            deleted: Deleted { streams: 1, ..Deleted::default() },
        }
    }

    fn stream(&self, name: &str) -> Option<StreamStatus> {
        (name == "s").then(|| StreamStatus {
            name: name.to_owned(),
            version: 7,
            state: StreamState::Running,
            last_error: None,
            destination: DestinationStatus::default(),
            error_area: None,
            transform_problem: Some("it does not start".to_owned()),
            schema_problem: Some("it does not answer".to_owned()),
            learnt: None,
            backup: None,
            oldest_undelivered_age_ms: None,
            waiting_bytes: 0,
            waiting_records: 0,
            open_seals: 0,
            paused: false,
            ledger: Ledger { received: Count { records: 3, bytes: 9 }, ..Ledger::default() },
        })
    }

    fn flush(&self, name: &str) -> Result<(), OperationError> {
        self.ask("flush", name)
    }

    fn pause(&self, _: &str) -> Result<(), OperationError> {
        Err(OperationError::Refused("it is being deleted".to_owned()))
    }

    fn resume(&self, name: &str) -> Result<(), OperationError> {
        self.ask("resume", name)
    }

    fn ready(&self) -> Result<(), String> {
        self.unready.lock().clone().map_or(Ok(()), Err)
    }
}

#[tokio::test]
async fn what_there_is_is_shown() {
    let operations = Arc::new(One::default());
    let running = start(options(), Admin::new(operations.clone())).await;
    let mut client = running.client().await;
    assert_eq!(client.ask("GET", "/healthz", &[], b"").await.status, 200);
    assert_eq!(client.ask("GET", "/readyz", &[], b"").await.status, 200);
    *operations.unready.lock() = Some("recovering".to_owned());
    let reply = client.ask("GET", "/readyz", &[], b"").await;
    assert_eq!((reply.status, reply.json()["reason"].as_str()), (503, Some("recovering")));

    let reply = client.ask("GET", "/metrics", &[], b"").await;
    assert!(reply.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(reply.body).unwrap();
    assert!(text.contains("hydrant_stream_records{stream=\"s\",fate=\"received\"} 3\n"));
    assert!(text.contains("\nhydrant_put_requests_total{kind=\"put_record\",outcome=\"accepted\"} "));

    let one = client.ask("GET", "/streams/s", &[], b"").await.json();
    assert_eq!(one["state"], "running");
    assert_eq!(one["transform_problem"], "it does not start");
    assert_eq!(one["schema_problem"], "it does not answer");
    assert_eq!(one["ledger"]["received"], json!({"records": 3, "bytes": 9}));
    let all = client.ask("GET", "/streams", &[], b"").await.json();
    assert_eq!((&all["streams"], &all["deleted"]["streams"]), (&json!([one]), &json!(1)));
    assert_eq!(client.ask("GET", "/streams/t", &[], b"").await.status, 404);
    assert_eq!(client.ask("GET", "/", &[], b"").await.status, 404);
}

#[tokio::test]
async fn what_is_asked_is_done() {
    let operations = Arc::new(One::default());
    let running = start(options(), Admin::new(operations.clone())).await;
    let mut client = running.client().await;
    assert_eq!(client.ask("POST", "/streams/s/flush", &[], b"").await.status, 200);
    assert_eq!(client.ask("POST", "/streams/s/resume", &[], b"ignored").await.status, 200);
    let reply = client.ask("POST", "/streams/s/pause", &[], b"").await;
    assert_eq!((reply.status, reply.json()["message"].as_str()), (409, Some("it is being deleted")));
    assert_eq!(client.ask("POST", "/streams/t/flush", &[], b"").await.status, 404);
    assert_eq!(client.ask("GET", "/streams/s/flush", &[], b"").await.status, 405);
    assert_eq!(client.ask("POST", "/metrics", &[], b"").await.status, 405);
    assert_eq!(client.ask("DELETE", "/streams/s", &[], b"").await.status, 405);
    assert_eq!(*operations.asked.lock(), ["flush", "resume"]);
}
