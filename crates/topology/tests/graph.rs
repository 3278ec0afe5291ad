//! Shortest paths: small stories, and agreement with brute force on random graphs.

use proptest::prelude::*;
use topology::{Graph, GraphError, Link, NodeIx, PathState};
use types::LatencyUs;

fn link(a: u32, b: u32, delay_us: f64) -> Link {
    Link { a: NodeIx(a), b: NodeIx(b), delay_us, rate_kbps: 1000, loss_ppm: 0 }
}

fn path(graph: &Graph, from: u32, to: u32) -> Option<Vec<u32>> {
    let path = graph.shortest_paths(NodeIx(from)).path_to(NodeIx(to))?;
    Some(path.into_iter().map(|node| node.0).collect())
}

#[test]
fn the_shortest_path_wins_over_the_one_of_fewer_links() {
    let graph =
        Graph::new(4, &[link(0, 3, 10.0), link(0, 1, 3.0), link(1, 2, 3.0), link(2, 3, 3.0)]);
    assert_eq!(path(&graph.unwrap(), 0, 3), Some(vec![0, 1, 2, 3]));
}

#[test]
fn a_path_sums_delays_narrows_rates_and_compounds_losses() {
    let mut links = [link(0, 1, 1000.25), link(2, 1, 2000.5), link(0, 2, 9000.0)];
    links[0].loss_ppm = 100_000;
    links[1].loss_ppm = 200_000;
    links[1].rate_kbps = 7;
    let graph = Graph::new(3, &links).unwrap();
    let tree = graph.shortest_paths(NodeIx(0));
    // 1 - 0.9 * 0.8 = 0.28.
    let expected = PathState { latency: LatencyUs(3001), rate_kbps: 7, loss_ppm: 280_000, hops: 2 };
    assert_eq!(tree.state_to(NodeIx(2)), Some(expected));
    assert_eq!(tree.state_to(NodeIx(0)), Some(PathState::NONE_NEEDED));
    assert_eq!(tree.from(), NodeIx(0));
}

#[test]
fn what_no_path_reaches_has_no_state() {
    let graph = Graph::new(4, &[link(0, 1, 1.0), link(2, 3, 1.0)]).unwrap();
    let tree = graph.shortest_paths(NodeIx(0));
    assert_eq!(tree.state_to(NodeIx(2)), None);
    assert_eq!(tree.path_to(NodeIx(2)), None);
    assert_eq!(tree.state_to(NodeIx(99)), None);
    assert_eq!(graph.shortest_paths(NodeIx(99)).state_to(NodeIx(99)), None);
    assert_eq!(graph.links_of(NodeIx(99)).count(), 0);
}

#[test]
fn among_equal_paths_the_lower_node_wins_in_any_order_of_links() {
    let links = [link(0, 2, 5.0), link(2, 3, 5.0), link(0, 1, 5.0), link(1, 3, 5.0)];
    for turn in 0..links.len() {
        let mut turned = links;
        turned.rotate_left(turn);
        assert_eq!(path(&Graph::new(4, &turned).unwrap(), 0, 3), Some(vec![0, 1, 3]));
    }
}

#[test]
fn the_lower_node_wins_also_when_it_is_reached_later() {
    let links = [link(0, 5, 1.0), link(5, 6, 4.0), link(0, 2, 3.0), link(2, 6, 2.0)];
    assert_eq!(path(&Graph::new(7, &links).unwrap(), 0, 6), Some(vec![0, 2, 6]));
}

#[test]
fn links_without_delay_make_no_circles() {
    let links =
        [link(3, 2, 0.0), link(2, 1, 0.0), link(1, 0, 0.0), link(0, 3, 0.0), link(1, 3, 0.0)];
    let graph = Graph::new(4, &links).unwrap();
    for from in 0..4 {
        for to in 0..4 {
            let path = path(&graph, from, to).unwrap();
            assert!(path.len() <= 4 && path[0] == from && path[path.len() - 1] == to, "{path:?}");
        }
    }
}

#[test]
fn impossible_links_are_refused_with_place_and_rule() {
    let mut no_rate = link(0, 1, 1.0);
    no_rate.rate_kbps = 0;
    let mut all_lost = link(0, 1, 1.0);
    all_lost.loss_ppm = 1_000_001;
    for (bad, message) in [
        (link(0, 2, 1.0), "link 1 ends at node 2, but the graph has 2 nodes (0 to 2 - 1)"),
        (link(1, 1, 1.0), "link 1 joins node 1 to itself; a link joins two nodes"),
        (link(0, 1, -1.0), "link 1: delay_us -1 is outside 0 to 4294967295"),
        (link(0, 1, f64::NAN), "link 1: delay_us NaN is outside 0 to 4294967295"),
        (no_rate, "link 1: rate_kbps 0 is outside 1 to 4294967295"),
        (all_lost, "link 1: loss_ppm 1000001 is outside 0 to 1000000"),
    ] {
        assert_eq!(Graph::new(2, &[link(0, 1, 1.0), bad]).unwrap_err().to_string(), message);
    }
    assert!(matches!(Graph::new(usize::MAX, &[]), Err(GraphError::TooManyNodes { .. })));
}

/// Delays of R. W. Floyd and S. Warshall, 1962.
fn all_delays(nodes: usize, links: &[Link]) -> Vec<Vec<f64>> {
    let mut delays = vec![vec![f64::INFINITY; nodes]; nodes];
    for (node, row) in delays.iter_mut().enumerate() {
        row[node] = 0.0;
    }
    for link in links {
        for (a, b) in [(link.a.index(), link.b.index()), (link.b.index(), link.a.index())] {
            delays[a][b] = delays[a][b].min(link.delay_us);
        }
    }
    for via in 0..nodes {
        for a in 0..nodes {
            for b in 0..nodes {
                delays[a][b] = delays[a][b].min(delays[a][via] + delays[via][b]);
            }
        }
    }
    delays
}

fn random_links(nodes: u32) -> impl Strategy<Value = Vec<Link>> {
    // Delays of whole microseconds from a small range: sums are exact and ties frequent.
    let one = (0..nodes, 1..nodes, 0_u32..20, 1_u32..100, 0_u32..1_000_000);
    let one = one.prop_map(move |(a, turn, delay, rate_kbps, loss_ppm)| Link {
        a: NodeIx(a),
        b: NodeIx((a + turn) % nodes),
        delay_us: f64::from(delay),
        rate_kbps,
        loss_ppm,
    });
    prop::collection::vec(one, 0..40)
}

/// The states that the links between two neighbours of a path may give it.
fn follows(graph: &Graph, path: &[NodeIx], state: PathState) -> bool {
    let best = |two: &[NodeIx]| {
        let links = graph.links_of(two[0]).filter(|(to, _)| *to == two[1]).map(|(_, link)| link);
        links.min_by(|x, y| x.delay_us.total_cmp(&y.delay_us)).copied()
    };
    let Some(links) = path.windows(2).map(best).collect::<Option<Vec<_>>>() else { return false };
    let sum: f64 = links.iter().map(|link| link.delay_us).sum();
    let narrowest = links.iter().map(|link| link.rate_kbps).min().unwrap_or(u32::MAX);
    let kept: f64 = links.iter().map(|link| 1.0 - f64::from(link.loss_ppm) / 1e6).product();
    LatencyUs::from_ms(sum / 1000.0) == Some(state.latency)
        && narrowest == state.rate_kbps
        && ((1.0 - kept) * 1e6 - f64::from(state.loss_ppm)).abs() <= 0.51
        && links.len() == usize::from(state.hops)
}

proptest! {
    #[test]
    fn dijkstra_agrees_with_floyd_and_warshall(
        (nodes, links) in (2_u32..14).prop_flat_map(|n| (Just(n), random_links(n)))
    ) {
        let graph = Graph::new(nodes as usize, &links).unwrap();
        prop_assert_eq!(graph.node_count(), nodes as usize);
        let delays = all_delays(nodes as usize, &links);
        for from in 0..nodes {
            let tree = graph.shortest_paths(NodeIx(from));
            for to in 0..nodes {
                let expected = delays[from as usize][to as usize];
                let found = tree.delay_us(NodeIx(to));
                prop_assert_eq!(found, expected.is_finite().then_some(expected));
                if let (Some(path), Some(state)) = (tree.path_to(NodeIx(to)), tree.state_to(NodeIx(to))) {
                    prop_assert_eq!((path[0], path[path.len() - 1]), (NodeIx(from), NodeIx(to)));
                    prop_assert!(follows(&graph, &path, state), "{:?} {:?}", path, state);
                }
            }
        }
    }

    #[test]
    fn the_order_of_links_changes_no_path(
        (links, turn) in (random_links(9), 0_usize..40)
    ) {
        // Parallel links of one delay are told apart by their order only: keep one of each.
        let mut kept: Vec<Link> = vec![];
        for link in links {
            let ends = |l: &Link| (l.a.min(l.b), l.a.max(l.b));
            if kept.iter().all(|other| ends(other) != ends(&link)) {
                kept.push(link);
            }
        }
        let mut turned = kept.clone();
        if !turned.is_empty() {
            turned.rotate_left(turn % kept.len());
        }
        let (one, other) = (Graph::new(9, &kept).unwrap(), Graph::new(9, &turned).unwrap());
        for from in 0..9 {
            prop_assert_eq!(one.shortest_paths(NodeIx(from)), other.shortest_paths(NodeIx(from)));
        }
    }
}
