//! What the demo shows at its end: the ledger, the objects, the first rows of a Parquet object, and how to look further.

use super::STREAMS;
use crate::app::App;
use crate::cli::dev::{BUCKET, KEYS};
use crate::stage::convert::preview::preview;
use crate::telemetry::status::Operations;
use std::path::{Path, PathBuf};

/// Objects listed one by one.
const LISTED: usize = 12;

/// Prints everything. Returns whether received + split = delivered + refused + dropped for every stream.
pub fn print(app: &App, s3_root: &Path, stays_up: bool) -> bool {
    let good = print_ledger(app);
    let objects = objects(&s3_root.join(BUCKET));
    print_objects(&objects);
    print_rows(&objects);
    print_commands(app, s3_root, stays_up);
    good
}

fn print_ledger(app: &App) -> bool {
    say!("\n{:<16} {:>10} {:>10} {:>9} {:>9} {:>10}", "stream", "received", "delivered", "refused", "dropped", "");
    let mut good = true;
    for (name, _) in STREAMS {
        let Some(status) = app.deliveries().stream(name) else {
            good = false;
            continue;
        };
        let ledger = status.ledger;
        let adds_up = ledger.received.records + ledger.split
            == ledger.delivered.records + ledger.refused.records + ledger.dropped.records;
        good &= adds_up;
        say!(
            "{:<16} {:>10} {:>10} {:>9} {:>9} {:>10}",
            name,
            ledger.received.records,
            ledger.delivered.records,
            ledger.refused.records,
            ledger.dropped.records,
            if adds_up { "adds up" } else { "MISSING" },
        );
        if let Some(error) = status.last_error {
            say!("  last error: {error}");
        }
    }
    good
}

/// Files under the bucket's folder, by name, with their sizes.
fn objects(bucket: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![bucket.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => found.push((entry.path(), meta.len())),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

fn print_objects(objects: &[(PathBuf, u64)]) {
    say!("\n{} objects:", objects.len());
    for (path, bytes) in objects.iter().take(LISTED) {
        say!("  {bytes:>12}  {}", path.display());
    }
    if objects.len() > LISTED {
        say!("  … and {} more", objects.len() - LISTED);
    }
}

fn print_rows(objects: &[(PathBuf, u64)]) {
    let Some((path, _)) = objects.iter().find(|(path, _)| path.extension().is_some_and(|e| e == "parquet")) else {
        return;
    };
    say!("\nFirst rows of {}:", path.file_name().unwrap_or_default().display());
    match std::fs::File::open(path).map_err(|e| e.to_string()).and_then(|f| preview(f, 5).map_err(|e| e.to_string())) {
        Ok(table) => say!("{table}"),
        Err(error) => say!("  cannot be read: {error}"),
    }
}

fn print_commands(app: &App, s3_root: &Path, stays_up: bool) {
    say!("Look further:");
    let files = s3_root.join(BUCKET).join("demo-parquet/**/*.parquet");
    say!("  duckdb -c \"SELECT * FROM read_parquet('{}') LIMIT 10\"", files.display());
    if stays_up {
        let s3 = app.s3_addr().map(|a| format!("http://{a}")).unwrap_or_default();
        let keys =
            format!("AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_DEFAULT_REGION=us-east-1", KEYS.0, KEYS.1);
        say!("  export {keys}");
        say!(
            "  aws --endpoint-url {} firehose describe-delivery-stream --delivery-stream-name {}",
            app.api_url(),
            STREAMS[0].0
        );
        say!("  aws --endpoint-url {s3} s3 ls --recursive s3://{BUCKET}/");
        say!("  curl {}/streams", app.admin_url());
    } else {
        say!("  hydrant demo --keep     stays up for the AWS CLI, SDKs and curl");
    }
}
