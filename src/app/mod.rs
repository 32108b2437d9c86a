//! Wiring: what is started in which order, who gets whom, and the order to stop.
//!
//! Start: folder lock, format check, journal, catalog, logs, embedded S3 and AWS Glue (if asked for), destination, deliveries,
//! configured streams, listeners. Stop, the other way round: no new request, the last one answered, deliveries in
//! flight given their grace, commits done, journal closed, lock released.

mod compiled_code;
mod data_folder;
mod intake;

pub use compiled_code::code_dir;
pub use data_folder::{DataFolderError, embedded_s3_root};

use crate::catalog::{Catalog, CatalogError};
use crate::clock::SystemClock;
use crate::control::{Control, Folders, Rules};
use crate::delivery::{
    DeletedError, DeletedStreams, DeliveryContext, DeliveryOptions, JournalCursors, LearntTables, StagePool,
    Supervisor, SupervisorError,
};
use crate::destination::Router;
use crate::destination::http::{HttpDestination, HttpSettings};
use crate::destination::redshift::{RedshiftDestination, RedshiftSettings};
use crate::destination::s3::{S3Destination, S3Settings};
use crate::destination::trust::CaFileError;
use crate::disk::{Disk, DiskBudget, FolderLock, RealDisk};
use crate::embedded::{EmbeddedS3, EmbeddedS3Options};
use crate::ingest::{Admission, Ingest};
use crate::journal::{Journal, JournalError, JournalOptions};
use crate::log::{CommitPool, LogContext, LogOptions};
use crate::outbox::Outbox;
use crate::schemas::glue::{TableKey, Wanted};
use crate::schemas::{Glue, GlueSettings, OpenError, Schemas};
use crate::server::{Admin, Api, BodyLimits, ListenError, Listener, ListenerOptions};
use crate::source::local::Logs;
use crate::stage::transform::{TransformFolder, TransformLimits};
use crate::task::{Stop, StopSource, TaskSet};
use crate::vault::Vault;
use data_folder::DataFolder;
use intake::LocalIntake;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Files of a log not written to for this long are closed.
const IDLE_LOG: Duration = Duration::from_secs(10);
/// How often that is looked at.
const IDLE_SWEEP: Duration = Duration::from_secs(5);
/// Threads that sync logs. They wait for the disk more than they work.
const COMMIT_THREADS: usize = 8;
/// A file of the log or the journal goes as a whole, once all in it is done with. So each is at most this part of the
/// disk budget and of the file system: a larger one would hold the room that finishing what it holds takes.
const FILES_IN_BUDGET: u64 = 16;

/// Everything a service needs to know, resolved.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// Folder of log, journal, catalog and outbox; one process's at a time.
    pub data_dir: PathBuf,
    /// The API listener.
    pub api: ListenerOptions,
    /// The admin listener.
    pub admin: ListenerOptions,
    /// The S3 server inside, if any.
    pub embedded_s3: Option<EmbeddedS3Options>,
    /// How buckets are reached. With an embedded server and no endpoint: that server.
    pub s3: S3Settings,
    /// How HTTP endpoints are reached.
    pub http: HttpSettings,
    /// How clusters are reached.
    pub redshift: RedshiftSettings,
    /// WASM modules.
    pub transforms_dir: PathBuf,
    /// Tables for conversion.
    pub schemas_dir: PathBuf,
    /// AWS Glue, if tables are asked of it.
    pub glue: Option<GlueSettings>,
    /// Account, region, compatibility.
    pub rules: Rules,
    /// Most bytes on disk, and the part of them that only sealing may use.
    pub disk_budget_bytes: u64,
    /// See `disk_budget_bytes`.
    pub disk_reserve_bytes: u64,
    /// Most bytes of requests in flight.
    pub inflight_bytes: u32,
    /// How long a request may wait for its share of them.
    pub admission_wait: Duration,
    /// Segments and retention.
    pub log: LogOptions,
    /// Seals, attempts, pauses.
    pub delivery: DeliveryOptions,
    /// Streams to make sure of at the start, in CreateDeliveryStream's members.
    pub streams: Vec<serde_json::Value>,
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The ledgers of deleted streams.
    #[error(transparent)]
    Deleted(#[from] DeletedError),
    /// The tables that Glue told.
    #[error("tables of AWS Glue: {0}")]
    Tables(#[from] OpenError),
    /// Transforms.
    #[error("transforms cannot be run: {0}")]
    Transforms(String),
    /// The embedded S3.
    #[error("the embedded S3 did not start: {0}")]
    EmbeddedS3(std::io::Error),
    /// Deliveries.
    #[error(transparent)]
    Deliveries(#[from] SupervisorError),
    /// A stream of the configuration file.
    #[error("stream {name} of the configuration: {message}")]
    Stream {
        /// Its name, or its place in the list.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificates for HTTP endpoints or clusters.
    #[error(transparent)]
    Certificates(#[from] CaFileError),
    /// Threads.
    #[error("cannot start the commit threads: {0}")]
    Threads(std::io::Error),
}

/// A running service.
#[derive(Debug)]
pub struct App {
    api_url: String,
    admin_url: String,
    embedded_s3: Option<EmbeddedS3>,
    supervisor: Arc<Supervisor>,
    pool: Arc<CommitPool>,
    journal: Arc<Journal>,
    control: Control,
    stop: StopSource,
    tasks: TaskSet,
    _lock: FolderLock,
}

impl App {
    /// Starts everything; returns when requests are answered.
    pub async fn start(options: AppOptions) -> Result<Self, StartError> {
        let blocking_options = options.clone();
        let foundation = tokio::task::spawn_blocking(move || Foundation::open(&blocking_options))
            .await
            .map_err(|died| StartError::Transforms(died.to_string()))??;
        let Foundation {
            lock,
            budget,
            journal,
            catalog,
            deleted,
            logs,
            pool,
            disk,
            clock,
            folder,
            transforms,
            glue,
            vault,
            requests,
            loads,
        } = foundation;

        let mut s3_settings = options.s3;
        let embedded_s3 = match options.embedded_s3 {
            Some(embedded) => {
                let keys = (embedded.access_key.clone(), embedded.secret_key.clone());
                let server = crate::embedded::start(embedded).await.map_err(StartError::EmbeddedS3)?;
                if s3_settings.endpoint.is_none() {
                    s3_settings.endpoint = Some(format!("http://{}", server.addr()));
                    s3_settings.region = Some(options.rules.region.clone());
                    s3_settings.path_style = Some(true);
                    s3_settings.credentials = Some(crate::destination::s3::Credentials::fixed(&keys.0, &keys.1));
                }
                Some(server)
            }
            None => None,
        };
        let objects = Arc::new(S3Destination::new(s3_settings, clock.clone()));
        let destinations = Router { objects, requests, loads };
        let stop = StopSource::new();
        let mut tasks = TaskSet::default();
        let schemas = Arc::new(Schemas::new(options.schemas_dir, glue.clone()));
        if let Some(glue) = glue {
            let (catalog, schemas) = (catalog.clone(), schemas.clone());
            tasks.spawn("AWS Glue", glue.serve(move || wanted_tables(&catalog, &schemas), stop.stop()));
        }
        let context = Arc::new(DeliveryContext {
            learnt: LearntTables::new(disk.clone(), folder.streams()),
            disk: disk.clone(),
            streams_dir: folder.streams(),
            catalog: catalog.clone(),
            logs: logs.clone(),
            journal: journal.clone(),
            deleted,
            outbox: Arc::new(Outbox::new(disk, folder.streams(), budget)),
            destinations,
            transforms: transforms.clone(),
            schemas: schemas.clone(),
            clock: clock.clone(),
            region: options.rules.region.clone(),
            stages: StagePool::start(options.delivery.stage_slots).map_err(StartError::Threads)?,
            transform_stages: StagePool::start_behind(options.delivery.transform_slots).map_err(StartError::Threads)?,
            send_permits: Arc::new(Semaphore::new(options.delivery.send_slots)),
            failing_permits: Arc::new(Semaphore::new(options.delivery.send_slots.div_ceil(2))),
            options: options.delivery,
        });
        let (account_id, compatibility) = (options.rules.account_id.clone(), options.rules.compatibility);
        let control = Control::new(catalog.clone(), clock, options.rules, Folders { schemas, transforms, vault });
        for (i, request) in options.streams.into_iter().enumerate() {
            ensure_stream(&control, i, request).await?;
        }
        let supervisor = Supervisor::start(context).await?;

        let intake = Arc::new(LocalIntake::new(catalog, logs.clone(), compatibility));
        let admission = Admission::new(options.inflight_bytes, options.admission_wait);
        let ingest = Ingest::new(intake, admission, account_id);
        let api = Listener::bind(options.api).await?;
        let admin = Listener::bind(options.admin).await?;
        let (api_url, admin_url) = (api.url(), admin.url());
        let api_routes = Arc::new(Api::new(ingest, Arc::new(control.clone()), BodyLimits::default()));
        tasks.spawn("API listener", api.serve(api_routes, stop.stop()));
        tasks.spawn("admin listener", admin.serve(Arc::new(Admin::new(supervisor.clone())), stop.stop()));
        tasks.spawn("idle logs", close_idle_logs(logs, stop.stop()));
        Ok(Self { api_url, admin_url, embedded_s3, supervisor, pool, journal, control, stop, tasks, _lock: lock })
    }

    /// `http://…` of the API listener.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// `http://…` of the admin listener.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Address of the embedded S3, if there is one.
    pub fn s3_addr(&self) -> Option<SocketAddr> {
        self.embedded_s3.as_ref().map(EmbeddedS3::addr)
    }

    /// The API's operations, for commands of the same process.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The streams' status, for commands of the same process.
    pub fn deliveries(&self) -> &Arc<Supervisor> {
        &self.supervisor
    }

    /// Stops in order; returns when nothing runs any more.
    pub async fn stop(mut self) {
        self.stop.ask();
        for died in self.tasks.join_all().await {
            tracing::error!(%died, "a task of the service died");
        }
        self.supervisor.stop().await;
        let (pool, journal) = (self.pool.clone(), self.journal.clone());
        let stopped = tokio::task::spawn_blocking(move || {
            pool.stop();
            journal.stop();
        });
        if let Err(died) = stopped.await {
            tracing::error!(%died, "stopping log and journal died");
        }
        if let Some(server) = self.embedded_s3.take() {
            server.stop().await;
        }
    }
}

/// What is opened with blocking calls before anything runs.
struct Foundation {
    lock: FolderLock,
    budget: Arc<DiskBudget>,
    journal: Arc<Journal>,
    catalog: Arc<Catalog>,
    deleted: Arc<DeletedStreams>,
    logs: Arc<Logs>,
    pool: Arc<CommitPool>,
    disk: Arc<RealDisk>,
    clock: Arc<SystemClock>,
    folder: DataFolder,
    transforms: Arc<TransformFolder>,
    glue: Option<Arc<Glue>>,
    vault: Arc<Vault>,
    requests: Arc<HttpDestination>,
    loads: Arc<RedshiftDestination>,
}

impl Foundation {
    fn open(options: &AppOptions) -> Result<Self, StartError> {
        let disk = Arc::new(RealDisk);
        let folder = DataFolder::open(disk.as_ref(), options.data_dir.clone())?;
        let lock = FolderLock::take(folder.root()).map_err(DataFolderError::from)?;
        folder.check_format(disk.as_ref())?;
        let clock = Arc::new(SystemClock::new());
        let budget = DiskBudget::new(options.disk_budget_bytes, options.disk_reserve_bytes);
        let room = disk.room(folder.root()).ok().flatten();
        let file_bytes =
            room.map_or(u64::MAX, |room| room.total_bytes).min(options.disk_budget_bytes) / FILES_IN_BUDGET;
        if let Some(room) = room
            && budget.exceeds(room)
        {
            tracing::warn!(
                data_dir = %folder.root().display(), budget_bytes = budget.limit_bytes(),
                file_system_bytes = room.total_bytes, kept_for_deliveries_bytes = room.kept_bytes(),
                "the disk budget is larger than the file system: producers are throttled when that is nearly full"
            );
        }
        let budget = Arc::new(budget.on_file_system(disk.clone(), folder.root()));
        let roll_bytes = JournalOptions::default().roll_bytes.min(file_bytes);
        let journal_options = JournalOptions { budget: Some(budget.clone()), roll_bytes };
        let journal = Arc::new(Journal::open(disk.clone(), folder.journal(), journal_options)?);
        let catalog = Arc::new(Catalog::open(disk.clone(), folder.catalog())?);
        let rows = catalog.all();
        let has_row = |incarnation| rows.iter().any(|row| row.definition.incarnation == incarnation);
        let deleted = Arc::new(DeletedStreams::open(disk.clone(), folder.deleted(), has_row)?);
        let pool = CommitPool::start(COMMIT_THREADS).map_err(StartError::Threads)?;
        let log_options = LogOptions { segment_bytes: options.log.segment_bytes.min(file_bytes), ..options.log };
        let log_context =
            LogContext { disk: disk.clone(), budget: budget.clone(), clock: clock.clone(), options: log_options };
        let cursors = Arc::new(JournalCursors(journal.clone()));
        let logs = Logs::new(log_context, pool.clone(), folder.streams(), cursors);
        let code_dir = compiled_code::code_dir(disk.as_ref(), &folder.compiled());
        if let Some(dir) = &code_dir
            && let Err(error) = compiled_code::remove_unfinished(disk.as_ref(), dir)
        {
            tracing::warn!(dir = %dir.display(), "what a killed start left of compiled code is not removed: {error}");
        }
        let (dir, limits) = (options.transforms_dir.clone(), TransformLimits::default());
        let transforms =
            TransformFolder::keeping_code(dir, limits, code_dir).map_err(|e| StartError::Transforms(e.to_string()))?;
        let transforms = Arc::new(transforms);
        let glue = options.glue.clone().map(|glue| Glue::open(glue, disk.clone(), folder.tables(), clock.clone()));
        let glue = glue.transpose()?.map(Arc::new);
        let vault = Arc::new(Vault::new(disk.clone(), folder.secrets_key()));
        if vault.is_without_file() && rows.iter().any(|row| row.definition.has_hidden_secret()) {
            let what = "the key by which secrets of streams are hidden is missing: restore the file and start the service anew; \
                        another is made for new secrets, which will have to be given again behind that";
            tracing::warn!(path = %folder.secrets_key().display(), "{what}");
        }
        let requests = Arc::new(HttpDestination::new(options.http.clone(), vault.clone(), clock.clone())?);
        let loads = Arc::new(RedshiftDestination::new(options.redshift.clone(), vault.clone())?);
        Ok(Self {
            lock,
            budget,
            journal,
            catalog,
            deleted,
            logs,
            pool,
            disk,
            clock,
            folder,
            transforms,
            glue,
            vault,
            requests,
            loads,
        })
    }
}

/// The tables that the streams of the catalog name.
fn wanted_tables(catalog: &Catalog, schemas: &Schemas) -> Wanted {
    let mut wanted = Wanted::default();
    for row in catalog.all() {
        let Some(convert) = &row.definition.convert else { continue };
        let key = TableKey::of(&convert.schema);
        if wanted.in_use.insert(key.clone()) && schemas.is_of_glue(&convert.schema) {
            wanted.to_ask.push(key);
        }
    }
    wanted
}

async fn ensure_stream(control: &Control, index: usize, request: serde_json::Value) -> Result<(), StartError> {
    let name = request.get("DeliveryStreamName").and_then(|n| n.as_str()).map(str::to_owned);
    match control.ensure(request).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let name = name.unwrap_or_else(|| format!("number {}", index + 1));
            Err(StartError::Stream { name, message: error.message })
        }
    }
}

async fn close_idle_logs(logs: Arc<Logs>, stop: Stop) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(IDLE_SWEEP) => {}
            () = stop.asked() => return,
        }
        let logs = logs.clone();
        let swept = tokio::task::spawn_blocking(move || logs.close_idle(IDLE_LOG));
        if let Err(died) = swept.await {
            tracing::error!(%died, "closing idle logs died");
        }
    }
}
