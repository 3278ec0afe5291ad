//! The wire format, held by golden bytes: one file for each message. A new file is free; a changed one means that
//! deployed agents and controllers no longer understand each other.
//!
//! When a message is added, put an empty file in place and copy the printed bytes into it.

use protocol::codec::{Message, decode, encode};

use crate::sample;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal")
        })
        .collect()
}

#[track_caller]
pub(crate) fn check<M: Message + PartialEq + std::fmt::Debug>(
    name: &str,
    message: &M,
    golden: &str,
) {
    let bytes = encode(message).expect("a valid message");
    assert_eq!(
        hex(&bytes),
        golden.split_whitespace().collect::<String>(),
        "\nthe bytes of {name} changed; golden {name}.hex should be\n{}\n",
        hex(&bytes)
    );
    assert_eq!(
        &decode::<M>(&unhex(golden)).expect("golden bytes decode"),
        message,
        "{name} reads back otherwise"
    );
}

macro_rules! golden {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            check(
                stringify!($name),
                &sample::$name(),
                include_str!(concat!("../golden/", stringify!($name), ".hex")),
            );
        }
    )*};
}

golden! {
    report_power, report_thermal, report_compute, report_gpu, report_link, report_position,
    report_function, report_queue, event_started, event_prepared, event_took_over,
    event_first_call, event_run_finished, event_refused, event_back_end, event_query, event_page, desired,
    desired_reply, invoke, invoked_committed, invoked_failed, offer, offer_reply, chunk,
    chunk_reply, fetch, fetched, inventory_query, inventory, plan_query, plan, module_query,
    module_chunk, command, command_reply, sim_clock, sim_env, sim_fault, sim_fault_reply, ping,
    manifest, signed_manifest, signers, log_batch, topic_message, call, called,
    board_report,
    backlog, receipt, report_backlog, event_timed, command_at,
    members,
    release, signed_release, program_chunk,
}
