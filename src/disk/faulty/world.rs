//! The model of a faulty disk: what is visible, what is stable, and the changes between the two.

use crate::disk::{Entry, Room};
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

/// A file or folder, whatever it is called.
pub type NodeId = u64;
/// The folder that is always there.
pub const ROOT: NodeId = 0;

/// The disk.
#[derive(Debug, Clone)]
pub struct World {
    /// All files and folders, also those without a name.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Number of the next change of names.
    pub next_change: u64,
    /// Writes, syncs and changes of names so far.
    pub operations: u64,
    /// Goes off in the operation after this one.
    pub cut_after: Option<u64>,
    /// Every call fails.
    pub off: bool,
    /// Data syncs that fail.
    pub fail_syncs: u32,
    /// Folder syncs that fail.
    pub fail_dir_syncs: u32,
    /// Bytes it still takes.
    pub room_bytes: u64,
    /// What it says of its room.
    pub reported_room: Option<Room>,
    /// Syncs do nothing.
    pub ignore_syncs: bool,
}

/// A file or a folder.
#[derive(Debug, Clone)]
pub enum Node {
    /// A file.
    File(FileNode),
    /// A folder.
    Dir(DirNode),
}

/// A file.
#[derive(Debug, Clone, Default)]
pub struct FileNode {
    /// What readers see.
    pub content: Vec<u8>,
    /// What is stable.
    pub stable: Vec<u8>,
    /// Writes that are visible and not known to be stable, in order.
    pub pending: Vec<PendingWrite>,
}

/// A write that is not known to be stable.
#[derive(Debug, Clone)]
pub struct PendingWrite {
    /// Where.
    pub offset: usize,
    /// What.
    pub bytes: Vec<u8>,
    /// A sync of it failed: no later one makes it stable.
    pub stuck: bool,
}

/// A folder.
#[derive(Debug, Clone, Default)]
pub struct DirNode {
    /// What readers see.
    pub entries: BTreeMap<String, NodeId>,
    /// What is stable.
    pub stable: BTreeMap<String, NodeId>,
    /// Changes that are visible and not known to be stable, in order.
    pub pending: Vec<PendingName>,
}

/// A change of names that is not known to be stable.
#[derive(Debug, Clone)]
pub struct PendingName {
    /// Its number; the halves of a rename between folders share one.
    pub change: u64,
    /// The name that goes, if it still names that node.
    pub gone: Option<(String, NodeId)>,
    /// The name that comes.
    pub new: Option<(String, NodeId)>,
    /// The folder of the other half.
    pub twin: Option<NodeId>,
}

impl PendingName {
    /// Does the change to a folder's entries.
    pub fn apply(&self, entries: &mut BTreeMap<String, NodeId>) {
        if let Some((name, node)) = &self.gone
            && entries.get(name) == Some(node)
        {
            entries.remove(name);
        }
        if let Some((name, node)) = &self.new {
            entries.insert(name.clone(), *node);
        }
    }
}

impl FileNode {
    /// Puts `bytes` into `content`; a gap before them is zeros.
    pub fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(bytes);
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Dir(DirNode::default()))]),
            next_change: 1,
            operations: 0,
            cut_after: None,
            off: false,
            fail_syncs: 0,
            fail_dir_syncs: 0,
            room_bytes: u64::MAX,
            reported_room: None,
            ignore_syncs: false,
        }
    }
}

fn off() -> io::Error {
    io::Error::other("the disk is off")
}

fn failed() -> io::Error {
    io::Error::other("the disk failed to sync")
}

/// Whether an operation is done for the caller, or only begun when the disk goes off.
#[derive(Clone, Copy)]
enum Ends {
    Done,
    Begun,
}

impl Ends {
    fn result(self) -> io::Result<()> {
        match self {
            Self::Done => Ok(()),
            Self::Begun => Err(off()),
        }
    }
}

impl World {
    /// A new process: nothing is armed, the count begins again.
    pub fn restart(&mut self) {
        let ignore_syncs = self.ignore_syncs;
        let World { nodes, next_change, .. } = std::mem::take(self);
        *self = Self { nodes, next_change, ignore_syncs, ..Self::default() };
    }

    fn alive(&self) -> io::Result<()> {
        if self.off { Err(off()) } else { Ok(()) }
    }

    fn operation(&mut self) -> io::Result<Ends> {
        self.alive()?;
        self.operations += 1;
        if self.cut_after.is_some_and(|last| self.operations > last) {
            self.off = true;
            return Ok(Ends::Begun);
        }
        Ok(Ends::Done)
    }

    fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Some(Node::Dir(dir)) = self.nodes.get(&node) else { return Err(io::ErrorKind::NotADirectory.into()) };
            let name = name.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
            node = *dir.entries.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    fn dir(&mut self, node: NodeId) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&node) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, node: NodeId) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// The folder of `path` and its last component.
    fn parent(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name.to_owned()))
    }

    fn change(
        &mut self,
        dir: NodeId,
        gone: Option<(String, NodeId)>,
        new: Option<(String, NodeId)>,
        twin: Option<NodeId>,
    ) -> io::Result<()> {
        let pending = PendingName { change: self.next_change, gone, new, twin };
        let dir = self.dir(dir)?;
        pending.apply(&mut dir.entries);
        dir.pending.push(pending);
        Ok(())
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<NodeId> {
        let (dir, name) = self.parent(path)?;
        if self.dir(dir)?.entries.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let ends = self.operation()?;
        let id = self.nodes.keys().next_back().map_or(ROOT, |last| last + 1);
        self.nodes.insert(id, node);
        self.change(dir, None, Some((name, id)), None)?;
        self.next_change += 1;
        ends.result().map(|()| id)
    }

    /// As [`crate::disk::Disk::create_new`].
    pub fn create_file(&mut self, path: &Path) -> io::Result<NodeId> {
        self.alive()?;
        self.create(path, Node::File(FileNode::default()))
    }

    /// As [`crate::disk::Disk::create_dir`].
    pub fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.alive()?;
        if let Ok(node) = self.find(path) {
            return self.dir(node).map(|_| ()).map_err(|_| io::ErrorKind::AlreadyExists.into());
        }
        self.create(path, Node::Dir(DirNode::default())).map(|_| ())
    }

    /// As [`crate::disk::Disk::open`].
    pub fn open_file(&mut self, path: &Path) -> io::Result<NodeId> {
        self.alive()?;
        let node = self.find(path)?;
        self.file(node).map(|_| node)
    }

    /// As [`crate::disk::Disk::list`].
    pub fn list(&mut self, path: &Path) -> io::Result<Vec<Entry>> {
        self.alive()?;
        let node = self.find(path)?;
        let entries = self.dir(node)?.entries.clone();
        let entry = |(name, node): (String, NodeId)| match &self.nodes[&node] {
            Node::File(file) => Entry { name, len_bytes: file.content.len() as u64, is_dir: false },
            Node::Dir(_) => Entry { name, len_bytes: 0, is_dir: true },
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    /// As [`crate::disk::Disk::rename`].
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.alive()?;
        let node = self.find(from)?;
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        if let Some(replaced) = self.dir(to_dir)?.entries.get(&to_name).copied() {
            self.file(replaced)?;
        }
        let ends = self.operation()?;
        let (gone, new) = (Some((from_name, node)), Some((to_name, node)));
        if from_dir == to_dir {
            self.change(to_dir, gone, new, None)?;
        } else {
            self.change(from_dir, gone, None, Some(to_dir))?;
            self.change(to_dir, None, new, Some(from_dir))?;
        }
        self.next_change += 1;
        ends.result()
    }

    fn unlink(&mut self, dir: NodeId, name: String, node: NodeId) -> io::Result<()> {
        self.change(dir, Some((name, node)), None, None)?;
        self.next_change += 1;
        Ok(())
    }

    /// As [`crate::disk::Disk::remove_file`].
    pub fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.alive()?;
        let node = self.find(path)?;
        self.file(node)?;
        let (dir, name) = self.parent(path)?;
        let ends = self.operation()?;
        self.unlink(dir, name, node)?;
        ends.result()
    }

    /// As [`crate::disk::Disk::remove_dir_all`]: each name in it goes by a change of its own.
    pub fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.alive()?;
        let node = self.find(path)?;
        self.dir(node)?;
        let (dir, name) = self.parent(path)?;
        let ends = self.operation()?;
        self.empty(node)?;
        self.unlink(dir, name, node)?;
        ends.result()
    }

    fn empty(&mut self, dir: NodeId) -> io::Result<()> {
        for (name, node) in self.dir(dir)?.entries.clone() {
            if matches!(self.nodes.get(&node), Some(Node::Dir(_))) {
                self.empty(node)?;
            }
            self.unlink(dir, name, node)?;
        }
        Ok(())
    }

    /// As [`crate::disk::Disk::sync_dir`].
    pub fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.alive()?;
        let node = self.find(path)?;
        self.dir(node)?;
        self.operation()?.result()?;
        if self.fail_dir_syncs > 0 {
            self.fail_dir_syncs -= 1;
            return Err(failed());
        }
        if !self.ignore_syncs {
            self.settle(node)?;
        }
        Ok(())
    }

    /// Makes a folder's changes stable, and for renames between folders the other half with what came before it.
    fn settle(&mut self, node: NodeId) -> io::Result<()> {
        let dir = self.dir(node)?;
        let pending = std::mem::take(&mut dir.pending);
        pending.iter().for_each(|change| change.apply(&mut dir.stable));
        pending.iter().filter_map(|change| change.twin).try_for_each(|twin| self.settle(twin))
    }

    /// As [`crate::disk::DiskFile::sync_data`].
    pub fn sync_data(&mut self, node: NodeId) -> io::Result<()> {
        self.operation()?.result()?;
        let fails = self.fail_syncs > 0;
        self.fail_syncs -= u32::from(fails);
        if self.ignore_syncs && !fails {
            return Ok(());
        }
        let file = self.file(node)?;
        if fails {
            file.pending.iter_mut().for_each(|write| write.stuck = true);
            return Err(failed());
        }
        let (stuck, good) = std::mem::take(&mut file.pending).into_iter().partition(|write| write.stuck);
        file.pending = stuck;
        for PendingWrite { offset, bytes, .. } in good {
            FileNode::put(&mut file.stable, offset, &bytes);
        }
        Ok(())
    }

    /// As one part of [`crate::disk::DiskFile::write_all_at`].
    pub fn write(&mut self, node: NodeId, bytes: &[u8], offset_bytes: u64) -> io::Result<()> {
        let ends = self.operation()?;
        let fits = bytes.len().min(usize::try_from(self.room_bytes).unwrap_or(usize::MAX));
        if self.room_bytes != u64::MAX {
            self.room_bytes -= fits as u64;
        }
        let offset = usize::try_from(offset_bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let file = self.file(node)?;
        if fits > 0 {
            FileNode::put(&mut file.content, offset, &bytes[..fits]);
            file.pending.push(PendingWrite { offset, bytes: bytes[..fits].to_vec(), stuck: false });
        }
        ends.result()?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// What readers of a file see.
    pub fn content(&self, node: NodeId) -> io::Result<&[u8]> {
        self.alive()?;
        match self.nodes.get(&node) {
            Some(Node::File(file)) => Ok(&file.content),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}
