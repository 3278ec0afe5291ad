//! `starbelt-sim plan`: the contact plan of all links over a horizon.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::RangedI64ValueParser;
use orbit::link::{LinkProtocol, ProtocolKind};
use orbit::link_plan::{
    HORIZON_S, LinkRates, PlanRequest, PlanRequestError, STEP_S, ground_passes, link_plan,
};
use orbit::propagate::ModelKind;
use orbit::sky::{GROUND_RATE_KBPS, ISL_RATE_KBPS};
use serde::Serialize;
use topology::contact::{to_csv, to_ion};
use topology::{LinkPlan, LinkWindow};
use types::Epoch;

use super::CommandError;
use super::answer::{is_for_people, print, refuse_twins, write_json};
use super::source::{Source, SourceArgs};
use crate::offline::parts;
use crate::offline::plan_file::{self, MappedPlan, PlanDiskError};
use crate::offline::scenario::Scenario;
use crate::out_file;

const MINUTE_NS: i64 = 60_000_000_000;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The constellation and the stations.
    #[command(flatten)]
    pub source: SourceArgs,
    /// An existing plan, to be shown or put into other formats
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tle", "omm", "walker", "ground", "from", "to"])]
    pub r#in: Option<PathBuf>,
    /// An existing plan of the same network, to be moved on: what it knows from --from on is kept, what follows its end is added
    #[arg(long, value_name = "FILE", conflicts_with = "in", requires = "from")]
    pub refresh: Option<PathBuf>,
    /// Where the plan begins, RFC 3339 in UTC; the minute before counts
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse, required_unless_present = "in")]
    pub from: Option<Epoch>,
    /// Where it ends; 190 min later by default, two low orbits
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub to: Option<Epoch>,
    /// Which satellites hold links with each other
    #[arg(long, value_name = "PROTOCOL", default_value = "none", value_parser = protocol_kind)]
    pub links: ProtocolKind,
    /// Lowest elevation at which stations without a rule of their own see satellites, degrees
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true, default_value_t = 25.0)]
    pub min_elevation: f64,
    /// How satellites move: sgp4 or kepler-j2
    #[arg(long, value_name = "MODEL", default_value = "sgp4", value_parser = model_of_plans)]
    pub model: ModelKind,
    /// What links between satellites carry, Mbit/s; the same for the whole of each window
    #[arg(long, value_name = "MBPS", default_value_t = ISL_RATE_KBPS / 1000, value_parser = rate_mbps())]
    pub isl_rate_mbps: u32,
    /// What links to the ground carry, Mbit/s; the same for the whole of each window
    #[arg(long, value_name = "MBPS", default_value_t = GROUND_RATE_KBPS / 1000, value_parser = rate_mbps())]
    pub ground_rate_mbps: u32,
    /// How often links are looked at, seconds: a divisor of 60, at most 10
    #[arg(long, value_name = "SECONDS", default_value_t = STEP_S)]
    pub step: u32,
    /// The number of the plan
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub plan_version: u64,
    /// Writes the plan for programs of Starbelt
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Writes a line per window
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Writes commands for ION's ionadmin (BPv7)
    #[arg(long, value_name = "FILE")]
    pub ion: Option<PathBuf>,
    /// Writes the windows with their ranges as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A model by name that plans can be made by: the published one knows no mask and so no windows.
fn model_of_plans(name: &str) -> Result<ModelKind, String> {
    let known = |kind: &ModelKind| kind.name() == name && *kind != ModelKind::StardustCompat;
    ModelKind::ALL.into_iter().find(known).ok_or_else(|| "must be sgp4 or kepler-j2".to_owned())
}

/// A rate that a plan can hold as kbit/s.
fn rate_mbps() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(u32::MAX / 1000))
}

/// A link protocol by name, for the command line.
///
/// # Errors
/// Text that lists the names there are.
pub fn protocol_kind(name: &str) -> Result<ProtocolKind, String> {
    ProtocolKind::of_name(name).ok_or_else(|| {
        let names = ProtocolKind::ALL.map(ProtocolKind::name).join(", ");
        format!("must be one of {names}")
    })
}

impl From<PlanDiskError> for CommandError {
    fn from(error: PlanDiskError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<PlanRequestError> for CommandError {
    fn from(error: PlanRequestError) -> Self {
        Self::Input(error.to_string())
    }
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        refuse_twins(&[
            ("--out", self.out.as_deref()),
            ("--csv", self.csv.as_deref()),
            ("--ion", self.ion.as_deref()),
            ("--json", self.json.as_deref()),
        ])?;
        let plan = match &self.r#in {
            Some(file) => MappedPlan::open(file)?.plan()?,
            None => {
                let source = self.source.load()?;
                source.warn_at(self.span())?;
                let mut scenario = Scenario::default();
                self.links.name().clone_into(&mut scenario.links.protocol);
                let mut protocol = parts::links(&scenario, source.shells.clone());
                match &self.refresh {
                    None => self.plan_of(&source, protocol.as_mut())?,
                    Some(file) => {
                        let before = MappedPlan::open(file)?.plan()?;
                        self.moved_on(before, &source, protocol.as_mut())?
                    }
                }
            }
        };
        self.write(&plan)?;
        if is_for_people(&[&self.out, &self.csv, &self.ion, &self.json]) {
            print(&summary(&plan))?;
        }
        Ok(())
    }

    /// Makes the plan of a constellation.
    ///
    /// # Errors
    /// [`CommandError`] for a horizon or a mask that no plan can have.
    pub fn plan_of(
        &self,
        source: &Source,
        protocol: &mut dyn LinkProtocol,
    ) -> Result<LinkPlan, CommandError> {
        self.part(self.span(), source, protocol)
    }

    /// A plan from the new beginning on: the same as one made anew for a protocol without memory.
    ///
    /// # Errors
    /// [`CommandError`] when the two do not meet, or are of different networks.
    pub fn moved_on(
        &self,
        before: LinkPlan,
        source: &Source,
        protocol: &mut dyn LinkProtocol,
    ) -> Result<LinkPlan, CommandError> {
        let (start, end) = self.span();
        if end <= before.end() {
            let reaches = format!("the plan reaches until {} already", before.end());
            return Err(CommandError::Input(format!("--to {end}: {reaches}, nothing is to add")));
        }
        let next = self.part((before.end(), end), source, protocol)?;
        before.refreshed(start, next).map_err(|e| CommandError::Input(format!("--refresh: {e}")))
    }

    /// From when to when, in whole minutes.
    fn span(&self) -> (Epoch, Epoch) {
        let from = self.from.unwrap_or_else(|| Epoch::from_unix_ns(0));
        let to = self.to.unwrap_or_else(|| from.plus_s(HORIZON_S));
        let minutes = |ns: i64| ns.div_euclid(MINUTE_NS).saturating_mul(MINUTE_NS);
        let up = to.unix_ns().saturating_add(MINUTE_NS - 1);
        (Epoch::from_unix_ns(minutes(from.unix_ns())), Epoch::from_unix_ns(minutes(up)))
    }

    fn part(
        &self,
        (start, end): (Epoch, Epoch),
        source: &Source,
        protocol: &mut dyn LinkProtocol,
    ) -> Result<LinkPlan, CommandError> {
        let propagator = self.model.propagator(Arc::clone(&source.elements), start);
        let request = PlanRequest {
            version: self.plan_version,
            start,
            end,
            step_s: self.step,
            elements: &source.elements,
            propagator: propagator.as_ref(),
            stations: &source.stations,
            min_elevation_deg: self.min_elevation,
            rates: LinkRates {
                isl_kbps: self.isl_rate_mbps * 1000,
                ground_kbps: self.ground_rate_mbps * 1000,
            },
        };
        let ground = ground_passes(&request)?;
        Ok(link_plan(&request, protocol, &ground)?)
    }

    /// Writes the files that are asked for.
    ///
    /// # Errors
    /// [`CommandError`] when one cannot be written.
    pub fn write(&self, plan: &LinkPlan) -> Result<(), CommandError> {
        if let Some(file) = &self.out {
            plan_file::write(file, plan)?;
        }
        if let Some(file) = &self.csv {
            out_file::write(file, to_csv(plan).as_bytes())?;
        }
        if let Some(file) = &self.ion {
            out_file::write(file, to_ion(plan).as_bytes())?;
        }
        if let Some(file) = &self.json {
            write_json(file, &PlanJson::new(plan))?;
        }
        Ok(())
    }
}

/// A few lines about a plan, for people.
fn summary(plan: &LinkPlan) -> String {
    let windows = plan.windows();
    let seconds: f64 = windows.iter().map(LinkWindow::seconds).sum();
    #[expect(clippy::cast_precision_loss, reason = "a number of windows")]
    let mean_s = seconds / windows.len().max(1) as f64;
    let open = windows.iter().filter(|window| !window.close_known).count();
    let slowest_us = windows.iter().map(LinkWindow::owlt_us_max).max();
    let slowest = slowest_us
        .map_or_else(|| "no windows".to_owned(), |us| format!("{:.3} ms", f64::from(us) / 1000.0));
    format!(
        "contact plan {} of {} nodes\nfrom     {}\nto       {}\nwindows  {} ({open} open at the end), {mean_s:.1} s on average\nlongest  {slowest} one-way\n",
        plan.version(),
        plan.nodes().len(),
        plan.start(),
        plan.end(),
        windows.len(),
    )
}

/// A plan as JSON.
#[derive(Clone, Debug, Serialize)]
struct PlanJson<'a> {
    version: u64,
    start: Epoch,
    end: Epoch,
    nodes: &'a [String],
    windows: Vec<WindowJson<'a>>,
}

#[derive(Clone, Debug, Serialize)]
struct WindowJson<'a> {
    a: &'a str,
    b: &'a str,
    open: Epoch,
    close: Epoch,
    open_known: bool,
    close_known: bool,
    rate_kbps: u32,
    confidence_ppm: u32,
    owlt_us_max: u32,
    /// Per minute of UTC: three coefficients in km and seconds, and the largest error in km.
    range_km: Vec<[f64; 4]>,
}

impl<'a> PlanJson<'a> {
    fn new(plan: &'a LinkPlan) -> Self {
        let name = |node: topology::NodeIx| plan.nodes()[node.index()].as_str();
        let window = |window: &LinkWindow| WindowJson {
            a: name(window.a),
            b: name(window.b),
            open: window.open,
            close: window.close,
            open_known: window.open_known,
            close_known: window.close_known,
            rate_kbps: window.rate_kbps,
            confidence_ppm: window.confidence_ppm,
            owlt_us_max: window.owlt_us_max(),
            range_km: window
                .range
                .iter()
                .map(|s| [s.c[0], s.c[1], s.c[2], s.error_km_max])
                .collect(),
        };
        Self {
            version: plan.version(),
            start: plan.start(),
            end: plan.end(),
            nodes: plan.nodes(),
            windows: plan.windows().iter().map(window).collect(),
        }
    }
}
