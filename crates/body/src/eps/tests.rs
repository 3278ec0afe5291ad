//! Orbits of sun and shadow, years of wear, and where each watt-hour went.

use proptest::prelude::*;

use super::*;

const CELLS: Cells = Cells {
    capacity_wh: 40.0,
    charge_efficiency: 0.95,
    discharge_efficiency: 0.96,
    charge_w_max: 20.0,
    fade_per_cycle: 1.0e-4,
    fade_per_year: 0.02,
};

fn full(soc: f64) -> Store {
    Store { soc, ..Store::default() }
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn losses_count_in_and_out() {
    // 10 W over for an hour: 9.5 Wh of 40.
    let (store, flows) = CELLS.step(&full(0.5), 20.0, 10.0, 3600.0);
    let left = CELLS.capacity_left_wh(&store);
    near(store.soc * left, 29.5);
    near(flows.lost_wh, 0.5);
    // 9.6 W missing for an hour takes 10 Wh.
    let (store, flows) = CELLS.step(&full(0.5), 0.0, 9.6, 3600.0);
    near(store.soc * CELLS.capacity_left_wh(&store), 10.0);
    near(store.taken_wh, 10.0);
    near(flows.lost_wh, 0.4);
}

#[test]
fn a_battery_takes_only_so_much_at_once_and_only_what_fits() {
    let (_, flows) = CELLS.step(&full(0.1), 50.0, 10.0, 1800.0);
    near(flows.spilled_wh, (40.0 - 20.0) / 2.0);
    let (store, flows) = CELLS.step(&full(1.0), 50.0, 10.0, 3600.0);
    near(flows.spilled_wh, 40.0);
    near(store.soc, 1.0);
}

#[test]
fn an_empty_battery_leaves_the_load_unserved() {
    let (store, flows) = CELLS.step(&full(0.1), 0.0, 10.0, 3600.0);
    near(store.soc, 0.0);
    near(flows.served_wh, 4.0 * 0.96);
    near(flows.unserved_wh, 10.0 - 4.0 * 0.96);
}

#[test]
fn an_orbit_of_sun_and_shadow_comes_back_to_where_it_was_or_not() {
    // 95 minutes, 35 of them in shadow: 24 W of panels feed 12 W, but not 18 W.
    let orbit = |load_w: f64| {
        let mut store = full(0.8);
        for _ in 0..15 {
            store = CELLS.step(&store, 0.0, load_w, 35.0 * 60.0).0;
            store = CELLS.step(&store, 24.0, load_w, 60.0 * 60.0).0;
        }
        store.soc
    };
    assert!(0.8 < orbit(12.0), "{}", orbit(12.0));
    assert!(orbit(18.0) < 0.3, "{}", orbit(18.0));
}

#[test]
fn cycles_and_years_wear_it_down_to_a_fifth_at_most() {
    let worn = Store { soc: 1.0, taken_wh: 40.0 * 1000.0, age_s: SECONDS_PER_YEAR };
    near(CELLS.capacity_left_wh(&worn), 40.0 * (1.0 - 0.1 - 0.02));
    let ancient = Store { age_s: 1e12, ..worn };
    near(CELLS.capacity_left_wh(&ancient), 8.0);
}

proptest! {
    /// Sun and store give exactly what load, store, spill and losses take.
    #[test]
    fn no_energy_is_made_or_lost(
        soc in 0.0..=1.0_f64, solar_w in 0.0..200.0_f64, load_w in 0.0..200.0_f64, seconds in 0.0..20_000.0_f64,
    ) {
        let before = full(soc);
        let (after, flows) = CELLS.step(&before, solar_w, load_w, seconds);
        let stored = |store: &Store| store.soc * CELLS.capacity_left_wh(store);
        let given = flows.solar_wh + stored(&before);
        let taken = flows.served_wh + flows.spilled_wh + flows.lost_wh + stored(&after);
        prop_assert!((given - taken).abs() < 1e-9, "{given} {taken} {flows:?}");
        for part in [flows.served_wh, flows.unserved_wh, flows.spilled_wh, flows.lost_wh] {
            prop_assert!(-1e-12 <= part, "{flows:?}");
        }
        prop_assert!((0.0..=1.0).contains(&after.soc));
    }

    /// Without wear, the size of steps does not matter.
    #[test]
    fn many_steps_are_one(soc in 0.0..=1.0_f64, solar_w in 0.0..60.0_f64, load_w in 0.0..60.0_f64, parts in 1..40_u32) {
        let cells = Cells { fade_per_cycle: 0.0, fade_per_year: 0.0, ..CELLS };
        let once = cells.step(&full(soc), solar_w, load_w, 3600.0).0;
        let mut often = full(soc);
        for _ in 0..parts {
            often = cells.step(&often, solar_w, load_w, 3600.0 / f64::from(parts)).0;
        }
        prop_assert!((once.soc - often.soc).abs() < 1e-9, "{} {}", once.soc, often.soc);
    }
}
