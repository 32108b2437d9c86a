//! One possible state of a disk after a power cut.

use super::world::{DirNode, FileNode, Node, NodeId, PendingWrite, ROOT, World};
use fastrand::Rng;
use std::collections::BTreeMap;

const SECTOR_BYTES: usize = 512;

/// How much of what was not synced survives: whole runs of luck are as possible as a mixture.
#[derive(Clone, Copy)]
enum Luck {
    None,
    All,
    Mixed,
}

impl Luck {
    fn survives(self, random: &mut Rng) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Mixed => random.bool(),
        }
    }
}

/// Chooses a state by `random`.
pub fn after_power_cut(before: &World, random: &mut Rng) -> World {
    let mut after = World { ignore_syncs: before.ignore_syncs, ..World::default() };
    let mut pick = || match random.u8(..8) {
        0 => Luck::None,
        1 => Luck::All,
        _ => Luck::Mixed,
    };
    let (names, writes) = (pick(), pick());
    let mut sample = Sample {
        before,
        nodes: &mut after.nodes,
        random,
        names,
        writes,
        changes: BTreeMap::new(),
        files: BTreeMap::new(),
    };
    sample.dir(ROOT);
    after
}

struct Sample<'a> {
    before: &'a World,
    nodes: &'a mut BTreeMap<NodeId, Node>,
    random: &'a mut Rng,
    names: Luck,
    writes: Luck,
    /// Whether a change of names survived; both halves of a rename share the answer.
    changes: BTreeMap<u64, bool>,
    /// Files already chosen: one may have two names.
    files: BTreeMap<NodeId, ()>,
}

impl Sample<'_> {
    fn dir(&mut self, id: NodeId) {
        let Some(Node::Dir(dir)) = self.before.nodes.get(&id) else { return };
        let mut entries = dir.stable.clone();
        for change in &dir.pending {
            let (names, random) = (self.names, &mut *self.random);
            if *self.changes.entry(change.change).or_insert_with(|| names.survives(random)) {
                change.apply(&mut entries);
            }
        }
        for node in entries.values() {
            match self.before.nodes.get(node) {
                Some(Node::File(file)) if self.files.insert(*node, ()).is_none() => {
                    let content = self.content(file);
                    let file = FileNode { stable: content.clone(), content, pending: Vec::new() };
                    self.nodes.insert(*node, Node::File(file));
                }
                Some(Node::Dir(_)) => self.dir(*node),
                _ => {}
            }
        }
        self.nodes.insert(id, Node::Dir(DirNode { stable: entries.clone(), entries, pending: Vec::new() }));
    }

    fn content(&mut self, file: &FileNode) -> Vec<u8> {
        let mut content = file.stable.clone();
        for write in &file.pending {
            match self.writes {
                Luck::None => {}
                Luck::All => FileNode::put(&mut content, write.offset, &write.bytes),
                Luck::Mixed => self.tear(write, &mut content),
            }
        }
        content
    }

    /// What is left of one write. Stable bytes outside its range are never touched.
    fn tear(&mut self, write: &PendingWrite, content: &mut Vec<u8>) {
        let (offset, bytes) = (write.offset, write.bytes.as_slice());
        let cut = self.random.usize(..=bytes.len());
        match self.random.u8(..10) {
            0..=2 => {}
            3..=4 => FileNode::put(content, offset, bytes),
            5 => FileNode::put(content, offset, &bytes[..cut]),
            6 => {
                let end = (offset + cut) / SECTOR_BYTES * SECTOR_BYTES;
                FileNode::put(content, offset, &bytes[..end.saturating_sub(offset)]);
            }
            7 => {
                let mut start = 0;
                while start < bytes.len() {
                    let to_sector_end = SECTOR_BYTES - (offset + start) % SECTOR_BYTES;
                    let end = bytes.len().min(start + to_sector_end);
                    if self.random.bool() {
                        FileNode::put(content, offset + start, &bytes[start..end]);
                    }
                    start = end;
                }
            }
            8 => FileNode::put(content, offset + cut, &vec![0; bytes.len() - cut]),
            _ => {
                let garbage: Vec<u8> = (cut..bytes.len()).map(|_| self.random.u8(..)).collect();
                FileNode::put(content, offset, &bytes[..cut]);
                FileNode::put(content, offset + cut, &garbage);
            }
        }
    }
}
