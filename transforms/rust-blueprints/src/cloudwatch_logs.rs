//! What a CloudWatch Logs subscription sends: gzip of a JSON document with events. Their messages go on, one a line.

use crate::{only_known, Fate};
use serde::Deserialize;
use std::borrow::Cow;
use std::io::Read;

/// A record of Firehose is at most a megabyte; more than this it is not meant to become.
const MOST_BYTES: u64 = 48 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow, default)]
    log_events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

pub struct Blueprint;

impl Blueprint {
    pub fn of(variables: &[(String, String)]) -> Result<Self, String> {
        only_known(variables, &[]).map(|()| Self)
    }

    pub fn convert(&self, data: &[u8], out: &mut Vec<u8>) -> Result<Fate, String> {
        let mut text = Vec::with_capacity(4 * data.len());
        let mut decoder = flate2::read::MultiGzDecoder::new(data).take(MOST_BYTES + 1);
        decoder.read_to_end(&mut text).map_err(|error| format!("the record cannot be decompressed: {error}"))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(format!("the record decompresses to more than {MOST_BYTES} bytes"));
        }
        let document: Document =
            serde_json::from_slice(&text).map_err(|error| format!("the record is no document of CloudWatch Logs: {error}"))?;
        match &*document.message_type {
            "CONTROL_MESSAGE" => Ok(Fate::Dropped),
            "DATA_MESSAGE" => {
                for event in &document.log_events {
                    out.extend_from_slice(event.message.as_bytes());
                    out.push(b'\n');
                }
                Ok(Fate::Ok)
            }
            other => Err(format!("the messageType is '{other}', not DATA_MESSAGE")),
        }
    }
}
