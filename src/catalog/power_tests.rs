//! Power cuts in the middle of every operation: what was answered stays, and nothing half-done is ever read.

use super::tests::{active, redefinition};
use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::stream::Id128;

/// What a reader sees: names, their incarnations, states, revisions with their prefixes, and times of change.
type Seen = Vec<(String, Incarnation, Status, (u64, String), Option<i64>)>;

type Step = fn(&Catalog) -> Result<(), CatalogError>;

const FIRST: Id128 = Id128([7; 16]);
const SECOND: Id128 = Id128([9; 16]);

const STEPS: [Step; 9] = [
    |catalog| catalog.create(active("a"), None).map(drop),
    |catalog| catalog.create(active("b"), None).map(drop),
    |catalog| catalog.mark_deleting("a", false).map(drop),
    |catalog| catalog.redefine(redefinition(&catalog.find("b").unwrap(), 1)).map(drop),
    |catalog| catalog.redefine(redefinition(&catalog.find("b").unwrap(), 2)).map(drop),
    |catalog| catalog.mark_deleting("a", true).map(drop),
    |catalog| catalog.remove("a", FIRST),
    |catalog| {
        let mut again = active("a");
        Arc::make_mut(&mut again.definition).incarnation = SECOND;
        catalog.create(again, None).map(drop)
    },
    |catalog| catalog.remove("b", FIRST),
];

fn open(disk: &FaultyDisk) -> Result<Catalog, CatalogError> {
    Catalog::open(Arc::new(disk.clone()), "/data/catalog".into())
}

fn seen(catalog: &Catalog) -> Seen {
    let row = |row: &Arc<StreamRecord>| {
        let definition = &row.definition;
        let revision = (definition.revision, definition.s3.prefix.clone());
        (definition.name.to_string(), definition.incarnation, row.status, revision, row.updated_ms)
    };
    catalog.all().iter().map(row).collect()
}

/// What is seen after no step, the first, the first two, …
fn states() -> Vec<Seen> {
    let catalog = open(&FaultyDisk::new()).unwrap();
    let mut states = vec![seen(&catalog)];
    for step in STEPS {
        step(&catalog).unwrap();
        states.push(seen(&catalog));
    }
    states
}

/// Cuts the power after `operations` of the disk; `false` if that is after the end. `Err`: a promise was broken.
fn cut(operations: u64, ignore_syncs: bool, states: &[Seen]) -> Result<bool, String> {
    let disk = FaultyDisk::new();
    disk.ignore_syncs(ignore_syncs);
    disk.cut_after(operations);
    let mut done = 0;
    if let Ok(catalog) = open(&disk) {
        done = STEPS.iter().take_while(|step| step(&catalog).is_ok()).count();
    }
    let off = disk.is_off();
    for seed in 0..20 {
        let after = open(&disk.power_cut(seed)).map_err(|error| format!("seed {seed}: {error}"))?;
        let found = seen(&after);
        // The step in which the power went may have been done or not.
        if !states.iter().skip(done).take(2).any(|state| *state == found) {
            return Err(format!("cut after {operations}, seed {seed}: {done} steps done, found {found:?}"));
        }
    }
    Ok(off)
}

#[test]
fn what_was_answered_survives_a_power_cut_anywhere() {
    let states = states();
    let mut operations = 0;
    while cut(operations, false, &states).unwrap_or_else(|broken| panic!("{broken}")) {
        operations += 1;
    }
    assert!(operations >= 3 * STEPS.len() as u64, "only {operations} operations were cut");
}

#[test]
fn without_syncs_it_does_not() {
    let states = states();
    assert!((0..60).any(|operations| cut(operations, true, &states).is_err()));
}

#[test]
fn a_failed_sync_is_an_error_and_trying_again_helps() {
    let disk = FaultyDisk::new();
    let catalog = open(&disk).unwrap();
    disk.fail_sync_once();
    assert!(matches!(catalog.create(active("a"), None), Err(CatalogError::Io { .. })));
    assert!(catalog.find("a").is_none());
    catalog.create(active("a"), None).unwrap();
    disk.fail_sync_dir_once();
    assert!(matches!(catalog.remove("a", FIRST), Err(CatalogError::Io { .. })));
    assert!(catalog.find("a").is_some());
    catalog.remove("a", FIRST).unwrap();
    assert!(open(&disk.power_cut(1)).unwrap().is_empty());
}
