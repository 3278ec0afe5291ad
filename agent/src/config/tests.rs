//! Configurations, good and bad.

use super::*;

const GOOD: &str = r#"
version = 1
[node]
name = "sat-1"
kind = "satellite"
fleet = "demo"
[capacity]
milli_cpu = 4000
memory_mib = 4096
[bus]
insecure = true
listen = ["tcp/127.0.0.1:7501"]
connect = ["tcp/127.0.0.1:7601"]
peers = ["drone"]
[store]
dir = "state"
"#;

fn load(parts: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
    let texts: Vec<_> = parts
        .iter()
        .enumerate()
        .map(|(i, text)| (["agent.toml", "agent.d/10.toml"][i].to_owned(), (*text).to_owned()))
        .collect();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::from_texts(&texts, environment, Path::new("base")).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let message = load(&[text], &[]).unwrap_err();
    for part in expected {
        assert!(message.contains(part), "{part:?} is not in:\n{message}");
    }
    assert_eq!(message.lines().count(), expected.len(), "{message}");
}

#[test]
fn a_short_file_gets_defaults_and_paths_beside_it() {
    let config = load(&[GOOD], &[]).unwrap();
    assert_eq!(config.node.as_str(), "sat-1");
    assert_eq!(config.store.dir, Path::new("base/state"));
    assert_eq!(config.report.interval, Duration::from_secs(1));
    assert_eq!(config.battery.source, EnergySource::Unknown);
    assert_eq!(
        (config.sim, config.battery.cell, config.thermal),
        (None, None, ThermalConfig::Auto)
    );
    assert_eq!(config.battery.hardware, BatteryHardware::Auto);
    assert!(config.battery.measures_load && config.battery.load.is_none());
    assert_eq!(config.sysfs_root, Path::new("/"));
}

#[test]
fn everything_wrong_is_told_at_once_with_file_line_field_and_rule() {
    let text = GOOD.replace("kind = \"satellite\"", "kind = \"sattelite\"\nflet = \"x\"")
        + "[report]\ninterval_ms = 1\nping_interval = 5\n[baterry]\nbackend = \"none\"\n";
    refused(
        &text,
        &[
            "agent.toml, line 5, node.kind: \"sattelite\" is none of \"satellite\", \"ground-station\"",
            "agent.toml, line 6, node.flet: unknown key; did you mean fleet?",
            "agent.toml, line 19, report.interval_ms: 1 is not a whole number from 50 to",
            "agent.toml, line 20, report.ping_interval: unknown key; did you mean ping_interval_ms?",
            "agent.toml, line 21, baterry: unknown key; did you mean battery?",
        ],
    );
}

#[test]
fn what_is_missing_is_named() {
    refused(
        "version = 1\n[node]\nname = \"Sat 1\"\n",
        &[
            "line 3, node.name: node name \"Sat 1\" is not 1 to 63",
            "node.kind: it must be given",
            "node.fleet: it must be given",
            "capacity.milli_cpu: it must be given",
            "capacity.memory_mib: it must be given",
            "store.dir: it must be given",
        ],
    );
}

#[test]
fn sections_of_later_versions_are_refused_by_name_and_line() {
    let text = format!("{GOOD}[sizing]\nx = 1\n[[cost]]\n[learning.rounds]\n[costs]\n");
    let expected = [
        "agent.toml, line 17, sizing: not supported by this version",
        "agent.toml, line 19, cost: not supported by this version",
        "agent.toml, line 20, learning: not supported by this version",
        "agent.toml, line 21, costs: unknown key",
    ];
    refused(&text, &expected);
}

#[test]
fn nothing_listens_beyond_this_machine() {
    for open in ["tcp/0.0.0.0:7501", "tcp/[::]:7501", "tcp/192.168.1.7:7501", "tcp/host:1"] {
        let text = GOOD.replace("tcp/127.0.0.1:7501", open);
        refused(&text, &["line 12, bus.listen: "]);
        let message = load(&[&text], &[]).unwrap_err();
        assert!(message.contains("certificates") && message.contains(open), "{message}");
    }
    for closed in ["tcp/127.0.0.1:0", "tcp/127.1.2.3:1", "tcp/localhost:9", "tcp/[::1]:9"] {
        load(&[&GOOD.replace("tcp/127.0.0.1:7501", closed)], &[]).unwrap();
    }
    refused(&GOOD.replace("tcp/127.0.0.1:7501", "udp/127.0.0.1:1"), &["is not an address like"]);
}

#[test]
fn links_are_tls_unless_insecure_is_asked_for_on_this_machine() {
    let plain = GOOD.replace("insecure = true\n", "");
    refused(
        &plain,
        &[
            "bus.listen: tcp/127.0.0.1:7501 is not encrypted",
            "bus.connect: tcp/127.0.0.1:7601 is not encrypted",
        ],
    );
    let tls = plain.replace("tcp/127.0.0.1", "tls/10.0.0.1");
    refused(
        &tls,
        &[
            "bus.listen: tls/10.0.0.1:7501 needs certificates",
            "bus.connect: tls/10.0.0.1:7601 needs certificates",
        ],
    );
    let identity = "[identity]\ndir = \"identity\"\ncontroller = \"https://10.0.0.1:7449\"\n";
    let config = load(&[&format!("{tls}{identity}")], &[]).unwrap();
    assert_eq!(config.identity.unwrap().dir, Path::new("base/identity"));
    refused(&format!("{GOOD}{identity}"), &["bus.insecure: an [identity] is of no use"]);
    let dialled = GOOD.replace("tcp/127.0.0.1:7601", "tcp/10.0.0.1:7601");
    refused(&dialled, &["bus.connect: tcp/10.0.0.1:7601 can be reached from other machines"]);
    let unencrypted = format!("{tls}{}", identity.replace("https", "http"));
    refused(&unencrypted, &["identity.controller: \"http://10.0.0.1:7449\" is not an address"]);
}

#[test]
fn a_receiver_is_at_an_address_or_at_a_line() {
    let with = |text: &str| format!("{GOOD}[receiver]\n{text}");
    let receiver = |text: &str| load(&[&with(text)], &[]).unwrap().receiver.unwrap();
    let tcp = ReceiverConfig::Tcp("127.0.0.1:2947".to_owned());
    assert_eq!(receiver("connect = \"127.0.0.1:2947\"\n"), tcp);
    let device = PathBuf::from("/dev/serial/by-id/usb-u-blox*");
    let line = ReceiverConfig::Line { device, baud: 4800 };
    let text = "device = \"/dev/serial/by-id/usb-u-blox*\"\nbaud = 4800\n";
    assert_eq!(receiver(text), line);
    refused(&with(""), &["receiver.connect"]);
    refused(&with(&format!("{text}connect = \"a:1\"\n")), &["connect names another receiver"]);
    refused(&with("connect = \"a:1\"\nbaud = 9600\n"), &["only a device has a rate"]);
    refused(&with("device = \"ttyS0\"\n"), &["\"ttyS0\" is not the whole path of a device"]);
    refused(&with("device = \"/dev/ttyS0\"\nbaud = 9601\n"), &["9601 is none of"]);
}

#[test]
fn the_floor_is_not_above_the_reserve() {
    let battery = |text: &str| load(&[&format!("{GOOD}[battery]\n{text}")], &[]).unwrap().battery;
    assert!((battery("reserve = 0.3\n").floor - 0.05).abs() < 1e-9);
    assert!(battery("reserve = 0.0\n").floor.abs() < 1e-9, "what plans use up, nodes do not keep");
    let above = format!("{GOOD}[battery]\nreserve = 0.1\nfloor = 0.2\n");
    refused(&above, &["battery.floor: 0.2 is above the reserve of 0.1"]);
}

#[test]
fn drop_ins_and_then_the_environment_win() {
    let drop_in = "[report]\ninterval_ms = 200\nping_interval_ms = 300\n";
    let variables = [
        ("STARBELT_REPORT__INTERVAL_MS", "250"),
        ("STARBELT_NODE__NAME", "sat-2"),
        ("STARBELT_BUS__PEERS", "[\"cloud\"]"),
        ("STARBELT_HTTP__LISTEN", "another process reads this"),
        ("STARBELT_LOG", "debug"),
    ];
    let config = load(&[GOOD, drop_in], &variables).unwrap();
    assert_eq!(config.report.interval, Duration::from_millis(250));
    assert_eq!(config.report.ping_interval, Duration::from_millis(300));
    assert_eq!(config.node.as_str(), "sat-2");
    assert_eq!(config.bus.peers, [NodeId::new("cloud").unwrap()]);
}

#[test]
fn problems_name_the_drop_in_or_the_variable() {
    let message = load(&[GOOD, "[store]\nquota_bytes = \"big\"\n"], &[]).unwrap_err();
    assert!(
        message.starts_with("agent.d/10.toml, line 2, store.quota_bytes: \"big\""),
        "{message}"
    );
    let message = load(&[GOOD], &[("STARBELT_STORE__QUOTA", "5")]).unwrap_err();
    assert!(
        message.starts_with("environment variable STARBELT_STORE__QUOTA, store.quota: unknown key"),
        "{message}"
    );
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let message = load(&["version = 1\n[node\nname = 3\n"], &[]).unwrap_err();
    assert!(message.contains("agent.toml, line 2, TOML: "), "{message}");
}

#[test]
fn virtual_hardware_has_defaults() {
    let text = GOOD.to_owned()
        + "[sim]\nconnect = \"tcp/127.0.0.1:7447\"\n[battery]\nbackend = \"virtual\"\n\
           capacity_wh = 100\n[thermal]\nbackend = \"virtual\"\n\
           [[source]]\nname = \"eo-reference\"\nkey = \"reference/v1\"\nfile = \"ref.bin\"\n\
           [input]\ndir = \"/bursts\"\n";
    let config = load(&[&text], &[]).unwrap();
    let capacity = config.battery.cell.unwrap().capacity_wh;
    assert!((capacity - 100.0).abs() < f64::EPSILON);
    assert_eq!(config.battery.source, EnergySource::Photovoltaic);
    assert_eq!(config.sources[0].file, Path::new("base/ref.bin"));
    assert_eq!(config.input.as_deref(), Some(Path::new("/bursts")));
    let grid = text.replace("capacity_wh", "energy = \"grid\"\nzone = \"AT\"\ncapacity_wh");
    let source = load(&[&grid], &[]).unwrap().battery.source;
    assert_eq!(source, EnergySource::Grid { zone: "AT".to_owned() });
}

#[test]
fn drop_ins_for_boards_are_valid_and_say_what_they_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/boards");
    let board = |name: &str| {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        load(&[GOOD, &text], &[]).unwrap()
    };
    let pi = board("raspberry-pi-ups.toml").battery;
    let BatteryHardware::Ina219(meter) = pi.hardware else { panic!("{pi:?}") };
    assert_eq!((meter.bus, meter.address), (1, 0x43));
    assert!((meter.shunt_ohm - 0.1).abs() < 1e-12 && (meter.sign - 1.0).abs() < 1e-12);
    assert!((meter.pack.capacity_ah - 5.0).abs() < 1e-12);
    assert!((meter.pack.offset_a - 0.001).abs() < 1e-12);
    assert_eq!(board("laptop.toml").battery.hardware, BatteryHardware::PowerSupply);
    let jetson = board("jetson-as-satellite.toml");
    assert!(jetson.battery.measures_load && jetson.battery.cell.is_some());
    let ThermalConfig::Virtual(body) = jetson.thermal else { panic!("{:?}", jetson.thermal) };
    assert!(body.chip.is_some() && 0.0 < body.radiator.radiating_m2);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 3);
}

#[test]
fn a_meter_needs_its_cells_and_a_curve_that_rises() {
    let file = |text: &str| format!("{GOOD}[battery]\nbackend = \"ina219\"\n{text}");
    refused(
        &file(""),
        &[
            "battery.ina219.cells_series: it must be given",
            "battery.ina219.cell_capacity_mah: it must be given",
        ],
    );
    let cells = "[battery.ina219]\ncells_series = 1\ncell_capacity_mah = 2500\n";
    load(&[&file(cells)], &[]).unwrap();
    let with = |line: &str| file(&format!("{cells}{line}\n"));
    refused(
        &with("address = 0x78"),
        &["battery.ina219.address: 120 is not a whole number from 8 to 119"],
    );
    refused(
        &with("ocv = [\"0:3\", \"half:4\"]"),
        &["\"half:4\" is not a charge and the volts", "ocv: a curve has"],
    );
    refused(
        &with("ocv = [\"0:3.5\", \"1:3.4\"]"),
        &["battery.ina219.ocv: a curve has 2 to 32 points"],
    );
    refused(&with("positive_current = \"+1\""), &["is none of \"charging\", \"discharging\""]);
    refused(&with("cels_parallel = 2"), &["did you mean cells_parallel?"]);
    let wrong =
        GOOD.to_owned() + "[battery]\nbackend = \"gauge\"\n[thermal]\nbackend = \"ina219\"\n";
    refused(
        &wrong,
        &["battery.backend: \"gauge\" is none of", "thermal.backend: \"ina219\" is none of"],
    );
}

#[test]
fn several_emulated_nodes_do_not_draw_what_their_machine_draws() {
    let text = GOOD.to_owned() + "[battery]\nbackend = \"virtual\"\n";
    assert!(!load(&[&text], &[]).unwrap().battery.measures_load);
    assert!(load(&[&(text + "load = \"measured\"\n")], &[]).unwrap().battery.measures_load);
}

#[test]
fn every_example_is_valid() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/agent");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if let Err(error) = Config::load(&path, []) {
            panic!("{error}");
        }
        names.push(path.file_name().unwrap().to_owned());
    }
    assert!(3 <= names.len(), "{names:?}");
}

#[test]
fn the_example_of_the_package_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let config = Config::load(&root.join("cross/packages/starbelt-agent/agent.toml"), []).unwrap();
    // The folder that its service may write to.
    assert_eq!(config.store.dir, Path::new("/var/lib/starbelt"));
}

#[test]
fn functions_run_in_one_runner_unless_told_otherwise() {
    let functions = load(&[GOOD], &[]).unwrap().functions;
    assert_eq!(
        functions,
        FunctionsConfig {
            isolation: Isolation::Process,
            runner_memory_mib: 4096,
            keep_mib: 16,
            runners_max: 8,
            compile_memory_mib: None,
            compile_cpu: Duration::from_secs(10),
        }
    );
    let text = "[functions]\nisolation = \"tenant\"\nrunner_memory_mib = 512\nkeep_mib = 64\nrunners_max = 3\n\
        compile_memory_mib = 256\ncompile_cpu_s = 30\n";
    let functions = load(&[GOOD, text], &[]).unwrap().functions;
    assert_eq!(
        functions,
        FunctionsConfig {
            isolation: Isolation::Tenant,
            runner_memory_mib: 512,
            keep_mib: 64,
            runners_max: 3,
            compile_memory_mib: Some(256),
            compile_cpu: Duration::from_secs(30),
        }
    );
    let none = load(&[GOOD], &[("STARBELT_FUNCTIONS__ISOLATION", "none")]).unwrap();
    assert_eq!(none.functions.isolation, Isolation::None);
}

#[test]
fn a_runner_gets_at_most_what_the_node_offers() {
    let text = GOOD.to_owned()
        + "[functions]\nisolation = \"vm\"\nrunner_memory_mib = 4097\nrunners_max = 0\ncompile_cpu_s = 0\n";
    refused(
        &text,
        &[
            "functions.isolation: \"vm\" is none of \"process\", \"tenant\", \"none\"",
            "functions.runner_memory_mib: 4097 is not a whole number from 32 to 4096",
            "functions.runners_max: 0 is not a whole number from 1 to 64",
            "functions.compile_cpu_s: 0 is not a whole number from 1 to 600",
        ],
    );
}

const PROGRAM: &str = "[[inference.program]]\nname = \"denoise\"\nprogram = \"bin/denoise\"\narguments = [\"--fast\"]\n\
    environment = [\"A=b=c\"]\nmemory_mib = 512\ngpu_memory_mib = 128\nprobe_input = \"in.st\"\n\
    probe_output = \"/out.st\"\nfallback = \"small\"\n";

#[test]
fn native_programs_are_read_with_paths_beside_the_file() {
    let inference = load(&[GOOD, PROGRAM], &[]).unwrap().inference;
    let program = ProgramConfig {
        name: "denoise".to_owned(),
        program: "base/bin/denoise".into(),
        arguments: vec!["--fast".to_owned()],
        environment: vec![("A".to_owned(), "b=c".to_owned())],
        memory_mib: 512,
        milli_cpu: 1000,
        gpu_memory_mib: 128,
        probe_input: "base/in.st".into(),
        probe_output: "/out.st".into(),
        fallback: Some("small".to_owned()),
    };
    assert_eq!((inference.programs, inference.gpu_memory_mib), (vec![program], None));
}

#[test]
fn a_native_program_needs_all_that_proves_and_bounds_it() {
    let file = |text: &str| format!("{GOOD}{text}");
    let bare = "[[inference.program]]\nname = \"denoise\"\n";
    let lacks = |key: &str| format!("inference.program.{key}: it must be given");
    let needed =
        ["program", "memory_mib", "gpu_memory_mib", "probe_input", "probe_output"].map(lacks);
    refused(&file(bare), &needed.each_ref().map(String::as_str));
    let without_probe = PROGRAM.replace("probe_output = \"/out.st\"\n", "");
    refused(&file(&without_probe), &[&lacks("probe_output")]);
    refused(
        &file(&PROGRAM.replace("denoise\"\nprogram", "De/noise\"\nprogram")),
        &["is not 1 to 32 of a-z"],
    );
    refused(&file(&PROGRAM.replace("A=b=c", "=b")), &["\"=b\" is not NAME=VALUE"]);
    refused(&file(&PROGRAM.replace("128", "257")), &["257 is not a whole number from 0 to 256"]);
    refused(&file(&PROGRAM.replace("arguments", "argumnets")), &["did you mean arguments?"]);
    refused(&file(&PROGRAM.repeat(2)), &["two programs are named \"denoise\""]);
    let five: String =
        (0..5).map(|i| PROGRAM.replace("denoise\"\n", &format!("p{i}\"\n"))).collect();
    refused(&file(&five), &["5 programs, at most 4 are handled"]);
}

const BOARD: &str =
    "[[mcu]]\nname = \"eps\"\ndevice = \"/dev/serial/by-id/usb-Starbelt_*\"\nrole = \"battery\"\n";

#[test]
fn boards_get_defaults() {
    let config = load(&[&(GOOD.to_owned() + BOARD + "capacity_wh = 40\n")], &[]).unwrap();
    let expected = McuConfig {
        name: "eps".to_owned(),
        device: PathBuf::from("/dev/serial/by-id/usb-Starbelt_*"),
        baud: 115_200,
        role: McuRole::Battery,
        period: Duration::from_secs(1),
        capacity_wh: Some(40.0),
    };
    assert_eq!(config.boards, [expected]);
    assert!(load(&[GOOD], &[]).unwrap().boards.is_empty());
}

#[test]
fn boards_that_cannot_be_are_refused() {
    let instead = |old: &str, new: &str| BOARD.replace(old, new);
    let besides = |more: &str| BOARD.to_owned() + more;
    let sensor = |n: u32| instead("eps", &format!("b{n}")).replace("battery", "sensor");
    let one: [(String, &str); 10] = [
        (instead("eps", "EPS"), "mcu.name: \"EPS\" is not 1 to 63"),
        (instead("/dev/serial/by-id", "by-id"), "not the whole path of a device"),
        (instead("by-id", "*"), "has a * before its last part"),
        (instead("\"battery\"", "\"eps\""), "\"eps\" is none of \"battery\""),
        (besides("baud = 12345\n"), "12345 is none of [9600, "),
        (besides("period_ms = 99\n"), "mcu.period_ms: 99 is not"),
        (besides("speed = 9600\n"), "mcu.speed: unknown key"),
        (sensor(0) + "capacity_wh = 1\n", "only a board with role = \"battery\""),
        (besides("[battery]\nbackend = \"virtual\"\n"), "names another battery"),
        ((0..9).map(sensor).collect(), "9 boards, at most 8"),
    ];
    for (board, expected) in one {
        refused(&(GOOD.to_owned() + &board), &[expected]);
    }
    refused(&(GOOD.to_owned() + "[[mcu]]\nname = \"a\"\n"), &["mcu.device", "mcu.role"]);
    let twice = ["two boards are named \"eps\"", "a node has one battery"];
    refused(&(GOOD.to_owned() + BOARD + BOARD), &twice);
}

const MQTT: &str = r#"
[mqtt]
enabled = true
url = "mqtts://broker.example"
profiles = ["sparkplug", "native", "native"]
read_only = false
commands = ["report-now"]
offline = "queue"
username = "sat"
password_file = "password"
[mqtt.tls]
ca = "ca.pem"
cert = "sat.crt"
key = "sat.key"
[mqtt.aws]
thing = "thing:1"
"#;

#[cfg(feature = "mqtt")]
#[test]
fn a_bridge_is_off_and_read_only_unless_told_otherwise() {
    assert_eq!(load(&[GOOD], &[]).unwrap().mqtt, None);
    let off = MQTT.replace("enabled = true", "enabled = false");
    assert_eq!(load(&[&format!("{GOOD}{off}")], &[]).unwrap().mqtt, None, "checked, and off");
    let mqtt = load(&[&format!("{GOOD}{MQTT}")], &[]).unwrap().mqtt.unwrap();
    assert_eq!(mqtt.broker.to_string(), "mqtts://broker.example:8883");
    assert_eq!(mqtt.profiles, [MqttProfile::Native, MqttProfile::Sparkplug]);
    assert_eq!((mqtt.client_id.as_str(), mqtt.sparkplug_group.as_str()), ("sat-1", "demo"));
    assert_eq!((mqtt.aws_thing.as_str(), mqtt.queues, mqtt.read_only), ("thing:1", true, false));
    assert_eq!(mqtt.login, Some(("sat".to_owned(), "base/password".into())));
    assert_eq!(mqtt.tls.identity, Some(("base/sat.crt".into(), "base/sat.key".into())));
    let bare = "[mqtt]\nenabled = true\nurl = \"mqtt://127.0.0.1\"\nprofiles = [\"aws\"]\n";
    let mqtt = load(&[&format!("{GOOD}{bare}")], &[]).unwrap().mqtt.unwrap();
    assert!(mqtt.read_only && mqtt.commands.is_empty() && !mqtt.queues);
    assert_eq!(mqtt.protocol, MqttProtocol::V5);
}

#[cfg(feature = "mqtt")]
#[test]
fn what_is_wrong_with_a_bridge_is_told() {
    let file = |from: &str, to: &str| format!("{GOOD}{}", MQTT.replace(from, to));
    refused(
        &file("url = \"mqtts", "url = \"mqtt"),
        &["mqtt.url: mqtt://broker.example:1883 is read"],
    );
    let allowed = file("url = \"mqtts", "plain_text = true\nurl = \"mqtt");
    assert!(load(&[&allowed], &[]).is_ok());
    refused(
        &file("url", "ulr"),
        &["mqtt.ulr: unknown key; did you mean url?", "mqtt.url: it must be given"],
    );
    refused(&file("read_only = false\n", ""), &["commands are obeyed only with read_only = false"]);
    refused(&file("report-now", "reboot"), &["\"reboot\" is none of \"nop\", \"report-now\""]);
    refused(&file("password_file = \"password\"\n", ""), &["given together, or neither"]);
    refused(&file("key = \"sat.key\"\n", ""), &["mqtt.tls.key: cert and key are given together"]);
    refused(&file("thing:1", "thing/1"), &["mqtt.aws.thing: \"thing/1\" is not 1 to 64"]);
    refused(&file("\"sparkplug\"", "\"spark\""), &["\"spark\" is none of \"native\""]);
    refused(&file("\"sparkplug\", \"native\", \"native\"", ""), &["says nothing"]);
}

#[cfg(not(feature = "mqtt"))]
#[test]
fn an_agent_without_the_bridge_says_how_to_get_it() {
    refused(&format!("{GOOD}{MQTT}"), &["build it with --features mqtt"]);
}

/// The public key of the secret of 32 zero bytes.
const KEY: &str = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";

#[test]
fn nobody_may_bring_another_program_unless_a_key_is_named() {
    let config = load(&[GOOD], &[]).unwrap();
    assert_eq!(config.update, UpdateConfig { keys: Vec::new(), starts: 3 });
    let limits = Limits { failures_max: 5, backoff: Duration::from_secs(600) };
    let start = StartConfig { limits, healthy: Duration::from_secs(30) };
    assert_eq!(config.start, start);
    let said = format!("[update]\nkeys = [\"{KEY}\"]\nstarts = 1\n[start]\nhealthy_s = 5\n");
    let config = load(&[GOOD, &said], &[("STARBELT_START__FAILURES_MAX", "7")]).unwrap();
    assert_eq!((config.update.keys.len(), config.update.keys[0][0]), (1, 0x3b));
    assert_eq!((config.update.starts, config.start.limits.failures_max), (1, 7));
}

#[test]
fn keys_and_starts_that_cannot_be_are_refused() {
    // With the neutral point as its key, anything would count as signed.
    let neutral = format!("01{}", "0".repeat(62));
    let keys = format!("[\"{neutral}\", \"abc\"]");
    let text = format!("{GOOD}[update]\nkeys = {keys}\nstarts = 0\n[start]\nfailures_max = 0\n");
    let no_key = "is no ed25519 public key: the 64 hexadecimal digits";
    refused(
        &text,
        &[
            "start.failures_max: 0 is not a whole number from 1 to 1000",
            &format!("update.keys: \"{neutral}\" {no_key}"),
            &format!("update.keys: \"abc\" {no_key}"),
            "update.starts: 0 is not a whole number from 1 to 10",
        ],
    );
    let many = vec![format!("\"{KEY}\""); 9].join(", ");
    refused(&format!("{GOOD}[update]\nkeys = [{many}]\n"), &["update.keys: 9 keys, at most 8"]);
}
