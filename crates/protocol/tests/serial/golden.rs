//! Whole frames as they go onto the wire, made by another implementation (COBS, CRC and postcard in 30 lines of Python): a changed file
//! means that boards and nodes in use no longer understand each other.

use protocol::serial::frame::wrap;
use protocol::serial::{Frame, Message, PAYLOAD_MAX, Received, Receiver};

use crate::sample;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(digits, 16).expect("hexadecimal")
    };
    digits.chunks(2).map(byte).collect()
}

#[track_caller]
fn check(name: &str, message: &Message, seq: u16, golden: &str) {
    let wire = unhex(golden);
    let mut buffer = [0; PAYLOAD_MAX];
    let payload = message.to_payload(&mut buffer).expect("a valid message");
    let ours = wrap(&Frame { kind: message.kind() as u8, seq, payload }).expect("it fits");
    assert_eq!(ours.as_slice(), wire, "the bytes of {name} changed");
    let mut receiver = Receiver::new();
    let (last, first) = wire.split_last().expect("a frame");
    for byte in first {
        assert_eq!(receiver.push(*byte), Ok(None), "{name}");
    }
    assert_eq!(
        receiver.push(*last),
        Ok(Some(Received { seq, message: message.clone() })),
        "{name}"
    );
}

macro_rules! golden {
    ($($name:ident = $seq:expr),* $(,)?) => {$(
        #[test]
        fn $name() {
            let golden = include_str!(concat!("../golden/serial_", stringify!($name), ".hex"));
            check(stringify!($name), &sample::$name(), $seq, golden);
        }
    )*};
}

golden! {
    hello = 65_535, power = 0, power_unknown = 1, power_max = 65_535, temp = 513, event = 4, ping = 5,
    cmd_identify = 6, cmd_status = 7, cmd_power_cycle = 8, cmd_reset_energy = 9, cmd_restart = 10, ack = 11,
    log = 12, time = 13, relay = 14, set_rate = 15,
}
