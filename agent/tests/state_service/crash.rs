//! The plug is pulled at any moment: what was acknowledged is there when the node is back.

use std::collections::BTreeMap;

use agent::state::{Ownership, StateService};
use types::OwnerEpoch;

use crate::bed::{Bed, group, invoke, node, own, own_until, read_log, read_object, stand_by};
use crate::disk::{Disk, Syncs};

/// `SplitMix64`.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}

/// Two nodes on disks that can be pulled.
struct Pullable {
    bed: Bed,
    disks: BTreeMap<&'static str, Disk>,
    rng: Rng,
}

impl Pullable {
    fn new(seed: u64, syncs: Syncs) -> Self {
        let disks = ["a", "b"].map(|name| (name, Disk::new(syncs)));
        let this = Self { bed: Bed::new(&[]), disks: disks.into(), rng: Rng(seed) };
        for name in ["a", "b"] {
            this.open(name).expect("a new disk opens");
        }
        this
    }

    fn open(&self, name: &'static str) -> Result<StateService, String> {
        let disk = self.disks[name].clone();
        let service = StateService::open_on(disk, &self.bed.config(name), node(name));
        let service = service.map_err(|error| error.to_string())?;
        self.bed.add(name, service.clone());
        Ok(service)
    }

    /// Pulls a node's plug and starts it on what is left.
    fn pull(&mut self, name: &'static str) -> Result<StateService, String> {
        let left = self.disks[name].pulled(|| self.rng.one_in(2));
        self.bed.stop(name);
        self.disks.insert(name, left);
        self.open(name)
    }
}

/// Runs a seeded story of commits, plugs pulled and hand-overs. Answers what was lost, in words.
async fn story(seed: u64, syncs: Syncs) -> Option<String> {
    let mut world = Pullable::new(seed, syncs);
    let bed = world.bed.clone();
    let (mut owner, mut other, mut epoch) = ("a", "b", 1);
    bed.role(owner, &own(1), Some(other));
    let mut acknowledged = Vec::new();
    for run in 1..=12 {
        let done = bed.append(owner, &invoke(run, 1)).await;
        let done = done.unwrap_or_else(|fault| panic!("seed {seed}, run {run}: {fault:?}"));
        assert_eq!(done.single_copy, None, "seed {seed}, run {run}");
        acknowledged.push((run, done.outputs[0].clone()));
        if world.rng.one_in(4) {
            bed.role(other, &stand_by(owner), None);
            bed.role(owner, &own_until(epoch, other), Some(other));
            let next = bed.service(owner).hand_over(&bed.bus(owner), &group(), &node(other)).await;
            epoch += 1;
            assert_eq!(next, Ok(OwnerEpoch(epoch)), "seed {seed}");
            (owner, other) = (other, owner);
            bed.role(owner, &own(epoch), Some(other));
        }
        for name in ["a", "b"] {
            if world.rng.one_in(3) {
                let service = match world.pull(name) {
                    Ok(service) => service,
                    Err(error) => return Some(format!("{name} does not open: {error}")),
                };
                if name == owner {
                    if service.group_status(&group()).ownership != Ownership::Owner {
                        return Some(format!("{name} forgot that it owns"));
                    }
                    bed.role(name, &own(epoch), Some(other));
                }
                let log = read_log(&service);
                if log.len() != acknowledged.len() {
                    return Some(format!("{name} holds {log:?} after run {run}"));
                }
            }
        }
    }
    for (run, output) in &acknowledged {
        let held = ["a", "b"].map(|name| read_object(&bed.service(name), &output.id));
        if held.iter().all(Option::is_none) {
            return Some(format!("the output of run {run} is nowhere"));
        }
    }
    None
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_plug_is_pulled() {
    for seed in 0..40 {
        assert_eq!(story(seed, Syncs::Work).await, None, "seed {seed}");
    }
}

#[tokio::test]
async fn without_syncs_acknowledged_writes_are_lost() {
    let mut found = None;
    for seed in 0..40 {
        if let Some(lost) = story(seed, Syncs::AreLeftOut).await {
            found = Some((seed, lost));
            break;
        }
    }
    let (seed, lost) = found.expect("a disk that never syncs loses something in 40 stories");
    println!("seed {seed}: {lost}");
}
