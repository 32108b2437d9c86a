//! Tables of a Glue that answers well, badly and not at all.

use super::super::glue::{KeptTable, KeptTables, TableKey, Wanted};
use super::super::{Glue, GlueSettings, LookupError, Schemas};
use super::columns;
use super::server::{Reply, Server};
use crate::clock::SystemClock;
use crate::destination::s3::Credentials;
use crate::disk::faulty::FaultyDisk;
use crate::disk::{Disk, DiskFile, Entry, RealDisk, create_dir_durable};
use crate::fault::{Fault, Retry};
use crate::stream::definition::SchemaRef;
use crate::task::{StopSource, TaskSet};
use serde_json::json;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// For what takes moments.
const DEADLINE: Duration = Duration::from_secs(120);
const SECRET: &str = "sesame-open-wide";

fn wanted(table: &str, version_id: &str) -> SchemaRef {
    SchemaRef {
        catalog_id: "123456789012".to_owned(),
        database: "shop".to_owned(),
        table: table.to_owned(),
        region: "eu-west-1".to_owned(),
        version_id: version_id.to_owned(),
        role_arn: "arn:aws:iam::123456789012:role/r".to_owned(),
    }
}

fn table(version: &str, column: &str) -> Reply {
    let columns = json!([{"Name": "id", "Type": "bigint"}, {"Name": column, "Type": "string"}]);
    let table = json!({"Name": "t", "VersionId": version, "StorageDescriptor": {"Columns": columns}});
    Reply::Answer(200, json!({"Table": table}).to_string())
}

fn refused(exception: &str, message: &str) -> Reply {
    Reply::Answer(400, json!({"__type": exception, "Message": message}).to_string())
}

/// Schemas with a Glue whose task runs.
struct Running {
    schemas: Arc<Schemas>,
    stop: StopSource,
    tasks: TaskSet,
}

impl Running {
    fn start(dir: &Path, url: &str, change: impl FnOnce(&mut GlueSettings)) -> Self {
        Self::start_on(Arc::new(RealDisk), dir, url, wanted("t", "LATEST"), change)
    }

    /// With kept tables on `disk`; streams name the table `in_use`.
    fn start_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        url: &str,
        in_use: SchemaRef,
        change: impl FnOnce(&mut GlueSettings),
    ) -> Self {
        let mut settings = GlueSettings {
            endpoint: Some(url.to_owned()),
            credentials: Some(Credentials::fixed("AKIDGLUE", SECRET)),
            answer_timeout_ms: Some(20_000),
            ..GlueSettings::default()
        };
        change(&mut settings);
        let glue = Glue::open(settings, disk, dir.join("tables"), Arc::new(SystemClock::new()));
        let glue = Arc::new(glue.unwrap());
        let schemas = Arc::new(Schemas::new(dir.join("schemas"), Some(Arc::clone(&glue))));
        let (stop, mut tasks) = (StopSource::new(), TaskSet::default());
        let key = TableKey::of(&in_use);
        let in_use = move || Wanted { in_use: [key.clone()].into(), to_ask: vec![key.clone()] };
        tasks.spawn("glue", glue.serve(in_use, stop.stop()));
        Self { schemas, stop, tasks }
    }

    async fn current(&self, wanted: SchemaRef) -> Result<super::super::Found, LookupError> {
        let schemas = Arc::clone(&self.schemas);
        tokio::task::spawn_blocking(move || schemas.current(&wanted)).await.unwrap()
    }

    async fn newest(&self, wanted: SchemaRef) -> Result<super::super::Found, LookupError> {
        let schemas = Arc::clone(&self.schemas);
        tokio::task::spawn_blocking(move || schemas.newest(&wanted)).await.unwrap()
    }

    /// Looks until a cut would see what `seen` waits for.
    async fn until(&self, seen: impl Fn(&Schemas) -> bool) {
        let polled = async {
            while !seen(&self.schemas) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, polled).await.expect("it never came");
    }

    async fn stop(mut self) {
        self.stop.ask();
        let died = self.tasks.join_all().await;
        assert!(died.is_empty(), "{died:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_asked_for_with_a_signed_call_and_kept() {
    let (server, dir) = (Server::start(table("3", "name")).await, tempfile::tempdir().unwrap());
    let running = Running::start(dir.path(), &server.url, |_| {});
    let found = running.newest(wanted("t", "LATEST")).await.unwrap();
    assert_eq!(columns(&found.schema), ["id bigint", "name string"]);
    assert_eq!(found.glue_version.as_deref(), Some("3"));
    let asked = server.asked();
    let call = asked.last().unwrap();
    assert_eq!(call.body, json!({"CatalogId": "123456789012", "DatabaseName": "shop", "Name": "t"}));
    for part in [
        "post / http/1.1",
        "x-amz-target: awsglue.gettable\r\n",
        "content-type: application/x-amz-json-1.1\r\n",
        "authorization: aws4-hmac-sha256 credential=akidglue/",
        "/eu-west-1/glue/aws4_request, signedheaders=content-type;host;x-amz-date;x-amz-target, signature=",
    ] {
        assert!(call.head.contains(part), "{part} is not in {}", call.head);
    }
    let shown = format!("{:?}", running.schemas);
    assert!(!call.head.contains(SECRET) && !shown.contains(SECRET) && !shown.contains("AKIDGLUE"), "{shown}");
    running.stop().await;

    // After a restart it is there without Glue, at once.
    drop(server);
    let running = Running::start(dir.path(), "http://127.0.0.1:1", |_| {});
    assert_eq!(running.current(wanted("t", "LATEST")).await.unwrap(), found);
    running.until(|schemas| schemas.problem(&wanted("t", "LATEST")).is_some()).await;
    assert_eq!(running.current(wanted("t", "LATEST")).await.unwrap(), found);
    let error = running.newest(wanted("t", "LATEST")).await.unwrap_err();
    assert_eq!(error.code(), "DataFormatConversion.GlueNotAvailableInRegion");
    assert!(error.to_string().contains("127.0.0.1:1") && !format!("{error:?}").contains(SECRET), "{error}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_table_is_adopted_and_no_failure_takes_it_away() {
    let (server, dir) = (Server::start(table("1", "old")).await, tempfile::tempdir().unwrap());
    let running = Running::start(dir.path(), &server.url, |settings| {
        settings.refresh_ms = Some(50);
        settings.answer_timeout_ms = Some(1_000);
    });
    let this = || wanted("t", "LATEST");
    // A single call may well take longer than the time for answers, which one of the replies below is to exceed.
    let version =
        |schemas: &Schemas| schemas.current(&this()).ok().and_then(|table| table.glue_version).unwrap_or_default();
    running.until(|schemas| version(schemas) == "1").await;
    server.answer(table("2", "new"));
    running.until(|schemas| version(schemas) == "2").await;
    let found = running.current(this()).await.unwrap();
    assert_eq!(columns(&found.schema), ["id bigint", "new string"]);
    for (reply, code) in [
        (refused("EntityNotFoundException", "Table t not found."), "EntityNotFoundException"),
        (refused("AccessDeniedException", "no"), "AccessDeniedException"),
        (Reply::Answer(500, "{}".to_owned()), "Status Code: 500"),
        (Reply::Answer(200, "<html>".to_owned()), "not JSON"),
        (Reply::Truncated("{\"Table\": {}}".to_owned()), "broke off"),
        (Reply::Close, "cannot be asked"),
        (Reply::Silence, "did not answer within 1000 ms"),
    ] {
        server.answer(reply);
        running.until(|schemas| schemas.problem(&this()).is_some_and(|problem| problem.contains(code))).await;
        assert_eq!(running.current(this()).await.unwrap(), found, "{code}");
    }
    server.answer(table("3", "newer"));
    running.until(|schemas| version(schemas) == "3").await;
    assert_eq!(running.schemas.problem(&this()), None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_asked_for_by_name_and_only_once() {
    let (server, dir) = (Server::start(Reply::Close).await, tempfile::tempdir().unwrap());
    let running = Running::start(dir.path(), &server.url, |_| {});
    let columns = json!([{"Name": "id", "Type": "int"}]);
    let old = json!({"TableVersion": {"Table": {"StorageDescriptor": {"Columns": columns}}, "VersionId": "7"}});
    server.answer(Reply::Answer(200, old.to_string()));
    let found = running.newest(wanted("v", "7")).await.unwrap();
    assert_eq!(found.glue_version.as_deref(), Some("7"));
    // The other table is asked for by itself.
    let last = |name: &str| {
        let mut asked = server.asked().into_iter().rev();
        asked.find(|call| [&call.body["TableName"], &call.body["Name"]].contains(&&json!(name))).unwrap()
    };
    let call = last("v");
    assert!(call.head.contains("x-amz-target: awsglue.gettableversion"), "{}", call.head);
    let expected = json!({"CatalogId": "123456789012", "DatabaseName": "shop", "TableName": "v", "VersionId": "7"});
    assert_eq!(call.body, expected);
    server.answer(refused("EntityNotFoundException", "Version not found."));
    assert_eq!(running.newest(wanted("v", "8")).await.unwrap_err().code(), "DataFormatConversion.InvalidVersionId");
    // Nobody's account: the catalog is that of the keys.
    let mut own = wanted("x", "LATEST");
    own.catalog_id = "000000000000".to_owned();
    running.newest(own).await.unwrap_err();
    assert_eq!(last("x").body, json!({"DatabaseName": "shop", "Name": "x"}));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_wins_over_glue() {
    let (server, dir) = (Server::start(table("3", "name")).await, tempfile::tempdir().unwrap());
    let running = Running::start(dir.path(), &server.url, |_| {});
    std::fs::create_dir(dir.path().join("schemas")).unwrap();
    let file = dir.path().join("schemas/shop.u.sql");
    std::fs::write(&file, "create table u (own int)").unwrap();
    let found = running.newest(wanted("u", "LATEST")).await.unwrap();
    assert_eq!((columns(&found.schema), found.glue_version), (vec!["own int".to_owned()], None));
    assert!(!running.schemas.is_of_glue(&wanted("u", "LATEST")));
    std::fs::write(&file, "create table u (own wrong)").unwrap();
    assert!(matches!(running.newest(wanted("u", "LATEST")).await, Err(LookupError::Folder(_))));
    assert!(server.asked().iter().all(|call| call.body["Name"] != "u"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_told_is_asked_for_without_a_wait_and_comes_when_glue_answers() {
    let (server, dir) =
        (Server::start(refused("ThrottlingException", "slow down")).await, tempfile::tempdir().unwrap());
    let running = Running::start(dir.path(), &server.url, |_| {});
    // The answer is not waited for, though it comes at once.
    let error = running.current(wanted("late", "LATEST")).await.unwrap_err();
    assert!(error.to_string().contains("has not answered yet") && error.retry() == Retry::Backoff, "{error}");
    running.until(|schemas| code_now(schemas, "late") == Some("DataFormatConversion.ThrottledByGlue")).await;
    server.answer(table("1", "name"));
    running.until(|schemas| schemas.current(&wanted("late", "LATEST")).is_ok()).await;
    running.stop().await;
}

/// Why a cut cannot have the newest version of a table.
fn code_now(schemas: &Schemas, table: &str) -> Option<&'static str> {
    schemas.current(&wanted(table, "LATEST")).err().map(|error| error.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_older_than_the_question_does_not_answer_it() {
    let (server, dir) = (Server::start(refused("AccessDeniedException", "no")).await, tempfile::tempdir().unwrap());
    let running = Running::start(dir.path(), &server.url, |settings| settings.answer_timeout_ms = Some(3_600_000));
    let this = || wanted("u", "LATEST");
    assert_eq!(running.newest(this()).await.unwrap_err().code(), "DataFormatConversion.AccessDenied");
    server.answer(Reply::Silence);
    let asked = || server.asked().iter().filter(|call| call.body["Name"] == "u").count();
    let before = asked();
    let schemas = Arc::clone(&running.schemas);
    let waiting = tokio::task::spawn_blocking(move || schemas.newest(&this()));
    running.until(|_| asked() > before).await;
    running.stop().await;
    let error = waiting.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("has not answered yet"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_could_not_be_written_is_written_later() {
    for version_id in ["LATEST", "3"] {
        let (server, dir) = (Server::start(Reply::Close).await, tempfile::tempdir().unwrap());
        let told = json!({"VersionId": "3", "StorageDescriptor": {"Columns": [{"Name": "id", "Type": "int"}]}});
        server.answer(Reply::Answer(200, json!({"Table": told, "TableVersion": {"Table": told}}).to_string()));
        let (disk, tables) = (FaultyDisk::new(), dir.path().join("tables"));
        create_dir_durable(&disk, &tables).unwrap();
        disk.disk_full_after(0);
        let kept = || disk.list(&tables).unwrap().iter().filter(|entry| entry.name.ends_with(".json")).count();
        let running =
            Running::start_on(Arc::new(disk.clone()), dir.path(), &server.url, wanted("t", version_id), |settings| {
                settings.refresh_ms = Some(50);
            });
        running.newest(wanted("t", version_id)).await.unwrap();
        assert_eq!(kept(), 0);
        disk.clear_faults();
        running.until(|_| kept() == 1).await;
        // Not again and again: nothing changed.
        running.newest(wanted("t", version_id)).await.unwrap();
        let operations = disk.operations();
        running.newest(wanted("t", version_id)).await.unwrap();
        assert_eq!(disk.operations(), operations, "{version_id}");
        running.stop().await;
    }
}

/// A disk that removes no file until it is let go.
#[derive(Debug, Default)]
struct Held {
    disk: FaultyDisk,
    reached: AtomicBool,
    released: AtomicBool,
}

impl Disk for Held {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create_new(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.reached.store(true, Ordering::SeqCst);
        while !self.released.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_removal_holds_no_cut_up() {
    let (server, dir) = (Server::start(table("3", "name")).await, tempfile::tempdir().unwrap());
    let disk = Held::default();
    let key = TableKey::of(&wanted("unwanted", "LATEST"));
    let schema = Arc::new(crate::stage::convert::ddl::parse_table("create table t (id int)").unwrap());
    let (kept, _) = KeptTables::open(Arc::new(disk.disk.clone()), dir.path().join("tables")).unwrap();
    kept.keep(&KeptTable { key, version: None, told_ms: 0, schema }).unwrap();
    let disk = Arc::new(disk);
    let held: Arc<dyn Disk> = disk.clone();
    let running = Running::start_on(held, dir.path(), &server.url, wanted("t", "LATEST"), |_| {});
    running.until(|_| disk.reached.load(Ordering::SeqCst)).await;
    let looked = tokio::time::timeout(DEADLINE, running.current(wanted("t", "LATEST"))).await;
    disk.released.store(true, Ordering::SeqCst);
    assert!(looked.is_ok(), "a cut waits for the disk");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_every_wait() {
    let (server, dir) = (Server::start(Reply::Silence).await, tempfile::tempdir().unwrap());
    let running = Running::start(dir.path(), &server.url, |settings| settings.answer_timeout_ms = Some(3_600_000));
    let schemas = Arc::clone(&running.schemas);
    let waiting = tokio::task::spawn_blocking(move || schemas.newest(&wanted("t", "LATEST")));
    while server.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    running.stop().await;
    assert!(waiting.await.unwrap().is_err());
}
