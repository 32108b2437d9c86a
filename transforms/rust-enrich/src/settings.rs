//! What the stream's variables ask for.

use crate::write::write_text;

/// Settings, read once a call.
pub struct Settings {
    pub names: Names,
    /// Objects with one of these values in the member of that number are dropped.
    pub drop: Vec<(usize, String)>,
    /// Members that are partition keys.
    pub partition: Vec<usize>,
    /// Members that every object gains, as they are written, up to the time of arrival if there is one.
    pub added: Vec<u8>,
    pub has_arrival: bool,
}

/// What is done with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is looked at only.
    Kept,
    Redacted,
    /// Another one of that name is added.
    Replaced,
}

/// The names of the members that something is done with, each once.
#[derive(Default)]
pub struct Names {
    names: Vec<(String, Use)>,
    /// The bits of all names; a name whose bit is not set is none of them.
    bits: u64,
}

impl Settings {
    pub fn of(variables: &[(String, String)]) -> Result<Self, String> {
        let known = ["drop", "redact", "add", "arrival", "partition"];
        if let Some((name, _)) = variables.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(format!("unknown variable '{name}'; there are: {}", known.join(", ")));
        }
        let value = |name: &str, default: &'static str| {
            variables.iter().find(|(other, _)| other == name).map_or(default, |(_, value)| value.as_str())
        };
        let (mut names, mut added) = (Names::default(), Vec::new());
        for (name, value) in pairs(value("add", ""))? {
            write_member(&name, &mut added);
            write_text(&value, &mut added);
            names.add(name, Use::Replaced);
        }
        let arrival = value("arrival", "ingested_at").trim();
        if !arrival.is_empty() {
            write_member(arrival, &mut added);
            names.add(arrival.to_owned(), Use::Replaced);
        }
        for name in list(value("redact", "password,secret,token")) {
            names.add(name, Use::Redacted);
        }
        let drop = pairs(value("drop", "level=debug"))?;
        Ok(Self {
            drop: drop.into_iter().map(|(name, value)| (names.add(name, Use::Kept), value)).collect(),
            partition: list(value("partition", "")).into_iter().map(|name| names.add(name, Use::Kept)).collect(),
            names,
            added,
            has_arrival: !arrival.is_empty(),
        })
    }
}

impl Names {
    /// The number of a name. What is done with it is what was asked for first, but to keep it.
    fn add(&mut self, name: String, of_name: Use) -> usize {
        self.bits |= bit(name.as_bytes());
        self.find(name.as_bytes()).unwrap_or_else(|| {
            self.names.push((name, of_name));
            self.names.len() - 1
        })
    }

    /// The number of a name, if it is one of these.
    #[inline(always)]
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        if self.bits & bit(name) == 0 {
            return None;
        }
        self.names.iter().position(|(other, _)| other.as_bytes() == name)
    }

    pub fn name(&self, number: usize) -> &str {
        &self.names[number].0
    }

    pub fn use_of(&self, number: usize) -> Use {
        self.names[number].1
    }
}

/// One of 64 bits, by length and first byte.
#[inline(always)]
fn bit(name: &[u8]) -> u64 {
    let first = name.first().copied().unwrap_or(0);
    1 << ((usize::from(first) ^ (name.len() * 8)) & 63)
}

/// Writes the name of a member that comes next.
fn write_member(name: &str, out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
    write_text(name, out);
    out.push(b':');
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    list(text)
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
            None => Err(format!("'{pair}' is not of the form name=value")),
        })
        .collect()
}
