//! Whom HyperDrive considers: the first so many of each kind, in the order of their numbers, within a distance along the ground.

use topology::NodeIx;
use types::{Geodetic, NodeKind};

use super::World;
use crate::ground::distance_km;

/// How far away nodes may be, and how many of them are considered at most; kinds that share a count are in one row.
const ROWS: [(&[NodeKind], f64, usize); 3] = [
    (&[NodeKind::GroundStation, NodeKind::Cloud], 500.0, 120),
    (&[NodeKind::Edge], 200.0, 120),
    (&[NodeKind::Satellite], 2000.0, 60),
];
/// A degree of latitude is nowhere shorter, km: what lies more degrees apart needs no exact distance.
const DEGREE_KM_MIN: f64 = 110.5;

/// The order in which kinds are considered.
const ORDER: [NodeKind; 4] =
    [NodeKind::GroundStation, NodeKind::Cloud, NodeKind::Edge, NodeKind::Satellite];

/// All nodes: ground stations, clouds, edge, satellites, each by number.
pub(super) fn all(world: &World<'_, '_>) -> Vec<NodeIx> {
    ORDER.into_iter().flat_map(|kind| of_kind(world, kind)).collect()
}

fn of_kind(world: &World<'_, '_>, kind: NodeKind) -> impl Iterator<Item = NodeIx> {
    world.numbers().filter(move |node| world.nodes[node.index()].kind == kind)
}

/// The nodes near a place, in the same order.
///
/// Distance is that of the geodesic between latitudes and longitudes on the WGS-84 ellipsoid; heights are left out. A mean sphere would choose
/// others (3 of 60 published decisions).
pub fn near(world: &World<'_, '_>, centre: Geodetic) -> Vec<NodeIx> {
    let is_near = |node: &NodeIx, radius_km: f64| {
        let place = world.latencies.forecast().place(*node, world.now);
        place.is_some_and(|place| {
            let apart_deg = (place.lat_deg - centre.lat_deg).abs();
            apart_deg * DEGREE_KM_MIN <= radius_km && distance_km(centre, place) <= radius_km
        })
    };
    let mut found = Vec::new();
    for (kinds, radius_km, most) in ROWS {
        let kinds = kinds.iter().flat_map(|kind| of_kind(world, *kind));
        found.extend(kinds.filter(|node| is_near(node, radius_km)).take(most));
    }
    found
}
