//! Redshift: a server of as much of the PostgreSQL protocol as a load needs, with the ledger and what is committed, that
//! plays troubles. The suite `redshift` of `tests/run` does the like with a real PostgreSQL.

use super::{Held, Outside, Trouble};
use async_trait::async_trait;
use hydrant::control::{Rules, plan};
use hydrant::destination::redshift::{RedshiftDestination, RedshiftSettings};
use hydrant::destination::{Consignment, Destination, ParcelBytes};
use hydrant::disk::RealDisk;
use hydrant::stream::definition::{CopyCommand, Definition, LoadMethod};
use hydrant::stream::seal::{Load, Parcel, ParcelKind, Place};
use hydrant::stream::{Id128, SealId};
use hydrant::vault::Vault;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedMutexGuard;

pub const PASSWORD: &str = "sesame";
/// What a talkative cluster says of records.
pub const QUOTED: &str = "row 17 is odd";

#[derive(Default)]
pub struct Cluster {
    /// COPY statements, as they came.
    pub copies: Mutex<Vec<String>>,
    /// What a COPY is refused with that holds this text: SQLSTATE and message.
    pub refused: Mutex<Vec<(&'static str, &'static str, &'static str)>>,
    /// Says something beside its answers, of the password behind the login and of records while they come.
    pub is_talkative: AtomicBool,
    /// Says why, and ends the next session in which rows come.
    pub dies: AtomicBool,
    /// The next session is reset where rows come.
    pub resets: AtomicBool,
    troubles: Mutex<VecDeque<Trouble>>,
    has_ledger: Mutex<bool>,
    /// Rows by lane; whoever changes one in a transaction holds it until the end of that.
    rows: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Row>>>>,
    loaded: Mutex<BTreeMap<String, Held>>,
}

/// seq, parcel, loaded.
type Row = (u64, String, bool);

pub struct Redshift {
    pub cluster: Arc<Cluster>,
    pub definition: Arc<Definition>,
    vault: Arc<Vault>,
    accepting: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Redshift {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Redshift {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let cluster = Arc::new(Cluster::default());
        let serving = cluster.clone();
        let accepting = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let session = Session { cluster: serving.clone(), client, change: None, copied: Vec::new() };
                sessions.spawn(session.serve());
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::new(Arc::new(RealDisk), folder.path().join("secrets.key")));
        let role = "arn:aws:iam::000000000000:role/r";
        let request = serde_json::json!({
            "DeliveryStreamName": "s",
            "RedshiftDestinationConfiguration": {
                "RoleARN": role,
                "ClusterJDBCURL": format!("jdbc:redshift://{addr}/dev"),
                "CopyCommand": {"DataTableName": "t"},
                "Username": "u",
                "Password": PASSWORD,
                "S3Configuration": {"RoleARN": role, "BucketARN": "arn:aws:s3:::b"},
            },
        });
        let mut definition = plan(&Rules::default(), Id128([1; 16]), request).unwrap().definition;
        definition.redshift.as_mut().unwrap().password = Some(vault.hide(PASSWORD).unwrap());
        Self { cluster, definition: Arc::new(definition), vault, accepting, _folder: folder }
    }
}

impl Cluster {
    fn refusal(&self, statement: &str) -> Option<(&'static str, &'static str)> {
        let refused = self.refused.lock();
        refused.iter().find(|(part, ..)| statement.contains(part)).map(|(_, state, text)| (*state, *text))
    }
}

/// A transaction: the row it holds, and what that becomes.
struct Change {
    row: OwnedMutexGuard<Row>,
    to: Row,
}

struct Session {
    cluster: Arc<Cluster>,
    client: TcpStream,
    change: Option<Change>,
    /// What COPY was sent.
    copied: Vec<u8>,
}

/// A message: its kind, its length, its content.
fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32 + 4).to_be_bytes();
    [&[kind], &length[..], content].concat()
}

fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

fn error(state: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{state}\0M{text}\0\0").as_bytes())
}

fn notice(text: &str) -> Vec<u8> {
    message(b'N', format!("SNOTICE\0VNOTICE\0C00000\0M{text}\0\0").as_bytes())
}

/// The text between `before` and `behind`.
fn between<'a>(text: &'a str, before: &str, behind: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(behind)).map_or("", |(found, _)| found)
}

impl Session {
    async fn serve(mut self) {
        let Some(_startup) = self.read_content().await else { return };
        let trouble = self.cluster.troubles.lock().pop_front();
        self.send(&message(b'R', &3u32.to_be_bytes())).await;
        let Some((b'p', password)) = self.read().await else { return };
        assert_eq!(password, format!("{PASSWORD}\0").as_bytes());
        let ready = message(b'Z', b"I");
        self.send(&[message(b'R', &0u32.to_be_bytes()), message(b'K', &[0; 8]), ready.clone()].concat()).await;
        if self.cluster.is_talkative.load(SeqCst) {
            self.send(&notice(&format!("welcome, {PASSWORD}"))).await;
        }
        let (mut is_copying, mut statement) = (false, String::new());
        while let Some((kind, content)) = self.read().await {
            let text = String::from_utf8_lossy(&content).into_owned();
            let answer = match kind {
                b'Q' if text.starts_with("COMMIT") => {
                    let Some(answer) = self.commit(trouble).await else { return };
                    answer
                }
                b'Q' => [self.query(text.trim_end_matches('\0')).await, ready.clone()].concat(),
                // One statement: COPY.
                b'P' => {
                    statement = text.split('\0').nth(1).unwrap_or_default().to_owned();
                    assert!(statement.starts_with("COPY "), "{statement}");
                    self.cluster.copies.lock().push(statement.clone());
                    message(b'1', &[])
                }
                b'D' => [message(b't', &[0, 0]), message(b'n', &[])].concat(),
                b'B' => message(b'2', &[]),
                b'E' if trouble == Some(Trouble::Refuse) => error("53100", "Disk Full"),
                b'E' => match self.cluster.refusal(&statement) {
                    Some((state, text)) => error(state, text),
                    None => {
                        is_copying = true;
                        message(b'G', &[0, 0, 0])
                    }
                },
                // As the protocol has it: no copying, no copied data; while copying, no sync.
                b'd' | b'c' | b'f' if !is_copying => continue,
                b'S' if is_copying => continue,
                b'd' if trouble == Some(Trouble::CutOff) => return,
                b'd' if self.cluster.resets.swap(false, SeqCst) => return self.client.set_zero_linger().unwrap(),
                b'd' if self.cluster.dies.swap(false, SeqCst) => {
                    self.send(&error("57P01", "terminating connection due to administrator command")).await;
                    let _ = self.client.shutdown().await;
                    // Unread bytes would take what was said with them.
                    while let Ok(1..) = self.client.read(&mut [0; 4096]).await {}
                    return;
                }
                b'd' => {
                    if self.cluster.is_talkative.load(SeqCst) {
                        self.send(&notice(QUOTED)).await;
                    }
                    self.copied.extend_from_slice(&content);
                    continue;
                }
                b'c' | b'f' => {
                    is_copying = false;
                    if kind == b'c' { complete("COPY 1") } else { error("57014", "COPY from stdin failed") }
                }
                b'S' => ready.clone(),
                b'C' => message(b'3', &[]),
                _ => return,
            };
            if trouble == Some(Trouble::Slow) {
                for byte in answer {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    self.send(&[byte]).await;
                }
                continue;
            }
            self.send(&answer).await;
        }
    }

    /// The end of a load; `None`: the session ends with it.
    async fn commit(&mut self, trouble: Option<Trouble>) -> Option<Vec<u8>> {
        if trouble == Some(Trouble::Hang) {
            let _ = self.client.read(&mut [0; 1]).await;
            return None;
        }
        if let Some(Change { mut row, to }) = self.change.take() {
            if to.2 {
                let mut loaded = self.cluster.loaded.lock();
                let held = loaded.entry(to.1.clone()).or_insert_with(|| Held { bytes: Vec::new(), times: 0 });
                held.bytes.clone_from(&self.copied);
                held.times += 1;
            }
            *row = to;
        }
        let answer = [complete("COMMIT"), message(b'Z', b"I")].concat();
        match trouble {
            Some(Trouble::ReplyLost) => None,
            Some(Trouble::CutAnswer) => {
                self.send(&answer[..7]).await;
                None
            }
            Some(Trouble::WrongAnswer) => {
                self.send(b"HTTP/1.1 200 OK\r\n\r\n").await;
                None
            }
            _ => Some(answer),
        }
    }

    /// What is asked of the ledger.
    async fn query(&mut self, sql: &str) -> Vec<u8> {
        if sql.starts_with("SET tcp_keepalives_idle") {
            return error("42704", "unrecognized configuration parameter");
        }
        if sql.starts_with("ROLLBACK") {
            self.change = None;
        }
        if sql.starts_with("CREATE TABLE IF NOT EXISTS hydrant_loads") {
            *self.cluster.has_ledger.lock() = true;
        }
        let lane = between(sql, "lane = '", "'").to_owned();
        if sql.starts_with("BEGIN; LOCK TABLE hydrant_loads; INSERT INTO hydrant_loads") {
            self.cluster.rows.lock().entry(lane).or_default();
            return ["BEGIN", "LOCK TABLE", "INSERT 0 1", "COMMIT"].map(complete).concat();
        }
        let row = self.cluster.rows.lock().get(&lane).cloned();
        if sql.starts_with("UPDATE hydrant_loads") {
            if !*self.cluster.has_ledger.lock() {
                return error("42P01", "relation \"hydrant_loads\" does not exist");
            }
            let Some(row) = row else { return complete("UPDATE 0") };
            let row = row.lock_owned().await;
            let seq = between(sql, "seq = ", ",").parse().unwrap();
            let to = (seq, between(sql, "parcel = '", "'").to_owned(), between(sql, "loaded = ", " ") == "true");
            if row.0 < seq || row.0 == seq && row.1 == to.1 && !row.2 {
                self.change = Some(Change { row, to });
                return complete("UPDATE 1");
            }
            return complete("UPDATE 0");
        }
        if sql.starts_with("SELECT seq") {
            let Some(row) = row else { return complete("SELECT 0") };
            let (seq, parcel, loaded) = row.lock().await.clone();
            let mut columns = 3u16.to_be_bytes().to_vec();
            let mut values = columns.clone();
            for (name, value) in [("seq", seq.to_string()), ("parcel", parcel), ("case", u8::from(loaded).to_string())]
            {
                columns.extend_from_slice(name.as_bytes());
                // Its end, table, column, type text, size, modifier, format.
                columns
                    .extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
                values.extend_from_slice(&(value.len() as u32).to_be_bytes());
                values.extend_from_slice(value.as_bytes());
            }
            return [message(b'T', &columns), message(b'D', &values), complete("SELECT 1")].concat();
        }
        complete("DONE")
    }

    async fn send(&mut self, bytes: &[u8]) {
        // Who does not read any more is seen when it is read from.
        let _ = self.client.write_all(bytes).await;
    }

    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let kind = self.client.read_u8().await.ok()?;
        Some((kind, self.read_content().await?))
    }

    async fn read_content(&mut self) -> Option<Vec<u8>> {
        let length = self.client.read_u32().await.ok()?;
        let mut content = vec![0; length as usize - 4];
        self.client.read_exact(&mut content).await.ok()?;
        Some(content)
    }
}

#[async_trait]
impl Outside for Redshift {
    async fn meeting(&self, troubles: &[Trouble]) -> Arc<dyn Destination> {
        *self.cluster.troubles.lock() = troubles.iter().copied().collect();
        let hangs = troubles.contains(&Trouble::Hang);
        let settings = RedshiftSettings { load_timeout_ms: hangs.then_some(4_000), ..RedshiftSettings::default() };
        Arc::new(RedshiftDestination::new(settings, self.vault.clone()).unwrap())
    }

    fn parcel(&self, bytes: Arc<dyn ParcelBytes>, crc32c: u32) -> Consignment {
        let seal = SealId::random();
        let load = Load {
            lane: format!("{seal}/put"),
            sequence: 1,
            manifest_key: "manifests/m".to_owned(),
            object_key: "o".to_owned(),
            copy: CopyCommand { table: "t".to_owned(), columns: String::new(), options: String::new() },
            method: LoadMethod::CopyFromStdin,
            ledger: "hydrant_loads".to_owned(),
            source_bytes: 1,
            oldest_arrival_ms: 1,
        };
        let parcel = Parcel {
            number: 2,
            kind: ParcelKind::Load(load),
            bucket: "b".to_owned(),
            key: seal.parcel_uuid(2),
            content_type: "application/octet-stream".to_owned(),
            content_encoding: None,
            kms_key: None,
            length_bytes: bytes.length_bytes(),
            crc32c,
            records: 1,
            place: Place::Log,
        };
        Consignment { seal, parcel, bytes, definition: Some(self.definition.clone()), is_ordered: false }
    }

    async fn held(&self, consignment: &Consignment) -> Option<Held> {
        self.cluster.loaded.lock().get(&consignment.parcel.key).cloned()
    }
}
