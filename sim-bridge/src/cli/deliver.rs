//! `starbelt-sim deliver`: how data comes from one node to another over a contact plan, stored and forwarded.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use topology::earliest_arrival::{Bundle, ContactRouter, Delivery, Hop};
use topology::{LinkPlan, NodeIx};
use types::Epoch;

use super::CommandError;
use super::answer::{is_for_people, print, write_json};
use crate::near_names::near_names;
use crate::offline::plan_file::MappedPlan;

/// Most bundles of one question; each is searched for over the whole plan.
const BUNDLES_MAX: u32 = 10_000;

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The contact plan, as `plan --out` writes it
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// Where the data is
    #[arg(long, value_name = "NODE")]
    pub from: String,
    /// Where it is to go
    #[arg(long, value_name = "NODE")]
    pub to: String,
    /// When it can be sent, RFC 3339 in UTC; the beginning of the plan without it
    #[arg(long, value_name = "TIME", value_parser = Epoch::parse)]
    pub at: Option<Epoch>,
    /// How large a bundle is
    #[arg(long, value_name = "BYTES", default_value_t = 1)]
    pub bytes: u64,
    /// How many bundles of this size; each takes its time on the links from those after it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(BUNDLES_MAX)))]
    pub count: u32,
    /// Most bytes that a node keeps for others at a time; any number without it
    #[arg(long, value_name = "BYTES")]
    pub buffer: Option<u64>,
    /// Writes the deliveries as JSON, `-` for the standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The deliveries for people and scripts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveriesView {
    /// The number of the plan.
    pub plan_version: u64,
    /// Where the bundles are.
    pub from: String,
    /// Where they are to go.
    pub to: String,
    /// When they can be sent.
    pub at: Epoch,
    /// How large each is.
    pub bytes: u64,
    /// The bundles that are brought, in order; what is missing is not brought.
    pub deliveries: Vec<DeliveryView>,
    /// Why the bundle after the last one is not brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The way of one bundle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveryView {
    /// When its last bit is there.
    pub arrival: Epoch,
    /// How long that takes.
    pub seconds: f64,
    /// The links passed, in order.
    pub hops: Vec<HopView>,
}

/// One link of a way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HopView {
    /// The sender.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// When the first bit is sent.
    pub tx_begin: Epoch,
    /// When the last bit has been sent.
    pub tx_end: Epoch,
    /// When the last bit is received.
    pub arrival: Epoch,
}

impl Args {
    /// Does it.
    ///
    /// # Errors
    /// [`CommandError`], whose exit code tells the kind.
    pub fn run(&self) -> Result<(), CommandError> {
        let plan = MappedPlan::open(&self.plan)?.plan()?;
        let view = self.answer(&plan)?;
        if let Some(file) = &self.json {
            write_json(file, &view)?;
        }
        if is_for_people(&[&self.json]) {
            print(&view.table())?;
        }
        view.reason.map_or(Ok(()), |reason| Err(CommandError::NoRoute(reason)))
    }

    /// The deliveries over a plan, one after the other.
    ///
    /// # Errors
    /// [`CommandError`] for a name that the plan does not have and a time outside of it.
    pub fn answer(&self, plan: &LinkPlan) -> Result<DeliveriesView, CommandError> {
        let at = self.at.unwrap_or_else(|| plan.start());
        if at < plan.start() || plan.end() <= at {
            let rule = format!("must lie within the plan, from {} to {}", plan.start(), plan.end());
            return Err(CommandError::Input(format!("--at {at}: {rule}")));
        }
        let (from, to) = (node(plan, &self.from)?, node(plan, &self.to)?);
        let bundle = Bundle { from, to, bytes: self.bytes, at };
        let mut router = ContactRouter::new(plan);
        if let Some(bytes) = self.buffer {
            router = router.with_buffers(bytes);
        }
        let mut view = DeliveriesView {
            plan_version: plan.version(),
            from: self.from.clone(),
            to: self.to.clone(),
            at,
            bytes: self.bytes,
            deliveries: Vec::new(),
            reason: None,
        };
        for number in 1..=self.count {
            match router.earliest(&bundle) {
                Ok(delivery) => {
                    router.book(&delivery).map_err(|e| CommandError::Input(e.to_string()))?;
                    view.deliveries.push(DeliveryView::new(plan, &delivery));
                }
                Err(why) => {
                    let (from, to, count) = (&self.from, &self.to, self.count);
                    view.reason =
                        Some(format!("bundle {number} of {count}, {from} to {to}: {why}"));
                    break;
                }
            }
        }
        Ok(view)
    }
}

fn node(plan: &LinkPlan, name: &str) -> Result<NodeIx, CommandError> {
    let at = plan.nodes().iter().position(|node| node == name);
    let number = at.and_then(|at| u32::try_from(at).ok());
    number.map(NodeIx).ok_or_else(|| {
        let near = near_names(plan.nodes().iter().map(String::as_str), name).join(", ");
        CommandError::NotFound(format!("the plan has no node {name:?}; near to it: {near}"))
    })
}

impl DeliveryView {
    fn new(plan: &LinkPlan, delivery: &Delivery) -> Self {
        let name = |node: NodeIx| plan.nodes()[node.index()].clone();
        let hop = |hop: &Hop| HopView {
            from: name(hop.from),
            to: name(hop.to),
            tx_begin: hop.tx_begin,
            tx_end: hop.tx_end,
            arrival: hop.arrival,
        };
        Self {
            arrival: delivery.arrival,
            seconds: delivery.arrival.seconds_since(delivery.bundle.at),
            hops: delivery.hops.iter().map(hop).collect(),
        }
    }
}

impl DeliveriesView {
    /// For people.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{} bytes from {} to {} at {}, contact plan {}\n",
            self.bytes, self.from, self.to, self.at, self.plan_version
        );
        for (number, delivery) in (1..).zip(&self.deliveries) {
            let DeliveryView { arrival, seconds, hops } = delivery;
            let hop_count = hops.len();
            writeln!(
                out,
                "{number}  there at {arrival}, after {seconds:.6} s over {hop_count} links"
            )
            .expect("memory takes it");
            let width = hops.iter().map(|hop| hop.from.chars().count()).max().unwrap_or(0);
            for HopView { from, to, tx_begin, arrival, .. } in hops {
                writeln!(out, "   {from:width$}  sends at {tx_begin}, there at {arrival}  {to}")
                    .expect("memory takes it");
            }
        }
        out
    }
}
