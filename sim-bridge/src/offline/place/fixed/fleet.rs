//! The nodes: satellites of the published shell, edge, ground stations and data centres where people are, and the cables between them.

use orbit::WalkerShell;
use orbit::sky::SPEED_OF_LIGHT_KM_S;
use placement::NodeView;
use placement::draw::SplitMix64;
use placement::endurance::Board;
use placement::ground::distance_km;
use placement::heat::Heat;
use topology::{Link, NodeIx};
use types::{Arch, Capacity, Epoch, Geodetic, MiB, MilliCpu, NodeId, NodeKind};

use super::board::{CELLS, MAX_C, board};
use super::region::{CLOUDS, REGIONS, shared_by_people};

/// The sizes of the published scenario: all nodes but data centres, and the satellites of a plane.
pub const SIZES: [(u32, u32); 4] = [(1118, 14), (2236, 28), (3354, 42), (4472, 56)];
/// Planes of the published shell.
pub const PLANES: u32 = 72;
/// Edge nodes, ground stations and data centres for so many satellites; the published scenario has no data centres, which are ours.
const PER_SATELLITES: (u32, [u32; 3]) = (1008, [100, 10, 2]);
/// The fewest of each, so that small shells have all.
const LEAST: [u32; 3] = [12, 4, 1];
/// For which moment the angles of the shell hold: an hour before the published start.
const EPOCH: Epoch = Epoch::from_unix_ns(1_719_878_400_000_000_000);

/// Light in glass, as a share of its speed in vacuum.
const FIBRE_SPEED: f64 = 2.0 / 3.0;
/// Fibres are longer than the geodesic (ours).
const FIBRE_ROUTE: f64 = 1.5;
/// What a fibre carries, kbit/s: 10 Gbit/s.
const FIBRE_KBPS: u32 = 10_000_000;
/// How far a node may be from the middle of its region along each axis, in degrees of latitude (ours).
const SPREAD_DEG: f64 = 2.5;

/// Antennas by kind: an edge node has one terminal, a ground station four, a data centre cables only.
const ANTENNAS: [(NodeKind, u16); 3] =
    [(NodeKind::Edge, 1), (NodeKind::GroundStation, 4), (NodeKind::Cloud, 0)];

/// What a busy core draws on top of that, W (ours).
pub const WATTS_PER_CORE: f64 = 2.5;
/// With how much charge satellites begin: at least, and at most (ours). A night of idling takes 0.09: those with the least come close to
/// their reserve without any task, and below it with one.
const CHARGE: (f64, f64) = (0.40, 1.0);
/// How well boards are joined to their bodies, W/K, by the published class of heat, A to C: C is the starting value of the model, the
/// others are ours, in the order of the published rise of temperature per core (1, 2, 0.5 K/min).
pub const CONDUCTANCES_W_K: [f64; 3] = [0.6, 0.28, 1.5];

/// How large a constellation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Planes of the shell.
    pub planes: u32,
    /// Satellites of a plane.
    pub slots: u32,
}

impl Size {
    /// That of a published size; `None` for any other.
    pub fn of_total(total: u32) -> Option<Self> {
        let (_, slots) = SIZES.into_iter().find(|(size, _)| *size == total)?;
        Some(Self { planes: PLANES, slots })
    }

    /// Its satellites.
    pub const fn satellites(self) -> u32 {
        self.planes.saturating_mul(self.slots)
    }

    /// Its edge nodes, ground stations and data centres.
    fn ground(self) -> [u32; 3] {
        let (per, counts) = PER_SATELLITES;
        let share = |of: u32| u64::from(self.satellites()) * u64::from(of) / u64::from(per);
        [0, 1, 2].map(|kind: usize| {
            let share = u32::try_from(share(counts[kind])).unwrap_or(u32::MAX);
            share.max(LEAST[kind])
        })
    }
}

/// A node on the ground.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site {
    /// What it is.
    pub kind: NodeKind,
    /// In which region, by its place in [`REGIONS`].
    pub region: usize,
    /// Where.
    pub place: Geodetic,
    /// How many satellites it can hold links with.
    pub antennas: u16,
}

/// All nodes: satellites plane by plane, then edge, ground stations, data centres.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The shell.
    pub shell: WalkerShell,
    /// The nodes as policies see them at the beginning.
    pub nodes: Vec<NodeView>,
    /// How boards heat up in the published model, by node: what the published policy goes by.
    pub heat: Vec<Option<Heat>>,
    /// Of the satellites.
    pub boards: Vec<Board>,
    /// The charge with which each satellite begins, 0 to 1.
    pub charges: Vec<f64>,
    /// The nodes on the ground, after the satellites.
    pub sites: Vec<Site>,
    /// Between nodes on the ground.
    pub cables: Vec<Link>,
}

impl Fleet {
    /// The nodes of a size; a seed decides where exactly those on the ground are, what edge nodes carry, and how satellites begin.
    ///
    /// # Errors
    /// The rule that the shell breaks.
    pub fn new(size: Size, seed: u64) -> Result<Self, String> {
        let shell = shell(size);
        if let Some((key, value, rule)) = shell.problems().into_iter().next() {
            return Err(format!("shell: {key} {value} {rule}"));
        }
        let mut draw = SplitMix64::new(seed);
        let sites = sites(size, &mut draw);
        let satellites = size.satellites();
        let mut fleet = Self {
            shell,
            nodes: Vec::new(),
            heat: Vec::new(),
            boards: Vec::new(),
            charges: Vec::new(),
            cables: cables(&sites, satellites),
            sites,
        };
        for satellite in 0..satellites {
            fleet.add_satellite((satellite / size.slots, satellite % size.slots), &mut draw);
        }
        for site in 0..fleet.sites.len() {
            fleet.add_site(site, &mut draw);
        }
        Ok(fleet)
    }

    fn add_satellite(&mut self, (plane, slot): (u32, u32), draw: &mut SplitMix64) {
        let class = draw.below(CONDUCTANCES_W_K.len());
        let board = board(CONDUCTANCES_W_K[class]);
        let charge = CHARGE.0 + draw.unit() * (CHARGE.1 - CHARGE.0);
        let name = format!("sat-{plane:02}-{slot:02}");
        let mut view = view(&name, NodeKind::Satellite, Arch::Arm64, (4000, 4096));
        view.battery_wh = Some(CELLS.capacity_wh);
        view.state_of_charge = Some(charge);
        view.idle_w = board.idle_w;
        view.temperature_max_c = MAX_C;
        if let Some(power) = board.power {
            (view.solar_w, view.reserve) = (power.panels_w, power.reserve);
        }
        view.conductance_w_k = Some(CONDUCTANCES_W_K[class]);
        self.nodes.push(view);
        self.heat.push(Some(HEAT[class]));
        self.boards.push(board);
        self.charges.push(charge);
    }

    fn add_site(&mut self, at: usize, draw: &mut SplitMix64) {
        let kind = self.sites[at].kind;
        let (name, arch, carries) = match kind {
            NodeKind::Edge => ("edge", Arch::Arm64, [(2000, 2048), (4000, 4096)][draw.below(2)]),
            NodeKind::GroundStation => ("ground", Arch::X86_64, (32_000, 32_768)),
            NodeKind::Cloud | NodeKind::Satellite => ("cloud", Arch::X86_64, (128_000, 524_288)),
        };
        let before = self.sites[..at].iter().filter(|site| site.kind == kind).count();
        self.nodes.push(view(&format!("{name}-{before:03}"), kind, arch, carries));
        self.heat.push(None);
    }

    /// How many of the nodes, the first ones, are satellites.
    pub fn satellites(&self) -> usize {
        self.boards.len()
    }

    /// How many nodes are of a kind.
    pub fn count(&self, kind: NodeKind) -> usize {
        self.nodes.iter().filter(|node| node.kind == kind).count()
    }
}

fn shell(size: Size) -> WalkerShell {
    WalkerShell {
        name: "shell".to_owned(),
        planes: size.planes,
        slots: size.slots,
        altitude_km: 550.0,
        inclination_deg: 53.0,
        // The published 18 of 72 planes.
        phasing: size.planes / 4,
        raan_span_deg: 360.0,
        epoch: EPOCH,
    }
}

fn view(name: &str, kind: NodeKind, arch: Arch, (milli_cpu, mib): (u32, u32)) -> NodeView {
    let id = NodeId::new(name).expect("names are made of small letters, digits and hyphens");
    let capacity = Capacity { milli_cpu: MilliCpu(milli_cpu), memory_mib: MiB(mib) };
    NodeView::new(id, kind, arch, capacity)
}

/// The published classes of heat, A to C.
const HEAT: [Heat; 3] = [heat((45.0, 1.0, 55.0)), heat((45.0, 2.0, 60.0)), heat((35.0, 0.5, 45.0))];

const fn heat((start_c, rise_c_min, orbit_base_c): (f64, f64, f64)) -> Heat {
    let recommended_c = 65.0;
    Heat { start_c, max_c: MAX_C, recommended_c, rise_c_min, radiated_c_min: 0.1, orbit_base_c }
}

/// Edge nodes as people share them; ground stations in the largest regions first, one each, and round again; data centres where they are
/// built first.
fn sites(size: Size, draw: &mut SplitMix64) -> Vec<Site> {
    let [edge, ground, cloud] = size.ground().map(|count| count as usize);
    let mut by_people: Vec<usize> = (0..REGIONS.len()).collect();
    by_people.sort_by_key(|at| std::cmp::Reverse(REGIONS[*at].millions));
    let edge = shared_by_people(edge).into_iter().map(|at| (NodeKind::Edge, at));
    let ground = by_people.into_iter().cycle().take(ground);
    let ground = ground.map(|at| (NodeKind::GroundStation, at));
    let cloud = CLOUDS.into_iter().cycle().take(cloud).map(|at| (NodeKind::Cloud, at));
    let all: Vec<_> = edge.chain(ground).chain(cloud).collect();
    all.into_iter().map(|(kind, region)| site(kind, region, draw)).collect()
}

fn site(kind: NodeKind, region: usize, draw: &mut SplitMix64) -> Site {
    let middle = REGIONS[region];
    let mut off_deg = || SPREAD_DEG * (2.0 * draw.unit() - 1.0);
    let (north, east) = (off_deg(), off_deg());
    let lat_deg = middle.lat_deg + north;
    let lon_deg = middle.lon_deg + east / lat_deg.to_radians().cos();
    let antennas = ANTENNAS.iter().find(|(of, _)| *of == kind).map_or(0, |(_, count)| *count);
    let place = Geodetic { lat_deg, lon_deg, alt_km: 0.0 };
    Site { kind, region, place, antennas }
}

/// Each edge node to all stations and data centres of its region, and these to each other; the lengths are geodesics on the ellipsoid.
fn cables(sites: &[Site], satellites: u32) -> Vec<Link> {
    let mut links = Vec::new();
    let numbered = || (satellites..).zip(sites);
    for (a, one) in numbered() {
        for (b, other) in numbered().filter(|(b, _)| a < *b) {
            if one.region != other.region || other.kind == NodeKind::Edge {
                continue;
            }
            let km = distance_km(one.place, other.place) * FIBRE_ROUTE;
            let delay_us = km / (SPEED_OF_LIGHT_KM_S * FIBRE_SPEED) * 1.0e6;
            let (a, b) = (NodeIx(a), NodeIx(b));
            links.push(Link { a, b, delay_us, rate_kbps: FIBRE_KBPS, loss_ppm: 0 });
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sizes_have_the_published_nodes() {
        for (total, slots) in SIZES {
            let size = Size::of_total(total).unwrap();
            let fleet = Fleet::new(size, 1).unwrap();
            let clouds = fleet.count(NodeKind::Cloud);
            assert_eq!(fleet.nodes.len() - clouds, total as usize);
            assert_eq!((fleet.satellites(), clouds), (72 * slots as usize, slots as usize / 7));
            assert_eq!(fleet.count(NodeKind::GroundStation), 10 * slots as usize / 14);
        }
        assert_eq!(Size::of_total(1000), None);
    }

    #[test]
    fn cables_join_nodes_of_one_region_and_end_at_stations() {
        let fleet = Fleet::new(Size { planes: PLANES, slots: 14 }, 3).unwrap();
        assert!(!fleet.cables.is_empty());
        for cable in &fleet.cables {
            let [a, b] = [cable.a, cable.b].map(|node| fleet.sites[node.index() - 1008]);
            assert_eq!(a.region, b.region);
            assert_ne!(b.kind, NodeKind::Edge);
            // 5° either way, one and a half times as long, at two thirds of the speed.
            assert!(cable.delay_us < 6_000.0, "{cable:?}");
        }
    }
}
