//! Amazon Redshift, and databases that speak its dialect of PostgreSQL: loads objects that are staged in S3 into a table
//! (reference: its Redshift destination; rule D6).
//!
//! | file | what |
//! |---|---|
//! | [`settings`] | the section `redshift:` of the configuration |
//! | [`url`] | ClusterJDBCURL |
//! | `connect`, `reach`, `last_words` | sessions, and TLS; addresses; why a session ended |
//! | `ledger` | the compare-and-set that makes a load exactly once |
//! | `copy`, [`manifest`] | texts: COPY and its options, the manifest |
//! | `rows`, `json`, `end_mark` | an object as rows, for COPY from standard input |
//! | `errors` | what a server's errors mean |
//!
//! Promise: each load is in the table exactly once, whatever is cut off, repeated or late. An attempt is a transaction: the
//! ledger's row is moved, COPY, commit; one whose end is not known is found out by the next attempt, or by `settle`.
//! It is by the CopyCommand and the method that were sealed (rule D5). Where the cluster refuses those, and the stream has
//! others by now, the operator has mended them, and the load is made by those. Into another table it goes only if the sealed
//! one is not there, or at the operator's order, and is counted.

mod connect;
mod copy;
mod end_mark;
mod errors;
mod json;
mod last_words;
mod ledger;
pub mod manifest;
mod reach;
mod rows;
pub mod settings;
pub mod url;
mod words;

pub use copy::{refused_for_stdin, skips_rows};
pub use settings::RedshiftSettings;

use super::secrets::{Secrets, hidden};
use super::trust::CaFileError;
use super::{Consignment, DeliveryError, Destination, Guarantee, Settled};
use crate::failpoint;
use crate::fault::{Class, Retry};
use crate::stream::SealId;
use crate::stream::definition::{CopyCommand, Definition, LoadMethod, RedshiftTarget};
use crate::stream::seal::{Load, Parcel, ParcelKind};
use crate::telemetry::metrics::{self, LoadOutcome};
use crate::vault::Vault;
use async_trait::async_trait;
use bytes::Bytes;
use connect::{Connector, Login, Session};
use copy::{Shape, StdinOptions, column_names, from_manifest};
use errors::{blames_command, failed, misses_table, of_session};
use futures::SinkExt;
use ledger::{Moved, Row};
use rows::{Rows, columns};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use url::Server;

/// Loads into the tables of streams; one serves all.
#[derive(Debug)]
pub struct RedshiftDestination {
    connector: Connector,
    settings: RedshiftSettings,
    secrets: Secrets,
}

/// A load with what is needed for it now.
struct Job<'a> {
    parcel: &'a Parcel,
    load: &'a Load,
    stream: &'a str,
    target: &'a RedshiftTarget,
    /// That the cluster refused the COPY of the attempt, in a way that another one may mend.
    is_refused: AtomicBool,
}

/// How a load is made: by the sealed command, or the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way<'a> {
    copy: &'a CopyCommand,
    method: LoadMethod,
}

impl RedshiftDestination {
    /// A destination with these settings; secrets are in `vault`. Blocks: certificates are read.
    pub fn new(settings: RedshiftSettings, vault: Arc<Vault>) -> Result<Self, CaFileError> {
        let secrets = Secrets { section: "redshift", by_arn: settings.secrets.clone(), vault };
        Ok(Self { connector: Connector::new(settings.clone())?, settings, secrets })
    }

    /// Opens a session and does `work` in it, within the time for a load.
    async fn in_session<'a, T, W>(
        &self,
        job: &Job<'a>,
        work: impl FnOnce(Arc<Session>) -> W,
    ) -> Result<T, DeliveryError>
    where
        W: Future<Output = Result<T, DeliveryError>>,
    {
        let server = self.server(job.target)?;
        let login = self.login(job.target).await?;
        let done = async {
            let (session, mut link) = self.connector.connect(&server, &login).await?;
            let session = Arc::new(session);
            let (limit, token) = (self.settings.load_timeout(), session.client.cancel_token());
            let done = match tokio::time::timeout(limit, link.during(&session, work(session.clone()))).await {
                Ok(done) => done,
                Err(_) => {
                    // Else it would go on, and the next attempt wait for it.
                    self.connector.cancel(&server, token).await;
                    let message = format!(
                        "the load did not end within {} s (redshift.load_timeout); it is cancelled",
                        limit.as_secs()
                    );
                    return Err(failed("QueryCancelled", message, Retry::Backoff));
                }
            };
            if let Some(session) = Arc::into_inner(session) {
                link.end(session).await;
            }
            done
        };
        done.await.map_err(|error| {
            let text = hidden(&error.message, &login.password, "password");
            DeliveryError { message: errors::cut(&text).to_owned(), ..error }
        })
    }

    fn server(&self, target: &RedshiftTarget) -> Result<Server, DeliveryError> {
        url::parse(&target.url, self.settings.allow_plain)
            .map_err(|refusal| failed("ConnectionFailed", format!("ClusterJDBCURL {refusal}"), Retry::AfterOperator))
    }

    async fn login(&self, target: &RedshiftTarget) -> Result<Login, DeliveryError> {
        if let Some(arn) = &target.secret_arn {
            return self.secrets.by_arn(arn, r#"{"username": "…", "password": "…"}"#).await;
        }
        let (Some(user), Some(hidden)) = (&target.user, &target.password) else {
            let message = "the stream has no Username and Password; update it with them";
            return Err(failed("AuthenticationFailed", message, Retry::AfterOperator));
        };
        Ok(Login { user: user.clone(), password: self.secrets.shown(hidden, "the password").await? })
    }

    async fn attempt(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let job = job(&consignment.parcel, consignment.definition.as_deref())?;
        let sealed = Way { copy: &job.load.copy, method: job.load.method };
        let newest = Way { copy: &job.target.copy, method: job.target.method };
        let refusal = match self.load(&job, consignment, sealed).await {
            Err(refusal) if job.is_refused.load(Relaxed) && newest != sealed => refusal,
            ended => return ended,
        };
        let (stream, table) = (job.stream, &newest.copy.table);
        let moves = *table != sealed.copy.table;
        if moves && !misses_table(&refusal) && !consignment.is_ordered {
            let message = format!(
                "{}; the stream loads into {table} by now: POST /streams/{stream}/resume has this load go there too",
                refusal.message
            );
            return Err(DeliveryError { message, ..refusal });
        }
        tracing::info!(stream, error = %refusal, table, "the sealed COPY fails; the stream's newest one is tried");
        self.load(&job, consignment, newest).await?;
        if moves {
            metrics::load_moved();
        }
        Ok(())
    }

    /// Loads this way, in a session of its own: one in which a COPY failed is of no more use.
    async fn load(&self, job: &Job<'_>, consignment: &Consignment, way: Way<'_>) -> Result<(), DeliveryError> {
        self.in_session(job, |session| async move { job.transaction(&session, consignment, way).await }).await
    }
}

/// What there is to load and where, by the stream's newest definition.
fn job<'a>(parcel: &'a Parcel, newest: Option<&'a Definition>) -> Result<Job<'a>, DeliveryError> {
    let ParcelKind::Load(load) = &parcel.kind else {
        let message = format!("internal error: {} is no load", parcel.key);
        return Err(DeliveryError { class: Class::Bug, ..failed("PSQLException", message, Retry::Never) });
    };
    let Some((newest, target)) = newest.and_then(|of| Some((of, of.redshift.as_ref()?))) else {
        let message = "the stream has no cluster any more; update it with one";
        return Err(failed("HoseNotFound", message, Retry::AfterOperator));
    };
    let is_refused = AtomicBool::new(false);
    Ok(Job { parcel, load, stream: newest.name.as_str(), target, is_refused })
}

impl Job<'_> {
    fn row(&self) -> Row<'_> {
        Row { load: self.load, id: &self.parcel.key, stream: self.stream }
    }

    async fn transaction(
        &self,
        session: &Session,
        consignment: &Consignment,
        way: Way<'_>,
    ) -> Result<(), DeliveryError> {
        let client = &session.client;
        if self.row().move_row(client, true).await? == Moved::LoadedBefore {
            return Ok(());
        }
        session.is_loading.store(true, Relaxed);
        if let Err(error) = self.copy(session, consignment, way).await {
            self.is_refused.store(blames_command(&error), Relaxed);
            return Err(error);
        }
        failpoint::crash_at(failpoint::BEFORE_COMMIT);
        client.batch_execute("COMMIT").await.map_err(|error| of_session(&error, "the commit of a load"))
    }

    async fn copy(&self, session: &Session, consignment: &Consignment, way: Way<'_>) -> Result<(), DeliveryError> {
        let (copy, client) = (way.copy, &session.client);
        match way.method {
            LoadMethod::Copy => {
                let role = &self.target.role_arn;
                let statement = from_manifest(self.parcel, self.load, copy, role, session.has_escapes);
                // By the protocol that takes one statement alone, whatever the options hold.
                client.execute(&statement, &[]).await.map(drop).map_err(|error| of_session(&error, &copy.table))
            }
            LoadMethod::CopyFromStdin => self.send_rows(session, consignment, copy).await,
        }
    }

    async fn send_rows(
        &self,
        session: &Session,
        consignment: &Consignment,
        copy: &CopyCommand,
    ) -> Result<(), DeliveryError> {
        let about = |error: &tokio_postgres::Error| of_session(error, &copy.table);
        let client = &session.client;
        let options = StdinOptions::of(&copy.options, session.has_escapes)?;
        let names = match options.shape {
            Shape::Members { .. } if column_names(&copy.columns).is_empty() => {
                let whole = client.prepare(&format!("SELECT * FROM {} LIMIT 0", copy.table)).await;
                whole.map_err(|error| about(&error))?.columns().iter().map(|column| column.name().to_owned()).collect()
            }
            _ => column_names(&copy.columns),
        };
        let sink = client.copy_in::<_, Bytes>(&options.statement(copy)).await.map_err(|error| about(&error))?;
        let mut sink = pin!(sink);
        let mut rows = Rows::of(consignment, columns(options.shape, names), options.is_csv());
        let mut is_taken = true;
        while let Some(piece) = rows.next().await {
            if sink.send(piece).await.is_err() {
                // The end of the sink says why.
                is_taken = false;
                break;
            }
        }
        let read = rows.end().await;
        if is_taken {
            // Dropped unfinished, a sink tells the server that COPY fails.
            read?;
        }
        sink.finish().await.map(drop).map_err(|error| about(&error))
    }
}

#[async_trait]
impl Destination for RedshiftDestination {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let ended = self.attempt(consignment).await;
        metrics::load_ended(match &ended {
            Ok(()) => LoadOutcome::Loaded,
            Err(error) if error.retry == Retry::Backoff => LoadOutcome::Failed,
            Err(_) => LoadOutcome::Refused,
        });
        ended
    }

    async fn settle(
        &self,
        _seal: SealId,
        parcel: &Parcel,
        newest: Option<&Definition>,
    ) -> Result<Settled, DeliveryError> {
        let job = job(parcel, newest)?;
        self.in_session(&job, |session| {
            let job = &job;
            async move {
                let client = &session.client;
                if job.row().move_row(client, false).await? == Moved::LoadedBefore {
                    return Ok(Settled::Delivered);
                }
                client.batch_execute("COMMIT").await.map_err(|error| of_session(&error, "giving a load up"))?;
                Ok(Settled::NotDelivered)
            }
        })
        .await
    }
}
