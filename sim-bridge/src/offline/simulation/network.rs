//! From links in the sky to a graph: what each link costs, what is down, which parts hang together.

use orbit::link::IslSet;
use orbit::link_model::LinkModel;
use orbit::link_model::rain::Weather;
use topology::{GraphError, Link};

use crate::offline::moment::Moment;
use crate::offline::nodes::Nodes;
use crate::offline::overrides::Overrides;
use crate::offline::terrestrial::Cables;

/// Adds the link as it is under the changes; false where it is down.
#[inline]
fn add(links: &mut Vec<Link>, overrides: &Overrides, link: Link) -> bool {
    if overrides.is_empty() {
        links.push(link);
        return true;
    }
    let changed = overrides.applied(link);
    links.extend(changed);
    changed.is_some()
}

/// Builds the graph of each step; keeps its buffers.
#[derive(Debug)]
pub(super) struct Network {
    model: LinkModel,
    cables: Cables,
    links: Vec<Link>,
    parents: Vec<u32>,
}

impl Network {
    pub(super) fn new(model: LinkModel, cables: Cables) -> Self {
        Self { model, cables, links: Vec::new(), parents: Vec::new() }
    }

    /// Takes away what is down from the links of `moment`, and makes a graph of the others and the cables.
    pub(super) fn build(
        &mut self,
        nodes: &Nodes,
        overrides: &Overrides,
        moment: &mut Moment,
    ) -> Result<(), GraphError> {
        let Self { model, cables, links, .. } = self;
        links.clear();
        // A link that a budget leaves nothing of is no link either.
        moment.isl.links.retain(|isl| match model.isl(isl) {
            Some(link) => add(links, overrides, link),
            None => false,
        });
        let satellites = u32::try_from(nodes.satellites()).expect("at most NODES_MAX nodes");
        moment.ground.retain(|ground| {
            match model.ground(ground, satellites, &Weather::default()) {
                Some(link) => add(links, overrides, link),
                None => false,
            }
        });
        for cable in cables.links(nodes, &moment.stations) {
            add(links, overrides, cable);
        }
        moment.graph.rebuild(nodes.len(), links)
    }

    /// Parts of the network of satellites that hang together; single satellites count, those that are down do not.
    pub(super) fn components(&mut self, positions_km: &[[f64; 3]], isl: &IslSet) -> usize {
        let count = u32::try_from(positions_km.len()).expect("satellites are counted in u32");
        self.parents.clear();
        self.parents.extend(0..count);
        let up = positions_km.iter().filter(|position| !position[0].is_nan()).count();
        let mut joined = 0;
        for link in &isl.links {
            let (a, b) = (self.root(link.a), self.root(link.b));
            if a != b {
                self.parents[a.max(b) as usize] = a.min(b);
                joined += 1;
            }
        }
        up.saturating_sub(joined)
    }

    /// Union-find with path halving.
    fn root(&mut self, satellite: u32) -> u32 {
        let parents = &mut self.parents;
        let mut here = satellite;
        while parents[here as usize] != here {
            let above = parents[parents[here as usize] as usize];
            parents[here as usize] = above;
            here = above;
        }
        here
    }
}
