//! How fast routes are found, beside a plain textbook search: `cargo run --release -p topology --example route_speed`.
//!
//! The network is a grid on a torus, 20,646 nodes with four links each, and 85 sources: as large as the largest published one.

#![expect(clippy::print_stdout, reason = "an example prints what it measures")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "it measures wall time")]

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

use topology::route::{AStar, Dijkstra, TreeRouter};
use topology::{Graph, Link, NodeIx, PathSearch, RouteNeed, Router};

const PLANES: u32 = 111;
const SLOTS: u32 = 186;
const NODES: u32 = PLANES * SLOTS;
const SOURCES: u32 = 85;
const RADIUS_KM: f64 = 6928.0;

fn main() {
    let (graph, positions) = network();
    let nodes = f64::from(NODES);
    println!("{nodes} nodes, {} links", graph.links().len());
    let pairs: Vec<(NodeIx, NodeIx)> = (0..SOURCES)
        .map(|k| (NodeIx(k * 7919 % NODES), NodeIx((k * 104_729 + 5000) % NODES)))
        .collect();
    row("textbook Dijkstra, all nodes from one", &pairs, |from, to| {
        textbook(&graph, from)[to.index()]
    });
    let mut search = PathSearch::default();
    row("ours, all nodes from one", &pairs, |from, to| {
        search.start(&graph, from, None);
        search.finish(&graph);
        search.delay_us(to).unwrap_or(f64::INFINITY)
    });
    let mut router = Dijkstra::default();
    row("dijkstra, one path", &pairs, |from, to| {
        router.begin(&graph);
        latency(&mut router, &graph, from, to)
    });
    // As many as are kept.
    row("dijkstra, the same from kept searches", &pairs[..40], |from, to| {
        latency(&mut router, &graph, from, to)
    });
    let mut router = AStar::default();
    router.begin(&graph);
    row("a-star, place the nodes of a graph", &pairs[..1], |_, _| {
        router.place(&graph, &positions);
        0.0
    });
    row("a-star, one path", &pairs, |from, to| latency(&mut router, &graph, from, to));

    let forest = forest(&graph);
    let mut router = TreeRouter::default();
    row("tree, root a forest", &pairs[..1], |_, _| {
        router.begin(&forest);
        0.0
    });
    let paths = router.paths().expect("a network without loops is a forest").clone();
    row("tree, one path length", &pairs, |from, to| {
        paths.path(from, to).map_or(f64::INFINITY, |path| path.latency_us)
    });
    row("tree, one whole route", &pairs, |from, to| latency(&mut router, &forest, from, to));
}

fn latency(router: &mut dyn Router, graph: &Graph, from: NodeIx, to: NodeIx) -> f64 {
    let route = router.route(graph, from, to, &RouteNeed::default());
    route.map_or(f64::INFINITY, |route| route.latency_us)
}

/// The links of the network that make no loops: along the first slots, and from there along each plane.
fn forest(graph: &Graph) -> Graph {
    let within = |link: &&Link| link.b.0 == link.a.0 + 1;
    let across = |link: &&Link| link.a.0.is_multiple_of(SLOTS) && link.b.0 == link.a.0 + SLOTS;
    let links: Vec<Link> =
        graph.links().iter().filter(|l| within(l) || across(l)).copied().collect();
    Graph::new(NODES as usize, &links).expect("links of the network")
}

/// Eleven rounds over all pairs; the median and the fastest of single questions, and the sum as a check.
fn row(what: &str, pairs: &[(NodeIx, NodeIx)], mut ask: impl FnMut(NodeIx, NodeIx) -> f64) {
    let mut times_ms = Vec::new();
    let mut sum_us = 0.0;
    for _ in 0..11 {
        sum_us = 0.0;
        for (from, to) in pairs {
            let begin = Instant::now();
            sum_us += ask(*from, *to);
            times_ms.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    times_ms.sort_by(f64::total_cmp);
    let (median_ms, least_ms) = (times_ms[times_ms.len() / 2], times_ms[0]);
    let count = pairs.len();
    println!(
        "{what:38} {count:2} x {median_ms:7.4} ms (fastest {least_ms:7.4} ms; sum {sum_us:.3} us)"
    );
}

fn network() -> (Graph, Vec<[f64; 3]>) {
    let angle = |part: u32, of: u32| f64::from(part) / f64::from(of) * core::f64::consts::TAU;
    let positions: Vec<[f64; 3]> = (0..NODES)
        .map(|node| {
            let (plane, slot) = (node / SLOTS, node % SLOTS);
            let ((sin_o, cos_o), (sin_u, cos_u)) =
                (angle(plane, PLANES).sin_cos(), angle(slot, SLOTS).sin_cos());
            let (sin_i, cos_i) = 53.0_f64.to_radians().sin_cos();
            [
                RADIUS_KM * (cos_o * cos_u - sin_o * sin_u * cos_i),
                RADIUS_KM * (sin_o * cos_u + cos_o * sin_u * cos_i),
                RADIUS_KM * sin_u * sin_i,
            ]
        })
        .collect();
    let mut links = Vec::new();
    for node in 0..NODES {
        let (plane, slot) = (node / SLOTS, node % SLOTS);
        for other in [plane * SLOTS + (slot + 1) % SLOTS, (plane + 1) % PLANES * SLOTS + slot] {
            let (p, q) = (positions[node as usize], positions[other as usize]);
            let km = (0..3).map(|k| (p[k] - q[k]).powi(2)).sum::<f64>().sqrt();
            let delay_us = km / 299_792.458 * 1e6;
            links.push(Link {
                a: NodeIx(node),
                b: NodeIx(other),
                delay_us,
                rate_kbps: 1,
                loss_ppm: 0,
            });
        }
    }
    (Graph::new(NODES as usize, &links).expect("all nodes exist"), positions)
}

/// What a textbook gives: lists of neighbours, a heap of states ordered by cost, a fresh array each time.
fn textbook(graph: &Graph, from: NodeIx) -> Vec<f64> {
    #[derive(PartialEq)]
    struct State(f64, usize);
    impl Eq for State {}
    impl Ord for State {
        fn cmp(&self, other: &Self) -> Ordering {
            other.0.total_cmp(&self.0).then_with(|| self.1.cmp(&other.1))
        }
    }
    impl PartialOrd for State {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }
    let mut costs = vec![f64::INFINITY; graph.node_count()];
    let mut heap = BinaryHeap::new();
    costs[from.index()] = 0.0;
    heap.push(State(0.0, from.index()));
    while let Some(State(cost, node)) = heap.pop() {
        if costs[node] < cost {
            continue;
        }
        for (to, link) in graph.links_of(NodeIx(u32::try_from(node).unwrap_or(0))) {
            let next = cost + link.delay_us;
            if next < costs[to.index()] {
                costs[to.index()] = next;
                heap.push(State(next, to.index()));
            }
        }
    }
    costs
}
