//! What comes off the wire is hostile until it has decoded: nothing here may panic or be guessed.

use proptest::prelude::*;
use protocol::codec::{DecodeError, EncodeError, HEADER_BYTES, Message, WIRE_VERSION};
use protocol::report::{Reading, Report, ReportBody, Source};
use protocol::{decode, encode};

use crate::sample;

fn report_with_charge(charge: f32) -> Report {
    let mut report = sample::report_power();
    if let ReportBody::Power(power) = &mut report.body {
        power.state_of_charge = Reading::known(charge, Source::Measured);
    }
    report
}

#[test]
fn another_version_is_not_guessed_at() {
    let mut frame = encode(&sample::ping()).unwrap();
    frame[0] = WIRE_VERSION + 1;
    let error = decode::<protocol::report::Ping>(&frame).unwrap_err();
    assert_eq!(error, DecodeError::Unsupported { got: WIRE_VERSION + 1, ours: WIRE_VERSION });
}

#[test]
fn a_frame_of_another_kind_is_refused() {
    let frame = encode(&sample::ping()).unwrap();
    assert!(matches!(decode::<Report>(&frame), Err(DecodeError::WrongSchema { got: 27, .. })));
}

#[test]
fn trailing_bytes_are_refused() {
    let mut frame = encode(&sample::report_power()).unwrap();
    frame.push(0);
    assert!(matches!(decode::<Report>(&frame), Err(DecodeError::Trailing { bytes: 1, .. })));
}

#[test]
fn every_cut_of_a_frame_is_refused() {
    let frame = encode(&sample::desired()).unwrap();
    for len in 0..frame.len() {
        assert!(decode::<protocol::desired::Desired>(&frame[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn an_oversize_frame_is_refused_before_it_is_read() {
    let frame = vec![WIRE_VERSION; Report::BYTES_MAX + 1];
    assert!(matches!(decode::<Report>(&frame), Err(DecodeError::TooLarge { .. })));
}

#[test]
fn a_length_that_claims_four_gigabytes_is_refused() {
    // An inventory whose list claims 2^32 - 1 entries and holds none.
    let frame = [&[WIRE_VERSION, 16][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert!(matches!(
        decode::<protocol::belt::Inventory>(&frame),
        Err(DecodeError::Malformed { .. })
    ));
}

/// The readings of each group, one after the other, each with values that it cannot have.
fn readings() -> Vec<(&'static str, Report, Vec<f32>)> {
    let set = |mut report: Report, change: &dyn Fn(&mut ReportBody)| {
        change(&mut report.body);
        report
    };
    macro_rules! reading {
        ($sample:ident, $group:ident, $field:ident, $bad:expr) => {
            (
                stringify!($field),
                set(sample::$sample(), &|body| {
                    if let ReportBody::$group(group) = body {
                        group.$field = HALF;
                    }
                }),
                $bad.to_vec(),
            )
        };
    }
    vec![
        reading!(report_power, Power, state_of_charge, [-0.1, 1.1]),
        reading!(report_power, Power, capacity_wh, [-1.0, 1.1e9]),
        reading!(report_power, Power, load_w, [-1.1e6, 1.1e6]),
        reading!(report_power, Power, solar_w, [-1.0, 1.1e6]),
        reading!(report_thermal, Thermal, hottest_c, [-151.0, 501.0]),
        reading!(report_thermal, Thermal, limit_c, [-151.0, 501.0]),
        reading!(report_compute, Compute, load_milli_cpu, [-1.0, 1.1e9]),
        reading!(report_compute, Compute, pss_mib, [-1.0, 1.1e9]),
        reading!(report_compute, Compute, threads, [-1.0, 1.1e9]),
        reading!(report_gpu, Gpu, load, [-0.1, 1.1]),
        reading!(report_gpu, Gpu, free_mib, [-1.0, 1.1e9]),
        reading!(report_gpu, Gpu, temperature_c, [-151.0, 501.0]),
    ]
}

const VALUE: f32 = 0.570_312_5;
const SIGMA: f32 = 0.316_406_25;
const HALF: Reading =
    Reading::Known { value: VALUE, sigma: Some(SIGMA), source: Source::Estimated };

/// `frame` with `present` in place of `bad` is refused, also as a whole message.
#[track_caller]
fn is_refused(name: &str, frame: &[u8], present: f32, bad: f32) {
    let at = frame.windows(4).position(|four| four == present.to_le_bytes());
    let at = at.expect("the number is in the frame");
    let mut changed = frame.to_vec();
    changed[at..at + 4].copy_from_slice(&bad.to_le_bytes());
    let error = decode::<Report>(&changed);
    assert!(matches!(error, Err(DecodeError::Invalid { .. })), "{name} {bad}: {error:?}");
}

#[test]
fn impossible_values_are_neither_sent_nor_taken() {
    for charge in [f32::NAN, f32::INFINITY, -0.1, 1.1] {
        let error = encode(&report_with_charge(charge)).unwrap_err();
        assert!(matches!(error, EncodeError::Invalid { .. }), "{charge}: {error}");
    }
    let never = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    for (name, report, bad) in readings() {
        let frame = encode(&report).expect("a half is possible everywhere");
        for bad in never.into_iter().chain(bad) {
            is_refused(name, &frame, VALUE, bad);
        }
        for bad in never.into_iter().chain([-0.1]) {
            is_refused(name, &frame, SIGMA, bad);
        }
    }
}

#[test]
fn impossible_summaries_and_rates_are_refused() {
    let frame = encode(&sample::report_function()).unwrap();
    for (present, bad) in [
        (20.0, f32::NAN),
        (20.0, -1.0),
        (20.0, 30.0),
        (29.5, 41.5),
        (41.25, 61.0),
        (60.0, f32::INFINITY),
        (60.0, 41.0),
        (0.25, f32::NAN),
        (0.25, -1.0),
    ] {
        is_refused("summary", &frame, present, bad);
    }
}

#[test]
fn names_are_checked_where_they_arrive() {
    let good = encode(&sample::report_power()).unwrap();
    let at = good.windows(5).position(|five| five == b"sat-1").unwrap();
    let mut bad = good;
    bad[at] = b'*';
    assert!(matches!(decode::<Report>(&bad), Err(DecodeError::Malformed { .. })));
}

#[test]
fn a_body_over_its_limit_is_not_sent() {
    let mut invoke = sample::invoke();
    invoke.body = vec![0; protocol::invoke::BODY_BYTES_MAX + 1];
    assert!(matches!(encode(&invoke), Err(EncodeError::Invalid { .. })));
}

fn never_panics<M: Message>(bytes: &[u8]) {
    // Both outcomes are fine; what decodes must encode again.
    if let Ok(message) = decode::<M>(bytes) {
        assert!(encode(&message).is_ok());
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        schema in 0_u8..32,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let frame = [&[WIRE_VERSION, schema][..], &body].concat();
        never_panics::<Report>(&frame);
        never_panics::<protocol::event::Event>(&frame);
        never_panics::<protocol::desired::Desired>(&frame);
        never_panics::<protocol::invoke::Invoke>(&frame);
        never_panics::<protocol::invoke::Invoked>(&frame);
        never_panics::<protocol::belt::Offer>(&frame);
        never_panics::<protocol::belt::Chunk>(&frame);
        never_panics::<protocol::plan::PlanMessage>(&frame);
        never_panics::<protocol::manifest::Manifest>(&frame);
        never_panics::<protocol::sim::SimFault>(&frame);
    }

    #[test]
    fn one_flipped_bit_never_panics(at in 0_usize..4096, bit in 0_u8..8) {
        let mut frame = encode(&sample::desired()).unwrap();
        let at = HEADER_BYTES + at % (frame.len() - HEADER_BYTES);
        frame[at] ^= 1 << bit;
        never_panics::<protocol::desired::Desired>(&frame);
    }
}
