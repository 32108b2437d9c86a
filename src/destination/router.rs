//! Which destination a parcel goes to, by what it holds: a stream's lane may have parcels of several kinds.

use super::Destination;
use crate::stream::seal::{Parcel, ParcelKind};
use std::sync::Arc;

/// The destinations of a node.
#[derive(Debug, Clone)]
pub struct Router {
    /// Objects: data, source backups, the error area.
    pub objects: Arc<dyn Destination>,
    /// Requests to HTTP endpoints.
    pub requests: Arc<dyn Destination>,
    /// Loads into tables.
    pub loads: Arc<dyn Destination>,
}

impl Router {
    /// Everything to one destination.
    pub fn to(destination: Arc<dyn Destination>) -> Self {
        Self { objects: destination.clone(), requests: destination.clone(), loads: destination }
    }

    /// The destination of a parcel.
    pub fn of(&self, parcel: &Parcel) -> &Arc<dyn Destination> {
        match parcel.kind {
            ParcelKind::Data | ParcelKind::Error(_) => &self.objects,
            ParcelKind::Request(_) => &self.requests,
            ParcelKind::Load(_) => &self.loads,
        }
    }
}
