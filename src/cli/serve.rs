//! `hydrant serve`: the service against a real S3, as its configuration file says.

use super::{run_service, warn_if_missing};
use crate::app::AppOptions;
use crate::config::{self, Config};
use crate::delivery::DeliveryOptions;
use crate::log::LogOptions;
use crate::server::{ConnectionLimits, ListenerOptions, TlsFiles};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Disk budget of a configuration that names none.
const DISK_BUDGET_BYTES: u64 = 64 << 30;
/// Bytes of requests in flight of a configuration that names none.
const INFLIGHT_BYTES: u64 = 128 << 20;
/// How long a put may wait for its share of them.
const ADMISSION_WAIT: Duration = Duration::from_secs(5);

/// Run the service as a configuration file says, until stopped
///
/// Prints one line of JSON with the addresses when it is ready. SIGTERM and SIGINT stop it gracefully.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:
  hydrant check --config hydrant.yaml && hydrant serve --config hydrant.yaml

Exit code: 0 stopped in order, 1 it did not start or a second signal ended it, 2 problems in the configuration, one a
line on standard error.")]
pub struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

impl ServeArgs {
    /// Reads the configuration; prints its problems and says so where there are any.
    pub fn load(&self) -> Result<Config, ExitCode> {
        let loaded = config::load(&self.config).and_then(|config| match config::missing(&self.config, &config) {
            none if none.is_empty() => Ok(config),
            problems => Err(problems),
        });
        loaded.map_err(|problems| {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!("hydrant: {} problem(s) in {}; nothing was started", problems.len(), self.config.display());
            ExitCode::from(2)
        })
    }
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: Config) -> ExitCode {
    for (setting, dir) in [("transforms_dir", &config.transforms_dir), ("schemas_dir", &config.schemas_dir)] {
        warn_if_missing(setting, dir, &config.data_dir.join(setting.trim_end_matches("_dir")));
    }
    for (setting, doubt) in config::doubtful(&config) {
        tracing::warn!(setting, "{doubt}");
    }
    run_service(app_options(config), |app| {
        serde_json::json!({
            "api": app.api_url(),
            "admin": app.admin_url(),
            "pid": std::process::id(),
        })
    })
    .await
}

/// The service a configuration asks for.
pub fn app_options(config: Config) -> AppOptions {
    let rules = config.rules();
    let limits = config.limits;
    let disk_budget_bytes = limits.disk_budget_bytes.unwrap_or(DISK_BUDGET_BYTES);
    let defaults = DeliveryOptions::default();
    AppOptions {
        data_dir: config.data_dir,
        api: ListenerOptions {
            name: "API",
            addr: config.api.addr,
            insecure_bind: config.api.insecure_bind,
            tls: config.api.tls.map(|paths| TlsFiles { cert: paths.cert, key: paths.key }),
            limits: ConnectionLimits::default(),
        },
        admin: ListenerOptions {
            name: "admin",
            addr: config.admin.addr,
            insecure_bind: config.admin.insecure_bind,
            tls: None,
            limits: ConnectionLimits::default(),
        },
        embedded_s3: None,
        s3: config.s3,
        http: config.http.settings,
        redshift: config.redshift,
        transforms_dir: config.transforms_dir,
        schemas_dir: config.schemas_dir,
        glue: config.glue.map(|glue| glue.settings),
        rules,
        disk_budget_bytes,
        disk_reserve_bytes: limits.disk_reserve_bytes.unwrap_or(disk_budget_bytes / 8),
        inflight_bytes: u32::try_from(limits.inflight_bytes.unwrap_or(INFLIGHT_BYTES)).unwrap_or(u32::MAX),
        admission_wait: limits.admission_wait.unwrap_or(ADMISSION_WAIT),
        log: LogOptions {
            retention_ms: u64::try_from(config.retention.as_millis()).unwrap_or(u64::MAX),
            ..LogOptions::default()
        },
        delivery: DeliveryOptions {
            stage_slots: limits.stage_slots.unwrap_or(defaults.stage_slots).max(1),
            transform_slots: limits.transform_slots.unwrap_or(defaults.transform_slots).max(1),
            send_slots: limits.send_slots.unwrap_or(defaults.send_slots).max(1),
            requests_in_flight: config.http.requests_in_flight.unwrap_or(defaults.requests_in_flight).max(1),
            ..defaults
        },
        streams: config.streams,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_bound_on_requests_in_flight_is_never_made_smaller() {
        for (text, bytes) in [("1MiB", 1 << 20), ("3GiB", 3 << 30), ("64GiB", u32::MAX)] {
            let text = format!("version: 1\ndata_dir: /d\nlimits: {{inflight: {text}}}\n");
            let config = config::parse(Path::new("/c.yaml"), &text).unwrap();
            assert_eq!(app_options(config).inflight_bytes, bytes, "{text}");
        }
    }
}
