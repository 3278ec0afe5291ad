//! The list of members: a usual one, the largest one, and one step beyond.

use protocol::join::{MEMBERS_MAX, Member, Members, REVOKED_MAX, Role};
use types::{LeaderEpoch, NodeId};

use crate::maxima::{self, fits, is_refused};
use crate::sample::node;

/// A greater number makes a greater name.
fn name(number: usize) -> NodeId {
    NodeId::new(&maxima::name(number)).expect("a valid name")
}

pub(crate) fn members() -> Members {
    let member = |name, role| Member { name: node(name), role };
    Members {
        epoch: LeaderEpoch(3),
        serial: 300,
        members: vec![
            member("controller", Role::Controller),
            member("sat-1", Role::Node),
            member("sat-2", Role::Relay),
        ],
        revoked: vec![node("sat-9")],
        keys: vec![[0xab; 32]],
    }
}

fn largest() -> Members {
    let member = |number| Member { name: name(number), role: Role::Viewer };
    Members {
        epoch: LeaderEpoch(u64::MAX),
        serial: u64::MAX,
        members: (0..MEMBERS_MAX).map(member).collect(),
        revoked: (0..REVOKED_MAX).map(name).collect(),
        keys: vec![[0xff; 32]; REVOKED_MAX],
    }
}

#[test]
fn the_largest_list_of_members_fits_and_one_more_is_refused() {
    fits(&largest());
    let one_more = Member { name: name(MEMBERS_MAX), role: Role::Node };
    is_refused(largest(), "members", |list| list.members.push(one_more.clone()));
    is_refused(largest(), "1024", |list| list.revoked.push(name(0)));
    is_refused(largest(), "1024", |list| list.keys.push([0; 32]));
    is_refused(largest(), "order", |list| list.members.swap(0, 1));
    is_refused(largest(), "order", |list| list.members[1] = list.members[0].clone());
}
