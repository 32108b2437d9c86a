//! Closes what is delivered, in order, and ends what is still running when the worker ends (rule D1).

use super::{Ended, State, Worker};
use crate::delivery::send::Sent;
use crate::failpoint;
use crate::fault::{Fault, Retry};
use crate::stream::seal::{Close, Place, Seal, Turn};
use crate::telemetry::metrics;
use std::sync::Arc;
use tokio::task::JoinSet;

impl Worker {
    /// Closes what is delivered, in order, and frees what it held.
    pub(super) async fn close_delivered(&self, state: &mut State) -> Result<(), String> {
        while let Some(front) = state.open.front().filter(|open| open.delivered) {
            let seal = front.seal.clone();
            failpoint::crash_at(failpoint::AFTER_DELIVER);
            let turns = self.context.journal.turns(seal.id);
            let close = Close { seal: seal.id, lane: seal.lane.clone(), number: seal.number };
            let mut failed = false;
            while let Err(error) = self.context.journal.close(close.clone()).await {
                let text = format!("a close could not be stored: {error}");
                if error.retry() != Retry::Backoff {
                    return Err(text);
                }
                failed = true;
                self.status.trouble(text, Retry::Backoff, self.context.options.backoff_first);
                tokio::select! {
                    () = tokio::time::sleep(self.context.options.backoff_first) => {}
                    // The seal stays open: its parcels are found delivered at the next start.
                    () = self.stop.asked() => return Ok(()),
                }
            }
            failpoint::crash_at(failpoint::AFTER_CLOSE);
            if failed {
                self.status.recovered();
            }
            metrics::closed();
            self.status.closed(&seal);
            state.closed_number.send_replace(seal.number);
            state.open.pop_front();
            self.free(&seal, turns).await?;
        }
        Ok(())
    }

    async fn free(&self, seal: &Arc<Seal>, turns: Vec<Arc<Turn>>) -> Result<(), String> {
        let (context, lane, seal) = (self.context.clone(), self.lane.clone(), seal.clone());
        let spooled = self.half.spooled().cloned();
        let freed = tokio::task::spawn_blocking(move || {
            for parcel in seal.parcels.iter().chain(turns.iter().map(|turn| &turn.instead)) {
                if let Place::File { name } = &parcel.place
                    && let Err(error) = context.outbox.free(seal.lane.incarnation, name)
                {
                    tracing::warn!(file = name, %error, "a delivered parcel could not be removed");
                }
            }
            if let Some(spooled) = spooled {
                spooled.free_closed(&context);
            }
            lane.release();
        });
        freed.await.map_err(|died| format!("freeing closed data died: {died}"))
    }

    /// Ends what is still running. A stop gives attempts that run the grace period; a forced delete none.
    pub(super) async fn wind_down(&self, state: &mut State, senders: &mut JoinSet<(u64, Sent)>, ended: &Ended) {
        if let Some(staging) = state.staging.take() {
            staging.abandon.ask();
            // A seal that comes of it all the same is found in the journal by the next worker, which goes on behind it.
            if let Ok(Ok(Some(_))) = staging.task.await {
                self.note_sealed();
            }
        }
        if *ended == Ended::Stopped {
            let grace = tokio::time::sleep(self.context.options.stop_grace);
            tokio::pin!(grace);
            loop {
                tokio::select! {
                    sent = senders.join_next() => match sent {
                        None => break,
                        Some(Ok((number, Sent::Delivered))) => {
                            state.open.iter_mut().filter(|o| o.seal.number == number).for_each(|o| o.delivered = true);
                        }
                        Some(_) => {}
                    },
                    () = &mut grace => break,
                }
            }
            if let Err(fault) = self.close_delivered(state).await {
                tracing::warn!(stream = %self.name, fault, "closing at the stop failed");
            }
        }
        senders.shutdown().await;
        // A turn that was being made is in the journal before the next worker reads it, or never.
        drop(self.turning.lock().await);
    }
}
