//! What a node reports of its hardware: trees of boards, and a receiver that says where it is.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::report::{Reading, ReportBody, Source};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use types::Geodetic;

use crate::support::{Agent, Session, eventually};

/// The part of a configuration that reads the tree of a board.
fn on_board(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    format!("[sensors]\nsysfs_root = {root:?}\n")
}

/// What the first report says in which `find` finds something.
fn reported<T>(agent: &Agent, what: &str, find: impl Fn(&ReportBody) -> Option<T>) -> T {
    let session = Session::controller(&[agent.port], &[]);
    eventually(what, || {
        let reports = session.reports();
        let mut own = reports.iter().filter(|report| report.header.node == agent.name);
        own.find_map(|report| find(&report.body))
    })
}

#[test]
fn a_board_with_a_gauge_reports_its_charge_and_temperature() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), "pi", &[], &on_board("raspberry-pi-5"));
    let power = reported(&agent, "energy", |body| match body {
        ReportBody::Power(power) => Some(power.clone()),
        _ => None,
    });
    assert_eq!(power.state_of_charge, Reading::known(0.77, Source::Measured));
    // What 1.3875 A at 3.9125 V are.
    assert!(power.load_w.value().is_some_and(|watts| (watts - 5.4286).abs() < 1e-3), "{power:?}");
    let thermal = reported(&agent, "temperature", |body| match body {
        ReportBody::Thermal(thermal) => Some(thermal.clone()),
        _ => None,
    });
    assert_eq!(thermal.hottest_c, Reading::known(52.3, Source::Measured));
    assert_eq!(thermal.limit_c, Reading::known(110.0, Source::Measured));
}

#[test]
fn a_jetson_reports_its_graphics_processor_and_its_rails() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path(), "orin", &[], &on_board("jetson-orin-nano-jp5"));
    let gpu = reported(&agent, "the graphics processor", |body| match body {
        ReportBody::Gpu(gpu) => Some(gpu.clone()),
        _ => None,
    });
    assert_eq!(gpu.load, Reading::known(0.512, Source::Measured));
    assert_eq!(gpu.temperature_c, Reading::known(46.937, Source::Measured));
    let load_w = reported(&agent, "what it draws", |body| match body {
        ReportBody::Power(power) => power.load_w.value(),
        _ => None,
    });
    assert!((load_w - 4.984 * 0.956).abs() < 1e-3, "{load_w}");
}

#[test]
fn a_receiver_says_where_the_node_is() {
    let gpsd = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gpsd.local_addr().unwrap();
    let said = std::thread::spawn(move || {
        let (mut stream, _) = gpsd.accept().unwrap();
        let mut asked = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut asked).unwrap();
        let lines = "{\"class\":\"VERSION\",\"release\":\"3.22\"}\n\
            {\"class\":\"TPV\",\"mode\":1}\n\
            {\"class\":\"TPV\",\"mode\":3,\"lat\":48.2088,\"lon\":16.3726,\"altHAE\":214.3}\n";
        stream.write_all(lines.as_bytes()).unwrap();
        (asked, stream)
    });
    let dir = tempfile::tempdir().unwrap();
    let receiver = format!("[receiver]\nconnect = \"{address}\"\n");
    let agent = Agent::start(dir.path(), "rover", &[], &receiver);
    let told = reported(&agent, "a place", |body| match body {
        ReportBody::Position(told) => Some(told.clone()),
        _ => None,
    });
    let place = Geodetic { lat_deg: 48.2088, lon_deg: 16.3726, alt_km: 214.3 / 1000.0 };
    assert_eq!((told.position, told.source), (place, Source::Measured));
    let (asked, _stream) = said.join().unwrap();
    assert!(asked.starts_with("?WATCH="), "{asked}");
}

#[test]
fn a_receiver_at_a_serial_line_says_where_the_node_is() {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let device = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let receiver = format!("[receiver]\ndevice = {device:?}\nbaud = 9600\n");
    let agent = Agent::start(dir.path(), "rover", &[], &receiver);
    // It says so each second, whoever listens; what the line does to a sentence is noticed.
    rustix::io::ioctl_fionbio(&terminal, true).unwrap();
    let is_heard = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_heard);
    let said = std::thread::spawn(move || {
        let mut line = std::fs::File::from(terminal);
        while !ends.load(Ordering::Relaxed) {
            let sentences = "16.3726,N,torn\r\n\
                $GPGGA,123519,4812.528,N,01622.356,E,1,08,0.9,170.0,M,44.3,M,,*00\r\n\
                $GPGGA,123519,4812.528,N,01622.356,E,1,08,0.9,170.0,M,44.3,M,,*4C\r\n";
            // Nobody may read yet, and then there is no room.
            line.write_all(sentences.as_bytes()).ok();
            std::thread::sleep(std::time::Duration::from_millis(250));
        }
    });
    let told = reported(&agent, "a place", |body| match body {
        ReportBody::Position(told) => Some(told.clone()),
        _ => None,
    });
    is_heard.store(true, Ordering::Relaxed);
    assert_eq!(told.source, Source::Measured);
    let Geodetic { lat_deg, lon_deg, alt_km } = told.position;
    assert!((lat_deg - 48.2088).abs() < 1e-6 && (lon_deg - 16.3726).abs() < 1e-6, "{told:?}");
    assert!((alt_km - 0.2143).abs() < 1e-6, "{told:?}");
    said.join().unwrap();
}
