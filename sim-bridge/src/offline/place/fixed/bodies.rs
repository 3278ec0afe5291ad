//! Batteries and temperatures of all satellites over a run.

use placement::endurance::{Board, Condition};
use placement::{Forecast as _, NodeView, Step};
use topology::NodeIx;

use super::super::run::number;
use super::board::MAX_C;
use super::occupancy::Occupancy;
use super::{ORBIT_MIN, STEP_S, Setting, steps};

const S_PER_H: f64 = 3600.0;

/// The satellites, and all nodes as policies see them.
#[derive(Debug)]
pub struct Bodies<'a> {
    setting: &'a Setting,
    views: Vec<NodeView>,
    /// Of the satellites, as policies see them.
    boards: Vec<(Board, Condition)>,
    is_below_reserve: Vec<bool>,
    charge_min: f64,
    /// By workflow.
    battery_wh: Vec<f64>,
}

impl<'a> Bodies<'a> {
    /// As they are at the beginning, before so many workflows.
    pub fn new(setting: &'a Setting, workflows: usize) -> Self {
        let mut bodies = Self {
            setting,
            views: setting.fleet.nodes.clone(),
            boards: boards(setting),
            is_below_reserve: vec![false; setting.states.len()],
            charge_min: 1.0,
            battery_wh: vec![0.0; workflows],
        };
        for satellite in 0..bodies.boards.len() {
            bodies.tell(satellite);
        }
        bodies
    }

    /// The nodes as policies see them.
    pub fn views(&self) -> &[NodeView] {
        &self.views
    }

    /// The boards of satellites as policies see them.
    pub fn boards(&self) -> &[(Board, Condition)] {
        &self.boards
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: NodeIx) -> bool {
        self.views.get(node.index()).is_some_and(|view| view.alive)
    }

    /// Whether the board of a node is as hot as it must not be.
    pub fn is_hot(&self, node: NodeIx) -> bool {
        self.boards.get(node.index()).is_some_and(|(_, now)| MAX_C <= now.warmth.chip_c)
    }

    /// Goes on from a step to the next, and says which satellites are empty now that were not before.
    pub fn advance(&mut self, step: Step, occupancy: &mut Occupancy) -> Vec<NodeIx> {
        let end_us = super::run::instant_us(step + 1);
        let mut emptied = Vec::new();
        for satellite in 0..self.boards.len() {
            let node = number(satellite);
            let was_up = self.views[satellite].alive;
            self.advance_one(satellite, step, &occupancy.drawn_j(node, end_us));
            if was_up && !self.views[satellite].alive {
                emptied.push(node);
            }
        }
        emptied
    }

    /// Goes on for one turn of the orbit with nothing to do: what was drawn may be missed only then.
    pub fn idle_for_an_orbit(&mut self, from: Step) {
        for step in from..from + steps(ORBIT_MIN) {
            for satellite in 0..self.boards.len() {
                self.advance_one(satellite, step, &[]);
            }
        }
    }

    /// What tasks draw from the battery is shared among them as the work is.
    fn advance_one(&mut self, satellite: usize, step: Step, drawn_j: &[(usize, f64)]) {
        let (board, before) = self.boards[satellite];
        let sunlit = self.setting.sky.light(number(satellite), step);
        let tasks_w = drawn_j.iter().map(|(_, joules)| joules / STEP_S).sum::<f64>();
        // What is empty is off until it has its reserve again.
        let idle_w = if self.views[satellite].alive { board.idle_w } else { 0.0 };
        let for_tasks_w =
            board.drained_w(idle_w + tasks_w, sunlit) - board.drained_w(idle_w, sunlit);
        for (whose, joules) in drawn_j {
            let share = joules / STEP_S / tasks_w;
            self.battery_wh[*whose] += share * for_tasks_w * STEP_S / S_PER_H;
        }
        let now = board.after(before, STEP_S, idle_w + tasks_w, sunlit);
        self.boards[satellite].1 = now;
        self.charge_min = self.charge_min.min(now.store.soc);
        let reserve = board.power.map_or(0.0, |power| power.reserve);
        self.is_below_reserve[satellite] |= now.store.soc < reserve;
        self.tell(satellite);
    }

    /// Puts the state of a satellite where policies see it.
    fn tell(&mut self, satellite: usize) {
        let (now, view) = (self.boards[satellite].1, &mut self.views[satellite]);
        let charge = now.store.soc;
        view.state_of_charge = Some(charge);
        view.temperature_c = Some(now.warmth.chip_c);
        view.ambient_c = Some(now.warmth.structure_c);
        view.alive = if view.alive { 0.0 < charge } else { view.reserve <= charge };
    }

    /// The lowest charge that any satellite had, 0 to 1.
    pub const fn charge_min(&self) -> f64 {
        self.charge_min
    }

    /// What the tasks of each workflow drew from batteries, Wh: beyond what idling would have.
    pub fn battery_wh(&self) -> &[f64] {
        &self.battery_wh
    }

    /// How many satellites were below their reserve at any time.
    pub fn below_reserve(&self) -> usize {
        self.is_below_reserve.iter().filter(|below| **below).count()
    }
}

fn boards(setting: &Setting) -> Vec<(Board, Condition)> {
    setting.fleet.boards.iter().copied().zip(setting.states.iter().copied()).collect()
}
