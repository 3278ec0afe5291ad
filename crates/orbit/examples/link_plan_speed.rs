//! How long a contact plan takes: 6,912 satellites, 85 stations, three hours.
//!
//! `cargo run --release -p orbit --features parallel --example link_plan_speed`

#![expect(clippy::print_stdout, reason = "an example prints what it measures")]
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "it measures wall time")]

use std::time::Instant;

use orbit::link::{Isl, IslSet, LinkProtocol, Scene};
use orbit::link_plan::{LinkRates, PlanRequest, STEP_S, ground_passes, link_plan};
use orbit::propagate::Sgp4;
use orbit::station::{Station, StationKind};
use orbit::{Sky, SkySpec};
use types::{Epoch, Geodetic};

const SPEC: &str = r#"
[constellation]
walker = { name = "w", planes = 72, slots = 96, altitude_km = 550.0, inclination_deg = 53.0, phasing = 17, epoch = "2026-03-01T00:00:00Z" }
[[site]]
node = "ground"
lat_deg = 0.0
lon_deg = 0.0
"#;

/// Each satellite with the next of its plane and the same of the next plane.
#[derive(Debug)]
struct Grid;

impl LinkProtocol for Grid {
    fn name(&self) -> &'static str {
        "grid"
    }

    fn choose(&mut self, _scene: &Scene<'_>, set: &mut IslSet) {
        let mut links = Vec::new();
        for a in 0..6912_u32 {
            let (plane, slot) = (a / 96, a % 96);
            for other in [plane * 96 + (slot + 1) % 96, (plane + 1) % 72 * 96 + slot] {
                links.push(Isl { a: a.min(other), b: a.max(other), length_km: 0.0 });
            }
        }
        links.sort_unstable_by_key(|link| (link.a, link.b));
        set.links = links;
    }
}

fn main() {
    let sky = Sky::new(&toml::from_str::<SkySpec>(SPEC).expect("a spec"), None).expect("a sky");
    let elements = sky.elements().to_vec();
    let propagator = Sgp4::new(elements.clone().into());
    let stations: Vec<Station> = (0..85)
        .map(|k: i32| Station {
            name: format!("station {k}"),
            kind: StationKind::Ground,
            place: Geodetic {
                lat_deg: f64::from(k * 37 % 120 - 60),
                lon_deg: f64::from(k * 61 % 360 - 180),
                alt_km: 0.0,
            },
            min_elevation_deg: None,
            terminals: None,
            way: Vec::new(),
        })
        .collect();
    let start = Epoch::parse("2026-03-01T12:00:00Z").expect("a time");
    let request = PlanRequest {
        version: 1,
        start,
        end: start.plus_s(3.0 * 3600.0),
        step_s: STEP_S,
        elements: &elements,
        propagator: &propagator,
        stations: &stations,
        min_elevation_deg: 25.0,
        rates: LinkRates::default(),
    };
    let begin = Instant::now();
    let ground = ground_passes(&request).expect("a valid request");
    println!("{} ground windows in {:.2} s", ground.len(), begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    let plan = link_plan(&request, &mut Grid, &ground).expect("a valid request");
    println!("{} windows in {:.2} s", plan.windows().len(), begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    let bytes = topology::contact::encode(&plan);
    println!("{} bytes in {:.2} s", bytes.len(), begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    let view = topology::LinkPlanView::new(&bytes).expect("just written");
    println!("opened in {:.6} s", begin.elapsed().as_secs_f64());
    assert!(view.to_plan().expect("just written") == plan, "the same plan");
    println!("checked and read in {:.2} s", begin.elapsed().as_secs_f64());
}
