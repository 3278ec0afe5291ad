//! What a sky is made of: the `sky.toml` that the sim-bridge and the controller share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use topology::plan::NODES_MAX;
use types::{Geodetic, NodeId};

use crate::walker::WalkerShell;

/// A constellation, the places on the ground, and the rules of their links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkySpec {
    /// Where the satellites come from.
    pub constellation: ConstellationSpec,
    /// Which links they hold.
    #[serde(default)]
    pub links: LinkSpec,
    /// Endpoints on the ground.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub site: Vec<SiteSpec>,
    /// Endpoints in orbit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub satellite: Vec<SatelliteSpec>,
    /// Endpoints that share the place of another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_place: Vec<SamePlaceSpec>,
    /// Fibres between sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fibre: Vec<FibreSpec>,
}

/// Exactly one of a rule and a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstellationSpec {
    /// A Walker shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walker: Option<WalkerShell>,
    /// A file of element sets (TLE or any notation of OMM), relative to the file that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// The rules of the links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSpec {
    /// Lowest elevation at which a site and a satellite hold a link, degrees, 0 to 89.
    pub min_elevation_deg: f64,
    /// Which satellites are linked; by default `plus-grid` for a Walker shell and `grid` for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isl: Option<IslKind>,
    /// Longest link between satellites, km.
    pub isl_range_max_km: f64,
    /// Lowest height at which a link between satellites may pass the Earth, km.
    pub grazing_altitude_km: f64,
}

impl Default for LinkSpec {
    fn default() -> Self {
        Self {
            min_elevation_deg: 25.0,
            isl: None,
            isl_range_max_km: 5500.0,
            grazing_altitude_km: 80.0,
        }
    }
}

/// Which satellites are linked. Each has at most four terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IslKind {
    /// Of a Walker shell: ahead, behind, and the same slot of both neighbouring planes; fixed for ever.
    PlusGrid,
    /// The same by geometry, for real element sets; derived anew every ten minutes.
    Grid,
    /// The nearest satellites in sight; derived anew every minute.
    Nearest,
}

/// An endpoint on the ground.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSpec {
    /// Its name.
    pub node: NodeId,
    /// Geodetic latitude, degrees, north positive.
    pub lat_deg: f64,
    /// Longitude, degrees, east positive.
    pub lon_deg: f64,
    /// Height above the ellipsoid, km.
    #[serde(default)]
    pub alt_km: f64,
}

impl SiteSpec {
    /// Its place.
    pub fn place(&self) -> Geodetic {
        Geodetic { lat_deg: self.lat_deg, lon_deg: self.lon_deg, alt_km: self.alt_km }
    }
}

/// An endpoint in orbit: exactly one of `name` and `catalog` says which satellite it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SatelliteSpec {
    /// The name of the endpoint.
    pub node: NodeId,
    /// The name of the satellite in the element set, which must be unique there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The catalogue number of the satellite, decimal or Alpha-5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
}

/// An endpoint at the place of another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamePlaceSpec {
    /// Its name.
    pub node: NodeId,
    /// The site or satellite at whose place it is.
    pub at: NodeId,
}

/// A fibre between two sites.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FibreSpec {
    /// One end: a site or an endpoint at the place of one.
    pub a: NodeId,
    /// The other end.
    pub b: NodeId,
}

/// A value of a [`SkySpec`] that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {value} {rule}")]
pub struct SpecProblem {
    /// The key, for example `links.min_elevation_deg` or `site "drone" lat_deg`.
    pub key: String,
    /// The refused value.
    pub value: String,
    /// The rule, beginning with "must".
    pub rule: String,
}

impl SpecProblem {
    pub(crate) fn new(
        key: impl Into<String>,
        value: impl ToString,
        rule: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), value: value.to_string(), rule: rule.into() }
    }
}

impl SkySpec {
    /// The kind of links in force.
    pub fn isl_kind(&self) -> IslKind {
        let natural = match self.constellation.walker {
            Some(_) => IslKind::PlusGrid,
            None => IslKind::Grid,
        };
        self.links.isl.unwrap_or(natural)
    }

    /// All rules that the spec breaks on its own, before any element set is read.
    pub fn problems(&self) -> Vec<SpecProblem> {
        let mut found = self.constellation.problems();
        found.extend(self.links.problems());
        if self.isl_kind() == IslKind::PlusGrid && self.constellation.walker.is_none() {
            let rule = "must be \"grid\" or \"nearest\" unless the constellation is a walker shell";
            found.push(SpecProblem::new("links.isl", "\"plus-grid\"", rule));
        }
        let places = self.places(&mut found);
        self.check_sites(&mut found);
        self.check_references(&places, &mut found);
        found
    }

    /// The place of each endpoint by the name of the site or satellite that is there; finds twins.
    fn places<'a>(
        &'a self,
        found: &mut Vec<SpecProblem>,
    ) -> BTreeMap<&'a NodeId, Option<&'a NodeId>> {
        let own = self.site.iter().map(|s| (&s.node, None));
        let own = own.chain(self.satellite.iter().map(|s| (&s.node, None)));
        let all = own.chain(self.same_place.iter().map(|s| (&s.node, Some(&s.at))));
        let mut places = BTreeMap::new();
        for (node, at) in all {
            if places.insert(node, at).is_some() {
                let rule = "must be the name of one endpoint only";
                found.push(SpecProblem::new("node", format!("{:?}", node.as_str()), rule));
            }
        }
        if NODES_MAX < places.len() {
            let rule = format!("must be at most {NODES_MAX}");
            found.push(SpecProblem::new("number of endpoints", places.len(), rule));
        }
        places
    }

    fn check_sites(&self, found: &mut Vec<SpecProblem>) {
        for site in &self.site {
            if let Err(e) = site.place().checked() {
                let key = format!("site \"{}\" {}", site.node, e.field);
                found.push(SpecProblem::new(key, e.value, format!("must be {}", e.range)));
            }
        }
        for satellite in &self.satellite {
            if satellite.name.is_some() == satellite.catalog.is_some() {
                let key = format!("satellite \"{}\"", satellite.node);
                let value = if satellite.name.is_some() { "both" } else { "neither" };
                found.push(SpecProblem::new(
                    key,
                    value,
                    "must have exactly one of name and catalog",
                ));
            }
        }
    }

    fn check_references(
        &self,
        places: &BTreeMap<&NodeId, Option<&NodeId>>,
        found: &mut Vec<SpecProblem>,
    ) {
        for same in &self.same_place {
            if places.get(&same.at) != Some(&None) {
                let key = format!("same_place \"{}\" at", same.node);
                let value = format!("{:?}", same.at.as_str());
                found.push(SpecProblem::new(key, value, "must be the node of a site or satellite"));
            }
        }
        for fibre in &self.fibre {
            let place = |node| Some(places.get(node).copied()?.unwrap_or(node));
            let is_site = |node| self.site.iter().any(|site| Some(&site.node) == place(node));
            for (key, node) in [("fibre a", &fibre.a), ("fibre b", &fibre.b)] {
                if !is_site(node) {
                    let value = format!("{:?}", node.as_str());
                    found.push(SpecProblem::new(key, value, "must be at a site"));
                }
            }
            if place(&fibre.a) == place(&fibre.b) {
                let value = format!("{:?} and {:?}", fibre.a.as_str(), fibre.b.as_str());
                found.push(SpecProblem::new("fibre", value, "must join two places"));
            }
        }
    }
}

impl ConstellationSpec {
    fn problems(&self) -> Vec<SpecProblem> {
        match (&self.walker, &self.file) {
            (Some(walker), None) => walker
                .problems()
                .into_iter()
                .map(|(key, value, rule)| {
                    SpecProblem::new(format!("constellation.walker.{key}"), value, rule)
                })
                .collect(),
            (None, Some(file)) if !file.is_empty() => Vec::new(),
            (None, Some(_)) => {
                vec![SpecProblem::new("constellation.file", "\"\"", "must name a file")]
            }
            (walker, _) => {
                let value = if walker.is_some() { "both" } else { "neither" };
                let rule = "must have exactly one of walker and file";
                vec![SpecProblem::new("constellation", value, rule)]
            }
        }
    }
}

impl LinkSpec {
    fn problems(&self) -> Vec<SpecProblem> {
        [
            ("links.min_elevation_deg", self.min_elevation_deg, 0.0, 89.0),
            ("links.isl_range_max_km", self.isl_range_max_km, 1.0, 50_000.0),
            ("links.grazing_altitude_km", self.grazing_altitude_km, 0.0, 5_000.0),
        ]
        .into_iter()
        .filter(|(_, value, low, high)| !(low..=high).contains(&value))
        .map(|(key, value, low, high)| {
            SpecProblem::new(key, value, format!("must be {low} to {high}"))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[constellation]
walker = { name = "shell-1", planes = 72, slots = 22, altitude_km = 550.0, inclination_deg = 53.0, phasing = 17, epoch = "2026-01-01T00:00:00Z" }
[links]
min_elevation_deg = 25.0
isl = "plus-grid"
isl_range_max_km = 5500.0
grazing_altitude_km = 80.0
[[site]]
node = "drone"
lat_deg = 39.493917
lon_deg = -122.981303
alt_km = 0.5
[[site]]
node = "ground-station"
lat_deg = 47.0
lon_deg = 15.0
[[site]]
node = "cloud"
lat_deg = 50.1
lon_deg = 8.7
[[satellite]]
node = "sat-1"
name = "shell-1-12-07"
[[same_place]]
node = "controller"
at = "ground-station"
[[fibre]]
a = "controller"
b = "cloud"
"#;

    fn keys(text: &str) -> Vec<String> {
        let spec: SkySpec = toml::from_str(text).unwrap();
        spec.problems().into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn a_good_spec_has_no_problems_and_survives_writing() {
        let spec: SkySpec = toml::from_str(GOOD).unwrap();
        assert_eq!(spec.problems(), []);
        assert_eq!(spec.links, LinkSpec { isl: Some(IslKind::PlusGrid), ..LinkSpec::default() });
        let again: SkySpec = toml::from_str(&toml::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
    }

    #[test]
    fn the_shortest_spec_gets_the_defaults() {
        let spec: SkySpec = toml::from_str("[constellation]\nfile = 'starlink.tle'").unwrap();
        assert_eq!(spec.problems(), []);
        assert_eq!(spec.isl_kind(), IslKind::Grid);
        assert_eq!(spec.links, LinkSpec::default());
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in [
            GOOD.replace("alt_km", "height"),
            GOOD.replace("[links]", "[link]"),
            GOOD.replace("planes", "plane"),
        ] {
            assert!(toml::from_str::<SkySpec>(&text).is_err());
        }
    }

    #[test]
    fn each_broken_rule_names_its_key() {
        for (from, to, key) in [
            ("[links]", "file = 'x'\n[links]", "constellation"),
            ("slots = 22", "slots = 0", "constellation.walker.slots"),
            ("elevation_deg = 25.0", "elevation_deg = 95.0", "links.min_elevation_deg"),
            ("5500.0", "nan", "links.isl_range_max_km"),
            ("altitude_km = 80.0", "altitude_km = -1.0", "links.grazing_altitude_km"),
            ("39.493917", "95.0", "site \"drone\" lat_deg"),
            ("\"controller\"\nat", "\"cloud\"\nat", "node"),
            ("at = \"ground-station\"", "at = \"controller\"", "same_place \"controller\" at"),
            ("name = \"shell-1-12-07\"", "", "satellite \"sat-1\""),
            ("b = \"cloud\"", "b = \"sat-1\"", "fibre b"),
            ("b = \"cloud\"", "b = \"nobody\"", "fibre b"),
            ("b = \"cloud\"", "b = \"ground-station\"", "fibre"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            assert!(keys(&text).contains(&key.to_owned()), "{key}: {:?}", keys(&text));
        }
        assert_eq!(keys("[constellation]"), ["constellation"]);
        assert_eq!(keys("[constellation]\nfile = ''"), ["constellation.file"]);
        assert_eq!(keys("[constellation]\nfile = 'x'\n[links]\nisl = 'plus-grid'"), ["links.isl"]);
    }

    #[test]
    fn a_problem_says_key_value_and_rule() {
        let text = GOOD.replace("elevation_deg = 25.0", "elevation_deg = 95.0");
        let spec: SkySpec = toml::from_str(&text).unwrap();
        let problem = spec.problems().remove(0).to_string();
        assert_eq!(problem, "links.min_elevation_deg: 95 must be 0 to 89");
    }
}
