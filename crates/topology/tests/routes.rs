//! Routers agree with brute force and with each other.

use proptest::prelude::*;
use topology::route::{AStar, FirstHops, RoutingTables, TABLE_NODES_MAX, TreePaths, TreeRouter};
use topology::{
    Graph, GraphError, Link, NoRoute, NodeIx, Parts, PathSearch, Route, RouteNeed, Router,
    RouterKind,
};

fn link(a: u32, b: u32, delay_us: f64) -> Link {
    Link { a: NodeIx(a), b: NodeIx(b), delay_us, rate_kbps: 1000, loss_ppm: 0 }
}

fn nodes(route: &Route) -> Vec<u32> {
    route.path.iter().map(|node| node.0).collect()
}

/// A diamond: the short way over 1 loses a tenth and jitters, the long one over 2 does not.
fn diamond() -> Graph {
    let mut links = [link(0, 1, 1.0), link(1, 3, 1.0), link(0, 2, 5.0), link(2, 3, 5.0)];
    links[0].loss_ppm = 100_000;
    links[2].rate_kbps = 10;
    let graph = Graph::new(4, &links).expect("four nodes");
    graph.with_jitter(&[0.0, 7.0, 1.0, 1.0]).expect("one per link")
}

#[test]
fn needs_lead_around_what_does_not_meet_them() {
    let graph = diamond();
    let any = RouteNeed::default();
    let reliable = RouteNeed { loss_ppm_max: Some(1.0), ..any };
    let steady = RouteNeed { jitter_us_max: Some(2.0), ..any };
    for (need, expected) in [
        (any, Ok(vec![0, 1, 3])),
        (reliable, Ok(vec![0, 2, 3])),
        (steady, Ok(vec![0, 2, 3])),
        (RouteNeed { rate_kbps_min: Some(1000), ..any }, Ok(vec![0, 1, 3])),
        (RouteNeed { rate_kbps_min: Some(1001), ..any }, Err(NoRoute::Unreachable)),
        (RouteNeed { rate_kbps_min: Some(11), ..reliable }, Err(NoRoute::NeedUnmet)),
        (RouteNeed { latency_us_max: Some(9.0), ..reliable }, Err(NoRoute::NeedUnmet)),
        (RouteNeed { latency_us_max: Some(1.0), ..any }, Err(NoRoute::NeedUnmet)),
        (RouteNeed { latency_us_max: Some(10.0), ..steady }, Ok(vec![0, 2, 3])),
    ] {
        for kind in RouterKind::ALL {
            let mut router = kind.router();
            router.begin(&graph);
            let found = router.find(&graph, NodeIx(0), &[NodeIx(3)], &need);
            assert_eq!(found.map(|route| nodes(&route)), expected, "{kind:?} {need:?}");
        }
    }
}

#[test]
fn a_route_says_what_it_offers() {
    let graph = diamond();
    let mut router = RouterKind::Dijkstra.router();
    router.begin(&graph);
    let route = router.route(&graph, NodeIx(3), NodeIx(0), &RouteNeed::default()).unwrap();
    assert_eq!((nodes(&route), route.hops(), route.rate_kbps), (vec![3, 1, 0], 2, 1000));
    assert!((route.latency_us - 2.0).abs() < 1e-12 && (route.loss_ppm - 100_000.0).abs() < 1e-6);
    assert_eq!(route.jitter_us, Some(7.0));
    let here = router.route(&graph, NodeIx(2), NodeIx(2), &RouteNeed::default()).unwrap();
    assert_eq!((nodes(&here), here.hops(), here.rate_kbps), (vec![2], 0, u32::MAX));
}

#[test]
fn what_cannot_be_told_is_said_and_not_guessed() {
    let graph = Graph::new(3, &[link(0, 1, 1.0)]).unwrap();
    let any = RouteNeed::default();
    let steady = RouteNeed { jitter_us_max: Some(2.0), ..any };
    for kind in RouterKind::ALL {
        let mut router = kind.router();
        router.begin(&graph);
        let mut find = |to, need| router.find(&graph, NodeIx(0), &[NodeIx(to)], need);
        assert_eq!(find(1, &steady), Err(NoRoute::JitterUnknown));
        assert_eq!(find(2, &any), Err(NoRoute::Unreachable));
        let unknown = Err(NoRoute::UnknownNode { node: 3, nodes: 3 });
        assert_eq!(find(3, &any), unknown);
        let no_host = router.route_to_nearest(&graph, NodeIx(0), &[], &RouteNeed::default());
        assert_eq!(no_host, None);
    }
    let few = Graph::new(3, &[link(0, 1, 1.0)]).unwrap().with_jitter(&[]);
    assert_eq!(few, Err(GraphError::JitterCount { numbers: 0, links: 1 }));
    assert!(Graph::new(3, &[link(0, 1, 1.0)]).unwrap().with_jitter(&[-1.0]).is_err());
}

#[test]
fn a_search_without_end_is_given_up_and_says_so() {
    // Two ways at each of 40 steps, a lossy one without delay and a safe one that takes -ln(1 - loss) microseconds: what a route
    // saves of one it pays of the other, so that none of 2^40 is better than another.
    let mut links = Vec::new();
    for step in 0..40_u32 {
        let (here, aside, next) = (2 * step, 2 * step + 1, 2 * step + 2);
        let loss_ppm = 1000 + 37 * step * step % 997;
        let safe_us = -1e6 * (1.0 - f64::from(loss_ppm) / 1e6).ln();
        links.push(Link { loss_ppm, ..link(here, next, 0.0) });
        links.extend([link(here, aside, safe_us), link(aside, next, 0.0)]);
    }
    let graph = Graph::new(81, &links).unwrap();
    let need = RouteNeed { loss_ppm_max: Some(25_000.0), ..RouteNeed::default() };
    for kind in [RouterKind::Dijkstra, RouterKind::AStar] {
        let mut router = kind.router();
        router.begin(&graph);
        let found = router.find(&graph, NodeIx(0), &[NodeIx(80)], &need);
        assert!(matches!(found, Err(NoRoute::Undecided { labels }) if 1000 < labels), "{found:?}");
    }
}

#[test]
fn parts_are_counted() {
    let graph = Graph::new(6, &[link(0, 4, 1.0), link(4, 2, 1.0), link(1, 5, 1.0)]).unwrap();
    let parts = Parts::of(&graph);
    assert_eq!(parts.count(), 3);
    assert_eq!([0, 1, 3, 9].map(|node| parts.size(NodeIx(node))), [3, 2, 1, 0]);
    assert!(parts.joined(NodeIx(0), NodeIx(2)) && !parts.joined(NodeIx(0), NodeIx(1)));
    assert!(!parts.joined(NodeIx(9), NodeIx(9)));
}

#[test]
fn tables_of_all_nodes_are_made_for_few_nodes_only() {
    let large = Graph::new(TABLE_NODES_MAX + 1, &[]).unwrap();
    assert!(RoutingTables::of(&large).unwrap_err().to_string().contains("4097 nodes"));
    let tables = RoutingTables::of(&diamond()).unwrap();
    assert_eq!(tables.at(NodeIx(0)).unwrap().to(NodeIx(3)), Some(NodeIx(1)));
    assert_eq!(tables.at(NodeIx(0)).unwrap().to(NodeIx(0)), None);
    assert_eq!(tables.at(NodeIx(4)), None);
}

/// Delays of R. Bellman, 1958, and L. R. Ford, 1956.
fn bellman_ford(graph: &Graph, from: u32, rate_kbps_min: u32) -> Vec<f64> {
    let mut delays = vec![f64::INFINITY; graph.node_count()];
    delays[from as usize] = 0.0;
    for _ in 0..graph.node_count() {
        for link in graph.links().iter().filter(|link| rate_kbps_min <= link.rate_kbps) {
            for (a, b) in [(link.a.index(), link.b.index()), (link.b.index(), link.a.index())] {
                delays[b] = delays[b].min(delays[a] + link.delay_us);
            }
        }
    }
    delays
}

/// The least latency of all simple paths that meet the need.
fn brute_force(
    graph: &Graph,
    path: &mut Vec<u32>,
    so_far: &Sums,
    goal: u32,
    need: &RouteNeed,
) -> f64 {
    let here = path[path.len() - 1];
    if here == goal {
        return if so_far.meets(need) { so_far.delay_us } else { f64::INFINITY };
    }
    let mut best = f64::INFINITY;
    for (number, link) in graph.links().iter().enumerate() {
        let there = if link.a.0 == here { link.b.0 } else { link.a.0 };
        if (link.a.0 == here || link.b.0 == here) && !path.contains(&there) {
            path.push(there);
            let sums = so_far.plus(link, graph.jitter_us(number).expect("one per link"));
            best = best.min(brute_force(graph, path, &sums, goal, need));
            path.pop();
        }
    }
    best
}

#[derive(Clone, Copy)]
struct Sums {
    delay_us: f64,
    kept: f64,
    jitter_us: f64,
    rate_kbps: u32,
}

impl Sums {
    const NONE: Self = Self { delay_us: 0.0, kept: 1.0, jitter_us: 0.0, rate_kbps: u32::MAX };

    fn plus(&self, link: &Link, jitter_us: f64) -> Self {
        Self {
            delay_us: self.delay_us + link.delay_us,
            kept: self.kept * (1.0 - f64::from(link.loss_ppm) / 1e6),
            jitter_us: self.jitter_us + jitter_us,
            rate_kbps: self.rate_kbps.min(link.rate_kbps),
        }
    }

    fn meets(&self, need: &RouteNeed) -> bool {
        need.rate_kbps_min.is_none_or(|min| min <= self.rate_kbps)
            && need.loss_ppm_max.is_none_or(|max| (1.0 - self.kept) * 1e6 <= max)
            && need.jitter_us_max.is_none_or(|max| self.jitter_us <= max)
            && need.latency_us_max.is_none_or(|max| self.delay_us <= max)
    }
}

fn random_links(nodes: u32, links: usize) -> impl Strategy<Value = Vec<Link>> {
    // Whole microseconds from a small range: sums are exact and ties frequent.
    let one = (0..nodes, 1..nodes, 0_u32..20, 1_u32..6, 0_u32..300_000);
    let one = one.prop_map(move |(a, turn, delay, rate_kbps, loss_ppm)| Link {
        a: NodeIx(a),
        b: NodeIx((a + turn) % nodes),
        delay_us: f64::from(delay),
        rate_kbps,
        loss_ppm,
    });
    prop::collection::vec(one, 0..links)
}

fn random_need() -> impl Strategy<Value = RouteNeed> {
    let maybe = |low: f64, high: f64| prop::option::of(low..high);
    let rate = prop::option::of(1_u32..5);
    (rate, maybe(0.0, 600_000.0), maybe(0.0, 60.0), maybe(0.0, 30.0)).prop_map(
        |(rate_kbps_min, loss_ppm_max, latency_us_max, jitter_us_max)| RouteNeed {
            rate_kbps_min,
            loss_ppm_max,
            latency_us_max,
            jitter_us_max,
        },
    )
}

/// Nodes at random places, links at or below the speed of light between them.
fn placed_graph() -> impl Strategy<Value = (Vec<[f64; 3]>, Vec<Link>)> {
    let places = prop::collection::vec(prop::array::uniform3(-7000.0_f64..7000.0), 12);
    let ends = prop::collection::vec((0_u32..12, 1_u32..12, 1.0_f64..3.0), 0..40);
    (places, ends).prop_map(|(places, ends)| {
        let links = ends.into_iter().map(|(a, turn, slower)| {
            let b = (a + turn) % 12;
            link(a, b, light_us(places[a as usize], places[b as usize]) * slower)
        });
        let links = links.collect();
        (places, links)
    })
}

fn light_us(a: [f64; 3], b: [f64; 3]) -> f64 {
    let d = [0, 1, 2].map(|k| a[k] - b[k]);
    (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt() / 299_792.458 * 1e6
}

proptest! {
    #[test]
    fn all_routers_agree_with_bellman_and_ford(
        (count, links) in (2_u32..14).prop_flat_map(|n| (Just(n), random_links(n, 40))),
        rate in prop::option::of(1_u32..5),
    ) {
        let graph = Graph::new(count as usize, &links).unwrap();
        let need = RouteNeed { rate_kbps_min: rate, ..RouteNeed::default() };
        let mut routers = RouterKind::ALL.map(RouterKind::router);
        for router in &mut routers {
            router.begin(&graph);
        }
        for from in 0..count {
            let delays = bellman_ford(&graph, from, rate.unwrap_or(0));
            // Backwards, so that kept searches are asked for what they have settled already.
            for to in (0..count).rev() {
                let expected = Some(delays[to as usize]).filter(|us| us.is_finite());
                for router in &mut routers {
                    let route = router.route(&graph, NodeIx(from), NodeIx(to), &need);
                    prop_assert_eq!(route.as_ref().map(|r| r.latency_us), expected);
                    if let Some(route) = route {
                        prop_assert_eq!(route.path[0], NodeIx(from));
                        prop_assert_eq!(route.path[route.hops()], NodeIx(to));
                        prop_assert!(rate.is_none_or(|min| min <= route.rate_kbps));
                        prop_assert!(route.hops() < count as usize, "a circle: {:?}", route);
                    }
                }
            }
        }
    }

    #[test]
    fn a_star_is_never_longer_than_dijkstra_and_no_route_beats_light(
        (places, links) in placed_graph(),
        hosts in prop::collection::vec(0_u32..12, 1..5),
        lost in prop::option::of(0_usize..12),
    ) {
        let graph = Graph::new(12, &links).unwrap();
        let mut known = places.clone();
        if let Some(lost) = lost {
            known[lost] = [f64::NAN; 3];
        }
        let mut a_star = AStar::default();
        a_star.begin(&graph);
        a_star.place(&graph, &known);
        let mut dijkstra = RouterKind::Dijkstra.router();
        dijkstra.begin(&graph);
        let hosts: Vec<NodeIx> = hosts.into_iter().map(NodeIx).collect();
        for from in (0..12).map(NodeIx) {
            for to in (0..12).map(NodeIx) {
                let short = dijkstra.route(&graph, from, to, &RouteNeed::default());
                let aimed = a_star.route(&graph, from, to, &RouteNeed::default());
                prop_assert_eq!(&aimed, &short);
                if let Some(route) = short {
                    let light = light_us(places[from.index()], places[to.index()]);
                    prop_assert!(light <= route.latency_us + 1e-9);
                }
            }
            let short = dijkstra.route_to_nearest(&graph, from, &hosts, &RouteNeed::default());
            let aimed = a_star.route_to_nearest(&graph, from, &hosts, &RouteNeed::default());
            prop_assert_eq!(aimed, short);
        }
    }

    #[test]
    fn a_need_is_met_by_the_best_of_all_paths(
        links in random_links(6, 14), need in random_need(), jitter in prop::collection::vec(0_u32..12, 14)
    ) {
        let jitter: Vec<f64> = jitter.into_iter().map(f64::from).take(links.len()).collect();
        let graph = Graph::new(6, &links).unwrap().with_jitter(&jitter).unwrap();
        for kind in RouterKind::ALL {
            let mut router = kind.router();
            router.begin(&graph);
            for to in 0..6 {
                let best = brute_force(&graph, &mut vec![0], &Sums::NONE, to, &need);
                let found = router.find(&graph, NodeIx(0), &[NodeIx(to)], &need);
                match found {
                    Ok(route) => {
                        prop_assert!(need.is_met_by(&route));
                        prop_assert_eq!(route.latency_us.to_bits(), best.to_bits());
                    }
                    Err(NoRoute::Unreachable | NoRoute::NeedUnmet) => prop_assert!(best.is_infinite()),
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
        }
    }

    #[test]
    fn the_nearest_host_is_the_one_that_brute_force_finds(
        links in random_links(9, 20), hosts in prop::collection::vec(0_u32..9, 1..4), need in random_need()
    ) {
        let need = RouteNeed { jitter_us_max: None, ..need };
        let graph = Graph::new(9, &links).unwrap();
        let hosts: Vec<NodeIx> = hosts.into_iter().map(NodeIx).collect();
        let mut by_each = RouterKind::Dijkstra.router();
        for kind in RouterKind::ALL {
            let mut router = kind.router();
            router.begin(&graph);
            by_each.begin(&graph);
            for from in (0..9).map(NodeIx) {
                let each = hosts.iter().filter_map(|host| by_each.route(&graph, from, *host, &need));
                let best = each.map(|route| route.latency_us).fold(f64::INFINITY, f64::min);
                let found = router.route_to_nearest(&graph, from, &hosts, &need);
                prop_assert_eq!(found.map(|r| r.latency_us), Some(best).filter(|us| us.is_finite()));
            }
        }
    }

    #[test]
    fn a_forest_tells_its_paths_without_search(
        parents in prop::collection::vec((0_u32..1000, 0_u32..50, 1_u32..9, prop::bool::weighted(0.9)), 1..60),
        shift in 0_u32..60,
    ) {
        // Node k + 1 hangs below an earlier one, or begins a tree; numbers are turned so that roots are anywhere.
        let count = u32::try_from(parents.len()).unwrap() + 1;
        let number = |node: u32| (node + shift) % count;
        let links: Vec<Link> = (1_u32..).zip(&parents).filter(|(_, p)| p.3).map(|(node, (parent, delay, rate_kbps, _))| Link {
            rate_kbps: *rate_kbps,
            ..link(number(node), number(parent % node), f64::from(*delay))
        }).collect();
        let graph = Graph::new(count as usize, &links).unwrap();
        let paths = TreePaths::of(&graph).unwrap();
        let mut tree = TreeRouter::default();
        tree.begin(&graph);
        prop_assert!(tree.paths().is_some());
        for from in (0..count).map(NodeIx) {
            let searched = graph.shortest_paths(from);
            for to in (0..count).map(NodeIx) {
                let state = searched.state_to(to);
                let path = paths.path(from, to);
                prop_assert_eq!(path.map(|p| p.latency_us), searched.delay_us(to));
                prop_assert_eq!(path.map(|p| (p.rate_kbps, p.hops)), state.map(|s| (s.rate_kbps, u32::from(s.hops))));
                let route = tree.route(&graph, from, to, &RouteNeed::default());
                prop_assert_eq!(route.map(|r| r.path), searched.path_to(to));
            }
        }
        // One more link within a tree closes a loop.
        if let Some(within) = (0..count).map(NodeIx).find(|to| *to != NodeIx(0) && paths.path(NodeIx(0), *to).is_some()) {
            let mut looped = links;
            looped.push(link(0, within.0, 1.0));
            prop_assert!(TreePaths::of(&Graph::new(count as usize, &looped).unwrap()).is_none());
        }
    }

    #[test]
    fn first_hops_lead_along_shortest_paths(links in random_links(9, 30)) {
        let graph = Graph::new(9, &links).unwrap();
        let mut search = PathSearch::default();
        for from in (0..9).map(NodeIx) {
            let table = FirstHops::of(&graph, from, &mut search);
            let tree = graph.shortest_paths(from);
            for to in (0..9).map(NodeIx) {
                let expected = tree.path_to(to).and_then(|path| path.get(1).copied());
                prop_assert_eq!(table.to(to), expected);
            }
        }
    }
}
