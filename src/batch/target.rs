//! How much source makes an object of a wanted size: scaled with what the lane's recent objects came to.

/// What an object is taken to need at most, in times its size. Where nearly everything is dropped or vanishes in
/// compression, an object stays smaller.
const MOST_SOURCE: u64 = 256;
/// A cut comes when there is so much more than the estimate, so that the object is rather stopped at its size than short
/// of it.
const MARGIN: f64 = 1.05;
/// Weight of the newest object.
const NEWEST: f64 = 0.5;

/// Bytes of objects for each byte of source, over a lane's recent seals.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ObjectRatio(Option<f64>);

impl ObjectRatio {
    /// A run of `source_bytes` was sealed, with an object of `object_bytes`.
    pub fn note(&mut self, source_bytes: u64, object_bytes: u64) {
        if source_bytes == 0 || object_bytes == 0 {
            return;
        }
        let newest = object_bytes as f64 / source_bytes as f64;
        self.0 = Some(self.0.map_or(newest, |before| before * (1.0 - NEWEST) + newest * NEWEST));
    }

    /// Source bytes with which a run for an object of `target_bytes` is cut. Without a seal to go by: as many.
    pub fn source_bytes(&self, target_bytes: u64) -> u64 {
        let ratio = self.0.unwrap_or(MARGIN);
        ((target_bytes as f64 / ratio * MARGIN) as u64).clamp(1, most_source_bytes(target_bytes))
    }
}

/// Most source bytes of a run for an object of `target_bytes`.
pub fn most_source_bytes(target_bytes: u64) -> u64 {
    target_bytes.saturating_mul(MOST_SOURCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_what_objects_came_to() {
        let mut ratio = ObjectRatio::default();
        assert_eq!(ratio.source_bytes(1000), 1000);
        // Nothing is learnt of runs without an object.
        ratio.note(500, 0);
        assert_eq!(ratio, ObjectRatio::default());
        ratio.note(1000, 100);
        assert_eq!(ratio.source_bytes(1000), 10_500);
        for _ in 0..20 {
            ratio.note(1000, 2000);
        }
        assert_eq!(ratio.source_bytes(1000), 525);
        for _ in 0..60 {
            ratio.note(1 << 30, 1);
        }
        assert_eq!(ratio.source_bytes(1000), 256_000);
    }
}
