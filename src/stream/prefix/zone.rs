//! Time zones by id, and an instant in one, with what Java's formatter says of both.
//!
//! Offsets come from the IANA database that is built in. Names of zones (`zone_names.tsv`) are those that the JDK named
//! there has; `tests/golden/keys/JavaPatterns.java` writes the table.

use super::time_text::Style;
use chrono::{DateTime, Datelike, Offset};
use chrono_tz::{OffsetComponents, Tz};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::sync::LazyLock;

/// A time zone, kept and written by its id, `Asia/Calcutta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeZone(Tz);

impl TimeZone {
    /// The zone of a stream that names none.
    pub const UTC: Self = Self(Tz::UTC);

    /// The zone with this id in the IANA database, old ids included.
    pub fn from_id(id: &str) -> Option<Self> {
        id.parse().ok().map(Self)
    }

    /// Its id.
    pub fn id(self) -> &'static str {
        self.0.name()
    }

    /// An instant there, given in ms since the epoch; `None` outside of the years 0 to 9999.
    pub fn at(self, ms: i64) -> Option<Moment> {
        let utc = DateTime::from_timestamp_millis(ms)?;
        let in_years = |year| (0..=9999).contains(&year);
        // One that falls into such a year in UTC may not in its zone.
        let local = in_years(utc.year()).then(|| utc.with_timezone(&self.0))?;
        in_years(local.year()).then_some(Moment { local })
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::UTC
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::from_id(&id).ok_or_else(|| serde::de::Error::custom(format!("'{id}' is no time zone")))
    }
}

/// An instant in a time zone, in the years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    local: DateTime<Tz>,
}

impl Moment {
    /// What clock and calendar show there.
    pub fn local(&self) -> &DateTime<Tz> {
        &self.local
    }

    /// Seconds that clocks there are ahead of UTC.
    pub(super) fn offset_seconds(&self) -> i32 {
        self.local.offset().fix().local_minus_utc()
    }

    /// Whether Java calls it daylight saving time.
    fn is_daylight(&self) -> bool {
        // Where the database has standard time and less than that in winter, Java has winter time and more than that.
        let winter_hours = match self.local.timezone() {
            Tz::Europe__Dublin | Tz::Africa__Casablanca => 0,
            Tz::Africa__Windhoek => 1,
            _ => return self.local.offset().dst_offset() > chrono::Duration::zero(),
        };
        self.offset_seconds() > winter_hours * 3600
    }

    /// The zone's name, `PDT` or `Pacific Daylight Time`; without regard to the season `PT`, `Pacific Time`.
    pub(super) fn zone_name(&self, style: Style, is_generic: bool) -> &'static str {
        let id = self.local.timezone().name();
        let Some(names) = NAMES.get(id) else { return id };
        let season = match (is_generic, self.is_daylight()) {
            (true, _) => 4,
            (false, true) => 2,
            (false, false) => 0,
        };
        names[season + usize::from(style == Style::Full)]
    }
}

/// Names of a zone in standard time, in daylight saving time and in general, each short and full.
static NAMES: LazyLock<HashMap<&'static str, [&'static str; 6]>> = LazyLock::new(|| {
    let rows = include_str!("zone_names.tsv").lines().filter_map(|line| {
        let (names, ids) = line.split_once('\t')?;
        let names: [&str; 6] = names.split('|').collect::<Vec<_>>().try_into().ok()?;
        Some((names, ids))
    });
    rows.flat_map(|(names, ids)| ids.split(' ').map(move |id| (id, names))).collect()
});
