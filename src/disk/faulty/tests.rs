use super::*;
use crate::disk::{create_dir_durable, replace_file};
use std::collections::BTreeSet;

const SEEDS: u64 = 400;

fn read(disk: &FaultyDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path)).ok()?;
    let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// What a path can hold after a power cut.
fn outcomes(disk: &FaultyDisk, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| read(&disk.power_cut(seed), path)).collect()
}

fn file_with(disk: &FaultyDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create_new(Path::new(path)).unwrap();
    file.write_all_at(&[bytes], 0).unwrap();
    file
}

#[test]
fn only_what_is_synced_with_its_name_is_sure() {
    for (sync_file, sync_dir) in [(false, false), (true, false), (false, true), (true, true)] {
        let disk = FaultyDisk::new();
        let file = file_with(&disk, "/f", b"content");
        if sync_file {
            file.sync_data().unwrap();
        }
        if sync_dir {
            disk.sync_dir(Path::new("/")).unwrap();
        }
        let outcomes = outcomes(&disk, "/f");
        assert!(outcomes.contains(&Some(b"content".to_vec())));
        assert_eq!(outcomes.contains(&None), !sync_dir);
        assert_eq!(outcomes.iter().flatten().count() > 1, !sync_file, "{outcomes:?}");
    }
}

#[test]
fn unsynced_writes_are_torn_reordered_and_lost_beside_synced_ones() {
    let disk = FaultyDisk::new();
    let file = file_with(&disk, "/f", b"stable");
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_all_at(&[b"AAAA", b"BBBB"], 6).unwrap();
    let outcomes = outcomes(&disk, "/f");
    assert!(outcomes.iter().flatten().all(|bytes| bytes.starts_with(b"stable")));
    for possible in [&b"stable"[..], b"stableAAAABBBB", b"stableAAAA", b"stable\0\0\0\0BBBB", b"stableAA"] {
        assert!(outcomes.contains(&Some(possible.to_vec())), "{:?}", String::from_utf8_lossy(possible));
    }
}

#[test]
fn a_crash_of_the_process_keeps_what_was_written_but_does_not_sync_it() {
    let disk = FaultyDisk::new();
    let file = file_with(&disk, "/f", b"x");
    let restarted = disk.process_crash();
    assert_eq!(read(&restarted, "/f"), Some(b"x".to_vec()));
    assert!(outcomes(&restarted, "/f").contains(&None));
    assert!(file.write_all_at(&[b"late"], 0).is_err(), "the dead process cannot write");
}

#[test]
fn a_replaced_file_is_old_or_new_at_every_operation() {
    let prepared = || {
        let disk = FaultyDisk::new();
        replace_file(&disk, Path::new("/f"), b"old").unwrap();
        disk.process_crash()
    };
    let whole = prepared();
    replace_file(&whole, Path::new("/f"), b"new").unwrap();
    let mut seen = BTreeSet::new();
    for last in 0..=whole.operations() {
        let disk = prepared();
        disk.cut_after(last);
        let done = replace_file(&disk, Path::new("/f"), b"new").is_ok();
        assert_eq!((done, disk.is_off()), (last == whole.operations(), last < whole.operations()));
        for seed in 0..SEEDS {
            let content = read(&disk.power_cut(seed), "/f").unwrap();
            assert!(content == b"new" || (content == b"old" && !done), "operation {last}, seed {seed}: {content:?}");
            seen.insert(content);
        }
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn without_syncs_a_replaced_file_can_be_lost() {
    let disk = FaultyDisk::new();
    disk.ignore_syncs(true);
    replace_file(&disk, Path::new("/f"), b"new").unwrap();
    let outcomes = outcomes(&disk, "/f");
    assert!(outcomes.contains(&None) && outcomes.len() > 2);
}

#[test]
fn a_folder_found_after_a_crash_is_made_durable_too() {
    for last in 0..6 {
        let disk = FaultyDisk::new();
        disk.cut_after(last);
        let _ = create_dir_durable(&disk, Path::new("/a/b/c"));
        let disk = disk.process_crash();
        create_dir_durable(&disk, Path::new("/a/b/c")).unwrap();
        for seed in 0..SEEDS {
            assert!(disk.power_cut(seed).list(Path::new("/a/b/c")).is_ok(), "operation {last}, seed {seed}");
        }
    }
}

#[test]
fn after_a_failed_sync_a_good_one_proves_nothing() {
    let disk = FaultyDisk::new();
    let file = file_with(&disk, "/f", b"");
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_all_at(&[b"lost"], 0).unwrap();
    disk.fail_sync_once();
    assert!(file.sync_data().is_err());
    file.write_all_at(&[b"kept"], 4).unwrap();
    file.sync_data().unwrap();
    assert_eq!(read(&disk, "/f").unwrap(), b"lostkept");
    assert!(outcomes(&disk, "/f").contains(&Some(b"\0\0\0\0kept".to_vec())));
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = FaultyDisk::new();
    disk.disk_full_after(3);
    let file = disk.create_new(Path::new("/f")).unwrap();
    let error = file.write_all_at(&[b"12345"], 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(read(&disk, "/f").unwrap(), b"123");
    disk.disk_full_after(u64::MAX);
    file.write_all_at(&[b"45"], 3).unwrap();
}

#[test]
fn a_rename_between_folders_is_old_or_new() {
    let disk = FaultyDisk::new();
    create_dir_durable(&disk, Path::new("/a")).unwrap();
    create_dir_durable(&disk, Path::new("/b")).unwrap();
    file_with(&disk, "/a/f", b"x").sync_data().unwrap();
    disk.sync_dir(Path::new("/a")).unwrap();
    disk.rename(Path::new("/a/f"), Path::new("/b/g")).unwrap();
    let both = |disk: &FaultyDisk| (read(disk, "/a/f").is_some(), read(disk, "/b/g").is_some());
    let seen: BTreeSet<_> = (0..SEEDS).map(|seed| both(&disk.power_cut(seed))).collect();
    assert_eq!(seen, BTreeSet::from([(true, false), (false, true)]));
    let disk = disk.process_crash();
    disk.sync_dir(Path::new("/b")).unwrap();
    assert_eq!(both(&disk.power_cut(1)), (false, true));
}

#[test]
fn a_removed_folder_may_come_back_in_parts() {
    let disk = FaultyDisk::new();
    create_dir_durable(&disk, Path::new("/a")).unwrap();
    for name in ["/a/f", "/a/g"] {
        file_with(&disk, name, b"x").sync_data().unwrap();
    }
    disk.sync_dir(Path::new("/a")).unwrap();
    disk.remove_dir_all(Path::new("/a")).unwrap();
    assert!(disk.list(Path::new("/a")).is_err());
    let left = |seed| disk.power_cut(seed).list(Path::new("/a")).map_or(usize::MAX, |entries| entries.len());
    let seen: BTreeSet<_> = (0..SEEDS).map(left).collect();
    assert_eq!(seen, BTreeSet::from([0, 1, 2, usize::MAX]));
    let disk = disk.process_crash();
    disk.sync_dir(Path::new("/")).unwrap();
    assert!((0..SEEDS).all(|seed| disk.power_cut(seed).list(Path::new("/a")).is_err()));
}
