//! Multipart uploads. (being written)

use super::Store;
use std::io;

impl Store {
    pub(super) fn sweep_uploads(&self) -> io::Result<()> {
        Ok(())
    }
}
