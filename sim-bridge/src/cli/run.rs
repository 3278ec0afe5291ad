//! `starbelt-sim run`: simulates a constellation and its network step by step.

mod shown;
mod start;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use orbit::ground::GroundPolicyKind;
use orbit::link::ProtocolKind;
use orbit::propagate::ModelKind;
use topology::RouterKind;
use types::Epoch;

use super::CommandError;
use super::answer::{is_for_people, refuse_twins, write_json};
use super::motion::model;
use super::plan::protocol_kind;
use super::route::{policy_kind, router_kind};
use super::source::SourceArgs;
use crate::offline::scenario::{Draft, Outputs, Scenario};
use crate::offline::session::Ending;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The scenario; flags come before what it says
    #[arg(value_name = "SCENARIO.toml")]
    pub scenario: Option<PathBuf>,
    /// The constellation and the stations, in place of the scenario's.
    #[command(flatten)]
    pub source: SourceArgs,
    /// How satellites move: sgp4, kepler-j2, or stardust-compat (the published rules with their flaws, of links, too)
    #[arg(long, value_name = "MODEL", value_parser = model)]
    pub model: Option<ModelKind>,
    /// Which satellites hold links with each other
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol_kind)]
    pub links: Option<ProtocolKind>,
    /// Which satellites stations hold links with
    #[arg(long, value_name = "POLICY", value_parser = policy_kind)]
    pub ground_links: Option<GroundPolicyKind>,
    /// Lowest elevation at which stations without a rule of their own see satellites, degrees
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub min_elevation: Option<f64>,
    /// How routes are found
    #[arg(long, value_name = "ROUTER", value_parser = router_kind)]
    pub router: Option<RouterKind>,
    /// The instant of the first step, RFC 3339 in UTC; without it the newest epoch of the elements
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub start: Option<Epoch>,
    /// From one step to the next
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub step: Option<f64>,
    /// How many steps; the first is the state at the start itself
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<u64>,
    /// A route to be found at each step, between satellites or stations; may be repeated
    #[arg(long, value_name = "A:B")]
    pub route: Vec<String>,
    /// How many instances of each workflow of the scenario are deployed at a time
    #[arg(long, value_name = "N", requires = "scenario")]
    pub instances: Option<u32>,
    /// Decides all that is drawn at random
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Goes at so many times real time instead of as fast as it can; 1 is real time
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub speed: Option<f64>,
    /// Threads; results are the same for any number [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Writes the summary of all steps as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes tables as CSV
    #[arg(long, value_name = "FOLDER")]
    pub csv: Option<PathBuf>,
    /// Writes the same tables as Parquet
    #[arg(long, value_name = "FOLDER")]
    pub parquet: Option<PathBuf>,
    /// Writes a page of plots that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes all states, to be replayed
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Takes positions and links from a recording instead of computing them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "tle", "omm", "walker", "ground", "satellites",
        "lenient", "rename", "model", "links", "ground_links", "min_elevation", "start", "step", "seed", "record"])]
    pub replay: Option<PathBuf>,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let stop = Arc::new(AtomicBool::new(false));
        end_on_interrupt(Arc::clone(&stop));
        let scenario = self.scenario()?;
        let session = match &self.replay {
            Some(file) => self.replayed(file, scenario, &stop)?,
            None => self.computed(scenario, &stop)?,
        };
        let Outputs { json, html, record, .. } = session.output.clone();
        refuse_twins(&[
            ("--json", json.as_deref()),
            ("--html", html.as_deref()),
            ("--record", record.as_deref()),
        ])?;
        let threads =
            rayon::ThreadPoolBuilder::new().num_threads(self.threads.map_or(0, usize::from));
        let pool = threads.build().map_err(|error| {
            CommandError::Input(format!("--threads: they cannot be started: {error}"))
        })?;
        let steps = session.session.head.steps;
        let (summary, ending) = pool.install(|| session.session.run())?;
        if let Some(file) = &json {
            write_json(file, &summary)?;
        }
        if is_for_people(&[&json, &html]) {
            shown::print(&summary)?;
        }
        match ending {
            Ending::Complete => Ok(()),
            Ending::Interrupted => {
                Err(CommandError::Interrupted { done: summary.steps.len(), steps })
            }
        }
    }

    /// The scenario of the file with what the flags say, checked.
    fn scenario(&self) -> Result<Scenario, CommandError> {
        let mut draft = match &self.scenario {
            Some(file) => Draft::read(file)?,
            None => Draft::default(),
        };
        self.put_sources(draft.scenario_mut());
        draft.set(("model", "--model"), self.model, |s, kind| s.model = kind.name().to_owned());
        draft.set(("links.protocol", "--links"), self.links, |s, kind| {
            s.links.protocol = kind.name().to_owned();
        });
        draft.set(("ground_links.policy", "--ground-links"), self.ground_links, |s, kind| {
            s.ground_links.policy = kind.name().to_owned();
        });
        draft.set(
            ("ground_links.min_elevation_deg", "--min-elevation"),
            self.min_elevation,
            |s, mask| s.ground_links.min_elevation_deg = mask,
        );
        draft.set(("router", "--router"), self.router, |s, kind| s.router = kind.name().to_owned());
        draft.set(("start", "--start"), self.start, |s, start| s.start = Some(start));
        draft.set(("step_s", "--step"), self.step, |s, step_s| s.step_s = step_s);
        draft.set(("steps", "--steps"), self.steps, |s, steps| s.steps = steps);
        draft.set(("workflow[0].instances", "--instances"), self.instances, |s, instances| {
            s.workflows.iter_mut().for_each(|workflow| workflow.instances = instances);
        });
        draft.set(("seed", "--seed"), self.seed, |s, seed| s.seed = seed);
        draft.set(("speed", "--speed"), self.speed, |s, speed| s.speed = Some(speed));
        let output = &mut draft.scenario_mut().output;
        for (flag, field) in [
            (&self.json, &mut output.json),
            (&self.csv, &mut output.csv),
            (&self.parquet, &mut output.parquet),
            (&self.html, &mut output.html),
            (&self.record, &mut output.record),
        ] {
            if flag.is_some() {
                field.clone_from(flag);
            }
        }
        Ok(draft.finish()?)
    }

    /// Satellites of flags stand in place of those of the file, stations, too.
    fn put_sources(&self, scenario: &mut Scenario) {
        let (flags, sources) = (&self.source, &mut scenario.sources);
        if !(flags.tle.is_empty() && flags.omm.is_empty() && flags.walker.is_empty()) {
            sources.tle.clone_from(&flags.tle);
            sources.omm.clone_from(&flags.omm);
            sources.walker.clone_from(&flags.walker);
        }
        if !flags.ground.is_empty() {
            sources.ground.clone_from(&flags.ground);
            scenario.stations.clear();
        }
        let sources = &mut scenario.sources;
        sources.satellites = flags.satellites.or(sources.satellites);
        sources.lenient |= flags.lenient;
        sources.rename |= flags.rename;
    }
}

/// Sets `stop` at the first Ctrl-C or SIGTERM; a second one ends the process as usual.
fn end_on_interrupt(stop: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    // Registered before the run begins: from then on no signal ends the process half-way.
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
    runtime.spawn(async move {
        let wanted = |stop: &AtomicBool| stop.swap(true, Ordering::Relaxed);
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if wanted(&stop) {
                // The second time: the results can wait, the user cannot.
                #[expect(
                    clippy::exit,
                    reason = "asked for twice; nothing half-written is left in place"
                )]
                std::process::exit(130);
            }
        }
    });
}
