//! What failed links and satellites leave of the network: all figures of a step tell of the same links.

use orbit::link::{Isl, ProtocolKind};
use sim_bridge::offline::scenario::Scenario;
use sim_bridge::offline::watch::NoWatch;
use topology::{Graph, Link, NodeIx, Parts};

use super::{START, cities, scenario, simulation, steps};

fn shell(protocol: ProtocolKind, tail: &str) -> Scenario {
    scenario(&format!(
        "start = '{START}'\nsteps = 2\nstep_s = 60.0\n[sources]\nwalker = ['8x8:1200:60:3@{START}']\n\
         [links]\nprotocol = '{}'\n{tail}",
        protocol.name()
    ))
}

/// Changes that take these links down from the second step on.
fn cut(links: &[Isl], protocol: ProtocolKind) -> String {
    let plain = simulation(&shell(protocol, ""), Vec::new());
    let name = |index: u32| plain.nodes().name(NodeIx(index)).to_owned();
    let change = |link: &Isl| {
        let ends = (name(link.a), name(link.b));
        format!("[[change]]\nlink = ['{}', '{}']\nfrom_s = 60.0\ndown = true\n", ends.0, ends.1)
    };
    links.iter().map(change).collect()
}

/// The parts of a network of 64 satellites, single ones included.
fn parts(links: &[Isl]) -> usize {
    let link = |isl: &Isl| Link {
        a: NodeIx(isl.a),
        b: NodeIx(isl.b),
        delay_us: 1.0,
        rate_kbps: 1,
        loss_ppm: 0,
    };
    let links: Vec<Link> = links.iter().map(link).collect();
    Parts::of(&Graph::new(64, &links).expect("links between satellites")).count()
}

#[test]
fn a_tree_without_a_failed_link_has_an_edge_less_and_a_part_more() {
    let whole = simulation(&shell(ProtocolKind::Mst, ""), Vec::new()).step(&mut NoWatch).unwrap();
    assert_eq!((whole.1.links, whole.1.tree_edges, whole.1.components), (63, Some(63), 1));
    // In a minute all keep their links here.
    let lost = whole.0.isl.links[7];
    let text = cut(&[lost], ProtocolKind::Mst);
    let scenario = shell(ProtocolKind::Mst, &text);
    let steps = steps(&scenario, &mut simulation(&scenario, Vec::new()));
    let (moment, after) = &steps[1];
    assert_eq!((after.links, after.tree_edges, after.components), (62, Some(62), 2));
    let lengths = moment.isl.links.iter().map(|link| link.length_km);
    let weight_km = after.tree_weight_km.expect("a tree");
    assert!((weight_km - lengths.sum::<f64>()).abs() < 1.0e-6);
    let forest = moment.isl.forest.expect("a tree");
    assert_eq!((forest.edges, forest.components), (62, 2));
}

#[test]
fn edges_weight_and_parts_are_those_of_the_links_that_are_left() {
    for protocol in ProtocolKind::ALL {
        let (whole, _) = simulation(&shell(protocol, ""), Vec::new()).step(&mut NoWatch).unwrap();
        let lost: Vec<Isl> = whole.isl.links.iter().copied().step_by(5).collect();
        let scenario = shell(protocol, &cut(&lost, protocol));
        let (moment, after) = steps(&scenario, &mut simulation(&scenario, cities())).remove(1);
        assert_eq!(after.links, moment.isl.links.len(), "{protocol:?}");
        assert_eq!(after.components, parts(&moment.isl.links), "{protocol:?}");
        let Some(edges) = after.tree_edges else { continue };
        assert_eq!(edges + after.components, 64, "{protocol:?}");
        let all_km: f64 = moment.isl.links.iter().map(|link| link.length_km).sum();
        let is_whole = edges == after.links;
        let weight_km = after.tree_weight_km.expect("a forest has a length");
        assert!(if is_whole { (weight_km - all_km).abs() < 1.0e-6 } else { weight_km < all_km });
        assert!(edges < 63 || protocol != ProtocolKind::Mst, "nothing was cut");
    }
}

#[test]
fn a_failed_satellite_is_no_part_of_the_network() {
    for protocol in [ProtocolKind::Mst, ProtocolKind::PlusGrid] {
        let plain = simulation(&shell(protocol, ""), Vec::new());
        let name = plain.nodes().satellite_names()[9].clone();
        let text = format!("[[change]]\nnode = '{name}'\nfrom_s = 60.0\ndown = true\n");
        let scenario = shell(protocol, &text);
        let mut simulation = simulation(&scenario, cities());
        let steps = steps(&scenario, &mut simulation);
        for (moment, summary) in &steps {
            let alone = usize::from(0 < moment.step);
            assert_eq!(summary.components, parts(&moment.isl.links) - alone, "{protocol:?}");
            assert_eq!(summary.down, 0);
            if let Some(forest) = moment.isl.forest {
                assert_eq!((summary.components, forest.components), (1, 1));
            }
        }
    }
}
