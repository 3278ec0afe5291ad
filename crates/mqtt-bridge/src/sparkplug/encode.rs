//! Values as Sparkplug has them: types, aliases, times, units.

use types::Epoch;

use super::payload::{Metric, MetricValue, PropertySet, PropertyValue, datatype};
use crate::metric;
use crate::value::Value;

/// The command to be born again.
pub(super) const REBIRTH: &str = "Node Control/Rebirth";
const BD_SEQ: &str = "bdSeq";
/// Aliases of one node, this one or a device: more than there will be metrics.
pub(super) const ALIASES: u64 = 1 << 16;

/// The number of a birth and of the death that belongs to it.
pub(super) fn bd_seq(number: u8, at: Epoch) -> Metric {
    Metric {
        name: Some(BD_SEQ.to_owned()),
        timestamp: Some(ms(at)),
        datatype: Some(datatype::INT64),
        value: Some(MetricValue::Long(u64::from(number))),
        ..Metric::default()
    }
}

/// What a host writes to have everything told again; the one metric that must not have an alias.
pub(super) fn rebirth(at: Epoch) -> Metric {
    Metric {
        name: Some(REBIRTH.to_owned()),
        timestamp: Some(ms(at)),
        datatype: Some(datatype::BOOLEAN),
        value: Some(MetricValue::Boolean(false)),
        ..Metric::default()
    }
}

/// The alias of a metric of the node whose aliases begin at `base`.
pub(super) fn alias(base: u64, index: usize) -> u64 {
    // From 1 on: to some hosts 0 is none.
    base + 1 + u64::try_from(index).unwrap_or(ALIASES - 2)
}

/// Its type.
pub(super) const fn datatype_of(kind: metric::Kind) -> u32 {
    match kind {
        metric::Kind::Real => datatype::FLOAT,
        metric::Kind::Wide => datatype::DOUBLE,
        metric::Kind::Count => datatype::UINT64,
        metric::Kind::Time => datatype::DATE_TIME,
    }
}

/// A value for the wire, and whether there is none.
pub(super) fn encoded(value: Value) -> (Option<bool>, Option<MetricValue>) {
    match value {
        Value::Real(value) => (None, Some(MetricValue::Float(value))),
        Value::Wide(value) => (None, Some(MetricValue::Double(value))),
        Value::Count(value) => (None, Some(MetricValue::Long(value))),
        Value::Time(at) => (None, Some(MetricValue::Long(ms(at)))),
        Value::Unknown(_) => (Some(true), None),
    }
}

/// Its unit, as hosts show it.
pub(super) fn engineering_unit(unit: &str) -> PropertySet {
    PropertySet {
        keys: vec!["engUnit".to_owned()],
        values: vec![PropertyValue {
            r#type: Some(datatype::STRING),
            string_value: Some(unit.to_owned()),
        }],
    }
}

/// Milliseconds since 1970; nothing here is older.
pub(super) const fn ms(at: Epoch) -> u64 {
    let ms = at.unix_ns().div_euclid(1_000_000);
    if ms < 0 { 0 } else { ms.unsigned_abs() }
}
