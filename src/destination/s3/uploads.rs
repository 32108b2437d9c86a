//! Unfinished uploads of a key: found and aborted, so that nobody pays for parts that become no object.
//!
//! From: `multipart`, before it makes an upload of its own and after it failed; the destination, for a parcel that nobody
//! will deliver any more. Listing and aborting only tidy up: where the store goes on failing them, the upload is left
//! behind with a warning, and its owner goes on.

use super::answer::{self, Call, Outcome, Target};
use super::client::Store;
use crate::destination::DeliveryError;
use crate::fault::Retry;
use std::time::Duration;

/// Pages of a listing that are read; a key has no more uploads than that.
const MAX_PAGES: usize = 100;
/// Pauses between the tries of a request that only tidies up; after the last try the parcel goes on without it.
pub const TIDY_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// The uploads of one key.
#[derive(Debug, Clone, Copy)]
pub struct Uploads<'a> {
    /// The client.
    pub store: &'a Store,
    /// The key.
    pub target: Target<'a>,
}

impl Uploads<'_> {
    /// Aborts all that are unfinished; returns how many.
    pub async fn abort_all(&self) -> u64 {
        let mut aborted = 0;
        for upload_id in self.left_behind().await {
            aborted += u64::from(self.abort(&upload_id, &TIDY_PAUSES).await);
        }
        aborted
    }

    /// Ids of unfinished uploads of this key. None when the store does not list, or does not let us.
    async fn left_behind(&self) -> Vec<String> {
        let Target { bucket, key } = self.target;
        let (mut found, mut key_marker, mut id_marker) = (Vec::new(), None, None);
        let mut pauses = TIDY_PAUSES.iter();
        for _ in 0..MAX_PAGES {
            let request = self
                .store
                .sdk
                .list_multipart_uploads()
                .bucket(bucket)
                .prefix(key)
                .set_key_marker(key_marker.clone())
                .set_upload_id_marker(id_marker.clone());
            let page = match self.store.call(request.send()).await {
                Ok(page) => page,
                Err(failure) => {
                    let error = match answer::judge(Call::List, self.target, &failure) {
                        // 404 without a code: some stores answer so when there is none.
                        Outcome::Gone | Outcome::Exists => break,
                        outcome => outcome.into_error(Call::List, self.target),
                    };
                    if wait_for_next_try(&error, &mut pauses).await {
                        continue;
                    }
                    tracing::warn!(%error, "uploads left behind by failed attempts cannot be listed, hence not aborted");
                    break;
                }
            };
            let own = page.uploads().iter().filter(|upload| upload.key() == Some(key));
            found.extend(own.filter_map(|upload| upload.upload_id().map(str::to_owned)));
            if page.is_truncated() != Some(true) {
                break;
            }
            key_marker = page.next_key_marker().map(str::to_owned);
            id_marker = page.next_upload_id_marker().map(str::to_owned);
        }
        found
    }

    /// Aborts an upload, with another try after each of `pauses`. Whether it is gone.
    pub async fn abort(&self, upload_id: &str, pauses: &[Duration]) -> bool {
        let Target { bucket, key } = self.target;
        let mut pauses = pauses.iter();
        loop {
            let request = self.store.sdk.abort_multipart_upload().bucket(bucket).key(key).upload_id(upload_id);
            let Err(failure) = self.store.call(request.send()).await else { return true };
            let error = match answer::judge(Call::Abort, self.target, &failure) {
                Outcome::Gone | Outcome::Exists => return true,
                outcome => outcome.into_error(Call::Abort, self.target),
            };
            if !wait_for_next_try(&error, &mut pauses).await {
                tracing::warn!(%error, "an upload stays behind; unless a later attempt aborts it, a lifecycle rule of \
                    the bucket should remove it");
                return false;
            }
        }
    }
}

/// Waits for the next try of a request that only tidies up. `false`: leave it.
async fn wait_for_next_try(error: &DeliveryError, pauses: &mut std::slice::Iter<'_, Duration>) -> bool {
    match pauses.next() {
        Some(pause) if error.retry == Retry::Backoff => {
            tokio::time::sleep(*pause).await;
            true
        }
        _ => false,
    }
}
