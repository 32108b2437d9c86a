//! The Prometheus text format (version 0.0.4) of [`super::metrics`] and [`super::status`], written by hand.

use super::metrics::ALL;
use super::series::{BOUNDS_US, Histogram, Series};
use super::status::{BackupStatus, Deleted, Overview, StreamState, StreamStatus};
use std::fmt::Write;

/// Media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole answer of `/metrics`.
pub fn render(overview: &Overview) -> String {
    let mut text = String::with_capacity(16 * 1024 + overview.streams.len() * 2048);
    head(&mut text, "hydrant_build_info", "Version of the program.", "gauge");
    line(&mut text, "hydrant_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    for metric in ALL {
        match &metric.series {
            Series::Counters(counters) => {
                head(&mut text, metric.name, metric.help, "counter");
                for counter in *counters {
                    let (open, close) = if counter.labels.is_empty() { ("", "") } else { ("{", "}") };
                    let _ = writeln!(text, "{}{open}{}{close} {}", metric.name, counter.labels, counter.get());
                }
            }
            Series::Gauge(gauge) => {
                head(&mut text, metric.name, metric.help, "gauge");
                let _ = writeln!(text, "{} {}", metric.name, gauge.get());
            }
            Series::Histogram(histogram) => {
                head(&mut text, metric.name, metric.help, "histogram");
                histogram_lines(&mut text, metric.name, histogram);
            }
        }
    }
    stream_lines(&mut text, &overview.streams);
    backup_lines(&mut text, &overview.streams);
    deleted_lines(&mut text, &overview.deleted);
    text
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    text.push_str(name);
    for (i, (label, value)) in labels.iter().enumerate() {
        text.push(if i == 0 { '{' } else { ',' });
        let _ = write!(text, "{label}=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    if !labels.is_empty() {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

fn histogram_lines(text: &mut String, name: &str, histogram: &Histogram) {
    let (buckets, sum_us) = histogram.get();
    let mut total = 0;
    for (bound_us, count) in BOUNDS_US.iter().zip(buckets) {
        total += count;
        let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {total}", seconds(*bound_us));
    }
    total += buckets[BOUNDS_US.len()];
    let _ =
        writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {total}\n{name}_sum {}\n{name}_count {total}", seconds(sum_us));
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn stream_lines(text: &mut String, streams: &[StreamStatus]) {
    type Value = fn(&StreamStatus) -> f64;
    const GAUGES: [(&str, &str, Value); 10] = [
        (
            "hydrant_stream_attempts",
            "Attempts to deliver parcels to the destination, since the service started.",
            |s| s.destination.attempts as f64,
        ),
        ("hydrant_stream_successes", "Those of them that succeeded.", |s| s.destination.successes as f64),
        ("hydrant_stream_given_up_parcels", "Parcels given up and turned to the error area.", |s| {
            s.destination.given_up as f64
        }),
        ("hydrant_stream_failing_parcels", "Parcels whose last attempt failed and that are tried again.", |s| {
            s.destination.failing_parcels as f64
        }),
        (
            "hydrant_stream_oldest_undelivered_seconds",
            "Age of the oldest record without a fate; 0 when there is none.",
            |s| s.oldest_undelivered_age_ms.unwrap_or(0) as f64 / 1e3,
        ),
        ("hydrant_stream_waiting_bytes", "Bytes of records not yet cut.", |s| s.waiting_bytes as f64),
        ("hydrant_stream_waiting_records", "Records not yet cut.", |s| s.waiting_records as f64),
        ("hydrant_stream_open_seals", "Seals stored and not closed.", |s| s.open_seals as f64),
        ("hydrant_stream_version", "VersionId by which the next cut is made; goes up with each update.", |s| {
            s.version as f64
        }),
        ("hydrant_stream_paused", "1 when the operator paused the stream.", |s| f64::from(u8::from(s.paused))),
    ];
    // A gauge, not a counter: in_flight goes down, and the sum of the others is meant to be compared with it.
    head(
        text,
        "hydrant_stream_records",
        "Records by fate: received + split = delivered + refused + dropped + discarded + in_flight.",
        "gauge",
    );
    for stream in streams {
        for (fate, count) in stream.ledger.named() {
            line(text, "hydrant_stream_records", &[("stream", &stream.name), ("fate", fate)], count.records);
        }
    }
    head(text, "hydrant_stream_bytes", "Bytes of records, as they arrived, by fate.", "gauge");
    for stream in streams {
        for (fate, count) in stream.ledger.named() {
            line(text, "hydrant_stream_bytes", &[("stream", &stream.name), ("fate", fate)], count.bytes);
        }
    }
    head(
        text,
        "hydrant_stream_split_records",
        "Parts beyond the first that records with a fate were split into by de-aggregation.",
        "gauge",
    );
    for stream in streams {
        line(text, "hydrant_stream_split_records", &[("stream", &stream.name)], stream.ledger.split);
    }
    for (name, help, value) in GAUGES {
        head(text, name, help, "gauge");
        for stream in streams {
            line(text, name, &[("stream", &stream.name)], value(stream));
        }
    }
    head(text, "hydrant_stream_state", "1 for the state a stream is in.", "gauge");
    for stream in streams {
        for state in StreamState::ALL {
            let labels = [("stream", stream.name.as_str()), ("state", state.as_str())];
            line(text, "hydrant_stream_state", &labels, u8::from(state == stream.state));
        }
    }
}

/// Source backups have names of their own: what sums up `hydrant_stream_records` counts no record twice.
fn backup_lines(text: &mut String, streams: &[StreamStatus]) {
    type Value = fn(&BackupStatus) -> f64;
    const GAUGES: [(&str, &str, Value); 5] = [
        (
            "hydrant_backup_oldest_undelivered_seconds",
            "Age of the oldest record that is not backed up; 0 when there is none.",
            |b| b.oldest_undelivered_age_ms.unwrap_or(0) as f64 / 1e3,
        ),
        ("hydrant_backup_waiting_bytes", "Bytes of records that the source backup has not yet cut.", |b| {
            b.waiting_bytes as f64
        }),
        ("hydrant_backup_waiting_records", "Records that the source backup has not yet cut.", |b| {
            b.waiting_records as f64
        }),
        ("hydrant_backup_open_seals", "Seals of the source backup stored and not closed.", |b| b.open_seals as f64),
        ("hydrant_backup_held_bytes", "Bytes of records that the log keeps for the source backup alone.", |b| {
            b.held_bytes as f64
        }),
    ];
    type Unit = fn(super::status::Count) -> u64;
    const FATES: [(&str, &str, Unit); 2] = [
        (
            "hydrant_backup_records",
            "Records of streams with a source backup, by what it made of them: received = delivered + refused + dropped + \
             discarded + in_flight.",
            |count| count.records,
        ),
        ("hydrant_backup_bytes", "Bytes of those records.", |count| count.bytes),
    ];
    let backups: Vec<_> = streams.iter().filter_map(|s| Some((s.name.as_str(), s.backup.as_ref()?))).collect();
    if backups.is_empty() {
        return;
    }
    for (name, help, unit) in FATES {
        head(text, name, help, "gauge");
        for (stream, backup) in &backups {
            for (fate, count) in backup.ledger.named() {
                line(text, name, &[("stream", stream), ("fate", fate)], unit(count));
            }
        }
    }
    for (name, help, value) in GAUGES {
        head(text, name, help, "gauge");
        for (stream, backup) in &backups {
            line(text, name, &[("stream", stream)], value(backup));
        }
    }
    head(text, "hydrant_backup_state", "1 for the state a source backup is in.", "gauge");
    for (stream, backup) in &backups {
        for state in StreamState::ALL {
            let labels = [("stream", *stream), ("state", state.as_str())];
            line(text, "hydrant_backup_state", &labels, u8::from(state == backup.state));
        }
    }
}

/// Counters: with the streams' gauges they add up to every record that was ever acknowledged, over restarts too.
fn deleted_lines(text: &mut String, deleted: &Deleted) {
    type Unit = fn(super::status::Count) -> u64;
    const UNITS: [(&str, &str, Unit); 2] = [
        (
            "hydrant_deleted_streams_records_total",
            "Records of streams that are gone, by fate: received + split = delivered + refused + dropped + discarded.",
            |count| count.records,
        ),
        ("hydrant_deleted_streams_bytes_total", "Bytes of those records, as they arrived, by fate.", |count| {
            count.bytes
        }),
    ];
    head(text, "hydrant_deleted_streams_total", "Streams that are gone.", "counter");
    line(text, "hydrant_deleted_streams_total", &[], deleted.streams);
    let split = "hydrant_deleted_streams_split_records_total";
    head(text, split, "Parts beyond the first that records of streams that are gone were split into.", "counter");
    line(text, split, &[], deleted.ledger.split);
    for (name, help, unit) in UNITS {
        head(text, name, help, "counter");
        for (fate, count) in deleted.ledger.named().into_iter().filter(|(fate, _)| *fate != "in_flight") {
            line(text, name, &[("fate", fate)], unit(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{Count, Ledger};
    use super::*;
    use crate::telemetry::metrics;
    use crate::telemetry::status::DestinationStatus;
    use std::collections::HashSet;
    use std::time::Duration;

    fn status(name: &str) -> StreamStatus {
        StreamStatus {
            name: name.to_owned(),
            version: 7,
            state: StreamState::Retrying,
            last_error: Some("S3.SlowDown".to_owned()),
            destination: DestinationStatus { attempts: 9, successes: 4, given_up: 2, ..DestinationStatus::default() },
            error_area: None,
            transform_problem: None,
            schema_problem: None,
            learnt: None,
            backup: None,
            oldest_undelivered_age_ms: Some(1500),
            waiting_bytes: 10,
            waiting_records: 2,
            open_seals: 1,
            paused: true,
            ledger: Ledger { received: Count { records: 7, bytes: 70 }, ..Ledger::default() },
        }
    }

    #[test]
    fn every_sample_has_a_type_line_and_stands_once() {
        metrics::log_synced(Duration::from_millis(3));
        let gone = Ledger { discarded: Count { records: 4, bytes: 40 }, ..Ledger::default() };
        let deleted = Deleted { streams: 2, ledger: gone };
        let mut a = status("a");
        let backup = Ledger { in_flight: Count { records: 3, bytes: 30 }, ..Ledger::default() };
        a.set_backup(StreamStatus { ledger: backup, ..status("a") }, Some(0));
        let text = render(&Overview { streams: vec![a, status("b")], deleted });
        let mut typed = HashSet::new();
        let mut seen = HashSet::new();
        for row in text.lines() {
            if let Some(rest) = row.strip_prefix("# TYPE ") {
                assert!(typed.insert(rest.split(' ').next().unwrap_or_default()), "typed twice: {row}");
            } else if !row.starts_with('#') {
                let (sample, value) = row.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{row}");
                assert!(seen.insert(sample), "twice: {row}");
                let name = sample.split('{').next().unwrap_or_default();
                let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
                assert!(typed.contains(name) || base.is_some_and(|base| typed.contains(base)), "untyped: {row}");
            }
        }
        assert!(text.contains("hydrant_stream_records{stream=\"a\",fate=\"received\"} 7\n"));
        assert!(text.contains("hydrant_backup_records{stream=\"a\",fate=\"in_flight\"} 3\n"));
        assert!(text.contains("hydrant_backup_held_bytes{stream=\"a\"} 30\n"));
        assert!(text.contains("hydrant_backup_state{stream=\"a\",state=\"retrying\"} 1\n"));
        assert!(!text.contains("hydrant_backup_records{stream=\"b\""));
        assert!(text.contains("\nhydrant_deleted_streams_total 2\n"));
        assert!(text.contains("hydrant_deleted_streams_records_total{fate=\"discarded\"} 4\n"));
        assert!(text.contains("hydrant_deleted_streams_bytes_total{fate=\"discarded\"} 40\n"));
        assert!(!text.contains("hydrant_deleted_streams_records_total{fate=\"in_flight\"}"));
        assert!(text.contains("hydrant_stream_oldest_undelivered_seconds{stream=\"b\"} 1.5\n"));
        assert!(text.contains("hydrant_stream_attempts{stream=\"a\"} 9\n"));
        assert!(text.contains("hydrant_stream_successes{stream=\"b\"} 4\n"));
        assert!(text.contains("hydrant_stream_given_up_parcels{stream=\"b\"} 2\n"));
        assert!(text.contains("hydrant_stream_state{stream=\"a\",state=\"retrying\"} 1\n"));
        assert!(text.contains("hydrant_stream_state{stream=\"a\",state=\"running\"} 0\n"));
    }

    #[test]
    fn label_values_are_escaped() {
        let mut text = String::new();
        line(&mut text, "m", &[("l", "a\"b\\c\nd")], 1);
        assert_eq!(text, "m{l=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
