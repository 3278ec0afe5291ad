//! From links in the sky to a graph: what each link costs, what is down, which parts hang together.

use orbit::link::{Forest, Isl};
use orbit::link_model::LinkModel;
use orbit::link_model::rain::Weather;
use topology::{GraphError, Link, Sets};

use crate::offline::link_cost::{JitterUs, jitter_us, link_model};
use crate::offline::moment::Moment;
use crate::offline::nodes::Nodes;
use crate::offline::overrides::Overrides;
use crate::offline::scenario::Scenario;
use crate::offline::terrestrial::Cables;
use crate::offline::weather::Rains;

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
    rains: Rains,
    /// Where it is given for all links.
    jitter: Option<JitterUs>,
    links: Vec<Link>,
    /// Of each link, as far as it is known.
    jitter_us: Vec<f64>,
    /// On each station.
    rain_mm_h: Vec<f64>,
    sets: Sets,
}

impl Network {
    pub(super) fn new(scenario: &Scenario, cables: Cables, rains: Rains) -> Self {
        Self {
            model: link_model(scenario),
            cables,
            rains,
            jitter: jitter_us(scenario),
            links: Vec::new(),
            jitter_us: Vec::new(),
            rain_mm_h: Vec::new(),
            sets: Sets::default(),
        }
    }

    /// Takes away what is down from the links of `moment`, and makes a graph of the others and the cables.
    pub(super) fn build(
        &mut self,
        nodes: &Nodes,
        overrides: &Overrides,
        moment: &mut Moment,
    ) -> Result<(), GraphError> {
        let chosen = moment.isl.links.len();
        self.add_links(nodes, overrides, moment);
        if moment.isl.links.len() < chosen && moment.isl.forest.is_some() {
            let up = up(&moment.positions_km, overrides);
            moment.isl.forest = Some(self.forest(up, moment));
        }
        self.jitter_us.clear();
        if let Some(jitter) = self.jitter {
            self.jitter_us.resize(moment.isl.links.len(), jitter.between_satellites);
            self.jitter_us.resize(self.links.len(), jitter.to_ground);
        }
        for (cable, jitter_us) in self.cables.links(nodes, &moment.stations) {
            if add(&mut self.links, overrides, cable) {
                self.jitter_us.extend(self.jitter.and(jitter_us));
            }
        }
        moment.graph.rebuild(nodes.len(), &self.links)?;
        if self.jitter.is_some() {
            let graph = std::mem::take(&mut moment.graph);
            moment.graph = graph.with_jitter(&self.jitter_us)?;
        }
        Ok(())
    }

    /// Puts the links between satellites and those to the ground in the place of what `links` held.
    fn add_links(&mut self, nodes: &Nodes, overrides: &Overrides, moment: &mut Moment) {
        let Self { model, links, rains, rain_mm_h, .. } = self;
        links.clear();
        // A link that a budget leaves nothing of is no link either.
        moment.isl.links.retain(|isl| match model.isl(isl) {
            Some(link) => add(links, overrides, link),
            None => false,
        });
        let satellites = u32::try_from(nodes.satellites()).expect("at most NODES_MAX nodes");
        rains.at(moment.at, moment.stations.len(), rain_mm_h);
        moment.ground.retain(|ground| {
            let station = ground.station as usize;
            let place = moment.stations[station].place;
            let weather = Weather {
                rain_mm_h: rain_mm_h[station],
                lat_deg: place.lat_deg,
                alt_km: place.alt_km,
            };
            match model.ground(ground, satellites, &weather) {
                Some(link) => add(links, overrides, link),
                None => false,
            }
        });
    }

    /// The shortest forest of the links that are left (J. B. Kruskal, 1956): protocols do not see which links fail, so
    /// that theirs may hold some of those.
    fn forest(&mut self, up: usize, moment: &Moment) -> Forest {
        let mut by_length: Vec<&Isl> = moment.isl.links.iter().collect();
        by_length.sort_by(|one, other| one.length_km.total_cmp(&other.length_km));
        self.sets.reset(moment.positions_km.len());
        let mut forest = Forest::default();
        for link in by_length {
            if self.sets.unite(link.a, link.b) {
                forest.edges += 1;
                forest.weight_km += link.length_km;
                forest.longest_km = link.length_km;
            }
        }
        Forest { components: up.saturating_sub(forest.edges), ..forest }
    }

    /// Parts of the network of satellites that hang together; single satellites count, those that are down do not.
    pub(super) fn components(&mut self, moment: &Moment, overrides: &Overrides) -> usize {
        self.sets.reset(moment.positions_km.len());
        let links = moment.isl.links.iter();
        let joined = links.filter(|link| self.sets.unite(link.a, link.b)).count();
        up(&moment.positions_km, overrides).saturating_sub(joined)
    }
}

/// The satellites that have a position and have not failed.
fn up(positions_km: &[[f64; 3]], overrides: &Overrides) -> usize {
    let is_there = |position: &[f64; 3]| !position[0].is_nan();
    let there = positions_km.iter().filter(|position| is_there(position)).count();
    let failed = overrides.down_nodes().filter_map(|node| positions_km.get(node.index()));
    there - failed.filter(|position| is_there(position)).count()
}
