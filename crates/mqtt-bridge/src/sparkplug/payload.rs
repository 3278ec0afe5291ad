//! The messages of Sparkplug B (Eclipse Sparkplug 3.0.0, `sparkplug_b.proto`), as far as they are sent and read here. Fields that are not
//! read (data sets, templates, meta data) are skipped.

use prost::{Message, Oneof};

/// The types of metrics that are used.
pub mod datatype {
    /// Signed, 64 bits.
    pub const INT64: u32 = 4;
    /// Unsigned, 64 bits.
    pub const UINT64: u32 = 8;
    /// 32 bits.
    pub const FLOAT: u32 = 9;
    /// 64 bits.
    pub const DOUBLE: u32 = 10;
    /// True or false.
    pub const BOOLEAN: u32 = 11;
    /// Text.
    pub const STRING: u32 = 12;
    /// Milliseconds since 1970.
    pub const DATE_TIME: u32 = 13;
}

/// A message.
#[derive(Clone, PartialEq, Message)]
pub struct Payload {
    /// When it was sent, milliseconds since 1970.
    #[prost(uint64, optional, tag = "1")]
    pub timestamp: Option<u64>,
    /// What it says.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    /// Its number, 0 to 255; none in a death.
    #[prost(uint64, optional, tag = "3")]
    pub seq: Option<u64>,
}

/// A metric.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Its name; in births, and where there is no alias.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Its number in place of the name.
    #[prost(uint64, optional, tag = "2")]
    pub alias: Option<u64>,
    /// When it was so, milliseconds since 1970.
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    /// Its type, see [`datatype`].
    #[prost(uint32, optional, tag = "4")]
    pub datatype: Option<u32>,
    /// Whether it had to wait, and newer ones are known.
    #[prost(bool, optional, tag = "5")]
    pub is_historical: Option<bool>,
    /// Whether it has no value.
    #[prost(bool, optional, tag = "7")]
    pub is_null: Option<bool>,
    /// More about it, for example its unit.
    #[prost(message, optional, tag = "9")]
    pub properties: Option<PropertySet>,
    /// Its value.
    #[prost(oneof = "MetricValue", tags = "10, 11, 12, 13, 14, 15")]
    pub value: Option<MetricValue>,
}

/// The value of a metric.
#[derive(Clone, PartialEq, Oneof)]
pub enum MetricValue {
    /// Up to 32 bits.
    #[prost(uint32, tag = "10")]
    Int(u32),
    /// Up to 64 bits; signed ones in two's complement.
    #[prost(uint64, tag = "11")]
    Long(u64),
    /// 32 bits.
    #[prost(float, tag = "12")]
    Float(f32),
    /// 64 bits.
    #[prost(double, tag = "13")]
    Double(f64),
    /// True or false.
    #[prost(bool, tag = "14")]
    Boolean(bool),
    /// Text.
    #[prost(string, tag = "15")]
    Text(String),
}

/// Names and values side by side.
#[derive(Clone, PartialEq, Message)]
pub struct PropertySet {
    /// The names.
    #[prost(string, repeated, tag = "1")]
    pub keys: Vec<String>,
    /// The values.
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<PropertyValue>,
}

/// A property; only texts are used.
#[derive(Clone, PartialEq, Message)]
pub struct PropertyValue {
    /// Its type, see [`datatype`].
    #[prost(uint32, optional, tag = "1")]
    pub r#type: Option<u32>,
    /// Its text.
    #[prost(string, optional, tag = "8")]
    pub string_value: Option<String>,
}
