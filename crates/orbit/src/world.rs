//! What a sky is prepared into: everything that does not change with time.

use std::collections::BTreeMap;

use topology::{Link, NodeIx};
use types::{Epoch, Geodetic, NodeId};

use crate::catalog::newest_epoch;
use crate::elements::{Elements, parse_elements};
use crate::frame::J2000;
use crate::geodesy;
use crate::link::{self, LinkLayout};
use crate::omm;
use crate::sky::{Endpoint, EndpointKind, SPEED_OF_LIGHT_KM_S, SkyError};
use crate::sky_spec::{FibreSpec, IslKind, SatelliteSpec, SkySpec, SpecProblem};
use crate::tle;
use crate::visibility::{SightRule, Viewer};

/// Light in glass runs at 0.67 c.
const FIBRE_SPEED_KM_S: f64 = 0.67 * SPEED_OF_LIGHT_KM_S;
/// Fibres are longer than the great circle.
const FIBRE_ROUTE_FACTOR: f64 = 1.2;
/// What a fibre carries: 10 Gbit/s.
const FIBRE_RATE_KBPS: u32 = 10_000_000;

/// Everything about a sky that does not change with time.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) elements: Vec<Elements>,
    /// See [`newest_epoch`]; J2000 without elements.
    pub(crate) newest_epoch: Epoch,
    /// Sorted by name.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Graph node of each endpoint.
    pub(crate) endpoint_nodes: Vec<NodeIx>,
    /// The sites in the order of the spec, Earth-fixed; their graph nodes follow those of the satellites.
    pub(crate) viewers: Vec<Viewer>,
    pub(crate) fibres: Vec<Link>,
    pub(crate) isl: IslKind,
    /// The layout of a Walker shell; empty where layouts change with time.
    pub(crate) fixed_layout: LinkLayout,
    pub(crate) sight: SightRule,
    pub(crate) sin_mask: f64,
}

impl World {
    pub(crate) fn new(spec: &SkySpec, elements_text: Option<&str>) -> Result<Self, SkyError> {
        let problems = spec.problems();
        if !problems.is_empty() {
            return Err(SkyError::Spec(problems));
        }
        let elements = elements(spec, elements_text)?;
        let first_site = node_number(elements.len());
        let places = places(spec, &elements)?;
        let mut placed: Vec<(Endpoint, NodeIx)> = places
            .iter()
            .map(|(node, (kind, ix))| (Endpoint { node: (*node).clone(), kind: *kind }, *ix))
            .collect();
        placed.sort_by(|a, b| a.0.node.cmp(&b.0.node));
        let (endpoints, endpoint_nodes) = placed.into_iter().unzip();
        let viewer = |place: Geodetic| Viewer {
            position_km: geodesy::to_ecef_km(&place),
            up: geodesy::up(&place),
        };
        let fixed_layout = match (&spec.constellation.walker, spec.isl_kind()) {
            (Some(shell), IslKind::PlusGrid) => link::plus_grid(shell),
            _ => LinkLayout::default(),
        };
        debug_assert!(
            places.values().all(|(_, ix)| ix.0 < first_site + node_number(spec.site.len()))
        );
        Ok(Self {
            fibres: spec.fibre.iter().filter_map(|fibre| fibre_link(fibre, &places)).collect(),
            newest_epoch: newest_epoch(&elements).unwrap_or(J2000),
            elements,
            endpoints,
            endpoint_nodes,
            viewers: spec.site.iter().map(|site| viewer(site.place())).collect(),
            isl: spec.isl_kind(),
            fixed_layout,
            sight: SightRule {
                range_max_km: spec.links.isl_range_max_km,
                grazing_altitude_km: spec.links.grazing_altitude_km,
            },
            sin_mask: spec.links.min_elevation_deg.to_radians().sin(),
        })
    }

    /// The graph node of the first site.
    pub(crate) fn first_site(&self) -> u32 {
        node_number(self.elements.len())
    }

    pub(crate) fn endpoint(&self, node: &NodeId) -> Option<&Endpoint> {
        let at = self.endpoints.binary_search_by(|endpoint| endpoint.node.cmp(node)).ok()?;
        self.endpoints.get(at)
    }

    pub(crate) fn node_ix(&self, node: &NodeId) -> Option<NodeIx> {
        let at = self.endpoints.binary_search_by(|endpoint| endpoint.node.cmp(node)).ok()?;
        self.endpoint_nodes.get(at).copied()
    }
}

fn node_number(index: usize) -> u32 {
    u32::try_from(index).expect("a text of 4 billion element sets does not fit into memory")
}

fn elements(spec: &SkySpec, text: Option<&str>) -> Result<Vec<Elements>, SkyError> {
    let refuse =
        |key, value: &str, rule: String| SkyError::Spec(vec![SpecProblem::new(key, value, rule)]);
    match (&spec.constellation.walker, text) {
        (Some(shell), _) => shell.elements().map_err(|e| {
            refuse(
                "constellation.walker",
                &shell.name,
                format!("must be orbits that SGP4 can follow: {e}"),
            )
        }),
        (None, Some(text)) => Ok(parse_elements(text)?),
        (None, None) => {
            let file = spec.constellation.file.as_deref().unwrap_or_default();
            Err(refuse(
                "constellation.file",
                file,
                "must be read before the sky is prepared".to_owned(),
            ))
        }
    }
}

/// Where each endpoint is: by name, its kind and its node in the graph.
type Places<'a> = BTreeMap<&'a NodeId, (EndpointKind, NodeIx)>;

fn places<'a>(spec: &'a SkySpec, elements: &[Elements]) -> Result<Places<'a>, SkyError> {
    let mut places = Places::new();
    for (number, site) in (node_number(elements.len())..).zip(&spec.site) {
        places.insert(&site.node, (EndpointKind::Site(site.place()), NodeIx(number)));
    }
    let mut problems = Vec::new();
    for satellite in &spec.satellite {
        match find(satellite, elements) {
            Ok(index) => {
                let place = (EndpointKind::Satellite(index), NodeIx(node_number(index)));
                places.insert(&satellite.node, place);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(SkyError::Spec(problems));
    }
    for same in &spec.same_place {
        if let Some(place) = places.get(&same.at).copied() {
            places.insert(&same.node, place);
        }
    }
    Ok(places)
}

/// The index of the satellite that a spec means.
fn find(spec: &SatelliteSpec, elements: &[Elements]) -> Result<usize, SpecProblem> {
    let (field, wanted) = match (&spec.name, &spec.catalog) {
        (Some(name), _) => ("name", name.as_str()),
        (None, catalog) => ("catalog", catalog.as_deref().unwrap_or_default()),
    };
    let refuse = |rule: &str| {
        let key = format!("satellite \"{}\" {field}", spec.node);
        Err(SpecProblem::new(key, format!("{wanted:?}"), rule))
    };
    let number = tle::catalog_number(wanted).or_else(|| omm::catalog_number(wanted));
    let number = number.map(|n| n.to_string());
    let is_meant = |e: &Elements| match field {
        "name" => e.name == wanted,
        _ => number.as_ref() == Some(&e.catalog),
    };
    let mut found = elements.iter().enumerate().filter(|(_, e)| is_meant(e));
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => refuse("must belong to one satellite only; use its catalog number"),
        (None, _) => refuse("must belong to a satellite of the constellation"),
    }
}

fn fibre_link(fibre: &FibreSpec, places: &Places<'_>) -> Option<Link> {
    let (kind_a, a) = *places.get(&fibre.a)?;
    let (kind_b, b) = *places.get(&fibre.b)?;
    let (EndpointKind::Site(place_a), EndpointKind::Site(place_b)) = (kind_a, kind_b) else {
        return None;
    };
    let km = geodesy::great_circle_km(&place_a, &place_b) * FIBRE_ROUTE_FACTOR;
    let delay_us = km / FIBRE_SPEED_KM_S * 1.0e6;
    Some(Link { a, b, delay_us, rate_kbps: FIBRE_RATE_KBPS, loss_ppm: 0 })
}
