//! The ledger: a table in the cluster, with a row for each lane that says what the last load of it was (rule D6).
//!
//! A transaction begins by moving the row from whatever is below `n` to `n`; the row's lock makes sessions that were cut off
//! come to their end first. No row moved and one that says `n` of this very load: it is in the table already. A load is
//! given up by the same move, with `loaded` false, so nothing that is on its way can commit behind that.
//!
//! Numbers are those of seals, and a cut without delivered records has no load, so they have gaps: `seq < n`, not `n - 1`.
//! The caller loads a lane's seals in order, each after the one before is closed; so a row at `n` or above that is not this
//! load's was written by another life of the lane (a data folder that was copied), and nothing is loaded. A life that went on
//! past a number of the other without a load of its own is not told apart: the gap hides it.

use super::errors::{failed, of_session};
use crate::destination::DeliveryError;
use crate::fault::Retry;
use crate::stream::seal::Load;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

/// What has the server end a session of which nothing is heard any more, and free the row that it holds: without it that may
/// take hours. Redshift does not know all of it.
const SESSION: [&str; 4] = [
    "SET idle_in_transaction_session_timeout = 60000",
    "SET tcp_keepalives_idle = 60",
    "SET tcp_keepalives_interval = 15",
    "SET tcp_keepalives_count = 4",
];

/// How often the row is made and moved: somebody else may make or take it meanwhile.
const ROUNDS: u32 = 4;

/// The row of a load, as SQL.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// The load.
    pub load: &'a Load,
    /// Its id.
    pub id: &'a str,
    /// Name of the stream, for who reads the table.
    pub stream: &'a str,
}

/// What the row says once it was to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is moved, in the transaction that is open.
    Now,
    /// This load is committed already. No transaction is open.
    LoadedBefore,
}

/// What stands in a row that was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// There is none.
    Missing,
    /// It says that this load is committed.
    Loaded,
    /// It could be moved by now.
    Behind,
    /// Another's.
    Foreign,
}

impl Row<'_> {
    fn move_to(&self, loaded: bool) -> String {
        let (table, seq, parcel, lane) =
            (&self.load.ledger, self.load.sequence, quoted(self.id), quoted(&self.load.lane));
        format!(
            "UPDATE {table} SET seq = {seq}, parcel = {parcel}, loaded = {loaded} WHERE lane = {lane} AND (seq < {seq} OR \
             (seq = {seq} AND parcel = {parcel} AND loaded = false))"
        )
    }

    fn read(&self) -> String {
        let (table, lane) = (&self.load.ledger, quoted(&self.load.lane));
        format!("SELECT seq, parcel, CASE WHEN loaded THEN 1 ELSE 0 END FROM {table} WHERE lane = {lane}")
    }

    fn make(&self) -> String {
        let (table, lane, stream) = (&self.load.ledger, quoted(&self.load.lane), quoted(self.stream));
        // Redshift has no keys that it holds to.
        format!(
            "BEGIN; LOCK TABLE {table}; INSERT INTO {table} (lane, stream, seq, parcel, loaded) SELECT {lane}, {stream}, 0, \
             '', true WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE lane = {lane}); COMMIT"
        )
    }

    /// Moves the row: first statement of a transaction, which stays open after [`Moved::Now`]. The table and the row are
    /// made if need be.
    pub async fn move_row(&self, client: &Client, loaded: bool) -> Result<Moved, DeliveryError> {
        let failed_at = |error: &tokio_postgres::Error| of_session(error, &format!("the ledger {}", self.load.ledger));
        for setting in SESSION {
            match client.batch_execute(setting).await {
                Err(error) if error.as_db_error().is_none() => return Err(failed_at(&error)),
                // One that the server does not have.
                _ => {}
            }
        }
        for _ in 0..ROUNDS {
            client.batch_execute("BEGIN").await.map_err(|error| failed_at(&error))?;
            let found = match client.simple_query(&self.move_to(loaded)).await {
                Ok(answer) if moved_rows(&answer) > 0 => return Ok(Moved::Now),
                Ok(_) => {
                    let answer = client.simple_query(&self.read()).await.map_err(|error| failed_at(&error))?;
                    found(row(&answer), self.load.sequence, self.id)
                }
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                    rollback(client).await?;
                    self.make_table(client).await?;
                    continue;
                }
                Err(error) => return Err(failed_at(&error)),
            };
            rollback(client).await?;
            match found {
                Found::Loaded => return Ok(Moved::LoadedBefore),
                Found::Behind => {}
                Found::Missing => {
                    if let Err(error) = client.batch_execute(&self.make()).await {
                        rollback(client).await?;
                        return Err(failed_at(&error));
                    }
                }
                Found::Foreign => return Err(self.foreign(row_text(client, self).await)),
            }
        }
        Err(failed("PSQLException", format!("the row of {} is taken again and again", self.load.lane), Retry::Backoff))
    }

    async fn make_table(&self, client: &Client) -> Result<(), DeliveryError> {
        let table = &self.load.ledger;
        let statement = format!(
            "CREATE TABLE IF NOT EXISTS {table} (lane varchar(128) NOT NULL PRIMARY KEY, stream varchar(64) NOT NULL, seq \
             bigint NOT NULL, parcel varchar(40) NOT NULL, loaded boolean NOT NULL)"
        );
        match client.batch_execute(&statement).await {
            Ok(()) => Ok(()),
            // Another stream makes it at this moment; the next round finds it.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
            Err(error) => Err(of_session(&error, &format!("the ledger {table} cannot be made"))),
        }
    }

    fn foreign(&self, row: String) -> DeliveryError {
        let (table, lane, seq) = (&self.load.ledger, &self.load.lane, self.load.sequence);
        let message = format!(
            "the row of lane '{lane}' in {table} says {row}, not what was before load {seq} ({}): another copy of this data \
             folder loads too, or loaded until it was restored. Nothing is loaded; see docs/redshift.md",
            self.id
        );
        failed("ForeignLoad", message, Retry::Never)
    }
}

async fn row_text(client: &Client, row_of: &Row<'_>) -> String {
    let answer = client.simple_query(&row_of.read()).await.unwrap_or_default();
    match row(&answer) {
        Some((seq, parcel, loaded)) => format!("seq {seq}, parcel '{parcel}', loaded {loaded}"),
        None => "nothing any more".to_owned(),
    }
}

/// Ends the transaction that is open, if one is.
async fn rollback(client: &Client) -> Result<(), DeliveryError> {
    client.batch_execute("ROLLBACK").await.map_err(|error| of_session(&error, "ending a transaction"))
}

fn moved_rows(answer: &[SimpleQueryMessage]) -> u64 {
    let counts = answer.iter().map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => *rows,
        _ => 0,
    });
    counts.sum()
}

fn row(answer: &[SimpleQueryMessage]) -> Option<(u64, &str, bool)> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0)?.parse().ok()?, row.get(1)?, row.get(2)? == "1")),
        _ => None,
    })
}

fn found(row: Option<(u64, &str, bool)>, sequence: u64, id: &str) -> Found {
    match row {
        None => Found::Missing,
        Some((seq, ..)) if seq < sequence => Found::Behind,
        Some((seq, parcel, loaded)) if seq == sequence && parcel == id => {
            if loaded {
                Found::Loaded
            } else {
                Found::Behind
            }
        }
        Some(_) => Found::Foreign,
    }
}

/// A string literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::definition::{CopyCommand, LoadMethod};

    fn load() -> Load {
        Load {
            lane: "07/put".to_owned(),
            sequence: 7,
            manifest_key: "m".to_owned(),
            object_key: "o".to_owned(),
            copy: CopyCommand { table: "t".to_owned(), columns: String::new(), options: String::new() },
            method: LoadMethod::Copy,
            ledger: "ops.hydrant_loads".to_owned(),
            source_bytes: 1,
            oldest_arrival_ms: 1,
        }
    }

    #[test]
    fn a_row_decides_once() {
        for (row, expected) in [
            (None, Found::Missing),
            (Some((0, "", true)), Found::Behind),
            (Some((6, "other", true)), Found::Behind),
            (Some((6, "other", false)), Found::Behind),
            (Some((7, "id", true)), Found::Loaded),
            // Given up, and then tried again: a crash was between.
            (Some((7, "id", false)), Found::Behind),
            (Some((7, "other", true)), Found::Foreign),
            (Some((7, "other", false)), Found::Foreign),
            (Some((8, "id", true)), Found::Foreign),
        ] {
            assert_eq!(found(row, 7, "id"), expected, "{row:?}");
        }
    }

    #[test]
    fn the_first_statement_is_a_compare_and_set() {
        let load = load();
        let row = Row { load: &load, id: "id", stream: "o'c" };
        assert_eq!(
            row.move_to(true),
            "UPDATE ops.hydrant_loads SET seq = 7, parcel = 'id', loaded = true WHERE lane = '07/put' AND (seq < 7 OR (seq \
             = 7 AND parcel = 'id' AND loaded = false))"
        );
        assert!(row.make().contains("SELECT '07/put', 'o''c', 0, '', true WHERE NOT EXISTS"));
    }
}
