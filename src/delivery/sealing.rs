//! A run from the cut to its seal: staged on the threads for that, its bytes synced, then the seal stored (rule D1).
//!
//! From: `worker`, which awaits the outcome. Through: `run`, `journal`.

use super::DeliveryContext;
use super::run::{RunPlan, StageRunError, StagedRun, stage_run};
use super::spooled::Half;
use super::stage_pool::JobDied;
use super::status::LaneStatus;
use crate::failpoint;
use crate::fault::{Fault, Retry};
use crate::source::Lane;
use crate::stream::seal::Seal;
use crate::task::{Stop, panic_message};
use std::sync::Arc;

/// Why no seal came of a run.
#[derive(Debug)]
pub enum StageFailure {
    /// It could not be staged.
    Run(StageRunError),
    /// A stage panicked, with this text.
    Panicked(String),
    /// The journal refuses the seal.
    Journal(String),
}

/// Stages a run off the async threads and stores its seal.
pub async fn stage_and_seal(
    context: Arc<DeliveryContext>,
    lane: Arc<dyn Lane>,
    status: Arc<LaneStatus>,
    plan: RunPlan,
) -> Result<Option<Arc<Seal>>, StageFailure> {
    let (stop, abandon, half) = (plan.stop.clone(), plan.abandon.clone(), plan.half.clone());
    let run_context = context.clone();
    // Guests may hold their threads for minutes, so streams without one have threads of their own.
    let threads = if plan.definition.transform.is_some() { &context.transform_stages } else { &context.stages };
    let staged = threads.run(move || stage_run(&run_context, lane.as_ref(), &plan)).await;
    let StagedRun { seal, inline, partitions } = match staged {
        Ok(Ok(Some(staged))) => staged,
        Ok(Ok(None)) => return Ok(None),
        Ok(Err(error)) => return Err(StageFailure::Run(error)),
        Err(JobDied::Panicked(panic)) => return Err(StageFailure::Panicked(panic_message(panic.as_ref()))),
        Err(JobDied::Stopped) => return Err(StageFailure::Run(StageRunError::Stopped)),
    };
    failpoint::crash_at(failpoint::BEFORE_SEAL);
    // ORDER: the outbox is synced (stage_run), then the seal; the first byte leaves after both.
    store_seal(&context, &status, &seal, inline, [stop, abandon]).await?;
    status.sealed(&seal);
    failpoint::crash_at(failpoint::AFTER_SEAL);
    if let (Half::First(spool), Some(chunk)) = (&half, &seal.spooled) {
        spool.add(&seal, chunk, &partitions, context.clock.monotonic());
    }
    Ok(Some(Arc::new(seal)))
}

/// Stores the seal, trying the very same again while the disk fails: whether a failed one will be found at the next start
/// is not known, so the files it names stay, and another in its place would leave them behind.
pub async fn store_seal(
    context: &DeliveryContext,
    status: &LaneStatus,
    seal: &Seal,
    inline: Vec<u8>,
    stops: [Stop; 2],
) -> Result<(), StageFailure> {
    let options = &context.options;
    let mut pause = options.backoff_first;
    let mut failed = false;
    while let Err(error) = context.journal.seal(seal.clone(), inline.clone()).await {
        let text = format!("a seal could not be stored: {error}");
        if error.retry() != Retry::Backoff {
            return Err(StageFailure::Journal(text));
        }
        failed = true;
        status.trouble(text, Retry::Backoff, pause);
        let [stop, abandon] = &stops;
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2).min(options.backoff_longest),
            () = stop.asked() => return Err(StageFailure::Run(StageRunError::Stopped)),
            () = abandon.asked() => return Err(StageFailure::Run(StageRunError::Stopped)),
        }
    }
    if failed {
        status.recovered();
    }
    Ok(())
}
