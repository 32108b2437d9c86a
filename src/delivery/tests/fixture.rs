//! A node with real parts but the destination, which is a map with create-only semantics, and definitions for it.

use super::*;

/// Objects by key; a second object under a key is an error unless it is the same parcel again.
#[derive(Debug, Default)]
pub struct MemoryStore {
    pub objects: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    /// Errors to answer with, first one first; every second one is raised after the object was written.
    pub faults: Mutex<Vec<DeliveryError>>,
    /// What objects whose keys begin so are answered with, as long as it stands here.
    pub refused: Mutex<Option<(&'static str, DeliveryError)>>,
}

#[async_trait]
impl Destination for MemoryStore {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let mut bytes = vec![0; consignment.bytes.length_bytes() as usize];
        consignment.bytes.read_exact_at(&mut bytes, 0).map_err(|e| fault(&e.to_string(), Retry::Backoff))?;
        assert_eq!(bytes.len() as u64, consignment.parcel.length_bytes);
        assert_eq!(crc32c::crc32c(&bytes), consignment.parcel.crc32c);
        if let Some((prefix, error)) = &*self.refused.lock()
            && consignment.parcel.key.starts_with(prefix)
        {
            return Err(error.clone());
        }
        let (fault, before) = {
            let mut faults = self.faults.lock();
            (faults.pop(), faults.len().is_multiple_of(2))
        };
        if let Some(fault) = &fault
            && before
        {
            return Err(fault.clone());
        }
        let object = (consignment.parcel_id(), bytes);
        let mut objects = self.objects.lock();
        let known = objects.entry(consignment.parcel.key.clone()).or_insert_with(|| object.clone());
        assert_eq!(*known, object, "two contents under {}", consignment.parcel.key);
        fault.map_or(Ok(()), Err)
    }
}

/// A stage that cannot go through a record with this in it. In the way of every object that a test makes.
pub const POISON: &str = "poison for a stage";

/// Panics if a record is poison.
pub fn panic_at_poison(chunk: &crate::record::Chunk) {
    let is_poison = |bytes: &[u8]| memchr::memmem::find(bytes, POISON.as_bytes()).is_some();
    assert!(!chunk.iter().any(|(_, bytes)| is_poison(bytes)), "a record is poison");
}

pub fn fault(text: &str, retry: Retry) -> DeliveryError {
    DeliveryError {
        code: "S3.Test".to_owned(),
        message: text.to_owned(),
        class: Class::Upstream,
        retry,
        not_before: None,
    }
}

impl MemoryStore {
    /// All records of the objects that are not a source backup's, split at newlines.
    pub fn lines(&self) -> Vec<String> {
        self.lines_of(|key| !key.starts_with("copy/"))
    }

    /// All records of source backups' objects, split at newlines.
    pub fn backup_lines(&self) -> Vec<String> {
        self.lines_of(|key| key.starts_with("copy/"))
    }

    fn lines_of(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, (_, bytes)) in self.objects.lock().iter().filter(|(key, _)| is_wanted(key)) {
            let mut text = String::new();
            if key.ends_with(".gz") {
                flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            } else {
                text = String::from_utf8(bytes.clone()).unwrap();
            }
            lines.extend(text.lines().map(str::to_owned));
        }
        lines
    }
}

/// Longest that anything may take; only a hang reaches it.
pub const HANG: Duration = Duration::from_secs(120);

/// A node over a disk and a store that outlive it.
pub struct Node {
    pub context: Arc<DeliveryContext>,
    pub supervisor: Arc<Supervisor>,
    pub pool: Arc<CommitPool>,
}

impl Node {
    pub async fn start(disk: Arc<dyn Disk>, root: PathBuf, store: Arc<dyn Destination>) -> Result<Self, String> {
        Self::start_by(disk, root, store, Arc::new(SystemClock::new())).await
    }

    pub async fn start_by(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        store: Arc<dyn Destination>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        Self::start_routed(disk, root, Router::to(store), clock).await
    }

    /// One whose parcels of several kinds go to several destinations.
    pub async fn start_routed(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        destinations: Router,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let budget = Arc::new(DiskBudget::unlimited());
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let journal = Arc::new(
            Journal::open(disk.clone(), root.join("journal"), JournalOptions::default()).map_err(|e| text(&e))?,
        );
        let catalog = Arc::new(Catalog::open(disk.clone(), root.join("catalog")).map_err(|e| text(&e))?);
        let rows = catalog.all();
        let has_row = |incarnation| rows.iter().any(|row| row.definition.incarnation == incarnation);
        let deleted = DeletedStreams::open(disk.clone(), root.join("deleted.json"), has_row).map_err(|e| text(&e))?;
        let pool = CommitPool::start(2).unwrap();
        let log_context = LogContext {
            disk: disk.clone(),
            budget: budget.clone(),
            clock: clock.clone(),
            options: LogOptions { segment_bytes: 2048, ..LogOptions::default() },
        };
        let cursors = Arc::new(JournalCursors(journal.clone()));
        let options = DeliveryOptions {
            backoff_first: Duration::from_micros(100),
            backoff_longest: Duration::from_millis(1),
            operator_pause: Duration::from_millis(1),
            ..DeliveryOptions::default()
        };
        let context = Arc::new(DeliveryContext {
            streams_dir: root.join("streams"),
            catalog,
            logs: Logs::new(log_context, pool.clone(), root.join("streams"), cursors),
            journal,
            deleted: Arc::new(deleted),
            outbox: Arc::new(Outbox::new(disk.clone(), root.join("streams"), budget)),
            destinations,
            transforms: Arc::new(TransformFolder::new(root.join("transforms"), TransformLimits::default()).unwrap()),
            schemas: Arc::new(Schemas::new(root.join("schemas"), None)),
            learnt: LearntTables::new(disk.clone(), root.join("streams")),
            clock,
            region: "us-east-1".to_owned(),
            stages: StagePool::start(2).map_err(|e| text(&e))?,
            transform_stages: StagePool::start(2).map_err(|e| text(&e))?,
            send_permits: Arc::new(Semaphore::new(4)),
            failing_permits: Arc::new(Semaphore::new(2)),
            options,
            disk,
        });
        let supervisor = Supervisor::start(context.clone()).await.map_err(|e| text(&e))?;
        Ok(Self { context, supervisor, pool })
    }

    /// One over the real disk.
    pub async fn in_folder(dir: &Path, store: &Arc<MemoryStore>) -> Self {
        Self::start(Arc::new(RealDisk), dir.to_owned(), store.clone()).await.unwrap()
    }

    /// A new one: its folder, its store, and itself.
    pub async fn new() -> (tempfile::TempDir, Arc<MemoryStore>, Self) {
        let (dir, store) = (tempfile::tempdir().unwrap(), Arc::new(MemoryStore::default()));
        let node = Self::in_folder(dir.path(), &store).await;
        (dir, store, node)
    }

    pub fn create(&self, definition: Definition) -> Result<(), String> {
        let record = StreamRecord {
            definition: Arc::new(definition),
            status: Status::Active,
            created_ms: 0,
            updated_ms: None,
            request: serde_json::Value::Null,
            tags: BTreeMap::new(),
        };
        self.context.catalog.create(record, None).map(drop).map_err(|e| e.to_string())
    }

    /// Makes the next revision of a stream out of its newest one.
    pub fn redefine(&self, name: &str, change: impl FnOnce(&mut Definition)) -> Result<Definition, String> {
        let row = self.context.catalog.find(name).ok_or("no such stream")?;
        let mut definition = Definition::clone(&row.definition);
        change(&mut definition);
        definition.follow(&row.definition);
        let (request, tags) = (row.request.clone(), row.tags.clone());
        let new = Redefinition { definition: definition.clone(), request, tags, updated_ms: 1 };
        self.context.catalog.redefine(new).map_err(|error| error.to_string())?;
        Ok(definition)
    }

    pub async fn put<R: AsRef<[u8]>>(&self, incarnation: Incarnation, records: &[R]) -> Result<(), String> {
        let log = self.context.logs.get(incarnation).await.map_err(|e| e.to_string())?;
        let body = FrameBody {
            lengths: records.iter().map(|r| r.as_ref().len() as u32).collect(),
            payload: records.iter().flat_map(|r| r.as_ref()).copied().collect(),
            extensions: Vec::new(),
        };
        log.append(body).await.map(drop).map_err(|e| e.to_string())
    }

    /// The stream's lane, with its log open.
    pub async fn lane(&self, incarnation: Incarnation) -> LocalLane {
        let log = self.context.logs.get(incarnation).await.unwrap();
        self.context.logs.lane(log, LaneId::direct_put(incarnation))
    }

    /// Waits until `done` holds for the stream.
    pub async fn until(&self, name: &str, done: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
        let began = std::time::Instant::now();
        loop {
            let status = self.supervisor.stream(name);
            if let Some(status) = status.clone().filter(&done) {
                return status;
            }
            assert!(began.elapsed() < HANG, "{name} does not get there: {status:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub async fn stop(self) {
        self.supervisor.stop().await;
        let (pool, journal) = (self.pool, self.context.journal.clone());
        tokio::task::spawn_blocking(move || {
            pool.stop();
            journal.stop();
        })
        .await
        .unwrap();
    }
}

pub fn definition(name: &str, compression: Compression, size_bytes: u64, interval_ms: u64) -> Definition {
    Definition {
        name: name.parse::<StreamName>().unwrap(),
        incarnation: Incarnation::random(),
        revision: 1,
        arn: format!("arn:aws:firehose:us-east-1:000000000000:deliverystream/{name}"),
        hints: Hints { size_bytes, interval_ms },
        s3: S3Target {
            bucket: "b".to_owned(),
            prefix: String::new(),
            error_prefix: None,
            time_zone: TimeZone::UTC,
            file_extension: String::new(),
            compression,
            kms_key: None,
        },
        processors: Processors::default(),
        transform: None,
        convert: None,
        target_object_bytes: None,
        backup: None,
        partitioning: None,
        http: None,
        redshift: None,
    }
}

/// A source backup into the bucket `backup` below `copy/`, in objects of this size.
pub fn backup(compression: Compression, size_bytes: u64, interval_ms: u64) -> BackupSpec {
    let s3 = S3Target {
        bucket: "backup".to_owned(),
        prefix: "copy/".to_owned(),
        error_prefix: None,
        file_extension: String::new(),
        compression,
        kms_key: None,
        time_zone: TimeZone::UTC,
    };
    BackupSpec { hints: Hints { size_bytes, interval_ms }, s3, since_revision: 1 }
}

pub fn records(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|i| format!("record {i} {}\n", "y".repeat(i % 90))).collect()
}
