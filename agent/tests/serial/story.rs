//! What a node makes of a board that comes, speaks over a bad line, and goes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use agent::clock::Clock;
use agent::config::{McuConfig, McuRole};
use agent::sensor::Moment;
use agent::sensor::battery::Battery as _;
use agent::sensor::hardware::Told;
use agent::serial::battery::BoardBattery;
use agent::serial::link::{Order, OrderError};
use agent::serial::{Line, Lines, Presence, State};
use board::Config;
use protocol::report::{NoReading, Reading, Source};
use protocol::serial::Relay;
use types::{EnergySource, SkyClock};

use crate::bench::{CONFIG, Faults, Opened, plug};

/// How long something may take that takes milliseconds: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(device: &Path) -> McuConfig {
    McuConfig {
        name: "eps".to_owned(),
        device: device.to_owned(),
        baud: 115_200,
        role: McuRole::Battery,
        period: Duration::from_millis(100),
        capacity_wh: Some(40.0),
    }
}

/// Waits until a line is as it should be.
async fn until(line: &Line, what: &str, is_it: impl FnMut(&State) -> bool) -> State {
    let mut states = line.watch();
    let wait = async { states.wait_for(is_it).await.expect("the line is kept").clone() };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{what}: {:?}", line.state()))
}

fn is_up(state: &State) -> bool {
    state.presence == Presence::Present && state.readings.power.is_some()
}

fn sampled(line: &Line) -> protocol::report::PowerReport {
    let sky = SkyClock::REAL.sky(types::WallTime(0));
    let told = Told::nothing(Instant::now());
    let moment = Moment { sky, load_w: Some(5.0), told, env: None };
    BoardBattery::new(line.clone(), EnergySource::Battery).sample(&moment)
}

#[tokio::test]
async fn a_board_comes_and_goes_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("usb-Starbelt_E660-if00");
    let pattern = folder.path().join("usb-Starbelt_*");
    let (lines, _tasks) = Lines::start(&[config(&pattern)], &Clock::start(SkyClock::REAL));
    let line = lines.battery().unwrap();
    let missing = until(
        line,
        "missing",
        |state| matches!(&state.presence, Presence::Absent(reason) if reason.ends_with("is not there")),
    );
    assert_eq!(missing.await.uid, None);
    assert!(agent::serial::report::of(line, header()).is_none(), "it has no number yet");
    assert_eq!(sampled(line).state_of_charge, Reading::Unknown(NoReading::NoSensor));

    let opened = Arc::new(Opened::default());
    let plugged = plug(&device, CONFIG, Faults::default(), &opened);
    let up = until(line, "up", is_up).await;
    assert_eq!((up.uid, up.opens), (Some(CONFIG.uid), 1));
    let power = sampled(line);
    assert_eq!(power.state_of_charge, Reading::known(0.873, Source::Measured));
    assert_eq!(power.capacity_wh, Reading::known(40.0, Source::Configured));
    // 12 V × -0.25 A, and a load of 5 W.
    assert_eq!(power.solar_w, Reading::known(2.0, Source::Estimated));
    until(line, "temperatures", |state| state.readings.temps.is_some()).await;
    let report = agent::serial::report::of(line, header()).unwrap();
    assert_eq!(report.volts, Reading::known(12.0, Source::Measured));
    assert_eq!(report.temperatures, [(0, 25.1), (1, -40.0)]);
    protocol::encode(&report).unwrap();

    let heard = plugged.pull();
    assert_eq!(heard.dropped(), 0, "{heard:?}");
    let gone = until(line, "gone", |state| matches!(state.presence, Presence::Absent(_))).await;
    assert_eq!((gone.readings.power, gone.uid), (None, Some(CONFIG.uid)));
    assert_eq!(sampled(line).state_of_charge, Reading::Unknown(NoReading::NoSensor));
    let told = agent::serial::report::of(line, header()).unwrap();
    assert!(matches!(told.link, protocol::board::BoardLink::Down(_)), "{told:?}");
    assert!(matches!(line.order(Order::ResetEnergy).await, Err(OrderError::NotThere(_))));

    // Another one, on another port of the hub.
    let other = Config { uid: [7; 8], ..CONFIG };
    let second = folder.path().join("usb-Starbelt_7777-if00");
    let plugged = plug(&second, other, Faults::default(), &opened);
    let again = until(line, "again", is_up).await;
    assert_eq!((again.uid, again.opens), (Some([7; 8]), 2));
    plugged.pull();
}

#[tokio::test]
async fn orders_are_carried_out_once_over_a_line_that_damages_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("board");
    let (lines, _tasks) = Lines::start(&[config(&device)], &Clock::start(SkyClock::REAL));
    let line = lines.named("eps").unwrap();
    let opened = Arc::new(Opened::default());
    // One byte of 83 is hit: of a frame of 34 bytes every third is lost.
    let faults = Faults { lost: 4000, turned: 4000, doubled: 4000, repeated: 100_000 };
    let plugged = plug(&device, CONFIG, faults, &opened);
    until(line, "up", is_up).await;
    let mut done = [0, 0];
    for round in 0..10_u32 {
        let (ch, on) = (1, round % 2 == 1);
        line.order(Order::Relay(Relay { ch, on })).await.unwrap();
        assert_eq!(line.state().readings.relays.get(&ch), Some(&on));
        done[1] += u32::from(!on);
        // The one before may still be under way: what the relay said may have been lost.
        let mut states = line.watch();
        while let Err(error) = line.order(Order::PowerCycle { ch: 0, off_ms: 100 }).await {
            assert!(matches!(error, OrderError::Refused(_)), "{error}");
            states.changed().await.unwrap();
        }
        done[0] += 1;
    }
    let hit = until(line, "enough damage", |state| {
        let counters = state.readings.counters;
        counters.duplicates != 0 && counters.missing != 0 && 10 < counters.checksums
    });
    let counters = hit.await.readings.counters;
    assert_eq!(counters.malformed + counters.unknown_kinds, 0, "{counters:?}");
    let heard = plugged.pull();
    assert_ne!(heard.dropped(), 0, "{heard:?}");
    let counts = [0, 1].map(|ch: usize| opened.0[ch].load(Ordering::Relaxed));
    assert_eq!(counts, done, "each order once");
}

#[tokio::test]
async fn a_device_that_is_no_board_is_asked_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("board");
    std::fs::write(&device, "a file").unwrap();
    let (lines, _tasks) = Lines::start(&[config(&device)], &Clock::start(SkyClock::REAL));
    let line = lines.battery().unwrap();
    until(line, "no line", |state| {
        matches!(&state.presence, Presence::Absent(reason) if reason.ends_with("is no serial line"))
    })
    .await;
    // A line that answers nothing is open, and unknown.
    std::fs::remove_file(&device).unwrap();
    let opened = Arc::new(Opened::default());
    let deaf = Faults { lost: 1_000_000, ..Faults::default() };
    let plugged = plug(&device, CONFIG, deaf, &opened);
    until(line, "unknown", |state| state.presence == Presence::Unknown).await;
    assert!(matches!(line.order(Order::ResetEnergy).await, Err(OrderError::NotThere(_))));
    plugged.pull();
}

fn header() -> protocol::report::Header {
    protocol::report::Header {
        node: types::NodeId::new("sat-1").expect("a name"),
        boot: types::BootId(1),
        seq: 1,
        at: SkyClock::REAL.sky(types::WallTime(0)),
        uptime: types::Uptime(0),
    }
}
